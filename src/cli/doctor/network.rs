//! The way to HubSpot: name, outbound proxy, connection, certificate, clock.

use std::time::Duration;

use http::StatusCode;

use super::finding::Finding;
use super::subject::Subject;
use super::way::Way;
use crate::config::Config;
use crate::upstream::connect::ConnectError;
use crate::upstream::tls::certificates_in;

/// So much difference between two clocks is none: the answer's way, and whole seconds in `Date`.
const SLIGHT: Duration = Duration::from_secs(30);
/// More than this, and tokens are refreshed too late, and certificates seem to be out of date.
const GROSS: Duration = Duration::from_secs(300);

/// The finding where there is a configuration and with it a way.
fn on_the_way(subject: &Subject, finding: impl Fn(&Way, &Config) -> Finding) -> Finding {
    match (&subject.api, subject.config()) {
        (Some(way), Some(config)) => finding(way, config),
        _ => subject.unloaded(),
    }
}

/// `upstream`
pub fn upstream(subject: &Subject) -> Finding {
    on_the_way(subject, |_, config| {
        let url = &config.upstream.url;
        let set = subject.given.place("upstream.url");
        let at = set.map(|place| format!(" ({place})")).unwrap_or_default();
        let host = url.host();
        if host == "hubspot.com" || host.starts_with("app") && host.ends_with(".hubspot.com") {
            return Finding::failed(
                format!("upstream.url is {url}, HubSpot's web pages and not its API{at}"),
                "remove upstream.url, or set it to https://api.hubapi.com",
            );
        }
        Finding::ok(format!("{url}{at}"))
    })
}

/// `outbound-proxy`
pub fn outbound_proxy(subject: &Subject) -> Finding {
    on_the_way(subject, |way, config| {
        let set = match config.upstream.proxy {
            Some(_) => "upstream.proxy",
            None => "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
        };
        let correct = format!(
            "correct {set} (such as http://proxy.example:3128), or set NO_PROXY={} to go without",
            way.origin.host()
        );
        let through = match &way.through {
            Err(error) => {
                return Finding::failed(format!("{set} cannot be used: {error}"), correct);
            }
            Ok(None) if way.origin.is_loopback() => {
                return Finding::ok("none: the upstream is on this machine");
            }
            Ok(None) => return Finding::ok("none is configured, and none is in the environment"),
            Ok(Some((host, port))) => format!("{host}:{port}"),
        };
        match &way.connected {
            Some(Err(error @ ConnectError::OutboundProxy(_))) => {
                let seen = format!("{through}: {error}");
                Finding::failed(
                    seen,
                    format!("{correct}; a user name and password stand in HTTPS_PROXY alone"),
                )
            }
            Some(Err(error @ ConnectError::NoOutboundProxy(_))) => {
                Finding::failed(format!("{through}: {error}"), correct)
            }
            None if way.addresses.is_err() => Finding::failed(
                format!("the name of the outbound proxy {through} cannot be resolved"),
                correct,
            ),
            Some(Err(ConnectError::TimedOut { .. })) => {
                Finding::failed(format!("no connection came about through {through}"), correct)
            }
            _ => Finding::ok(format!("{through} leads to {}", way.origin)),
        }
    })
}

/// `dns`
pub fn dns(subject: &Subject) -> Finding {
    on_the_way(subject, |way, _| {
        if let Ok(Some((host, _))) = &way.through {
            return match way.addresses {
                Ok(_) => {
                    Finding::ok(format!("the outbound proxy {host} resolves; it resolves the rest"))
                }
                Err(_) => Finding::skipped("the outbound proxy's name cannot be resolved"),
            };
        }
        let host = way.origin.host();
        match &way.addresses {
            Ok(addresses) => {
                let shown: Vec<String> =
                    addresses.iter().take(3).map(ToString::to_string).collect();
                Finding::ok(format!("{host} is {}", shown.join(", ")))
            }
            Err(why) => Finding::failed(
                format!("the name {host} cannot be resolved: {why}"),
                format!(
                    "check the network and the name server (`getent hosts {host}`), and upstream.url; behind a company's proxy set upstream.proxy"
                ),
            ),
        }
    })
}

