//! CRM records, their properties and the associations between them, in memory.
//!
//! Here is the state and what keeps it whole; the requests are read and answered in `objects`,
//! `batch`, `search`, `associations` and `properties`.

mod associations;
mod batch;
pub(super) mod kind;
mod links;
mod objects;
mod properties;
mod search;
mod seed;

use std::collections::{BTreeMap, HashMap};

use http::StatusCode;
use serde_json::{Map, Value, json};

use self::kind::Kind;
use self::links::Links;
use self::properties::Property;
use super::Sandbox;
use super::answer::{Answer, Problem};
use super::exchange::{Call, nothing_here};
use super::time::iso;
use crate::types::clock::WallTime;

/// Records made by requests are numbered from here on, seed records below.
const FIRST_NEW_ID: u64 = 100_001;

pub(super) struct Crm {
    records: BTreeMap<(Kind, u64), Record>,
    properties: BTreeMap<(Kind, String), Property>,
    /// Which record holds a value that no other of its kind may hold.
    unique: HashMap<(Kind, String, String), u64>,
    links: Links,
    next_id: u64,
}

struct Record {
    properties: BTreeMap<String, String>,
    created: WallTime,
    updated: WallTime,
    archived: Option<WallTime>,
}

/// What a request wants properties to be; `None` empties one.
type Wishes = Vec<(String, Option<String>)>;

pub(super) fn route(sandbox: &Sandbox, call: &Call, segments: &[&str]) -> Answer {
    let mut crm = sandbox.crm.lock();
    match segments {
        ["crm", "objects", kind, rest @ ..] => {
            let kind = known_kind(kind)?;
            match rest {
                ["search"] if call.method == http::Method::POST => search::route(&crm, call, kind),
                ["batch", action] => batch::route(&mut crm, call, kind, action),
                [id, "associations", rest @ ..] => {
                    associations::of_record(&mut crm, call, kind, id, rest)
                }
                _ => objects::route(&mut crm, call, kind, rest),
            }
        }
        ["crm", "associations", from, to, rest @ ..] => {
            let (from, to) = (known_kind(from)?, known_kind(to)?);
            associations::between(&mut crm, call, from, to, rest)
        }
        ["crm", "properties", kind, rest @ ..] => {
            properties::route(&mut crm, call, known_kind(kind)?, rest)
        }
        _ => Err(nothing_here(call)),
    }
}

fn known_kind(name: &str) -> Result<Kind, Problem> {
    Kind::named(name).ok_or_else(|| {
        let message = format!(
            "The sandbox has no object type {name}: it has contacts, companies, deals and tickets."
        );
        Problem::invalid(message)
    })
}

fn not_found(kind: Kind, id: &str) -> Problem {
    Problem::missing(format!("There is no {} with the id {id}.", kind.singular()))
        .context("ids", json!([id]))
}

impl Crm {
    /// The record that an id, or the value of a unique property, names, if it is not archived.
    fn find(&self, kind: Kind, id: &str, id_property: Option<&str>) -> Result<u64, Problem> {
        let found = match id_property {
            None | Some("hs_object_id") => id.parse().ok(),
            Some(name) if self.is_unique(kind, name) => {
                self.unique.get(&(kind, name.to_owned(), id.to_lowercase())).copied()
            }
            Some(name) => {
                let message = format!("The property {name} does not identify a record.");
                return Err(Problem::invalid(message));
            }
        };
        let live = |id: &u64| self.records.get(&(kind, *id)).is_some_and(|r| r.archived.is_none());
        found.filter(live).ok_or_else(|| not_found(kind, id))
    }

    fn is_unique(&self, kind: Kind, name: &str) -> bool {
        self.properties.get(&(kind, name.to_owned())).is_some_and(|property| property.unique)
    }

    fn create(&mut self, kind: Kind, wishes: Wishes, now: WallTime) -> Result<u64, Problem> {
        self.check(kind, None, &wishes)?;
        let id = self.next_id;
        self.next_id += 1;
        self.insert(kind, id, wishes, now);
        Ok(id)
    }

    /// A new record, without checks.
    fn insert(&mut self, kind: Kind, id: u64, wishes: Wishes, now: WallTime) {
        let properties = BTreeMap::from([
            ("createdate".to_owned(), iso(now)),
            ("hs_object_id".to_owned(), id.to_string()),
        ]);
        let record = Record { properties, created: now, updated: now, archived: None };
        self.records.insert((kind, id), record);
        self.write(kind, id, wishes, now);
    }

    fn update(
        &mut self,
        kind: Kind,
        id: u64,
        wishes: Wishes,
        now: WallTime,
    ) -> Result<(), Problem> {
        self.check(kind, Some(id), &wishes)?;
        self.write(kind, id, wishes, now);
        Ok(())
    }

