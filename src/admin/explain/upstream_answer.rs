//! What HubSpot's error envelope says of a request that failed; the body itself is not kept.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::telemetry::record::Record;

/// A decoded body is read no further, in bytes.
const LONGEST_DECODED: u64 = 64 * 1024;
/// Scopes that are named at most: on some paths HubSpot lists a hundred.
const MOST_SCOPES: usize = 20;

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
        serde_json::from_slice(&text).map(|body| Self::of_envelope(&body)).unwrap_or_default()
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
    fn whatever_is_not_a_term_is_left_out() {
        let answer = UpstreamAnswer::of_envelope(&json!({
            "category": "Ana said no", "policyName": ["x"], "errors": "none",
        }));
        assert_eq!(answer, UpstreamAnswer::default());
    }
}
