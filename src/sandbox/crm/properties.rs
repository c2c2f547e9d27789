//! The properties that records can have.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::{Call, nothing_here};
use super::super::time::{SEED_START, iso, millis};
use super::Crm;
use super::batch::{Done, inputs};
use super::kind::Kind;

pub(super) struct Property {
    pub(super) label: String,
    /// `string`, `number`, `date`, `datetime`, `enumeration` or `bool`.
    pub(super) data_type: String,
    pub(super) field_type: String,
    pub(super) group: String,
    pub(super) description: String,
    pub(super) options: Vec<Value>,
    /// No two records may have the same value.
    pub(super) unique: bool,
    pub(super) read_only: bool,
    /// Comes with the sandbox, so it can be neither changed nor archived.
    pub(super) built_in: bool,
}

const DATA_TYPES: [&str; 6] = ["string", "number", "date", "datetime", "enumeration", "bool"];

impl Property {
    /// Whether a record may have this value, else why not.
    pub(super) fn accepts(&self, value: &str) -> Result<(), String> {
        let offered = |option: &Value| option.get("value").and_then(Value::as_str) == Some(value);
        let fits = match self.data_type.as_str() {
            "number" => value.parse::<f64>().is_ok_and(f64::is_finite),
            "date" | "datetime" => millis(value).is_some(),
            "bool" => matches!(value, "true" | "false"),
            "enumeration" if !self.options.is_empty() => self.options.iter().any(offered),
            _ => true,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("takes no such value: it is of type {}", self.data_type)),
        }
    }

    fn view(&self, name: &str) -> Value {
        json!({
            "name": name,
            "label": self.label,
            "type": self.data_type,
            "fieldType": self.field_type,
            "groupName": self.group,
            "description": self.description,
            "options": self.options,
            "hasUniqueValue": self.unique,
            "hubspotDefined": self.built_in,
            "hidden": false,
            "calculated": false,
            "externalOptions": false,
            "displayOrder": -1,
            "formField": !self.read_only,
            "archived": false,
            "createdAt": iso(SEED_START),
            "updatedAt": iso(SEED_START),
            "modificationMetadata": {
                "archivable": !self.built_in,
                "readOnlyDefinition": self.built_in,
                "readOnlyValue": self.read_only,
            },
        })
    }

    /// A new property as a request wants it, with its name.
    fn wanted(kind: Kind, body: &Value) -> Result<(String, Self), Problem> {
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let name = text("name").to_owned();
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(Problem::invalid("A property's name has only a-z, 0-9 and `_`."));
        }
        if !DATA_TYPES.contains(&text("type")) {
            let message = format!("A property's type is one of {}.", DATA_TYPES.join(", "));
            return Err(Problem::invalid(message));
        }
        let label = Some(text("label")).filter(|label| !label.is_empty()).unwrap_or(&name);
        let group = Some(text("groupName")).filter(|group| !group.is_empty());
        let options = body.get("options").and_then(Value::as_array);
        let property = Self {
            label: label.to_owned(),
            data_type: text("type").to_owned(),
            field_type: text("fieldType").to_owned(),
            group: group.map_or_else(|| default_group(kind), str::to_owned),
            description: text("description").to_owned(),
            options: options.cloned().unwrap_or_default(),
            unique: body.get("hasUniqueValue").and_then(Value::as_bool).unwrap_or(false),
            read_only: false,
            built_in: false,
        };
        Ok((name, property))
    }
}

/// `contactinformation` and its like.
pub(super) fn default_group(kind: Kind) -> String {
    format!("{}information", kind.singular())
}

