//! What comes to the redirect URI: the answer to this login, or anything else that knows the port.
//!
//! Only what carries this login's `state` counts; whatever else comes changes nothing.

use http::{Method, StatusCode};

use crate::types::secret::Secret;

/// Longest target, code and state that are looked at, in bytes.
const LONGEST_TARGET: usize = 16 * 1024;
const LONGEST_CODE: usize = 4096;
/// More of an error's description is not shown.
const LONGEST_DESCRIPTION: usize = 300;

/// The answer to a login.
#[derive(Debug)]
pub enum Callback {
    /// The user has consented.
    Code(Secret),
    /// HubSpot, or the user, has not: in words, with the mend.
    Refused(String),
}

/// Something that is not the answer to this login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stray {
    /// Another path than that of the redirect URI.
    Elsewhere,
    Method,
    /// Of another login, or made up.
    OtherLogin,
    /// Not what an authorization server sends; why.
    Malformed(&'static str),
}

impl Stray {
    /// The status of the page that it gets.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Elsewhere => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::OtherLogin | Self::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// What its page says.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Elsewhere => "There is nothing here. The login goes on.",
            Self::Method => "This address takes GET only. The login goes on.",
            Self::OtherLogin => {
                "This page belongs to another login, which is over or was begun elsewhere. The login that is waiting goes on: open the URL that it has printed."
            }
            Self::Malformed(why) => why,
        }
    }
}

/// Reads a request to the redirect URI, whose path and query are `expected` and `target`.
pub fn parse(
    method: &Method,
    target: &str,
    redirect_path: &str,
    state: &Secret,
) -> Result<Callback, Stray> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if path != redirect_path {
        return Err(Stray::Elsewhere);
    }
    if *method != Method::GET {
        return Err(Stray::Method);
    }
    if target.len() > LONGEST_TARGET {
        return Err(Stray::Malformed(
            "This address is too long to be HubSpot's answer. The login goes on.",
        ));
    }
    answer(query, state)
}

/// Reads what a user has pasted: the whole URL that the browser ended on.
pub fn parse_pasted(pasted: &str, redirect_uri: &str, state: &Secret) -> Result<Callback, Stray> {
    // A terminal wraps long lines, and a mail client may add blanks.
    let url: String = pasted.split_whitespace().collect();
    if url.len() > LONGEST_TARGET {
        return Err(Stray::Malformed("what was pasted is too long to be HubSpot's answer"));
    }
    let (base, query) = url.split_once('?').unwrap_or((&url, ""));
    if base != redirect_uri.split('?').next().unwrap_or_default() {
        return Err(Stray::Elsewhere);
    }
    answer(query.split('#').next().unwrap_or_default(), state)
}

fn answer(query: &str, state: &Secret) -> Result<Callback, Stray> {
    let pairs: Vec<(String, Secret)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), Secret::new(value.into_owned())))
        .collect();
    let one = |name: &str| {
        let mut values = pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (_, Some(_)) => {
                Err(Stray::Malformed("A parameter of this address comes twice. The login goes on."))
            }
            (value, None) => Ok(value),
        }
    };
    let shown = one("state")?.ok_or(Stray::OtherLogin)?;
    if !shown.same_as(state) {
        return Err(Stray::OtherLogin);
    }
    if let Some(error) = one("error")? {
        let description = one("error_description")?.map(Secret::expose).unwrap_or_default();
        return Ok(Callback::Refused(refusal(error.expose(), description)));
    }
    match one("code")? {
        Some(code) if !code.is_empty() && code.expose().len() <= LONGEST_CODE => {
            Ok(Callback::Code(code.duplicate()))
        }
        Some(_) => Err(Stray::Malformed(
            "The code in this address is empty or too long. The login goes on.",
        )),
        None => Err(Stray::Malformed("There is no code in this address. The login goes on.")),
    }
}