/// `reachable`
pub fn reachable(subject: &Subject) -> Finding {
    on_the_way(subject, |way, _| {
        let Way { origin, .. } = way;
        match (&way.connected, &way.answered) {
            (_, Some(Ok(answered))) => {
                Finding::ok(format!("{origin} answered within {} ms", answered.took.as_millis()))
            }
            (Some(Ok(_)), Some(Err(why))) => Finding::failed(
                format!("{origin} takes the connection and gives no answer: {why}"),
                "check upstream.url and what stands between, such as a firewall or an outbound proxy; try again in a minute",
            ),
            (Some(Err(ConnectError::Tcp { source, .. })), _) => Finding::failed(
                format!("no connection to {origin}: {source}"),
                match origin.is_loopback() {
                    true => {
                        "start what should listen there (`hubspot-proxy sandbox` for the emulator), or correct upstream.url"
                    }
                    false => {
                        "check the network and its firewall, and upstream.url; behind a company's proxy set upstream.proxy"
                    }
                },
            ),
            (Some(Err(ConnectError::TimedOut { after, .. })), _) => Finding::failed(
                format!("no connection to {origin} within {} s", after.as_secs_f32()),
                "check the network and its firewall, and upstream.url; behind a company's proxy set upstream.proxy",
            ),
            (Some(Err(ConnectError::Tls { .. })), _) => {
                Finding::skipped("the connection fails at its certificate: see tls")
            }
            _ => {
                Finding::skipped("what comes before has failed: see dns, roots and outbound-proxy")
            }
        }
    })
}

/// `tls`
pub fn tls(subject: &Subject) -> Finding {
    on_the_way(subject, |way, _| {
        if !way.origin.is_https() {
            return Finding::skipped(format!("{} is plain http", way.origin));
        }
        match &way.connected {
            Some(Ok(took)) => Finding::ok(format!(
                "the certificate of {} is trusted (connected within {} ms)",
                way.origin.host(),
                took.as_millis()
            )),
            Some(Err(error @ ConnectError::Tls { host, source })) => {
                let why = source;
                Finding::failed(format!("no TLS connection to {host}: {why}"), error.mend())
            }
            _ => Finding::skipped("there is no connection to try it on"),
        }
    })
}

/// `roots`
pub fn roots(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    match &subject.tls {
        None => Finding::skipped("nothing configured is https"),
        Some(Err(error)) => {
            let told = Finding::told(
                error,
                "set upstream.ca_file to a PEM file that begins with -----BEGIN CERTIFICATE-----, or remove it",
            );
            let at = subject.given.place("upstream.ca_file");
            let at = at.map(|place| format!(" (upstream.ca_file, {place})")).unwrap_or_default();
            let seen = format!("{}{at}", told.seen);
            Finding { seen, ..told }
        }
        Some(Ok(_)) => match &config.upstream.ca_file {
            None => Finding::ok("the platform's (or those of SSL_CERT_FILE)"),
            Some(file) => {
                let count = certificates_in(file).map(|all| all.len()).unwrap_or_default();
                Finding::ok(format!("the platform's and {count} of {}", file.display()))
            }
        },
    }
}

/// `clock`
pub fn clock(subject: &Subject) -> Finding {
    on_the_way(subject, |way, _| {
        let Some(Ok(answered)) = &way.answered else {
            return Finding::skipped(format!("{} does not answer", way.origin));
        };
        let Some((said, here)) = answered.date else {
            return Finding::skipped(format!("{} does not say what time it is", way.origin));
        };
        let (ahead, behind) = (said.until(here), here.until(said));
        let (apart, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
        let seen = format!(
            "this machine's clock is {} s {word} that of {}",
            apart.as_secs(),
            way.origin.host()
        );
        const MEND: &str = "set the clock by the network: run `sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)";
        match apart {
            apart if apart <= SLIGHT => {
                Finding::ok(format!("it agrees with that of {}", way.origin.host()))
            }
            apart if apart <= GROSS => Finding::warning(seen, MEND),
            _ => Finding::failed(seen, MEND),
        }
    })
}

/// `token-endpoint`
pub fn token_endpoint(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let Some(way) = &subject.token_endpoint else {
        return Finding::skipped("no account gets tokens there");
    };
    let url = &config.oauth.token_url;
    let at = subject.given.place("oauth.token_url");
    let at = at.map(|place| format!(" ({place})")).unwrap_or_default();
    let failed = |why: String| {
        let mend = "correct oauth.token_url, or remove it: then it follows upstream.url";
        Finding::failed(format!("{url}{at}: {why}"), mend)
    };
    match (&way.addresses, &way.connected, &way.answered) {
        (_, _, Some(Ok(answered))) => match answered.status {
            // What an empty form deserves (RFC 6749, section 5.2).
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => Finding::ok(format!("{url}{at}")),
            status if status.is_server_error() => Finding::warning(
                format!("{url}{at} answers {status}"),
                "try again in a minute; tokens at hand are used meanwhile",
            ),
            status => failed(format!("no token endpoint is there, it answers {status}")),
        },
        _ if way.origin.serialized() == config.upstream.url.serialized() => {
            Finding::skipped("upstream.url, where it is, does not answer")
        }
        (Err(why), ..) => failed(format!("the name cannot be resolved: {why}")),
        (_, Some(Err(error)), _) => failed(error.to_string()),
        (_, _, Some(Err(why))) => failed(why.clone()),
        _ => Finding::skipped("what comes before has failed: see roots and outbound-proxy"),
    }
}
