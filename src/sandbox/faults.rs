//! Faults that a test orders in advance: which requests they hit, and what they do to them.
//!
//! Only what is to happen is decided here; `exchange` makes it happen.

use std::time::Duration;

use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::answer::Problem;
use super::limits;

/// How a connection ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Drop {
    /// The connection is closed before anything is done.
    BeforeHead,
    /// The head and about half of the body are sent, then the connection is closed.
    MidBody,
    /// Everything is done as usual (a token is issued), and the connection closed without answer.
    AfterIssue,
    /// Nothing is ever sent.
    Hang,
}

impl Drop {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BeforeHead => "before-head",
            Self::MidBody => "mid-body",
            Self::AfterIssue => "after-issue",
            Self::Hang => "hang",
        }
    }
}

/// One order. Without `times` it holds until it is cleared.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    path: String,
    method: Option<String>,
    times: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    pub(super) delay: Option<Duration>,
    #[serde(default, deserialize_with = "status")]
    pub(super) status: Option<StatusCode>,
    pub(super) drop: Option<Drop>,
}

impl Fault {
    fn hits(&self, method: &str, path: &str) -> bool {
        let method = self.method.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(method));
        method && self.times != Some(0) && matches(self.path.as_bytes(), path.as_bytes())
    }

    fn report(&self) -> Value {
        json!({
            "path": self.path,
            "method": self.method,
            "times": self.times,
            "delay": self.delay.map(|delay| format!("{}ms", delay.as_millis())),
            "status": self.status.map(|status| status.as_u16()),
            "drop": self.drop.map(Drop::name),
        })
    }
}

#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    /// Adds to those that there are: the first that hits a request is the one that counts.
    pub(super) fn add(&mut self, more: Vec<Fault>) {
        self.0.extend(more);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn report(&self) -> Value {
        self.0.iter().map(Fault::report).collect()
    }

    /// The fault for this request, one of its times used up.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let at = self.0.iter().position(|fault| fault.hits(method, path))?;
        if let Some(times) = &mut self.0[at].times {
            *times -= 1;
            if *times == 0 {
                return Some(self.0.remove(at));
            }
        }
        Some(self.0[at].clone())
    }
}

/// The answer that a `status` fault gives, in the form HubSpot uses for that status.
pub(super) fn problem(status: StatusCode) -> Problem {
    let category = match status.as_u16() {
        401 => "EXPIRED_AUTHENTICATION",
        403 => "MISSING_SCOPES",
        404 => "OBJECT_NOT_FOUND",
        409 => "CONFLICT",
        423 => "LOCKED",
        429 => return limits::exceeded("TEN_SECONDLY_ROLLING"),
        477 => "MIGRATION_IN_PROGRESS",
        400..=499 => "VALIDATION_ERROR",
        _ => "INTERNAL_ERROR",
    };
    let message = match status.as_u16() {
        401 => "The OAuth token used to make this call expired 1 second(s) ago.".to_owned(),
        code => format!("The sandbox was told to answer {code}."),
    };
    Problem::new(status, category, message)
}

/// Whether `path` matches: `*` stands for anything within a segment, `**` for anything at all,
/// and `/**` at the end for nothing as well.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => path.is_empty(),
        b"/**" if path.is_empty() => true,
        [b'*', b'*', rest @ ..] => (0..=path.len()).any(|at| matches(rest, &path[at..])),
        [b'*', rest @ ..] => {
            let segment = path.iter().position(|&b| b == b'/').unwrap_or(path.len());
            (0..=segment).any(|at| matches(rest, &path[at..]))
        }
        [first, rest @ ..] => path.first() == Some(first) && matches(rest, &path[1..]),
    }
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(from)? else { return Ok(None) };
    let (number, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        _ => return Err(D::Error::custom("a delay is a number and `ms`, `s` or `m`: \"2s\"")),
    };
    let number: u64 =
        number.parse().map_err(|_| D::Error::custom("a delay starts with a number"))?;
    Ok(Some(Duration::from_millis(number.saturating_mul(millis))))
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<Option<StatusCode>, D::Error> {
    let Some(number) = Option::<u16>::deserialize(from)? else { return Ok(None) };
    match StatusCode::from_u16(number) {
        Ok(status) if number >= 200 => Ok(Some(status)),
        _ => Err(D::Error::custom("a status is a number from 200 to 999")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Faults, matches};

    #[test]
    fn a_star_stays_within_a_segment_and_two_do_not() {
        let cases = [
            ("/oauth/**", "/oauth/2026-03/token", true),
            ("/oauth/**", "/oauth", true),
            ("/oauth/**", "/oauthx", false),
            ("/crm/*/objects/*", "/crm/v3/objects/contacts", true),
            ("/crm/*/objects/*", "/crm/v3/objects/contacts/1", false),
            ("**", "/anything/at/all", true),
            ("/crm/**/search", "/crm/v3/objects/deals/search", true),
            ("/crm/v3", "/crm/v3/", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_fault_is_used_up_and_then_the_next_one_counts() {
        let list = r#"[{"path":"/a","times":2,"status":503},{"path":"/**","delay":"2s"}]"#;
        let mut faults = Faults::default();
        faults.add(serde_json::from_str::<Vec<Fault>>(list).unwrap());
        for expected in [Some(503), Some(503), None, None] {
            let status = faults.take("GET", "/a").unwrap().status;
            assert_eq!(status.map(|status| status.as_u16()), expected);
        }
    }

    #[test]
    fn what_is_no_fault_is_named() {
        let cases = [
            (r#"{"path":"/a","tiems":2}"#, "tiems"),
            (r#"{"path":"/a","delay":"2"}"#, "a delay is"),
            (r#"{"path":"/a","status":42}"#, "a status is"),
            (r#"{"path":"/a","drop":"never"}"#, "never"),
            (r#"{"times":1}"#, "path"),
        ];
        for (text, named) in cases {
            let error = serde_json::from_str::<Fault>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
