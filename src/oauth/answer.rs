//! What a credential endpoint's answer means. Nothing of an answer's text reaches an error.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::client::Answer;
use super::{IssuedToken, TokenError};
use crate::types::account::{About, Identity};
use crate::types::clock::WallTime;
use crate::types::secret::Secret;

/// Life of a token whose answer does not say it: short, so that a wrong guess costs little.
const UNSTATED_LIFE: Duration = Duration::from_secs(300);
/// The name of a scope is no longer, in bytes.
const LONGEST_SCOPE: usize = 128;
/// A longer life than this is not believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 3600);

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    hub_id: Value,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    scopes: Value,
}

/// HubSpot's answer to a personal access key (camelCase, times in epoch milliseconds).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessKeyAnswer {
    oauth_access_token: Option<Secret>,
    #[serde(default)]
    expires_at_millis: Value,
    #[serde(default)]
    hub_id: Value,
    #[serde(default)]
    user_id: Value,
    #[serde(default)]
    scope_groups: Value,
}

#[derive(Deserialize)]
struct Rejection {
    error: Option<String>,
    status: Option<String>,
}

/// The token of an answer, or why there is none.
pub(super) fn token(answer: &Answer) -> Result<IssuedToken, TokenError> {
    if answer.status.is_success() { issued(&answer.body) } else { Err(rejected(answer)) }
}

/// The token that a personal access key was exchanged for, or why there is none.
pub(super) fn exchanged(answer: &Answer, now: WallTime) -> Result<IssuedToken, TokenError> {
    match answer.status {
        status if status.is_success() => exchanged_token(&answer.body, now),
        // There is nothing else in this call that could be refused.
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(TokenError::GrantRefused)
        }
        _ => Err(rejected(answer)),
    }
}

fn issued(body: &[u8]) -> Result<IssuedToken, TokenError> {
    let answer: TokenAnswer = serde_json::from_slice(body)
        .map_err(|_| TokenError::Malformed("it is not the JSON of a token"))?;
    let access_token =
        answer.access_token.ok_or(TokenError::Malformed("it holds no access_token"))?;
    if !is_legal_token(access_token.expose()) {
        return Err(TokenError::Malformed("its access_token is not legal in a header"));
    }
    let refresh_token = answer.refresh_token.filter(|token| !token.is_empty());
    let identity = identity(&answer.hub_id, &answer.user_id, &Value::Null, &answer.scopes);
    Ok(IssuedToken { access_token, life: life(&answer.expires_in), refresh_token, identity })
}

/// Visible ASCII, as a header value has to be (RFC 6750, section 2.1 is narrower; what HubSpot
/// issues is its own business).
fn is_legal_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic())
}

/// `expires_in` in seconds, as a number or as its text. Missing, zero, negative or unreadable is
/// taken for five minutes, and more than a day for a day.
fn life(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds >= 1.0 => {
            Duration::from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64()))
        }
        _ => UNSTATED_LIFE,
    }
}

/// A life that ends at a moment in epoch milliseconds; bounded as [`life`] is.
fn life_until(expires_at: &Value, now: WallTime) -> Duration {
    let life = expires_at.as_u64().map_or(Duration::ZERO, |end| now.until(WallTime(end)));
    if life < Duration::from_secs(1) { UNSTATED_LIFE } else { life.min(LONGEST_LIFE) }
}

fn exchanged_token(body: &[u8], now: WallTime) -> Result<IssuedToken, TokenError> {
    let answer: AccessKeyAnswer = serde_json::from_slice(body)
        .map_err(|_| TokenError::Malformed("it is not the JSON of a token"))?;
    let access_token =
        answer.oauth_access_token.ok_or(TokenError::Malformed("it holds no oauthAccessToken"))?;
    if !is_legal_token(access_token.expose()) {
        return Err(TokenError::Malformed("its oauthAccessToken is not legal in a header"));
    }
    let life = life_until(&answer.expires_at_millis, now);
    let identity = identity(&answer.hub_id, &answer.user_id, &Value::Null, &answer.scope_groups);
    Ok(IssuedToken { access_token, life, refresh_token: None, identity })
}

/// What an answer says of a token, as far as it can be read.
pub(super) fn identity(hub: &Value, user: &Value, app: &Value, scopes: &Value) -> Identity {
    let scopes = scopes.as_array().into_iter().flatten().filter_map(Value::as_str);
    let about = About {
        user: None,
        user_id: number(user),
        app_id: number(app),
        scopes: names_of_scopes(scopes),
    };
    Identity { hub_id: number(hub), about }
}

/// Says nothing about the grant or the client: time-outs, locks (423), accounts that move between
/// data centres (477), limits and failures.
pub(super) fn passes_by_itself(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 423 | 425 | 429 | 477) || status.is_server_error()
}

/// What can be the name of a scope, as HubSpot has them. They stand in commands that a person is told to
/// run, so nothing in them may mean anything to a shell (RFC 6749, section 3.3 would allow it).
pub(super) fn names_of_scopes<'a>(said: impl Iterator<Item = &'a str>) -> Vec<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:/-".contains(&b);
    let is_name = |scope: &&str| {
        !scope.is_empty() && scope.len() <= LONGEST_SCOPE && scope.bytes().all(legal)
    };
    said.filter(is_name).filter(|scope| !scope.starts_with('-')).map(str::to_owned).collect()
}

