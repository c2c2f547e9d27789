//! Associations by request: of one record, and in batches, in the forms of v3 and since v4.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::{Call, nothing_here};
use super::batch::{Done, inputs};
use super::kind::Kind;
use super::links::LinkType;
use super::objects::{link, page_size};
use super::{Crm, known_kind, text_of};

type Wanted = Vec<((Kind, u64), Vec<LinkType>)>;

/// Default page of a record's associations.
const USUAL_PAGE: usize = 500;

/// The `associations` that a record is to be made with.
pub(super) fn wanted_links(crm: &Crm, from: Kind, body: &Value) -> Result<Wanted, Problem> {
    let mut wanted = Wanted::new();
    for link in body.get("associations").and_then(Value::as_array).into_iter().flatten() {
        let id = text_of(link.pointer("/to/id")).unwrap_or_default();
        let types = link_types(link.get("types"))?;
        let to = Kind::ALL.into_iter().find(|to| {
            types.iter().any(|own| goes_between(own, from, *to)) && crm.find(*to, &id, None).is_ok()
        });
        let Some(to) = to else {
            let message = format!("The record {id} cannot be associated: no such record or type.");
            return Err(Problem::invalid(message));
        };
        wanted.push(((to, id.parse().unwrap_or_default()), types));
    }
    Ok(wanted)
}

fn goes_between(link_type: &LinkType, from: Kind, to: Kind) -> bool {
    let primary = match (from, to) {
        (Kind::Contact, Kind::Company) => Some(1),
        (Kind::Company, Kind::Contact) => Some(2),
        (Kind::Deal, Kind::Company) => Some(5),
        (Kind::Company, Kind::Deal) => Some(6),
        (Kind::Company, Kind::Ticket) => Some(25),
        (Kind::Ticket, Kind::Company) => Some(26),
        _ => None,
    };
    *link_type == LinkType::default_between(from, to)
        || link_type.category != "HUBSPOT_DEFINED"
        || primary == Some(link_type.number)
}

fn link_types(types: Option<&Value>) -> Result<Vec<LinkType>, Problem> {
    let types = types.and_then(Value::as_array).into_iter().flatten();
    let read = |one: &Value| {
        Some(LinkType {
            category: one.get("associationCategory")?.as_str()?.to_owned(),
            number: one.get("associationTypeId")?.as_u64()?,
        })
    };
    types
        .map(|one| {
            let message = "A type has an associationCategory and an associationTypeId.";
            read(one).ok_or_else(|| Problem::invalid(message))
        })
        .collect()
}

fn type_name(from: Kind, to: Kind) -> String {
    format!("{}_to_{}", from.singular(), to.singular())
}

