//! The configuration itself: whether it loads, where each setting comes from, and whom it lets in.

use super::finding::{Finding, Fix};
use super::subject::Subject;
use crate::config::{AllowedUsers, ConfigError, Listen, Loaded, Place};
use crate::types::account::AccountName;
use crate::types::clock::{Clock, SystemClock};

/// `configuration`
pub fn loads(subject: &Subject) -> Finding {
    match &subject.given.loaded {
        Ok(Loaded { config, file, .. }) => {
            let source = match file {
                Some(file) => file.display().to_string(),
                None => "no file (defaults and the environment)".to_owned(),
            };
            Finding::ok(format!("{source}; accounts configured: {}", config.accounts.len()))
        }
        Err(error) => {
            let told = Finding::told(
                error,
                "correct that place; proxy.toml.example shows each key and `hubspot-proxy --help` the rest",
            );
            match error {
                ConfigError::WritableByOthers { path } => {
                    let mode = mode_without_others(path);
                    told.fixed_by(Fix::Mode { path: path.clone(), mode })
                }
                _ => told,
            }
        }
    }
}

#[cfg(unix)]
fn mode_without_others(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(0o600, |found| found.mode() & 0o755)
}

#[cfg(not(unix))]
fn mode_without_others(_: &std::path::Path) -> u32 {
    0o600
}

/// `other-file`
pub fn other_file(subject: &Subject) -> Finding {
    let folders = &subject.given.folders;
    let users = folders.config.as_ref().map(|folder| folder.join("proxy.toml"));
    let here = folders.current.join("proxy.toml");
    match (&subject.given.file, users) {
        (Some(used), Some(users)) if *used == here && *used != users && users.exists() => {
            Finding::warning(
                format!("{} is used, and not {}", used.display(), users.display()),
                format!(
                    "run commands in another folder, or name the file: `hubspot-proxy --config {}`",
                    users.display()
                ),
            )
        }
        (Some(used), _) => {
            Finding::ok(format!("no other file is passed over for {}", used.display()))
        }
        (None, _) => Finding::ok("there is no file"),
    }
}

/// `environment`
pub fn environment(subject: &Subject) -> Finding {
    let Ok(loaded) = &subject.given.loaded else { return subject.unloaded() };
    let variables = loaded.written.places().filter_map(|(key, place)| match place {
        Place::Variable(name) => Some((key, name)),
        _ => None,
    });
    let mut overruling: Vec<String> = variables
        .filter(|(key, _)| {
            let file = subject.given.file_alone.as_ref();
            file.is_some_and(|file| file.written.place(key).is_some())
        })
        .map(|(key, name)| format!("{name} (over {key})"))
        .collect();
    overruling.dedup();
    if overruling.is_empty() {
        return Finding::ok("no variable overrules the file");
    }
    Finding::warning(
        format!("variables go before {}: {}", subject.given.file_shown(), overruling.join(", ")),
        format!("run `unset {}` where the file is meant", names(&overruling)),
    )
}

fn names(overruling: &[String]) -> String {
    let names = overruling.iter().filter_map(|one| one.split(' ').next());
    names.collect::<Vec<_>>().join(" ")
}

/// `accounts`
pub fn accounts(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let stored = subject.store.accounts();
    let names: Vec<AccountName> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = config.roster(&names);
    let has_secret = |name: &AccountName| {
        stored.iter().any(|stored| stored.name == *name && stored.has_client_secret)
    };
    let checked = config.check_client_secrets(has_secret).and_then(|()| config.check(&roster));
    if let Err(error) = checked {
        return Finding::told(
            error,
            "run `hubspot-proxy login`, or write an account into proxy.toml",
        );
    }
    let all: Vec<&str> = roster.accounts.keys().map(AccountName::as_str).collect();
    Finding::ok(match (&roster.default, all.as_slice()) {
        (Some(default), [_]) => format!("{default}"),
        (Some(default), all) => format!("{}; the default is {default}", all.join(", ")),
        (None, all) => format!("{}; none is the default: a request names one", all.join(", ")),
    })
}

/// `exposure`
pub fn exposure(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let own = config.accounts.values().flat_map(|account| &account.listen);
    let open = config
        .server
        .listen
        .iter()
        .chain(own)
        .find(|entry| matches!(entry, Listen::Address(address) if !address.ip().is_loopback()));
    if let Some(open) = open {
        return Finding::warning(
            format!("other machines can reach {open}; client keys and answers travel in clear"),
            "put TLS in front of it, or set server.listen = [\"localhost:8787\"] and remove server.expose",
        );
    }
    if matches!(config.server.allowed_users, AllowedUsers::Any) && !config.server.keys_required {
        return Finding::warning(
            "any user of this machine is served (server.allowed_users = [\"any\"]), without a key",
            "set server.allowed_users = [\"self\", \"root\"], or server.client_keys = \"required\"",
        );
    }
    Finding::ok("only this machine is served, and on it only who is allowed to be")
}

/// `client-keys`
pub fn client_keys(subject: &Subject) -> Finding {
    let Some(config) = subject.config() else { return subject.unloaded() };
    let now = SystemClock::new().now();
    let keys = subject.store.opened().map_or(&[][..], |open| open.client_keys.as_slice());
    let is_good = |expires: &Option<_>| expires.is_none_or(|expires| now < expires);
    let good = keys.iter().filter(|key| is_good(&key.expires)).count();
    match (config.server.keys_required, good) {
        (true, 0) if keys.is_empty() => Finding::failed(
            "a client key is required of each request, and there is none",
            "run `hubspot-proxy keys create --name NAME`, or set server.client_keys = \"optional\"",
        ),
        (true, 0) => Finding::failed(
            "a client key is required of each request, and all there were have expired",
            "run `hubspot-proxy keys create --name NAME`",
        ),
        (true, good) => Finding::ok(format!("required of each request; valid ones: {good}")),
        (false, good) => Finding::ok(format!("optional; valid ones: {good}")),
    }
}