/// A Hub ID or the like, as a number or as its text.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn rejected(answer: &Answer) -> TokenError {
    let Answer { status, retry_after, body } = answer;
    let status = *status;
    if passes_by_itself(status) {
        return TokenError::Busy { status, retry_after: *retry_after };
    }
    let rejection = serde_json::from_slice(body).unwrap_or(Rejection { error: None, status: None });
    let names = [rejection.error.as_deref(), rejection.status.as_deref()];
    let says = |known: &[&str]| names.iter().flatten().any(|name| known.contains(name));
    if says(&["invalid_client", "unauthorized_client", "BAD_CLIENT_ID", "BAD_CLIENT_SECRET"]) {
        return TokenError::ClientRefused;
    }
    if says(&["invalid_grant", "BAD_REFRESH_TOKEN"]) {
        return TokenError::GrantRefused;
    }
    TokenError::Rejected(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use zeroize::Zeroizing;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, retry_after: None, body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn a_life_that_is_not_stated_well_is_short_and_a_huge_one_is_cut() {
        let cases = [
            (json!(1800), 1800),
            (json!("1800"), 1800),
            (json!(1800.9), 1800),
            (json!(null), 300),
            (json!(0), 300),
            (json!(-5), 300),
            (json!("soon"), 300),
            (json!([1]), 300),
            (json!(1e300), 86400),
            (json!(u64::MAX), 86400),
        ];
        for (given, seconds) in cases {
            assert_eq!(life(&given).as_secs(), seconds, "{given}");
        }
    }

    #[test]
    fn rejections_are_told_apart() {
        let cases: &[(u16, &str, &str)] = &[
            (400, r#"{"error":"invalid_grant"}"#, "HubSpot refused the refresh token"),
            (400, r#"{"status":"BAD_REFRESH_TOKEN"}"#, "HubSpot refused the refresh token"),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                "HubSpot refused the client id or the client secret",
            ),
            (
                400,
                r#"{"status":"BAD_CLIENT_ID"}"#,
                "HubSpot refused the client id or the client secret",
            ),
            (400, "<html>", "the token endpoint answered 400 Bad Request"),
            (
                429,
                r#"{"error":"invalid_grant"}"#,
                "the token endpoint answered 429 Too Many Requests",
            ),
            (503, "", "the token endpoint answered 503 Service Unavailable"),
            (423, r#"{"error":"invalid_grant"}"#, "the token endpoint answered 423 Locked"),
        ];
        for (status, body, expected) in cases {
            let answer = answer(*status, body);
            assert_eq!(token(&answer).unwrap_err().to_string(), *expected, "{body}");
        }
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"access_token":""}"#,
            "{\"access_token\":\"a\\nb\"}",
            r#"{"access_token":7}"#,
        ] {
            assert!(matches!(issued(body.as_bytes()), Err(TokenError::Malformed(_))), "{body}");
        }
        let token =
            issued(br#"{"access_token":"t","refresh_token":"","expires_in":60,"new":1}"#).unwrap();
        assert_eq!(token.access_token.expose(), "t");
        assert!(token.refresh_token.is_none());
    }

    #[test]
    fn no_malformed_answer_gives_a_token_or_shows_in_its_error() {
        let nested = format!(r#"{{"access_token":"LEAK","more":{}1"#, "[".repeat(10_000));
        let huge = format!(r#"{{"access_token":"{}"#, "LEAK".repeat(10_000));
        let cases: &[&[u8]] = &[
            b"<html><body>LEAK</body></html>",
            b"access_token=LEAK&expires_in=1800",
            br#""LEAK""#,
            b"null",
            b"7",
            b"[]",
            br#"[{"access_token":"LEAK"}]"#,
            br#"{"access_token":"LEAK""#,
            br#"{"access_token":"LEAK"} LEAK"#,
            br#"{"access_token":"LEAK","access_token":"LEAK2"}"#,
            br#"{"access_token":["LEAK"]}"#,
            br#"{"access_token":{"token":"LEAK"}}"#,
            br#"{"access_token":null}"#,
            br#"{"accessToken":"LEAK"}"#,
            br#"{"ACCESS_TOKEN":"LEAK"}"#,
            br#"{"access_token":"LEAK","refresh_token":7}"#,
            br#"{"access_token":" LEAK"}"#,
            br#"{"access_token":"LEAK "}"#,
            br#"{"access_token":"LE AK"}"#,
            br#"{"access_token":"LEAK\r\nX-Other: 1"}"#,
            br#"{"access_token":"LEAK\n"}"#,
            br#"{"access_token":"LEAK\u0000"}"#,
            br#"{"access_token":"LEAK\u007f"}"#,
            br#"{"access_token":"LEAK\t"}"#,
            "{\"access_token\":\"LEAK\u{e9}\"}".as_bytes(),
            b"\xff\xfe{\"access_token\":\"LEAK\"}",
            b"{\"access_token\":\"LEAK\xff\"}",
            "\u{feff}{\"access_token\":\"LEAK\"}".as_bytes(),
            nested.as_bytes(),
            huge.as_bytes(),
        ];
        for body in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            let Err(error) = issued(body) else { panic!("a token of {shown}") };
            assert!(matches!(error, TokenError::Malformed(_)), "{shown}: {error}");
            assert!(!format!("{error} {error:?}").contains("LEAK"), "{shown}: {error:?}");
        }
    }

    #[test]
    fn each_odd_expires_in_leaves_the_token_usable() {
        for (given, seconds) in [
            ("true", 300),
            ("{}", 300),
            ("0.5", 300),
            ("-1e300", 300),
            ("1", 1),
            ("86400", 86400),
            ("86401", 86400),
            ("18446744073709551616", 86400),
            (r#""""#, 300),
            (r#""NaN""#, 300),
            (r#""-5""#, 300),
            (r#""inf""#, 86400),
            (r#"" 1800 ""#, 1800),
            (r#""1800s""#, 300),
            (r#""1.8e3""#, 1800),
        ] {
            let body = format!(r#"{{"access_token":"t","expires_in":{given}}}"#);
            let issued = issued(body.as_bytes()).unwrap();
            assert_eq!(issued.life.as_secs(), seconds, "{given}");
        }
    }

    #[test]
    fn tokens_of_any_length_and_members_of_any_kind_are_taken() {
        let long = "x".repeat(50_000);
        let body = format!(
            r#"{{"token_type":"bearer","scopes":["a"],"access_token":"{long}","hub_id":"7","user_id":null,"refresh_token":"r\u0041"}}"#
        );
        let issued = issued(body.as_bytes()).unwrap();
        assert_eq!(issued.access_token.expose(), long);
        assert_eq!(issued.refresh_token.unwrap().expose(), "rA");
        assert_eq!(format!("{:?}", issued.access_token), "[redacted]");
        for (hub_id, expected) in
            [("7", Some(7)), ("null", None), ("-7", None), ("7.5", None), ("[7]", None)]
        {
            let body = format!(r#"{{"access_token":"t","hub_id":{hub_id}}}"#);
            assert_eq!(
                super::issued(body.as_bytes()).unwrap().identity.hub_id,
                expected,
                "{hub_id}"
            );
        }
    }

    #[test]
    fn every_status_without_a_token_has_its_meaning() {
        let grant = r#"{"error":"invalid_grant"}"#;
        for status in [429, 500, 502, 503, 504, 521, 524, 599] {
            let busy = token(&answer(status, grant));
            assert!(matches!(busy, Err(TokenError::Busy { .. })), "{status}");
        }
        for status in [300, 302, 304, 307, 404, 405, 413, 415] {
            let rejected = token(&answer(status, r#"{"access_token":"LEAK"}"#));
            assert!(matches!(rejected, Err(TokenError::Rejected(_))), "{status}");
        }
        for body in [r#"{"error":7}"#, r#"{"error":["invalid_grant"]}"#, "null", "[]", "\u{0}"] {
            assert!(matches!(token(&answer(400, body)), Err(TokenError::Rejected(_))), "{body}");
        }
        for (status, known) in [(400, "invalid_client"), (401, "unauthorized_client")] {
            let body = format!(r#"{{"error":"{known}","status":"BAD_REFRESH_TOKEN"}}"#);
            let refused = token(&answer(status, &body));
            assert!(matches!(refused, Err(TokenError::ClientRefused)), "the client comes first");
        }
        // A 204 is a success without a token.
        assert!(matches!(token(&answer(204, "")), Err(TokenError::Malformed(_))));
    }

    #[test]
    fn the_answer_to_an_access_key_is_read_and_its_refusal_known() {
        let now = WallTime(1_000_000);
        let good = r#"{"oauthAccessToken":"t","expiresAtMillis":2800000,"hubId":7,"new":1}"#;
        let issued = exchanged(&answer(200, good), now).unwrap();
        assert_eq!((issued.life.as_secs(), issued.identity.hub_id), (1800, Some(7)));
        for (end, seconds) in [("null", 300), ("0", 300), ("1000500", 300), ("9e99", 300)] {
            let body = format!(r#"{{"oauthAccessToken":"t","expiresAtMillis":{end}}}"#);
            let issued = exchanged(&answer(200, &body), now).unwrap();
            assert_eq!(issued.life.as_secs(), seconds, "{end}");
        }
        for body in ["", "{}", r#"{"oauthAccessToken":"a b"}"#] {
            let refused = exchanged(&answer(200, body), now);
            assert!(matches!(refused, Err(TokenError::Malformed(_))), "{body}");
        }
        for status in [400, 401, 403] {
            let refused = exchanged(&answer(status, "{}"), now);
            assert!(matches!(refused, Err(TokenError::GrantRefused)), "{status}");
        }
        assert!(matches!(exchanged(&answer(503, ""), now), Err(TokenError::Busy { .. })));
    }
}