/// `.../{from}/{id}/associations/...`
pub(super) fn of_record(crm: &mut Crm, call: &Call, from: Kind, id: &str, rest: &[&str]) -> Answer {
    let method = call.method.as_str();
    let old_form = call.path.is_before_v4();
    match (method, rest) {
        ("GET", [to]) => list(crm, call, (from, crm.find(from, id, None)?), known_kind(to)?),
        ("PUT", ["default", to, to_id]) => {
            let (from, to) = ends(crm, from, id, to, to_id)?;
            crm.links.add(from, to, &[]);
            let mut done = Done::default();
            done.add(Ok(default_view(from, to)));
            done.add(Ok(default_view(to, from)));
            Ok(done.reply(call, StatusCode::OK))
        }
        ("PUT", [to, to_id, _] | [to, to_id]) if old_form || rest.len() == 2 => {
            let (from, to) = ends(crm, from, id, to, to_id)?;
            if old_form {
                crm.links.add(from, to, &[]);
                return Ok(Reply::json(crm.view(from.0, from.1, &[])));
            }
            let types = link_types(Some(&call.json()?))?;
            crm.links.add(from, to, &types);
            Ok(Reply::created(json!({
                "fromObjectTypeId": from.0.type_id(),
                "fromObjectId": from.1,
                "toObjectTypeId": to.0.type_id(),
                "toObjectId": to.1,
                "labels": [],
            })))
        }
        ("DELETE", [to, to_id] | [to, to_id, _]) => {
            let (from, to) = ends(crm, from, id, to, to_id)?;
            crm.links.remove(from, to);
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}

type Ends = ((Kind, u64), (Kind, u64));

fn ends(crm: &Crm, from: Kind, id: &str, to: &str, to_id: &str) -> Result<Ends, Problem> {
    let to = known_kind(to)?;
    Ok(((from, crm.find(from, id, None)?), (to, crm.find(to, to_id, None)?)))
}

fn default_view(from: (Kind, u64), to: (Kind, u64)) -> Value {
    let link_type = LinkType::default_between(from.0, to.0);
    json!({
        "from": { "id": from.1.to_string() },
        "to": { "id": to.1.to_string() },
        "associationSpec": {
            "associationCategory": link_type.category,
            "associationTypeId": link_type.number,
        },
    })
}

/// One association as an answer shows it, in the form of the version asked.
fn view(crm: &Crm, call: &Call, from: (Kind, u64), to: Kind) -> Vec<(u64, Value)> {
    let old_form = call.path.is_before_v4();
    let linked = crm.links.of(from, to).into_iter();
    linked
        .map(|(id, types)| {
            let types: Vec<Value> = types.iter().map(LinkType::view).collect();
            let view = match old_form {
                true => json!({ "id": id.to_string(), "type": type_name(from.0, to) }),
                false => json!({ "toObjectId": id.to_string(), "associationTypes": types }),
            };
            (id, view)
        })
        .collect()
}

fn list(crm: &Crm, call: &Call, from: (Kind, u64), to: Kind) -> Answer {
    let limit = match call.query.get("limit") {
        None => USUAL_PAGE,
        Some(_) => page_size(call)?,
    };
    let after = call.query.number("after", 0);
    let all = view(crm, call, from, to).into_iter().filter(|(id, _)| *id > after);
    let mut page: Vec<(u64, Value)> = all.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().map(|(id, _)| *id);
    let results: Vec<Value> = page.into_iter().map(|(_, view)| view).collect();
    let mut body = json!({ "results": results });
    if let (true, Some(last)) = (more, last) {
        body["paging"] = json!({ "next": { "after": last.to_string(), "link": link(call, last) } });
    }
    Ok(Reply::json(body))
}

/// `/crm/.../associations/{from}/{to}/...`
pub(super) fn between(crm: &mut Crm, call: &Call, from: Kind, to: Kind, rest: &[&str]) -> Answer {
    match (call.method.as_str(), rest) {
        ("GET", ["labels"]) => {
            let only = LinkType::default_between(from, to).view();
            Ok(Reply::json(json!({ "results": [only] })))
        }
        ("GET", ["types"]) => {
            let number = LinkType::default_between(from, to).number.to_string();
            Ok(Reply::json(json!({ "results": [{ "id": number, "name": type_name(from, to) }] })))
        }
        ("POST", ["batch", action @ ..]) => {
            let body = call.json()?;
            let mut done = Done::default();
            for input in inputs(&body)? {
                match action {
                    ["read"] => done.add(read(crm, call, from, to, input)),
                    ["create"] | ["associate", "default"] => {
                        done.add(create(crm, call, from, to, input));
                    }
                    ["archive"] | ["labels", "archive"] => archive(crm, from, to, input),
                    _ => return Err(nothing_here(call)),
                }
            }
            match action {
                ["archive"] | ["labels", "archive"] => Ok(Reply::no_content()),
                ["create"] => Ok(done.reply(call, StatusCode::CREATED)),
                ["read"] | ["associate", "default"] => Ok(done.reply(call, StatusCode::OK)),
                _ => Err(nothing_here(call)),
            }
        }
        _ => Err(nothing_here(call)),
    }
}

fn read(crm: &Crm, call: &Call, from: Kind, to: Kind, input: &Value) -> Result<Value, Problem> {
    let id = text_of(input.get("id")).unwrap_or_default();
    let from = (from, crm.find(from, &id, None)?);
    let linked: Vec<Value> = view(crm, call, from, to).into_iter().map(|(_, view)| view).collect();
    Ok(json!({ "from": { "id": id }, "to": linked }))
}

fn create(
    crm: &mut Crm,
    call: &Call,
    from: Kind,
    to: Kind,
    input: &Value,
) -> Result<Value, Problem> {
    let id = |end: &str| text_of(input.pointer(end)).unwrap_or_default();
    let ends =
        ((from, crm.find(from, &id("/from/id"), None)?), (to, crm.find(to, &id("/to/id"), None)?));
    let types = link_types(input.get("types"))?;
    crm.links.add(ends.0, ends.1, &types);
    if call.path.is_before_v4() {
        return Ok(json!({
            "from": { "id": id("/from/id") },
            "to": { "id": id("/to/id") },
            "type": type_name(from, to),
        }));
    }
    if call.raw_path.ends_with("/default") {
        return Ok(default_view(ends.0, ends.1));
    }
    Ok(json!({
        "fromObjectTypeId": from.type_id(),
        "fromObjectId": ends.0.1,
        "toObjectTypeId": to.type_id(),
        "toObjectId": ends.1.1,
        "labels": [],
    }))
}

/// `to` is one record in v3 and a list since.
fn archive(crm: &mut Crm, from: Kind, to: Kind, input: &Value) {
    let number = |value: Option<&Value>| text_of(value)?.parse::<u64>().ok();
    let Some(from_id) = number(input.pointer("/from/id")) else { return };
    let one = number(input.pointer("/to/id"));
    let list = input.get("to").and_then(Value::as_array).into_iter().flatten();
    for to_id in list.filter_map(|end| number(end.get("id"))).chain(one) {
        crm.links.remove((from, from_id), (to, to_id));
    }
}
