//! Search: filters, a free query, sorting and pages, with HubSpot's limits.

use std::cmp::Ordering;

use http::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, Problem, Reply};
use super::super::exchange::Call;
use super::super::time::millis;
use super::kind::Kind;
use super::{Crm, Record, bad_property, text_of};

const LARGEST_PAGE: u64 = 200;
const USUAL_PAGE: u64 = 10;
/// Results beyond this many cannot be reached.
const REACH: u64 = 10_000;
const LONGEST_BODY: usize = 3000;
const GROUPS: usize = 5;
const FILTERS_IN_GROUP: usize = 6;
const FILTERS: usize = 18;

/// A condition on one property.
struct Filter {
    property: String,
    operator: String,
    value: String,
    high: String,
    values: Vec<String>,
}

pub(super) fn route(crm: &Crm, call: &Call, kind: Kind) -> Answer {
    if call.body.len() > LONGEST_BODY {
        let message = format!("A search has at most {LONGEST_BODY} characters.");
        return Err(Problem::invalid(message));
    }
    let body = call.json()?;
    let (limit, after) = page(&body)?;
    let groups = groups(crm, kind, &body)?;
    let query = text_of(body.get("query")).unwrap_or_default().to_lowercase();
    let asked = strings(body.get("properties"));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let all = crm.records.range((kind, 0)..=(kind, u64::MAX));
    let mut found: Vec<(u64, &Record)> = all
        .filter(|(_, record)| record.archived.is_none())
        .filter(|(_, record)| query.is_empty() || is_found(kind, record, &query))
        .filter(|(_, record)| {
            let holds = |filter: &Filter| filter.holds(crm, kind, record);
            groups.is_empty() || groups.iter().any(|group| group.iter().all(holds))
        })
        .map(|((_, id), record)| (*id, record))
        .collect();
    sort(crm, kind, &body, &mut found)?;
    let total = found.len() as u64;
    let from = usize::try_from(after).unwrap_or(usize::MAX);
    let page = found.into_iter().skip(from).take(usize::try_from(limit).unwrap_or(0));
    let results: Vec<Value> = page.map(|(id, _)| crm.view(kind, id, &asked)).collect();
    let next = after + limit;
    let mut answer = json!({ "total": total, "results": results });
    if next < total {
        answer["paging"] = json!({ "next": { "after": next.to_string() } });
    }
    Ok(Reply::json(answer))
}

fn page(body: &Value) -> Result<(u64, u64), Problem> {
    let number = |name: &str, default| match text_of(body.get(name)) {
        None => Ok(default),
        Some(text) if text.is_empty() => Ok(default),
        Some(text) => {
            text.parse::<u64>().map_err(|_| Problem::invalid(format!("{name} must be a number.")))
        }
    };
    let (limit, after) = (number("limit", USUAL_PAGE)?, number("after", 0)?);
    if !(1..=LARGEST_PAGE).contains(&limit) {
        let message = format!("limit must be a number from 1 to {LARGEST_PAGE}.");
        return Err(Problem::invalid(message));
    }
    if after.saturating_add(limit) > REACH {
        let message = format!("A search reaches the first {REACH} results only.");
        return Err(Problem::invalid(message));
    }
    Ok((limit, after))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|value| text_of(Some(value))).collect()
}

/// The filter groups of a body; a bare list of `filters` is one group.
fn groups(crm: &Crm, kind: Kind, body: &Value) -> Result<Vec<Vec<Filter>>, Problem> {
    let mut groups = Vec::new();
    let listed = body.get("filterGroups").and_then(Value::as_array).into_iter().flatten();
    let bare = body.get("filters").is_some().then_some(body);
    for group in listed.chain(bare) {
        let filters = group.get("filters").and_then(Value::as_array).into_iter().flatten();
        let filters: Result<Vec<Filter>, Problem> =
            filters.map(|filter| Filter::read(crm, kind, filter)).collect();
        groups.push(filters?);
    }
    let all: usize = groups.iter().map(Vec::len).sum();
    let too_long = groups.iter().any(|group| group.len() > FILTERS_IN_GROUP);
    if groups.len() > GROUPS || too_long || all > FILTERS {
        return Err(Problem::invalid(format!(
            "A search has at most {GROUPS} groups of {FILTERS_IN_GROUP} filters, {FILTERS} in all."
        )));
    }
    Ok(groups)
}

