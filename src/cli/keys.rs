//! `keys`: the client keys, made, listed and revoked while proxies run.

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::store::Context;
use super::{Failure, print};
use crate::config::parse_duration;
use crate::store::{KeyStore, StoredKey};
use crate::types::account::AccountName;
use crate::types::client_key::{KeyHash, KeyName, generate};
use crate::types::clock::{Clock, SystemClock, WallTime};
use crate::types::policy::Mode;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy keys create --name ci --account acme --policy read-only
  hubspot-proxy keys list
  hubspot-proxy keys revoke ci";

const CREATE_HELP: &str = "\
Examples:
  hubspot-proxy keys create --name ci --account acme --policy read-only --expires 90d
  curl -H \"Authorization: Bearer $KEY\" http://localhost:8787/crm/v3/objects/contacts";

/// What `keys` does.
#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key: it is printed once, and kept only as a hash
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// Show the keys there are, not the keys themselves
    #[command(after_help = "Examples:\n  hubspot-proxy keys list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a key away: running proxies refuse it within a second
    #[command(after_help = "Examples:\n  hubspot-proxy keys revoke ci")]
    Revoke {
        /// The key's name
        name: KeyName,
    },
}

/// Flags of `keys create`.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// What the key is called in lists and logs
    #[arg(long)]
    name: KeyName,

    /// The only account that it is for [default: any]
    #[arg(long)]
    account: Option<AccountName>,

    /// What it may do, beside what the account may [default: the same]
    #[arg(long, value_name = "POLICY")]
    policy: Option<PolicyArg>,

    /// How long it is valid, such as 12h or 90d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
}

/// Values of `--policy`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PolicyArg {
    ReadWrite,
    NoDestructive,
    ReadOnly,
}

/// Runs one of the commands.
pub(super) fn run(config_flag: Option<&Path>, command: &KeysCommand) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let context = Context::load(config_flag)?;
    runtime.block_on(async {
        match command {
            KeysCommand::Create(args) => create(&context, args).await,
            KeysCommand::List { json } => list(&context, *json).await,
            KeysCommand::Revoke { name } => revoke(&context, name).await,
        }
    })
}

async fn create(context: &Context, args: &CreateArgs) -> Result<(), Failure> {
    let store = context.store().await?;
    let key = generate().map_err(Failure::failed)?;
    let created = SystemClock::new().now();
    let stored = StoredKey {
        name: args.name.clone(),
        hash: KeyHash::of(key.expose().as_bytes()),
        account: args.account.clone(),
        mode: args.policy.map(Mode::from),
        created,
        expires: args.expires.map(|life| created.after(life)),
    };
    if !store.add_key(&stored).await.map_err(Failure::failed)? {
        return Err(Failure::failed(format!(
            "there is a key called {name} already: choose another name, or run `hubspot-proxy keys revoke {name}` first",
            name = args.name
        )));
    }
    print::note("This key is shown this once: keep it where the program that sends it reads it.");
    print::line(key.expose());
    Ok(())
}

async fn list(context: &Context, json: bool) -> Result<(), Failure> {
    let keys = match context.existing_store().await? {
        Some(store) => store.keys().await.map_err(Failure::failed)?,
        None => Vec::new(),
    };
    let now = SystemClock::new().now();
    if json {
        let keys: Vec<Value> = keys.iter().map(|key| as_json(key, now)).collect();
        print::line(Value::from(keys));
        return Ok(());
    }
    if keys.is_empty() {
        print::note("There are no client keys: `hubspot-proxy keys create --name NAME` makes one.");
    }
    for key in &keys {
        let account =
            key.account.as_ref().map_or("any account".to_owned(), |a| format!("account {a}"));
        let policy = key.mode.map(|mode| format!(", {mode}")).unwrap_or_default();
        let end = match key.expires {
            None => "until it is revoked".to_owned(),
            Some(end) if now >= end => format!("expired on {}", end),
            Some(end) => format!("until {}", end),
        };
        print::line(format!("{}  {account}{policy}, since {}, {end}", key.name, key.created));
    }
    Ok(())
}

async fn revoke(context: &Context, name: &KeyName) -> Result<(), Failure> {
    let revoked = match context.existing_store().await? {
        Some(store) => store.revoke_key(name).await.map_err(Failure::failed)?,
        None => false,
    };
    if !revoked {
        return Err(Failure::failed(format!(
            "there is no key called {name}: `hubspot-proxy keys list` shows the keys there are"
        )));
    }
    print::note(format!("Key {name} is revoked: running proxies refuse it from now on."));
    Ok(())
}

fn as_json(key: &StoredKey, now: WallTime) -> Value {
    json!({
        "name": key.name.as_str(),
        "account": key.account.as_ref().map(AccountName::as_str),
        "policy": key.mode.map(Mode::name),
        "created": key.created.to_string(),
        "expires": key.expires.map(|time| time.to_string()),
        "expired": key.expires.is_some_and(|end| now >= end),
    })
}

impl From<PolicyArg> for Mode {
    fn from(policy: PolicyArg) -> Self {
        match policy {
            PolicyArg::ReadWrite => Self::ReadWrite,
            PolicyArg::NoDestructive => Self::NoDestructive,
            PolicyArg::ReadOnly => Self::ReadOnly,
        }
    }
}
