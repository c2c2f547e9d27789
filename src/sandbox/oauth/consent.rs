//! The page on which a user allows an app: `/oauth/authorize`.
//!
//! As at HubSpot, a request that does not fit the app shows an error page, and a user who denies
//! sends nothing back: the app hears of neither.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{Method, StatusCode, Uri, header};

use super::super::answer::{Answer, Payload, Reply};
use super::super::exchange::Call;
use super::super::path::Pairs;
use super::super::{Sandbox, demo, gate, scopes};
use crate::types::html::escaped;

/// What the form sends back of what the app asked for.
const KEPT: [&str; 7] = [
    "client_id",
    "redirect_uri",
    "scope",
    "optional_scope",
    "state",
    "code_challenge",
    "code_challenge_method",
];

struct Wish {
    redirect_uri: String,
    challenge: Option<String>,
    scopes: BTreeSet<String>,
}

pub(super) fn route(sandbox: &Sandbox, call: &Call) -> Answer {
    if call.method == Method::GET {
        return Ok(match wish(&call.query) {
            Ok(wish) => page(StatusCode::OK, &question(&call.query, &wish)),
            Err(why) => page(StatusCode::BAD_REQUEST, &sorry(&why)),
        });
    }
    gate::same_origin(&call.headers, &call.host)?;
    let fields = Pairs::parse(&call.body);
    let wish = match wish(&fields) {
        Ok(wish) => wish,
        Err(why) => return Ok(page(StatusCode::BAD_REQUEST, &sorry(&why))),
    };
    if fields.get("decision") != Some("allow") {
        let text = "<h1>Not allowed</h1><p>The app was given nothing and hears nothing of this. \
                    You can close this page.</p>";
        return Ok(page(StatusCode::OK, text));
    }
    let Wish { redirect_uri, challenge, scopes } = wish;
    let code =
        sandbox.grants.lock().add_code(redirect_uri.clone(), challenge, Arc::new(scopes), call.now);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("code", &code);
    if let Some(state) = fields.get("state") {
        query.append_pair("state", state);
    }
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    let target = format!("{redirect_uri}{joint}{}", query.finish());
    let reply = Reply::of(StatusCode::FOUND, Payload::Nothing);
    Ok(reply.with(header::LOCATION, &target).with(header::CACHE_CONTROL, "no-store"))
}

/// What the app asks for, or what is wrong with it.
fn wish(fields: &Pairs) -> Result<Wish, String> {
    let given = |name| fields.get(name).unwrap_or_default();
    if given("client_id") != demo::CLIENT_ID {
        return Err(format!("The sandbox knows one app: client_id={}.", demo::CLIENT_ID));
    }
    let redirect_uri = given("redirect_uri");
    if !is_allowed_redirect(redirect_uri) {
        return Err("The redirect_uri must be https, or http with the host localhost.".to_owned());
    }
    let required: BTreeSet<String> = given("scope").split_whitespace().map(str::to_owned).collect();
    if !required.contains("oauth") {
        return Err("The scope parameter must contain oauth.".to_owned());
    }
    if let Some(other) = required.iter().find(|scope| !scopes::KNOWN.contains(&scope.as_str())) {
        return Err(match other.as_str() {
            "offline" => "There is no scope offline: a refresh token always comes.".to_owned(),
            other => format!("There is no scope {other}."),
        });
    }
    let challenge = fields.get("code_challenge").map(str::to_owned);
    if challenge.is_some() && fields.get("code_challenge_method") != Some("S256") {
        return Err("The code_challenge_method must be S256.".to_owned());
    }
    let optional = given("optional_scope").split_whitespace();
    let optional = optional.filter(|scope| scopes::KNOWN.contains(scope)).map(str::to_owned);
    let scopes = required.into_iter().chain(optional).collect();
    Ok(Wish { redirect_uri: redirect_uri.to_owned(), challenge, scopes })
}

fn is_allowed_redirect(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let Some(host) = uri.host() else { return false };
    let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
    match uri.scheme_str() {
        Some("https") => !is_address && !text.contains('#'),
        Some("http") => host == "localhost" && !text.contains('#'),
        _ => false,
    }
}

fn question(query: &Pairs, wish: &Wish) -> String {
    let mut text = format!(
        "<h1>Allow this app?</h1><p>The app <b>{}</b> asks for access to the sandbox portal {}.</p><ul>",
        demo::CLIENT_ID,
        demo::HUB_ID
    );
    for scope in &wish.scopes {
        text.push_str(&format!("<li><code>{}</code></li>", escaped(scope)));
    }
    text.push_str("</ul><form method=\"post\" action=\"/oauth/authorize\">");
    for name in KEPT {
        if let Some(value) = query.get(name) {
            let value = escaped(value);
            text.push_str(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">"));
        }
    }
    text.push_str(
        "<button name=\"decision\" value=\"allow\">Connect app</button> \
         <button name=\"decision\" value=\"deny\">Cancel</button></form>",
    );
    text
}

fn sorry(why: &str) -> String {
    format!("<h1>This app cannot be allowed</h1><p>{}</p>", escaped(why))
}

fn page(status: StatusCode, content: &str) -> Reply {
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>HubSpot sandbox</title>\
         <style>body{{font-family:sans-serif;max-width:36em;margin:4em auto}}\
         button{{font-size:1em;padding:.5em 1.5em}}</style>\
         <p>hubspot-proxy sandbox: an emulator, not HubSpot.</p>{content}</html>"
    );
    Reply::of(status, Payload::Page(page))
        .with(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
        )
        .with(header::CACHE_CONTROL, "no-store")
        // Not `no-referrer`: the form's Origin would then be `null`, and be refused.
        .with(header::REFERRER_POLICY, "same-origin")
}
