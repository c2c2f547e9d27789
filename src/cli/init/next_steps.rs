//! What is left to do when the file is there.

use super::Target;
use super::answers::{Answers, Credential, Kind};
use super::place::SecretPlace;
use crate::cli::addresses::{curl, quoted};
use crate::config::Folders;

const DEFAULT_ADDRESS: &str = "localhost:8787";

/// What to print: where the file is, and the commands that come next.
pub fn of(answers: &Answers, target: &Target, folders: &Folders) -> String {
    let flag = flag_for(target, folders);
    let mut text = format!("Wrote {}, for you alone to read.\n\nNext:\n", target.shown);
    let mut step = |what: &str, why: &str| text.push_str(&format!("  {what:<45}  {why}\n"));
    match &answers.credential {
        Some(credential) => steps_to(credential, &flag, &mut step),
        None => {
            step(&format!("hubspot-proxy{flag} login"), "log in to an app, or:");
            step(&format!("hubspot-proxy{flag} accounts import NAME"), "for a token or a key");
        }
    }
    step(&format!("hubspot-proxy{flag}"), "run the proxy");
    let listen = answers.listen.as_deref().unwrap_or(DEFAULT_ADDRESS);
    let address = match listen.starts_with("unix:") {
        true => listen.to_owned(),
        false => format!("http://{listen}"),
    };
    // Port 0 is known when the proxy runs, and says it then.
    if !listen.ends_with(":0") {
        text.push_str(&format!("  {}\n", curl(&address, "/crm/v3/objects/contacts?limit=1")));
    }
    text.trim_end().to_owned()
}

fn steps_to(credential: &Credential, flag: &str, step: &mut impl FnMut(&str, &str)) {
    let Credential { account, kind, secret } = credential;
    let what = match kind {
        Kind::OAuth { .. } => "client secret",
        Kind::AccessToken => "token",
        Kind::PersonalAccessKey => "key",
    };
    match secret {
        SecretPlace::Env(name) => step(&format!("export {name}=..."), &format!("the {what}")),
        SecretPlace::File(path) => {
            step(&format!("chmod 600 {}", quoted(path)), &format!("the file of the {what}"));
        }
        SecretPlace::Store if !matches!(kind, Kind::OAuth { .. }) => {
            let command =
                format!("hubspot-proxy{flag} accounts import {account} --kind {}", kind.name());
            step(&command, &format!("asks for the {what} and keeps it"));
        }
        SecretPlace::Store | SecretPlace::Keyring(_) | SecretPlace::Command(_) => {}
    }
    if matches!(kind, Kind::OAuth { .. }) {
        step(&format!("hubspot-proxy{flag} login {account}"), "log in to HubSpot");
    }
}

/// Where the proxy would not find the file by itself.
fn flag_for(target: &Target, folders: &Folders) -> String {
    let found = [Target::here(folders)].into_iter().chain(Target::of_user(folders).ok());
    // The one in the current folder comes first.
    let first = found.into_iter().find(|candidate| candidate.path.exists());
    match first.is_some_and(|first| first.path == target.path) {
        true => String::new(),
        false => format!(" --config {}", quoted(&target.shown)),
    }
}