pub(super) fn route(crm: &mut Crm, call: &Call, kind: Kind, rest: &[&str]) -> Answer {
    match (call.method.as_str(), rest) {
        ("GET", []) => {
            let all = crm.properties.range((kind, String::new())..);
            let own = all.take_while(|((of, _), _)| *of == kind);
            let results: Vec<Value> =
                own.map(|((_, name), property)| property.view(name)).collect();
            Ok(Reply::json(json!({ "results": results })))
        }
        ("POST", []) => create(crm, kind, &call.json()?).map(Reply::created),
        ("GET", ["groups"]) => Ok(Reply::json(json!({ "results": [group(kind)] }))),
        ("GET", ["groups", name]) if *name == default_group(kind) => Ok(Reply::json(group(kind))),
        ("POST", ["batch", action]) => batch(crm, call, kind, action),
        ("GET", [name]) => read(crm, kind, name).map(Reply::json),
        ("PATCH", [name]) => update(crm, kind, name, &call.json()?).map(Reply::json),
        ("DELETE", [name]) => {
            archive(crm, kind, name)?;
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}

fn group(kind: Kind) -> Value {
    let label = format!("{} information", kind.capitalised());
    json!({ "name": default_group(kind), "label": label, "displayOrder": 0, "archived": false })
}

fn batch(crm: &mut Crm, call: &Call, kind: Kind, action: &str) -> Answer {
    let body = call.json()?;
    let mut done = Done::default();
    for input in inputs(&body)? {
        let name = input.get("name").and_then(Value::as_str).unwrap_or_default();
        match action {
            "read" => done.add(read(crm, kind, name)),
            "create" => done.add(create(crm, kind, input)),
            "archive" => archive(crm, kind, name)?,
            _ => return Err(nothing_here(call)),
        }
    }
    match action {
        "archive" => Ok(Reply::no_content()),
        "create" => Ok(done.reply(call, StatusCode::CREATED)),
        _ => Ok(done.reply(call, StatusCode::OK)),
    }
}

fn missing(kind: Kind, name: &str) -> Problem {
    Problem::missing(format!("There is no property {name} of {}.", kind.plural()))
}

fn read(crm: &Crm, kind: Kind, name: &str) -> Result<Value, Problem> {
    let property = crm.properties.get(&(kind, name.to_owned()));
    property.map(|property| property.view(name)).ok_or_else(|| missing(kind, name))
}

fn create(crm: &mut Crm, kind: Kind, body: &Value) -> Result<Value, Problem> {
    let (name, property) = Property::wanted(kind, body)?;
    let key = (kind, name);
    if crm.properties.contains_key(&key) {
        let message = format!("A property named {} already exists.", key.1);
        return Err(Problem::new(StatusCode::CONFLICT, "CONFLICT", message));
    }
    let view = property.view(&key.1);
    crm.properties.insert(key, property);
    Ok(view)
}

fn own<'a>(crm: &'a mut Crm, kind: Kind, name: &str) -> Result<&'a mut Property, Problem> {
    let property = crm.properties.get_mut(&(kind, name.to_owned()));
    let property = property.ok_or_else(|| missing(kind, name))?;
    match property.built_in {
        true => Err(Problem::invalid(format!("The property {name} comes with the sandbox."))),
        false => Ok(property),
    }
}

fn update(crm: &mut Crm, kind: Kind, name: &str, body: &Value) -> Result<Value, Problem> {
    let property = own(crm, kind, name)?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    property.label = text("label").unwrap_or_else(|| std::mem::take(&mut property.label));
    if let Some(description) = text("description") {
        property.description = description;
    }
    if let Some(options) = body.get("options").and_then(Value::as_array) {
        property.options.clone_from(options);
    }
    Ok(property.view(name))
}

fn archive(crm: &mut Crm, kind: Kind, name: &str) -> Result<(), Problem> {
    own(crm, kind, name)?;
    crm.properties.remove(&(kind, name.to_owned()));
    crm.unique.retain(|(of, property, _), _| *of != kind || property != name);
    for ((of, _), record) in &mut crm.records {
        if *of == kind {
            record.properties.remove(name);
        }
    }
    Ok(())
}
