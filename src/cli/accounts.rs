//! `accounts`: what there is, and what the store holds of it.

mod import;
mod list;

use std::path::Path;

use clap::{Args, Subcommand};
use tokio::runtime::Builder;

use super::store::Context;
use super::{Failure, print, terminal};
use crate::store::AccountStore;
use crate::types::account::AccountName;
use crate::upstream::tls::install_crypto_provider;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy accounts
  hubspot-proxy accounts import shop < token.txt
  hubspot-proxy accounts remove shop";

/// What `accounts` does.
#[derive(Debug, Subcommand)]
pub(super) enum AccountsCommand {
    /// Show all accounts (the default)
    #[command(after_help = "Examples:\n  hubspot-proxy accounts list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show all that is known of one account, but for its secrets
    #[command(after_help = "Examples:\n  hubspot-proxy accounts show acme")]
    Show {
        name: AccountName,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a refresh token, static token or personal access key, read from standard input
    #[command(after_help = import::HELP)]
    Import(import::ImportArgs),
    /// Wipe all that is stored of an account
    #[command(after_help = "Examples:\n  hubspot-proxy accounts remove acme --yes")]
    Remove(RemoveArgs),
    /// Encrypt the store with a new key
    #[command(after_help = REKEY_HELP)]
    Rekey,
}

const REKEY_HELP: &str = "\
Examples:
  hubspot-proxy accounts rekey

Where the key is in a variable or comes from a program, put `NEW,OLD` there first, and take OLD away
afterwards.";

/// Flags of `accounts remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    name: AccountName,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// Runs one of the commands; `list` where none is named.
pub(super) fn run(
    config_flag: Option<&Path>,
    command: Option<AccountsCommand>,
) -> Result<(), Failure> {
    install_crypto_provider();
    let context = Context::load(config_flag)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        match command.unwrap_or(AccountsCommand::List { json: false }) {
            AccountsCommand::List { json } => list::list(&context, json).await,
            AccountsCommand::Show { name, json } => list::show(&context, &name, json).await,
            AccountsCommand::Import(args) => import::import(&context, &args).await,
            AccountsCommand::Remove(args) => remove(&context, &args).await,
            AccountsCommand::Rekey => rekey(&context).await,
        }
    })
}

async fn remove(context: &Context, RemoveArgs { name, yes }: &RemoveArgs) -> Result<(), Failure> {
    let missing = || Failure::failed(format!("nothing is stored of account {name}"));
    let store = context.existing_store().await?.ok_or_else(missing)?;
    if !yes && terminal::is_interactive() {
        let question = format!("Wipe all that is stored of account {name}? (yes/no)");
        if terminal::ask(&question, Some("no"))? != "yes" {
            return Err(Failure::failed("nothing was removed"));
        }
    }
    if !store.remove(name).await.map_err(Failure::failed)? {
        return Err(missing());
    }
    print::line(format!("Account {name} is wiped from the store; at HubSpot nothing has changed."));
    if context.config.accounts.contains_key(name) {
        print::note(format!(
            "[accounts.{name}] is still configured: take it out as well if it is not to be served."
        ));
    }
    Ok(())
}

async fn rekey(context: &Context) -> Result<(), Failure> {
    let missing = || Failure::failed("there is no store yet, so there is no key to change");
    let store = context.existing_store().await?.ok_or_else(missing)?;
    match store.rekey().await.map_err(Failure::failed)? {
        true => print::line("The store is encrypted with a new key."),
        false => {
            print::line("Nothing is encrypted in the store yet, so there is no key to change.")
        }
    }
    Ok(())
}