impl Filter {
    fn read(crm: &Crm, kind: Kind, filter: &Value) -> Result<Self, Problem> {
        let text = |name: &str| text_of(filter.get(name)).unwrap_or_default();
        let property = text("propertyName");
        if !crm.properties.contains_key(&(kind, property.clone())) {
            return Err(bad_property(&property, "PROPERTY_DOESNT_EXIST", "does not exist"));
        }
        let (operator, needed) = (text("operator"), |name: &str| filter.get(name).is_some());
        let complete = match operator.as_str() {
            "EQ" | "NEQ" | "LT" | "LTE" | "GT" | "GTE" => needed("value"),
            "CONTAINS_TOKEN" | "NOT_CONTAINS_TOKEN" => needed("value"),
            "BETWEEN" => needed("value") && needed("highValue"),
            "IN" | "NOT_IN" => needed("values"),
            "HAS_PROPERTY" | "NOT_HAS_PROPERTY" => true,
            _ => {
                let message = format!("There is no search operator \"{operator}\".");
                return Err(Problem::invalid(message));
            }
        };
        if !complete {
            let message = format!("The operator {operator} lacks its value.");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message));
        }
        let (value, high) = (text("value"), text("highValue"));
        Ok(Self { property, operator, value, high, values: strings(filter.get("values")) })
    }

    fn holds(&self, crm: &Crm, kind: Kind, record: &Record) -> bool {
        let held = record.properties.get(&self.property).map(String::as_str);
        let against = |other: &str| {
            held.map(|held| compare(data_type(crm, kind, &self.property), held, other))
        };
        let value = &self.value;
        match self.operator.as_str() {
            "EQ" => against(value) == Some(Ordering::Equal),
            "NEQ" => against(value) != Some(Ordering::Equal),
            "LT" => against(value) == Some(Ordering::Less),
            "LTE" => against(value).is_some_and(Ordering::is_le),
            "GT" => against(value) == Some(Ordering::Greater),
            "GTE" => against(value).is_some_and(Ordering::is_ge),
            "BETWEEN" => {
                against(value).is_some_and(Ordering::is_ge)
                    && against(&self.high).is_some_and(Ordering::is_le)
            }
            "IN" => self.values.iter().any(|value| against(value) == Some(Ordering::Equal)),
            // As at HubSpot, only records that have a value at all.
            "NOT_IN" => {
                held.is_some()
                    && self.values.iter().all(|value| against(value) != Some(Ordering::Equal))
            }
            "HAS_PROPERTY" => held.is_some(),
            "NOT_HAS_PROPERTY" => held.is_none(),
            "CONTAINS_TOKEN" => held.is_some_and(|held| contains_token(held, value)),
            "NOT_CONTAINS_TOKEN" => !held.is_some_and(|held| contains_token(held, value)),
            _ => false,
        }
    }
}

fn data_type<'a>(crm: &'a Crm, kind: Kind, name: &str) -> &'a str {
    crm.properties.get(&(kind, name.to_owned())).map_or("string", |p| p.data_type.as_str())
}

/// Compares by the property's type; text without regard to case.
fn compare(data_type: &str, one: &str, other: &str) -> Ordering {
    match data_type {
        "number" => {
            let number = |text: &str| text.parse::<f64>().unwrap_or(f64::NEG_INFINITY);
            number(one).total_cmp(&number(other))
        }
        "date" | "datetime" => millis(one).cmp(&millis(other)),
        _ => one.to_lowercase().cmp(&other.to_lowercase()),
    }
}

/// Whether one word of `held`, or all of it, is `token`, in which `*` stands for anything.
fn contains_token(held: &str, token: &str) -> bool {
    let (held, token) = (held.to_lowercase(), token.to_lowercase());
    let words = held.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.chain([held.as_str()]).any(|word| matches(&token, word))
        || !token.contains('*')
            && token.contains(|c: char| !c.is_alphanumeric())
            && held.contains(&token)
}

/// In one pass, however many `*` there are.
fn matches(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == text };
    let rest = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = rest else { return false };
    middle.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// Whether every word of the query occurs in what a search of this kind looks into.
fn is_found(kind: Kind, record: &Record, query: &str) -> bool {
    let texts = kind.searched().iter().filter_map(|name| record.properties.get(*name));
    let texts: Vec<String> = texts.map(|text| text.to_lowercase()).collect();
    query.split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
}

/// Sorts by the first of `sorts`; records without a value come last, and ids decide a tie.
fn sort(crm: &Crm, kind: Kind, body: &Value, found: &mut [(u64, &Record)]) -> Result<(), Problem> {
    let Some(by) = body.get("sorts").and_then(|sorts| sorts.get(0)) else { return Ok(()) };
    let (name, descending) = match by {
        Value::String(name) => (name.strip_prefix('-').unwrap_or(name), name.starts_with('-')),
        _ => {
            let text = |key: &str| by.get(key).and_then(Value::as_str).unwrap_or_default();
            (text("propertyName"), text("direction").eq_ignore_ascii_case("DESCENDING"))
        }
    };
    if !crm.properties.contains_key(&(kind, name.to_owned())) {
        return Err(bad_property(name, "PROPERTY_DOESNT_EXIST", "does not exist"));
    }
    let data_type = data_type(crm, kind, name);
    found.sort_by(|(_, one), (_, other)| {
        match (one.properties.get(name), other.properties.get(name)) {
            (Some(one), Some(other)) if descending => compare(data_type, other, one),
            (Some(one), Some(other)) => compare(data_type, one, other),
            (one, other) => other.is_some().cmp(&one.is_some()),
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::contains_token;

    #[test]
    fn a_token_is_a_whole_word_unless_stars_say_otherwise() {
        let held = "Contact17@Example.com";
        for (token, expected) in [
            ("contact17", true),
            ("contact1", false),
            ("contact*", true),
            ("*@example.com", true),
            ("contact17@example.com", true),
            ("*act*@*com", true),
            ("*com*com", false),
            ("exam*le", true),
            ("e*e*e", false),
            ("*", true),
        ] {
            assert_eq!(contains_token(held, token), expected, "{token}");
        }
    }
}
