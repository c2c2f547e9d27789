//! The proxies that run as this user, and the addresses that the next one would listen on.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::finding::{Finding, Fix};
use super::port_owner;
use super::subject::Subject;
use crate::cli::control::{self, Running, Standing};
use crate::config::{Folders, Listen};
#[cfg(unix)]
use crate::server::listener::socket_file;
use crate::server::listener::{self, ListenError};

/// A proxy is asked no longer.
const LIMIT: Duration = Duration::from_secs(6);

/// A folder of the runtime folder, and who answers there.
pub struct Instance {
    pub running: Running,
    pub standing: Standing,
    /// What its clients called that HubSpot retires.
    pub retiring: Option<Value>,
}

/// Asks all of them at once.
pub async fn look(folders: &Folders) -> Vec<Instance> {
    let asking: Vec<_> = control::found(folders)
        .into_iter()
        .map(|running| {
            let asked = running.clone();
            let asking = tokio::task::spawn_blocking(move || {
                let standing = asked.standing();
                let answers = matches!(standing, Standing::Answers(_));
                let retiring = answers.then(|| asked.get("sunset").ok()).flatten();
                (standing, retiring)
            });
            (running, tokio::time::timeout(LIMIT, asking))
        })
        .collect();
    let mut all = Vec::with_capacity(asking.len());
    for (running, asking) in asking {
        let (standing, retiring) = match asking.await {
            Ok(Ok(answered)) => answered,
            _ => (Standing::Silent("no answer in time".to_owned()), None),
        };
        all.push(Instance { running, standing, retiring });
    }
    all
}

impl Subject {
    /// The proxies that answer, and their status.
    fn live(&self) -> impl Iterator<Item = (&Instance, &Value)> {
        self.running.iter().filter_map(|instance| match &instance.standing {
            Standing::Answers(status) => Some((instance, status)),
            _ => None,
        })
    }

    /// One finding of each proxy that runs.
    fn each_live(&self, finding: impl Fn(&Instance, &Value) -> Finding) -> Vec<Finding> {
        let found: Vec<Finding> =
            self.live().map(|(instance, status)| finding(instance, status)).collect();
        match found.is_empty() {
            true => vec![Finding::skipped("no proxy of yours is running")],
            false => found,
        }
    }
}

/// `instances`
pub fn instances(subject: &Subject) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for instance in &subject.running {
        let shown = instance.running.shown();
        match &instance.standing {
            Standing::Answers(status) => found.push(Finding::ok(format!(
                "one runs at {shown} (process {}, {})",
                status["pid"],
                match status["config_file"].as_str() {
                    Some(file) => format!("configured by {file}"),
                    None => "no configuration file".to_owned(),
                }
            ))),
            Standing::Silent(why) => found.push(Finding::failed(
                format!("the proxy {shown} is there and does not answer: {why}"),
                "stop that process and start it again with `hubspot-proxy`",
            )),
            Standing::Gone => {}
        }
    }
    if found.is_empty() {
        found.push(Finding::ok("none runs; `hubspot-proxy` starts one"));
    }
    found
}

/// `leftovers`
pub fn leftovers(subject: &Subject) -> Vec<Finding> {
    let gone = subject.running.iter().filter(|it| matches!(it.standing, Standing::Gone));
    let mut found: Vec<Finding> = gone
        .map(|instance| {
            let folder = instance.running.folder();
            Finding::warning(
                format!("{} was left by a proxy that was killed", folder.display()),
                format!(
                    "run `rm -r {}`; the next start on that port does so too",
                    folder.display()
                ),
            )
            .fixed_by(Fix::Leftover(folder.to_owned()))
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok("no proxy that was killed has left anything"));
    }
    found
}

/// `version`
pub fn version(subject: &Subject) -> Vec<Finding> {
    subject.each_live(|instance, status| {
        let (own, its) = (env!("CARGO_PKG_VERSION"), status["version"].as_str().unwrap_or("unknown"));
        let shown = instance.running.shown();
        let pid = status["pid"].as_u64().unwrap_or(0);
        let mend = "stop it and start it again with this binary (as a service: run `hubspot-proxy service install`)";
        if own != its {
            let seen = format!("the proxy {shown} is version {its}, and this binary is {own}");
            return Finding::warning(seen, mend);
        }
        if is_replaced(pid) {
            let seen = format!("the binary that the proxy {shown} runs has been replaced since");
            return Finding::warning(seen, mend);
        }
        Finding::ok(format!("the proxy {shown} is of this version, {own}"))
    })
}

/// Whether the file of a process's program is gone by now, as after an update.
fn is_replaced(pid: u64) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|path| path.to_string_lossy().ends_with(" (deleted)"))
}

