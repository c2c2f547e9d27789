//! What the next login depends on.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use http::Uri;

use super::finding::{Finding, Outcome};
use super::port_owner;
use super::subject::Subject;
use crate::accounts::login::{check_origin, objection};
use crate::config::{Config, Consent, CredentialConfig, Listen};
use crate::oauth;
use crate::types::account::AccountName;
use crate::types::origin::Origin;
use crate::types::retirement::{self, Retirement};

/// Every login has to ask for it (HubSpot's app settings).
const NEEDED_SCOPE: &str = "oauth";

/// The finding where a login may come: an account is for one, or there is none yet.
fn before_a_login(subject: &Subject, finding: impl Fn(&Config) -> Finding) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let may_log_in = |credential: &CredentialConfig| {
        matches!(credential, CredentialConfig::OAuth { .. } | CredentialConfig::Stored)
    };
    let accounts = &config.accounts;
    if !accounts.is_empty() && !accounts.values().any(|account| may_log_in(&account.credential)) {
        return Finding::skipped("no account of yours is logged in to");
    }
    finding(config)
}

/// `redirect-port`
pub fn redirect_port(subject: &Subject) -> Finding {
    before_a_login(subject, |config| {
        let uri = &config.oauth.redirect_uri;
        let Some(port) = local_port(uri) else {
            return Finding::skipped(format!(
                "{uri} leads elsewhere: `login --paste` needs no port"
            ));
        };
        let listens = |entry: &Listen| match entry {
            Listen::Localhost(own) => *own == port,
            Listen::Address(address) => address.port() == port && address.ip().is_loopback(),
            Listen::Unix(_) => false,
        };
        if config.server.listen.iter().any(listens) {
            return Finding::failed(
                format!("server.listen and oauth.redirect_uri both want port {port}"),
                "set server.listen to another port, such as [\"localhost:8787\"]",
            );
        }
        match taken(port) {
            Ok(None) => Finding::ok(format!("port {port} is free on 127.0.0.1 and ::1")),
            Ok(Some(address)) => {
                let by = port_owner::of(port).unwrap_or_else(|| "another program".to_owned());
                Finding::failed(
                    format!(
                        "port {port} of oauth.redirect_uri is taken on {}, by {by}",
                        address.ip()
                    ),
                    "stop that program during the login, run `hubspot-proxy login --paste`, or set oauth.redirect_uri to another port that the app has registered",
                )
            }
            Err(error) => Finding::failed(
                format!("port {port} of oauth.redirect_uri cannot be listened on: {error}"),
                "run `hubspot-proxy login --paste`, or set oauth.redirect_uri to a port from 1024 that the app has registered",
            ),
        }
    })
}

/// The port of a redirect URI that leads to this machine.
fn local_port(uri: &str) -> Option<u16> {
    let uri: Uri = uri.parse().ok()?;
    let is_local = uri.scheme_str() == Some("http") && uri.host() == Some("localhost");
    is_local.then(|| uri.port_u16().unwrap_or(80))
}

/// The loopback address on which `port` is taken, if it is on one. A family that the machine lacks counts
/// as free.
fn taken(port: u16) -> io::Result<Option<SocketAddr>> {
    for address in
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()]
    {
        match TcpListener::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(Some(address)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            _ => {}
        }
    }
    Ok(None)
}

/// `redirect-uri`
pub fn redirect_uri(subject: &Subject) -> Finding {
    before_a_login(subject, |config| {
        let text = &config.oauth.redirect_uri;
        let Ok(uri) = text.parse::<Uri>() else {
            return Finding::failed(
                "oauth.redirect_uri is no URL",
                "write what the app has registered",
            );
        };
        let register =
            format!("write exactly what the app has registered in HubSpot, such as {DEFAULT}");
        if uri.scheme_str() == Some("https") {
            return Finding::ok(format!(
                "{text} (a browser ends there, so log in with `hubspot-proxy login --paste`)"
            ));
        }
        if matches!(uri.path(), "" | "/") {
            return Finding::warning(
                format!(
                    "{text} has no path, which is easily registered another way (HubSpot compares each byte)"
                ),
                register,
            );
        }
        if uri.port_u16().is_none() {
            return Finding::warning(
                format!("{text} names no port, so that a login needs port 80, which is root's"),
                register,
            );
        }
        Finding::ok(format!(
            "{text} has a form that HubSpot accepts; the app must have registered it"
        ))
    })
}

