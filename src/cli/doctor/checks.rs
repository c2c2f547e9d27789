//! The checks: which there are, in the order in which they are shown. Each looks at the subject alone,
//! and at what is at hand on this machine.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::finding::Finding;
use super::subject::Subject;
use super::{
    configuration, credentials, files, login, network, running, secrets, service, store, system,
};

/// All of them together take no longer: a file system can hang.
const LIMIT: Duration = Duration::from_secs(6);

/// One check.
pub struct Check {
    /// In small letters with hyphens; it does not change from version to version.
    pub id: &'static str,
    /// What it looks at; the documentation says the same.
    pub about: &'static str,
    run: Run,
}

#[derive(Clone, Copy)]
enum Run {
    Once(fn(&Subject) -> Finding),
    /// Of each account, address or proxy.
    Each(fn(&Subject) -> Vec<Finding>),
}

/// Checks that belong together.
pub struct Section {
    pub title: &'static str,
    pub checks: &'static [Check],
}

/// What a section's checks have found.
pub struct Examined {
    pub title: &'static str,
    pub findings: Vec<(&'static Check, Finding)>,
}

const fn once(id: &'static str, about: &'static str, run: fn(&Subject) -> Finding) -> Check {
    Check { id, about, run: Run::Once(run) }
}

const fn each(id: &'static str, about: &'static str, run: fn(&Subject) -> Vec<Finding>) -> Check {
    Check { id, about, run: Run::Each(run) }
}

/// All there are.
pub static SECTIONS: [Section; 7] = [
    Section {
        title: "Configuration",
        checks: &[
            once(
                "configuration",
                "the configuration loads, and from which file",
                configuration::loads,
            ),
            once("other-file", "no second `proxy.toml` is passed over", configuration::other_file),
            once(
                "environment",
                "no variable overrules the file unnoticed",
                configuration::environment,
            ),
            once(
                "accounts",
                "there is an account, each app has its secret, the default exists",
                configuration::accounts,
            ),
            each(
                "secrets",
                "each configured secret can be read where it is said to be",
                secrets::reachable,
            ),
            each(
                "credential-form",
                "client ids, tokens and keys look like what they should be",
                secrets::form,
            ),
            each(
                "file-modes",
                "nobody else can write the configuration, or read secrets and store",
                files::modes,
            ),
            once("runtime-folder", "commands can find a running proxy", files::runtime_folder),
        ],
    },
    Section {
        title: "Way to HubSpot",
        checks: &[
            once("upstream", "`upstream.url` is no web page of HubSpot's", network::upstream),
            once("dns", "its name resolves", network::dns),
            once(
                "outbound-proxy",
                "the outbound proxy, if there is one, opens a tunnel",
                network::outbound_proxy,
            ),
            once("roots", "the trusted roots load, `upstream.ca_file` among them", network::roots),
            once("tls", "the certificate is trusted", network::tls),
            once("reachable", "it answers", network::reachable),
            once("clock", "this machine's clock agrees with the answer's `Date`", network::clock),
            once(
                "token-endpoint",
                "`oauth.token_url` is a token endpoint that answers",
                network::token_endpoint,
            ),
        ],
    },
    Section {
        title: "Login",
        checks: &[
            once(
                "redirect-uri",
                "`oauth.redirect_uri` has a form that HubSpot accepts",
                login::redirect_uri,
            ),
            once("redirect-port", "its port is free on 127.0.0.1 and ::1", login::redirect_port),
            each("login-scopes", "the scopes asked for exist and include `oauth`", login::scopes),
            once(
                "login-endpoints",
                "consent page, token, introspection and revocation belong together",
                login::endpoints,
            ),
            each("endpoint-versions", "no endpoint in use has an announced end", login::versions),
        ],
    },
    Section {
        title: "Store",
        checks: &[
            once("store", "the store opens and is sound", store::sound),
            once("store-writable", "it can be written", store::writable),
            once("store-space", "its disk has space", store::space),
            once("store-key", "its key can be read, and is the right one", store::key),
            once(
                "key-apart",
                "key and store are not in one folder that is copied as a whole",
                store::apart,
            ),
            once("keyring", "the keyring answers in time, where it is used", store::keyring),
        ],
    },
    Section {
        title: "Accounts",
        checks: &[
            each(
                "token",
                "HubSpot accepts the credential, and the app with it",
                credentials::state,
            ),
            each("hub-id", "it is for the portal of `hub_id`", credentials::hub_id),
            each("scopes", "all configured scopes were granted", credentials::scopes),
        ],
    },
    Section {
        title: "Proxy",
        checks: &[
            each(
                "ports",
                "each address is free or that of your proxy; else who has it",
                running::ports,
            ),
            each(
                "instances",
                "which proxies of yours run, and that they answer",
                running::instances,
            ),
            each("leftovers", "no proxy that was killed has left files", running::leftovers),
            each("version", "the running proxy is of this binary's version", running::version),
            each(
                "reload",
                "the running proxy took the last change of its configuration",
                running::reload,
            ),
            each(
                "running-accounts",
                "the running proxy can serve all its accounts",
                running::accounts,
            ),
            each("retiring-calls", "no client calls what HubSpot retires", running::retiring),
            once("service", "the service, if installed, runs", service::service),
        ],
    },
    Section {
        title: "This machine",
        checks: &[
            once(
                "users",
                "the system tells whose a connection is, and allowed users exist",
                system::users,
            ),
            once("exposure", "nobody else is let in unnoticed", configuration::exposure),
            once(
                "client-keys",
                "where client keys are required, there is a valid one",
                configuration::client_keys,
            ),
            once(
                "descriptors",
                "enough files can be open for `server.max_connections`",
                system::descriptors,
            ),
            once(
                "client-environment",
                "no `http_proxy` leads clients away from localhost",
                system::client_environment,
            ),
        ],
    },
];

/// Runs all checks at once.
pub async fn run(subject: &Arc<Subject>) -> Vec<Examined> {
    let deadline = Instant::now() + LIMIT;
    let started = SECTIONS.iter().map(|section| {
        let running = section.checks.iter().map(|check| (check, start(check.run, subject)));
        (section.title, running.collect::<Vec<_>>())
    });
    let started: Vec<_> = started.collect();
    let mut examined = Vec::with_capacity(started.len());
    for (title, running) in started {
        let mut findings = Vec::new();
        for (check, running) in running {
            let found = match tokio::time::timeout_at(deadline, running).await {
                Ok(Ok(found)) => found,
                Ok(Err(_)) => vec![Finding::failed(
                    "this check has failed itself",
                    "report it, with what `hubspot-proxy --version` prints",
                )],
                Err(_) => vec![Finding::failed(
                    format!("this check did not end within {} s", LIMIT.as_secs()),
                    "check that the folders and files it looks at are on a disk that answers",
                )],
            };
            findings.extend(found.into_iter().map(|finding| (check, finding)));
        }
        examined.push(Examined { title, findings });
    }
    examined
}

fn start(run: Run, subject: &Arc<Subject>) -> JoinHandle<Vec<Finding>> {
    let subject = Arc::clone(subject);
    tokio::task::spawn_blocking(move || match run {
        Run::Once(check) => vec![check(&subject)],
        Run::Each(check) => check(&subject),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::SECTIONS;

    #[test]
    fn each_check_has_an_id_of_its_own() {
        let ids: Vec<&str> =
            SECTIONS.iter().flat_map(|section| section.checks).map(|c| c.id).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for id in ids {
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{id}");
        }
    }

    #[test]
    fn the_documentation_lists_the_checks_in_their_order() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/doctor.md");
        let page = std::fs::read_to_string(page).unwrap();
        let lines = page.lines().filter(|line| line.starts_with("| `"));
        let listed: Vec<&str> = lines.collect();
        let of_section = |section: &'static super::Section| {
            section.checks.iter().map(|check| format!("| `{}` | {} |", check.id, check.about))
        };
        let expected: Vec<String> = SECTIONS.iter().flat_map(of_section).collect();
        assert_eq!(listed, expected);
    }
}