    fn write(&mut self, kind: Kind, id: u64, wishes: Wishes, now: WallTime) {
        for (name, value) in wishes {
            let unique = self.is_unique(kind, &name);
            let Some(record) = self.records.get_mut(&(kind, id)) else { return };
            let old = match &value {
                Some(value) => record.properties.insert(name.clone(), value.clone()),
                None => record.properties.remove(&name),
            };
            if unique {
                if let Some(old) = old {
                    self.unique.remove(&(kind, name.clone(), old.to_lowercase()));
                }
                if let Some(value) = value {
                    self.unique.insert((kind, name, value.to_lowercase()), id);
                }
            }
        }
        if let Some(record) = self.records.get_mut(&(kind, id)) {
            record.updated = now;
            record.properties.insert(kind.modified().to_owned(), iso(now));
        }
    }

    /// Archives a record; one that is archived stays so.
    fn archive(&mut self, kind: Kind, id: u64, now: WallTime) -> bool {
        let Some(record) = self.records.get_mut(&(kind, id)) else { return false };
        if record.archived.is_some() {
            return false;
        }
        record.archived = Some(now);
        for (name, value) in &record.properties {
            let key = (kind, name.clone(), value.to_lowercase());
            if self.unique.get(&key) == Some(&id) {
                self.unique.remove(&key);
            }
        }
        self.links.forget(kind, id);
        true
    }

    fn check(&self, kind: Kind, own: Option<u64>, wishes: &Wishes) -> Result<(), Problem> {
        for (name, value) in wishes {
            let Some(property) = self.properties.get(&(kind, name.clone())) else {
                return Err(bad_property(name, "PROPERTY_DOESNT_EXIST", "does not exist"));
            };
            if property.read_only {
                return Err(bad_property(name, "READ_ONLY_VALUE", "is read-only"));
            }
            let Some(value) = value else { continue };
            if let Err(why) = property.accepts(value) {
                return Err(bad_property(name, "INVALID_VALUE", &why));
            }
            let holder = self.unique.get(&(kind, name.clone(), value.to_lowercase()));
            if let Some(holder) = holder.filter(|holder| property.unique && own != Some(**holder)) {
                let message =
                    format!("{} already exists. Existing ID: {holder}", kind.capitalised());
                return Err(Problem::new(StatusCode::CONFLICT, "CONFLICT", message));
            }
        }
        Ok(())
    }

    /// A record as it is answered, with these properties besides the usual ones.
    fn view(&self, kind: Kind, id: u64, asked: &[&str]) -> Value {
        let Some(record) = self.records.get(&(kind, id)) else { return Value::Null };
        let names = match asked.is_empty() {
            true => kind.shown().to_vec(),
            false => [asked, &["hs_object_id", "createdate", kind.modified()]].concat(),
        };
        let mut properties = Map::new();
        for name in names {
            if self.properties.contains_key(&(kind, name.to_owned())) {
                properties.insert(name.to_owned(), record.properties.get(name).cloned().into());
            }
        }
        self.envelope(id, record, properties)
    }

    /// A record as the answer to its creation or update: with all that it holds.
    fn full_view(&self, kind: Kind, id: u64) -> Value {
        let Some(record) = self.records.get(&(kind, id)) else { return Value::Null };
        let all =
            record.properties.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        self.envelope(id, record, all.collect())
    }

    fn envelope(&self, id: u64, record: &Record, properties: Map<String, Value>) -> Value {
        let mut view = json!({
            "id": id.to_string(),
            "properties": properties,
            "createdAt": iso(record.created),
            "updatedAt": iso(record.updated),
            "archived": record.archived.is_some(),
        });
        if let Some(archived) = record.archived {
            view["archivedAt"] = iso(archived).into();
        }
        view
    }
}

fn bad_property(name: &str, code: &str, what: &str) -> Problem {
    let message = format!("Property values were not valid: property \"{name}\" {what}.");
    let detail = json!([{
        "message": format!("Property \"{name}\" {what}."),
        "code": code,
        "context": { "propertyName": [name] },
    }]);
    Problem::invalid(message).with("errors", detail)
}

/// The `properties` of a body.
fn wishes(body: &Value) -> Result<Wishes, Problem> {
    let Some(properties) = body.get("properties") else { return Ok(Wishes::new()) };
    let Some(properties) = properties.as_object() else {
        return Err(Problem::invalid("properties must be an object of names and values."));
    };
    let mut wishes = Wishes::new();
    for (name, value) in properties {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => return Err(bad_property(name, "INVALID_VALUE", "must be text, a number or null")),
        };
        wishes.push((name.clone(), value));
    }
    Ok(wishes)
}

/// A value that may be written as text or as a number.
fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
