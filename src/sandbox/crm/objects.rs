//! Single records and the list of all of them.

use http::header::LOCATION;
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::{Call, nothing_here};
use super::associations::wanted_links;
use super::kind::Kind;
use super::{Crm, text_of, wishes};

/// Where HubSpot's absolute links point, whatever host was asked.
pub(in crate::sandbox) const PUBLIC_HOST: &str = "https://api.hubapi.com";
const LARGEST_PAGE: u64 = 100;
const USUAL_PAGE: u64 = 10;

pub(super) fn route(crm: &mut Crm, call: &Call, kind: Kind, rest: &[&str]) -> Answer {
    let id_property = call.query.get("idProperty");
    let asked = call.query.list("properties");
    match (call.method.as_str(), rest) {
        ("GET", []) => list(crm, call, kind),
        ("POST", []) => {
            let body = call.json()?;
            let links = wanted_links(crm, kind, &body)?;
            let id = crm.create(kind, wishes(&body)?, call.now)?;
            for (to, types) in links {
                crm.links.add((kind, id), to, &types);
            }
            let location = format!("{PUBLIC_HOST}{}/{id}", call.raw_path.trim_end_matches('/'));
            Ok(Reply::created(crm.full_view(kind, id)).with(LOCATION, &location))
        }
        ("POST", ["merge"]) => merge(crm, call, kind),
        ("POST", ["gdpr-delete"]) => {
            let body = call.json()?;
            let given = text_of(body.get("objectId")).unwrap_or_default();
            let id = crm.find(kind, &given, body.get("idProperty").and_then(Value::as_str))?;
            crm.archive(kind, id, call.now);
            crm.records.remove(&(kind, id));
            Ok(Reply::no_content())
        }
        ("GET", [id]) if call.query.is_true("archived") => {
            let number = id.parse().unwrap_or_default();
            let archived = crm.records.get(&(kind, number)).is_some_and(|r| r.archived.is_some());
            match archived {
                true => Ok(Reply::json(crm.view(kind, number, &asked))),
                false => Err(super::not_found(kind, id)),
            }
        }
        ("GET", [id]) => {
            let id = crm.find(kind, id, id_property)?;
            let mut view = crm.view(kind, id, &asked);
            add_links(crm, kind, id, &call.query.list("associations"), &mut view)?;
            Ok(Reply::json(view))
        }
        ("PATCH", [id]) => {
            let id = crm.find(kind, id, id_property)?;
            crm.update(kind, id, wishes(&call.json()?)?, call.now)?;
            Ok(Reply::json(crm.full_view(kind, id)))
        }
        ("DELETE", [id]) => {
            // As often as one likes: what is gone stays gone.
            crm.archive(kind, id.parse().unwrap_or_default(), call.now);
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}

fn list(crm: &Crm, call: &Call, kind: Kind) -> Answer {
    let limit = page_size(call)?;
    let after = match call.query.get("after") {
        None => 0,
        Some(after) => {
            let number = after.parse::<u64>();
            number.map_err(|_| Problem::invalid("after is not a value that a page gave."))?
        }
    };
    let archived = call.query.is_true("archived");
    let asked = call.query.list("properties");
    let mut found = crm
        .records
        .range((kind, after.saturating_add(1))..=(kind, u64::MAX))
        .filter(|(_, record)| record.archived.is_some() == archived)
        .map(|((_, id), _)| *id);
    let ids: Vec<u64> = found.by_ref().take(limit).collect();
    let more = found.next().is_some();
    let mut results = Vec::new();
    for id in &ids {
        let mut view = crm.view(kind, *id, &asked);
        add_links(crm, kind, *id, &call.query.list("associations"), &mut view)?;
        results.push(view);
    }
    let mut body = json!({ "results": results });
    if let (true, Some(last)) = (more, ids.last()) {
        body["paging"] =
            json!({ "next": { "after": last.to_string(), "link": link(call, *last) } });
    }
    Ok(Reply::json(body))
}

/// The size of a page, which HubSpot takes from 1 to 100.
pub(super) fn page_size(call: &Call) -> Result<usize, Problem> {
    let limit = match call.query.get("limit") {
        None => USUAL_PAGE,
        Some(limit) => limit.parse().unwrap_or(0),
    };
    if !(1..=LARGEST_PAGE).contains(&limit) {
        let message = format!("limit must be a number from 1 to {LARGEST_PAGE}.");
        return Err(Problem::invalid(message));
    }
    Ok(usize::try_from(limit).unwrap_or(1))
}

/// The absolute address of the next page: all that was asked, and `after`.
pub(super) fn link(call: &Call, after: u64) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(call.query.iter().filter(|(name, _)| *name != "after"));
    query.append_pair("after", &after.to_string());
    format!("{PUBLIC_HOST}{}?{}", call.raw_path, query.finish())
}

/// Adds the `associations` of a record, by the plural of each type asked for.
fn add_links(
    crm: &Crm,
    kind: Kind,
    id: u64,
    asked: &[&str],
    view: &mut Value,
) -> Result<(), Problem> {
    let mut all = Map::new();
    for name in asked {
        let to = super::known_kind(name)?;
        let kind_of_link = format!("{}_to_{}", kind.singular(), to.singular());
        let linked = crm.links.of((kind, id), to).into_iter();
        let results: Vec<Value> =
            linked.map(|(id, _)| json!({ "id": id.to_string(), "type": kind_of_link })).collect();
        if !results.is_empty() {
            all.insert(to.plural().to_owned(), json!({ "results": results }));
        }
    }
    if !all.is_empty() {
        view["associations"] = Value::Object(all);
    }
    Ok(())
}

/// The second record's values fill the gaps of the first, and the second is archived.
fn merge(crm: &mut Crm, call: &Call, kind: Kind) -> Answer {
    let body = call.json()?;
    let given = |name| text_of(body.get(name)).unwrap_or_default();
    let first = crm.find(kind, &given("primaryObjectId"), None)?;
    let second = crm.find(kind, &given("objectIdToMerge"), None)?;
    if first == second {
        return Err(Problem::invalid("A record cannot be merged with itself."));
    }
    let own = crm.records.get(&(kind, first)).map(|record| record.properties.clone());
    let own = own.unwrap_or_default();
    let gained = crm.records.get(&(kind, second)).map(|record| record.properties.clone());
    let gained = gained.unwrap_or_default().into_iter();
    let gained = gained.filter(|(name, _)| !own.contains_key(name));
    let gained = gained.map(|(name, value)| (name, Some(value))).collect();
    let linked: Vec<_> = Kind::ALL
        .into_iter()
        .flat_map(|to| crm.links.of((kind, second), to).into_iter().map(move |(id, _)| (to, id)))
        .filter(|to| *to != (kind, first))
        .collect();
    crm.archive(kind, second, call.now);
    for to in linked {
        crm.links.add((kind, first), to, &[]);
    }
    crm.write(kind, first, gained, call.now);
    Ok(Reply::json(crm.full_view(kind, first)))
}
