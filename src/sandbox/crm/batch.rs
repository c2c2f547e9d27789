//! Several records in one request.
//!
//! What fails does not stop the rest: the answer is then 207 with results and errors. Only if
//! nothing succeeds is the first failure the whole answer, save for reads, as at HubSpot.

use http::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, Payload, Problem, Reply};
use super::super::exchange::{Call, nothing_here};
use super::super::time::iso;
use super::associations::wanted_links;
use super::kind::Kind;
use super::{Crm, text_of, wishes};

const LARGEST_BATCH: usize = 100;

pub(super) fn route(crm: &mut Crm, call: &Call, kind: Kind, action: &str) -> Answer {
    if call.method != http::Method::POST {
        return Err(nothing_here(call));
    }
    let body = call.json()?;
    let inputs = inputs(&body)?;
    let id_property = body.get("idProperty").and_then(Value::as_str);
    let asked: Vec<&str> = body
        .get("properties")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut done = Done::default();
    for input in inputs {
        done.add(match action {
            "read" => find(crm, kind, input, id_property).map(|id| crm.view(kind, id, &asked)),
            "create" => create(crm, call, kind, input),
            "update" => update(crm, call, kind, input),
            "upsert" => upsert(crm, call, kind, input),
            "archive" => {
                let id = text_of(input.get("id")).and_then(|id| id.parse().ok());
                crm.archive(kind, id.unwrap_or_default(), call.now);
                Ok(Value::Null)
            }
            _ => return Err(nothing_here(call)),
        });
    }
    match action {
        "archive" => Ok(Reply::no_content()),
        "read" => Ok(done.reply(call, StatusCode::OK)),
        _ if done.results.is_empty() && !done.problems.is_empty() => Err(done.problems.remove(0)),
        "create" => Ok(done.reply(call, StatusCode::CREATED)),
        _ => Ok(done.reply(call, StatusCode::OK)),
    }
}

/// The `inputs` of a body, not too many of them.
pub(super) fn inputs(body: &Value) -> Result<&Vec<Value>, Problem> {
    let Some(inputs) = body.get("inputs").and_then(Value::as_array) else {
        return Err(Problem::invalid("A batch needs a list of inputs."));
    };
    if inputs.len() > LARGEST_BATCH {
        let message = format!("A batch has at most {LARGEST_BATCH} inputs.");
        return Err(Problem::invalid(message));
    }
    Ok(inputs)
}

/// What came of a batch so far.
#[derive(Default)]
pub(super) struct Done {
    results: Vec<Value>,
    problems: Vec<Problem>,
}

impl Done {
    pub(super) fn add(&mut self, outcome: Result<Value, Problem>) {
        match outcome {
            Ok(result) => self.results.push(result),
            Err(problem) => self.problems.push(problem),
        }
    }

    /// The whole answer: `success`, or 207 where something failed.
    pub(super) fn reply(self, call: &Call, success: StatusCode) -> Reply {
        let mut body = json!({
            "status": "COMPLETE",
            "results": self.results,
            "startedAt": iso(call.now),
            "completedAt": iso(call.now),
        });
        if self.problems.is_empty() {
            return Reply::of(success, Payload::Json(body));
        }
        body["numErrors"] = self.problems.len().into();
        body["errors"] =
            self.problems.into_iter().map(|problem| Value::Object(problem.body)).collect();
        Reply::of(StatusCode::MULTI_STATUS, Payload::Json(body))
    }
}

fn find(crm: &Crm, kind: Kind, input: &Value, id_property: Option<&str>) -> Result<u64, Problem> {
    let id = text_of(input.get("id")).ok_or_else(|| Problem::invalid("An input needs an id."))?;
    crm.find(kind, &id, input.get("idProperty").and_then(Value::as_str).or(id_property))
}

fn create(crm: &mut Crm, call: &Call, kind: Kind, input: &Value) -> Result<Value, Problem> {
    let links = wanted_links(crm, kind, input)?;
    let id = crm.create(kind, wishes(input)?, call.now)?;
    for (to, types) in links {
        crm.links.add((kind, id), to, &types);
    }
    Ok(crm.full_view(kind, id))
}

fn update(crm: &mut Crm, call: &Call, kind: Kind, input: &Value) -> Result<Value, Problem> {
    let id = find(crm, kind, input, None)?;
    crm.update(kind, id, wishes(input)?, call.now)?;
    Ok(crm.full_view(kind, id))
}

/// Updates the record that the input names, or makes it with the value that names it.
fn upsert(crm: &mut Crm, call: &Call, kind: Kind, input: &Value) -> Result<Value, Problem> {
    let Some(name) = input.get("idProperty").and_then(Value::as_str) else {
        return Err(Problem::invalid("An upsert needs an idProperty."));
    };
    let (mut view, new) = match find(crm, kind, input, None) {
        Ok(_) => (update(crm, call, kind, input)?, false),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => {
            let mut wishes = wishes(input)?;
            if !wishes.iter().any(|(own, _)| own == name) {
                wishes.push((name.to_owned(), text_of(input.get("id"))));
            }
            let id = crm.create(kind, wishes, call.now)?;
            (crm.full_view(kind, id), true)
        }
        Err(problem) => return Err(problem),
    };
    view["new"] = new.into();
    Ok(view)
}
