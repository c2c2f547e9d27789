//! What HubSpot's error envelope says of a request that failed; the body itself is not kept.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use super::record::Record;

/// A decoded body is read no further, in bytes.
const LONGEST_DECODED: u64 = 64 * 1024;
/// Scopes that are named at most: on some paths HubSpot lists a hundred.
const MOST_SCOPES: usize = 20;
/// The category of a 403 that another scope would have prevented.
const MISSING_SCOPES: &str = "MISSING_SCOPES";

/// The words of an answer that failed which tell why. All are HubSpot's own terms, never a person's data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamAnswer {
    /// Such as `MISSING_SCOPES`.
    pub category: Option<String>,
    /// Any one of these would do.
    pub scopes: Vec<String>,
    /// Which limit was hit, such as `TEN_SECONDLY_ROLLING`.
    pub policy_name: Option<String>,
}

impl UpstreamAnswer {
    /// From the beginning of the answer's body.
    pub fn of(record: &Record) -> Self {
        let excerpt = record.excerpt();
        if excerpt.is_empty() {
            return Self::default();
        }
        let text = match record.gzip {
            true => {
                let mut text = Vec::new();
                // What came before an end that is missing will do.
                let _ = GzDecoder::new(excerpt).take(LONGEST_DECODED).read_to_end(&mut text);
                text
            }
            false => excerpt.to_vec(),
        };
        match serde_json::from_slice(&text) {
            Ok(body) => Self::of_envelope(&body),
            Err(_) => Self::of_beginning(&String::from_utf8_lossy(&text)),
        }
    }

    /// What can be told where the excerpt ends before the envelope does, which it does where a hundred
    /// scopes are listed.
    fn of_beginning(text: &str) -> Self {
        let lists = ["\"requiredGranularScopes\"", "\"requiredScopes\""];
        let scopes = lists.iter().map(|name| strings_of_list(text, name));
        let scopes = scopes.into_iter().find(|scopes| !scopes.is_empty()).unwrap_or_default();
        let category = (!scopes.is_empty()).then(|| MISSING_SCOPES.to_owned());
        Self { category, policy_name: None, scopes }
    }

    /// The scopes of which any one would have let the request pass, where that is what it lacked.
    pub fn missing_scopes(self) -> Option<Vec<String>> {
        let is_that = self.category.as_deref() == Some(MISSING_SCOPES) && !self.scopes.is_empty();
        is_that.then_some(self.scopes)
    }

    fn of_envelope(body: &Value) -> Self {
        let mut scopes = Vec::new();
        let errors = body["errors"].as_array().into_iter().flatten();
        let contexts = errors.map(|error| &error["context"]).chain([&body["context"]]);
        for context in contexts {
            let granular = &context["requiredGranularScopes"];
            let named = if granular.is_array() { granular } else { &context["requiredScopes"] };
            for scope in named.as_array().into_iter().flatten().filter_map(term) {
                if !scopes.contains(&scope) && scopes.len() < MOST_SCOPES {
                    scopes.push(scope);
                }
            }
        }
        Self { category: term(&body["category"]), policy_name: term(&body["policyName"]), scopes }
    }
}

/// The strings of the list that is called `name`, quotes included; one that is cut off is none.
fn strings_of_list(text: &str, name: &str) -> Vec<String> {
    let list = text.split_once(name).and_then(|(_, rest)| rest.split_once('['));
    let list = list.map_or("", |(_, list)| list.split(']').next().unwrap_or_default());
    // Every second piece between quotes is a string, and the last piece has no closing quote.
    let mut pieces: Vec<&str> = list.split('"').collect();
    pieces.pop();
    let mut scopes: Vec<String> = Vec::new();
    for piece in pieces.into_iter().skip(1).step_by(2) {
        if let Some(scope) = term(&Value::from(piece)).filter(|scope| !scopes.contains(scope)) {
            scopes.push(scope);
        }
    }
    scopes.truncate(MOST_SCOPES);
    scopes
}

/// A word of HubSpot's vocabulary; nothing else is passed on.
fn term(value: &Value) -> Option<String> {
    let is_term = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let text = value.as_str()?;
    (!text.is_empty() && text.len() <= 80 && text.bytes().all(is_term)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::UpstreamAnswer;

    #[test]
    fn scopes_are_those_of_any_error_once_and_the_granular_ones_count() {
        let answer = UpstreamAnswer::of_envelope(&json!({
            "category": "MISSING_SCOPES",
            "errors": [
                {"context": {
                    "requiredScopes": ["contacts-misleading"],
                    "requiredGranularScopes": ["crm.objects.contacts.read", "crm.objects.contacts.read"],
                }},
                {"context": {"requiredScopes": ["automation", "ana@example.com"]}},
            ],
        }));
        assert_eq!(answer.category.as_deref(), Some("MISSING_SCOPES"));
        assert_eq!(answer.scopes, ["crm.objects.contacts.read", "automation"]);
    }

    #[test]
    fn an_envelope_that_is_cut_off_still_names_scopes() {
        for (text, expected) in [
            (r#"{"errors":[{"context":{"requiredGranularScopes":["a.read","b.re"#, vec!["a.read"]),
            (
                r#"{"errors":[{"context":{"requiredGranularScopes":["a.read","a.read"],"re"#,
                vec!["a.read"],
            ),
            (
                r#"{"errors":[{"context":{"requiredScopes":["a.read", "b.read" "#,
                vec!["a.read", "b.read"],
            ),
            (r#"{"errors":[{"context":{"requiredScopes":["#, vec![]),
            (r#"{"errors":[{"context":{"requiredSco"#, vec![]),
            ("<html>", vec![]),
        ] {
            let answer = UpstreamAnswer::of_beginning(text);
            assert_eq!(answer.scopes, expected, "{text}");
            assert_eq!(answer.missing_scopes().is_some(), !expected.is_empty(), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_a_term_is_left_out() {
        let answer = UpstreamAnswer::of_envelope(&json!({
            "category": "Ana said no", "policyName": ["x"], "errors": "none",
        }));
        assert_eq!(answer, UpstreamAnswer::default());
    }
}