/// RFC 6749, section 4.1.2.1, in words; HubSpot's own description after it.
fn refusal(error: &str, description: &str) -> String {
    let meaning = match error {
        "access_denied" => "the app was not allowed: log in again and choose to connect it",
        "invalid_scope" => {
            "HubSpot does not give the app these scopes: ask for those that its settings list, and for all that they list as required"
        }
        "redirect_uri_mismatch" | "invalid_redirect_uri" => {
            "the redirect URI is not one that the app has registered: add oauth.redirect_uri to the app's settings, letter for letter"
        }
        "unauthorized_client" | "invalid_client" => {
            "HubSpot does not know this client id: compare it with the app's settings"
        }
        "server_error" | "temporarily_unavailable" => {
            "HubSpot cannot do it at the moment: try again"
        }
        _ => "HubSpot refused the login",
    };
    let plain = |text: &str| -> String {
        text.chars().filter(|c| !c.is_control()).take(LONGEST_DESCRIPTION).collect()
    };
    match plain(description) {
        said if said.is_empty() => format!("{meaning} ({})", plain(error)),
        said => format!("{meaning} ({}: {said})", plain(error)),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Callback, Stray, parse, parse_pasted};
    use crate::types::secret::Secret;

    fn seen(method: Method, target: &str) -> String {
        let state = Secret::new("the-state".to_owned());
        described(parse(&method, target, "/oauth-callback", &state))
    }

    fn described(outcome: Result<Callback, Stray>) -> String {
        match outcome {
            Ok(Callback::Code(code)) => format!("code {}", code.expose()),
            Ok(Callback::Refused(why)) => format!("refused: {why}"),
            Err(Stray::Malformed(_)) => "malformed".to_owned(),
            Err(stray) => format!("{stray:?}"),
        }
    }

    #[test]
    fn only_the_answer_to_this_login_counts() {
        let long_code = format!("/oauth-callback?state=the-state&code={}", "x".repeat(5000));
        let long = format!("/oauth-callback?state=the-state&code=x&y={}", "x".repeat(20_000));
        let cases = [
            ("/oauth-callback?code=abc&state=the-state", "code abc"),
            ("/oauth-callback?state=the-state&code=a%2Bb%20c&extra=1", "code a+b c"),
            ("/oauth-callback?state=the-state", "malformed"),
            ("/oauth-callback?state=the-state&code=", "malformed"),
            ("/oauth-callback?state=the-state&code=a&code=b", "malformed"),
            ("/oauth-callback?state=the-state&state=the-state&code=a", "malformed"),
            ("/oauth-callback?state=the-state&state=x&code=a", "malformed"),
            (long_code.as_str(), "malformed"),
            (long.as_str(), "malformed"),
            ("/oauth-callback?code=abc&state=other", "OtherLogin"),
            ("/oauth-callback?code=abc&state=", "OtherLogin"),
            ("/oauth-callback?code=abc", "OtherLogin"),
            ("/oauth-callback", "OtherLogin"),
            ("/oauth-callback?error=access_denied&state=other", "OtherLogin"),
            ("/oauth-callback?error=access_denied", "OtherLogin"),
            ("/oauth-callback/?code=abc&state=the-state", "Elsewhere"),
            ("/OAUTH-callback?code=abc&state=the-state", "Elsewhere"),
            ("/?code=abc&state=the-state", "Elsewhere"),
            ("/favicon.ico", "Elsewhere"),
        ];
        for (target, expected) in cases {
            let shown = &target[..target.len().min(80)];
            assert_eq!(seen(Method::GET, target), expected, "{shown}");
        }
        let good = "/oauth-callback?code=abc&state=the-state";
        for method in [Method::POST, Method::HEAD, Method::PUT, Method::OPTIONS] {
            assert_eq!(seen(method, good), "Method");
        }
    }

    #[test]
    fn a_refusal_is_told_in_words_and_holds_nothing_that_moves_a_cursor() {
        for (error, expected) in [
            ("access_denied", "choose to connect it"),
            ("invalid_scope", "scopes"),
            ("redirect_uri_mismatch", "redirect URI"),
            ("unauthorized_client", "client id"),
            ("server_error", "try again"),
            ("something%0d%0anew%1b[31m", "refused the login"),
        ] {
            let target = format!(
                "/oauth-callback?error={error}&error_description=It+said%1b[2Jso&state=the-state"
            );
            let said = seen(Method::GET, &target);
            assert!(said.contains(expected) && said.contains("It said[2Jso"), "{said}");
            assert!(!said.contains(['\u{1b}', '\r', '\n']), "{said:?}");
        }
    }

    #[test]
    fn a_pasted_url_is_taken_with_blanks_around_and_in_it() {
        let state = Secret::new("the-state".to_owned());
        let uri = "http://localhost:3000/oauth-callback";
        let read = |pasted: &str| described(parse_pasted(pasted, uri, &state));
        let whole = format!("  {uri}?code=ab\n  c&state=the-state#x \n");
        assert_eq!(read(&whole), "code abc");
        assert_eq!(read(&format!("{uri}?code=abc&state=of-another-login")), "OtherLogin");
        assert_eq!(read("https://app.hubspot.com/oauth/authorize?state=the-state"), "Elsewhere");
        assert_eq!(read("abc"), "Elsewhere");
        assert_eq!(read(""), "Elsewhere");
        assert_eq!(
            read(&format!("{uri}?error=access_denied&state=the-state")),
            "refused: the app was not allowed: log in again and choose to connect it (access_denied)"
        );
    }
}