/// `reload`
pub fn reload(subject: &Subject) -> Vec<Finding> {
    subject.each_live(|instance, status| {
        let shown = instance.running.shown();
        let configuration = &status["configuration"];
        let since = configuration["loaded_at"].as_str().unwrap_or("its start");
        match configuration["refused"].as_str() {
            Some(why) => {
                let told = Finding::told(why, "correct the file: it is read again when it is saved");
                let seen = told.seen;
                let seen = format!("the proxy {shown} refused its changed configuration and goes on with that of {since}: {seen}");
                Finding { seen, ..told }
            }
            None => Finding::ok(format!("the proxy {shown} took its configuration at {since}")),
        }
    })
}

/// `running-accounts`
pub fn accounts(subject: &Subject) -> Vec<Finding> {
    subject.each_live(|instance, status| {
        let shown = instance.running.shown();
        let accounts = status["accounts"].as_array().into_iter().flatten();
        let wrong: Vec<&Value> = accounts
            .filter(|account| !account["token"]["message"].is_null() || account["token"]["degraded"] == true)
            .collect();
        let Some(first) = wrong.first() else {
            return Finding::ok(format!("the proxy {shown} can serve all its accounts"));
        };
        let name = first["name"].as_str().unwrap_or_default();
        match first["token"]["message"].as_str() {
            Some(message) => {
                let told = Finding::told(message, "see `hubspot-proxy status`");
                let seen = format!("the proxy {shown} cannot serve account {name}: {}", told.seen);
                Finding { seen, ..told }
            }
            None => Finding::failed(
                format!("the newest token of account {name} is in the memory of the proxy {shown} alone: it could not be written"),
                "free space on the store's disk, or make it writable, before you stop that proxy",
            ),
        }
    })
}

/// `retiring-calls`
pub fn retiring(subject: &Subject) -> Vec<Finding> {
    subject.each_live(|instance, _| {
        let shown = instance.running.shown();
        let calls = instance.retiring.as_ref().and_then(|told| told["calls"].as_array());
        let Some(calls) = calls else { return Finding::skipped("the proxy does not say") };
        match calls.first() {
            Some(call) => Finding::warning(
                format!(
                    "clients of the proxy {shown} call what HubSpot retires, such as {} (supported until: {})",
                    call["operation"].as_str().unwrap_or_default(),
                    call["until"].as_str().unwrap_or_default()
                ),
                "run `hubspot-proxy sunset`, which names the clients and what to call instead",
            ),
            None => Finding::ok(format!("no client of the proxy {shown} has called what HubSpot retires")),
        }
    })
}

/// `ports`
pub fn ports(subject: &Subject) -> Vec<Finding> {
    let Some(config) = subject.config() else { return vec![subject.unloaded()] };
    let own = config.accounts.values().flat_map(|account| &account.listen);
    let entries = config.server.listen.iter().chain(own);
    entries.map(|entry| of_entry(subject, entry)).collect()
}

fn of_entry(subject: &Subject, entry: &Listen) -> Finding {
    let ours = subject.live().find(|(_, status)| {
        let listen = status["listen"].as_array().into_iter().flatten();
        listen.filter_map(Value::as_str).any(|shown| control::is_at(shown, entry))
    });
    if let Some((instance, _)) = ours {
        let shown = instance.running.shown();
        return Finding::ok(format!("{entry} is that of the proxy {shown}, which runs"));
    }
    match entry {
        #[cfg(unix)]
        Listen::Unix(path) => of_socket(path),
        tcp => of_port(tcp),
    }
}

#[cfg(unix)]
fn of_socket(path: &Path) -> Finding {
    let shown = path.display();
    match socket_file::look(path) {
        Ok(false) => Finding::ok(format!("unix:{shown} is free")),
        Ok(true) => Finding::warning(
            format!("nobody answers at the socket {shown}, which a proxy that was killed has left"),
            format!("run `rm {shown}`; the next start replaces it too"),
        )
        .fixed_by(Fix::DeadSocket(path.to_owned())),
        Err(error) => Finding::told(error, "choose another path in server.listen"),
    }
}

fn of_port(entry: &Listen) -> Finding {
    // Opened for a moment, as the next start would, and given back.
    match listener::open(std::slice::from_ref(entry)) {
        Ok(_) => Finding::ok(format!("{entry} is free")),
        Err(ListenError::InUse(address)) => {
            let port = address.port();
            let by =
                port_owner::of(port).map(|owner| format!(" by {owner}")).unwrap_or_else(|| {
                    format!(
                        " by another program (`lsof -nP -iTCP:{port} -sTCP:LISTEN` may name it)"
                    )
                });
            Finding::failed(
                format!("port {port} on {} is in use{by}", address.ip()),
                "stop that program, or choose another port: set server.listen, or give --listen localhost:PORT",
            )
        }
        Err(error) => Finding::told(error, "choose another address in server.listen"),
    }
}