const DEFAULT: &str = "http://localhost:3000/oauth-callback";

/// `login-scopes`
pub fn scopes(subject: &Subject) -> Vec<Finding> {
    let Some(config) = subject.config() else { return vec![subject.unloaded()] };
    let mut findings: Vec<Finding> = Vec::new();
    for (name, account) in &config.accounts {
        if let CredentialConfig::OAuth { consent, .. } = &account.credential {
            findings.push(of_consent(name, consent).of(name));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::skipped("no configured account asks for scopes"));
    }
    findings
}

fn of_consent(name: &AccountName, consent: &Consent) -> Finding {
    let key = format!("accounts.{name}.scopes");
    if let Some(objection) = objection(consent) {
        let told = Finding::told(objection, "remove it");
        let seen = format!("{key}: {}", told.seen);
        return Finding { seen, ..told };
    }
    let all = || consent.scopes.iter().chain(&consent.optional_scopes);
    if let Some(joined) = all().find(|scope| scope.contains(',')) {
        return Finding::failed(
            format!("{key}: {joined:?} is several scopes in one"),
            format!(
                "write each as a word of its own: {key} = [\"oauth\", \"crm.objects.contacts.read\"]"
            ),
        );
    }
    if !consent.scopes.is_empty() && !consent.scopes.iter().any(|scope| scope == NEEDED_SCOPE) {
        return Finding::warning(
            format!("{key} lacks `oauth`, which HubSpot's apps require: it may show an error page"),
            format!("add \"oauth\" to {key}"),
        );
    }
    if let Some(twice) = consent.optional_scopes.iter().find(|scope| consent.scopes.contains(scope))
    {
        return Finding::warning(
            format!("{twice} is among the scopes and the optional ones of account {name}"),
            format!("remove it from {key} or from accounts.{name}.optional_scopes"),
        );
    }
    Finding::ok(match consent.scopes.len() {
        0 => "oauth alone".to_owned(),
        count => format!("{count} that HubSpot may have"),
    })
}

/// `login-endpoints`
pub fn endpoints(subject: &Subject) -> Finding {
    before_a_login(subject, |config| {
        let oauth = &config.oauth;
        let own = [
            ("oauth.introspect_url", &oauth.introspect_url),
            ("oauth.revoke_url", &oauth.revoke_url),
        ];
        for (key, url) in own {
            if let Err(failure) = check_origin(config, key, url) {
                return Finding::told(
                    failure,
                    "correct it, or remove it: then it follows upstream.url",
                );
            }
        }
        let is_hubspots = |url: &str| {
            Origin::of_url(url).is_ok_and(|origin| {
                let host = origin.host();
                host.ends_with(".hubspot.com") || host.ends_with(".hubapi.com")
            })
        };
        if is_hubspots(&oauth.authorize_url) != is_hubspots(&oauth.token_url) {
            return Finding::warning(
                format!(
                    "the consent page is at {} and the token endpoint at {}: a code of one is nothing to the other",
                    oauth.authorize_url, oauth.token_url
                ),
                "set oauth.authorize_url to the page that belongs to oauth.token_url (for the sandbox its own /oauth/authorize)",
            );
        }
        Finding::ok("consent page, token, introspection and revocation belong together")
    })
}

/// `endpoint-versions`
pub fn versions(subject: &Subject) -> Vec<Finding> {
    let Some(config) = subject.config() else { return vec![subject.unloaded()] };
    let oauth = &config.oauth;
    let all = [
        ("oauth.token_url", &oauth.token_url),
        ("oauth.introspect_url", &oauth.introspect_url),
        ("oauth.revoke_url", &oauth.revoke_url),
    ];
    let found: Vec<Finding> = all.into_iter().filter_map(|(key, url)| ending(key, url)).collect();
    match found.is_empty() {
        true => vec![Finding::ok("no end is announced of those in use")],
        false => found,
    }
}

/// The end of an endpoint, where one is announced.
fn ending(key: &str, url: &str) -> Option<Finding> {
    if let Some(told) = oauth::retirement(key, url) {
        return Some(Finding { outcome: Outcome::Warning, ..Finding::told(told, DATED) });
    }
    let uri: Uri = url.parse().ok()?;
    let Retirement { what, when, .. } = retirement::of(uri.path())?;
    Some(Finding::warning(
        format!("{key} is of {what}, which HubSpot supports until {when}"),
        DATED,
    ))
}

const DATED: &str = "take the one of /oauth/2026-03/, or remove the key: that is the default";
