//! `init`: a first `proxy.toml`, from a few questions or from flags.
//!
//! It says where a secret is and never holds one, it is for this user alone, and a file that is there
//! already is left as it is.

mod answers;
mod next_steps;
mod place;
mod questions;
mod text;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Failure, app, print, terminal};
use crate::config::{self, Environment, Flags, Folders, Sources};
use crate::types::account::AccountName;
use answers::Answers;
use place::SecretPlace;

/// What `--help` ends with.
pub const HELP: &str = "\
On a terminal it asks for what no flag says; elsewhere, and with --yes, defaults are taken. PLACE
says where the client secret, the token or the key is: store (you are asked for it later, and it is
kept encrypted), env:NAME, file:PATH, keyring:NAME, or command:PROGRAM ARG...

Examples:
  hubspot-proxy init
  hubspot-proxy init --kind access_token --secret env:ACME_TOKEN --policy read-only
  hubspot-proxy init --yes --user --client-id 6e7a3c21-... --scope crm.objects.contacts.read";

const FILE_NAME: &str = "proxy.toml";

/// Flags of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Write the file into your configuration folder, and not into this folder
    #[arg(long)]
    user: bool,

    /// What HubSpot has given you [default: oauth with --client-id, else no account is written]
    #[arg(long, value_name = "KIND")]
    kind: Option<KindArg>,

    /// Name of the account [default: default]
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,

    /// Client id of the app
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// Scope that the app requires beside `oauth`; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// Where the secret is, not the secret itself [default: store]
    #[arg(long, value_name = "PLACE")]
    secret: Option<String>,

    /// What requests may do [default: read-write]
    #[arg(long, value_name = "MODE")]
    policy: Option<ModeArg>,

    /// Address to listen on [default: localhost:8787]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,

    /// Ask nothing
    #[arg(short, long)]
    yes: bool,
}

/// Values of `--kind`, and the `type` of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum KindArg {
    /// An app with a client id and a client secret
    Oauth,
    /// A static token: of a private app, a service key or a project app
    AccessToken,
    /// A personal access key, as HubSpot's command line uses it
    PersonalAccessKey,
}

/// Values of `--policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeArg {
    ReadWrite,
    NoDestructive,
    ReadOnly,
}

impl KindArg {
    /// As `type` has it in the file.
    fn name(self) -> &'static str {
        match self {
            Self::Oauth => "oauth",
            Self::AccessToken => "access_token",
            Self::PersonalAccessKey => "personal_access_key",
        }
    }
}

impl ModeArg {
    /// As `policy.mode` has it in the file.
    fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "read-write",
            Self::NoDestructive => "no-destructive",
            Self::ReadOnly => "read-only",
        }
    }
}

/// Writes the file, and says what to do next.
pub(super) fn run(config_flag: Option<&Path>, args: &InitArgs) -> Result<(), Failure> {
    let folders = Folders::of_process();
    if args.user && config_flag.is_some() {
        return Err(Failure::usage("--user and --config name two files: leave one of them out"));
    }
    let asks = !args.yes && terminal::is_interactive();
    // What is there already is said before any question.
    let chosen = chosen_target(config_flag, args, &folders)?;
    if let Some(target) = &chosen {
        target.check_free()?;
    }
    let given = Answers::given(args)?;
    let (target, answers) = match (asks, chosen) {
        (true, chosen) => questions::ask(given, chosen, &folders)?,
        (false, chosen) => (chosen.unwrap_or_else(|| Target::here(&folders)), given.completed()?),
    };
    target.check_free()?;
    target.write(&text::of(&answers, &target.folder(), &folders))?;
    target.check(&folders)?;
    print::line(next_steps::of(&answers, &target, &folders));
    Ok(())
}

/// The file that flags name; with a question about it left, none.
fn chosen_target(
    config_flag: Option<&Path>,
    args: &InitArgs,
    folders: &Folders,
) -> Result<Option<Target>, Failure> {
    if let Some(path) = config_flag {
        let path = folders.current.join(path);
        return Ok(Some(Target { shown: path_shown(&path, folders), path }));
    }
    match args.user {
        true => Target::of_user(folders).map(Some),
        false => Ok(None),
    }
}

/// The file that is to be.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    shown: String,
}

impl Target {
    fn here(folders: &Folders) -> Self {
        Self { path: folders.current.join(FILE_NAME), shown: FILE_NAME.to_owned() }
    }

    fn of_user(folders: &Folders) -> Result<Self, Failure> {
        let folder = folders.config.as_ref().ok_or_else(|| {
            Failure::usage("there is no home folder to write it in: name the file with --config")
        })?;
        let path = folder.join(FILE_NAME);
        Ok(Self { shown: path_shown(&path, folders), path })
    }

    fn folder(&self) -> PathBuf {
        self.path.parent().map(Path::to_owned).unwrap_or_default()
    }

    fn check_free(&self) -> Result<(), Failure> {
        // Also a link to nowhere is something that is there.
        match fs::symlink_metadata(&self.path) {
            Ok(_) => Err(self.is_there()),
            Err(_) => Ok(()),
        }
    }

    fn is_there(&self) -> Failure {
        Failure::failed(format!(
            "{} is there already and stays as it is: edit it, or name another file with --config",
            self.shown
        ))
    }

    /// Makes the file. One that cannot be written whole is taken away again.
    fn write(&self, text: &str) -> Result<(), Failure> {
        let mut file = app::new_private_file(&self.path).map_err(|error| {
            // A folder on the way that is none says the same.
            self.check_free().err().unwrap_or_else(|| self.unwritable(&error))
        })?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| {
            self.take_away();
            self.unwritable(&error)
        })
    }

    fn unwritable(&self, error: &std::io::Error) -> Failure {
        Failure::failed(format!("cannot write {}: {error}", self.shown))
    }

    /// Reads what was written as the proxy will, alone: what the environment adds is not about it.
    fn check(&self, folders: &Folders) -> Result<(), Failure> {
        let env = Environment::from_iter([("", ""); 0]);
        let flags = Flags::default();
        let sources = Sources { config_flag: Some(&self.path), flags, env: &env, folders };
        let loaded = config::load(&sources);
        loaded.map(drop).map_err(|error| {
            self.take_away();
            Failure::usage(format!(
                "nothing was written, since the proxy would not take it: {error}"
            ))
        })
    }

    fn take_away(&self) {
        // It is this command's own; what is left of it would be told by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

/// A path as a person would write it: from the current folder where it is in there.
fn path_shown(path: &Path, folders: &Folders) -> String {
    let inside = path.strip_prefix(&folders.current).ok();
    inside.filter(|inside| !inside.as_os_str().is_empty()).unwrap_or(path).display().to_string()
}
