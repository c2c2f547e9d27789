//! The questions, each about what no flag has said. A wrong answer is asked for again.

use super::answers::{Answers, Given, with_oauth};
use super::{KindArg, ModeArg, SecretPlace, Target};
use crate::cli::{Failure, print, terminal};
use crate::config::Folders;
use crate::types::account::AccountName;

const KINDS: &str = "\
What has HubSpot given you?
  1  an app with OAuth: a client id and a client secret
  2  a static token: of a private app, a service key or a project app
  3  a personal access key, as HubSpot's command line uses it
  4  nothing yet";

/// Asks for what is missing in `given`, and for the file where there is no choice of it yet.
pub fn ask(
    mut given: Given,
    chosen: Option<Target>,
    folders: &Folders,
) -> Result<(Target, Answers), Failure> {
    let target = match chosen {
        Some(target) => target,
        None => ask_target(folders)?,
    };
    let has_account = match given.kind {
        Some(_) => true,
        None => {
            print::note(KINDS);
            given.kind = until("Number", "1", |answer| match answer {
                "1" => Ok(Some(KindArg::Oauth)),
                "2" => Ok(Some(KindArg::AccessToken)),
                "3" => Ok(Some(KindArg::PersonalAccessKey)),
                "4" => Ok(None),
                _ => Err("Answer with 1, 2, 3 or 4.".to_owned()),
            })?;
            given.kind.is_some()
        }
    };
    if has_account {
        ask_of_account(&mut given)?;
    }
    if given.policy.is_none() {
        let question = "What may requests do: read-write, no-destructive or read-only?";
        given.policy = Some(until(question, ModeArg::ReadWrite.name(), |answer| {
            let modes = [ModeArg::ReadWrite, ModeArg::NoDestructive, ModeArg::ReadOnly];
            let mode = modes.into_iter().find(|mode| mode.name() == answer);
            mode.ok_or_else(|| "Answer with one of the three.".to_owned())
        })?);
    }
    Ok((target, given.completed()?))
}

/// Both places, of which one may be taken.
fn ask_target(folders: &Folders) -> Result<Target, Failure> {
    let (here, user) = (Target::here(folders), Target::of_user(folders));
    let Ok(user) = user else { return Ok(here) };
    match (here.check_free(), user.check_free()) {
        (Err(taken), Err(_)) => return Err(taken),
        (Ok(()), Err(_)) => return Ok(here),
        // It would not be read in this folder, where the other comes first.
        (Err(taken), Ok(())) => return Err(taken),
        (Ok(()), Ok(())) => {}
    }
    print::note(format!(
        "Which file? `here` is {}, for a proxy started in this folder; `user` is {}, for any folder.",
        here.shown, user.shown
    ));
    let for_user = until("here or user", "here", |answer| match answer {
        "here" => Ok(false),
        "user" => Ok(true),
        _ => Err("Answer with `here` or `user`.".to_owned()),
    })?;
    Ok(if for_user { user } else { here })
}

fn ask_of_account(given: &mut Given) -> Result<(), Failure> {
    if given.account.is_none() {
        let name = AccountName::default_name();
        given.account = Some(until("Name of the account", name.as_str(), |answer| {
            answer.parse().map_err(|rule| format!("{rule}."))
        })?);
    }
    let secret = match given.kind {
        Some(KindArg::AccessToken) => "token",
        Some(KindArg::PersonalAccessKey) => "key",
        _ => {
            ask_of_app(given)?;
            "client secret"
        }
    };
    if given.secret.is_none() {
        print::note(format!(
            "Where is the {secret}? `store`: you are asked for it later, and it is kept encrypted. Or env:NAME, file:PATH, keyring:NAME, command:PROGRAM ARG..."
        ));
        given.secret = Some(until("Place", "store", |answer| {
            SecretPlace::parse(answer).map_err(|problem| format!("That is no place: {problem}."))
        })?);
    }
    Ok(())
}

fn ask_of_app(given: &mut Given) -> Result<(), Failure> {
    if given.client_id.is_none() {
        let question = "Client ID of your app (HubSpot, the app's page, Auth)";
        given.client_id = Some(terminal::ask(question, None)?);
    }
    if given.scopes.is_none() {
        let question = "Scopes that the app requires, with blanks between them";
        let scopes = terminal::ask(question, Some("oauth"))?;
        given.scopes = Some(with_oauth(scopes.split_whitespace().map(str::to_owned).collect()));
    }
    Ok(())
}

/// Asks until `read` takes the answer. An input that has ended gives the default, which it takes.
fn until<T>(
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    loop {
        match read(&terminal::ask(question, Some(default))?) {
            Ok(answer) => return Ok(answer),
            Err(problem) => print::note(problem),
        }
    }
}
