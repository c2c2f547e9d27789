//! `logout`: the end of a grant, at HubSpot and here.

use std::path::Path;

use clap::Args;
use tokio::runtime::Builder;

use super::spinner::Spinner;
use super::store::Context;
use super::{Failure, app, print};
use crate::config::CredentialConfig;
use crate::oauth::{App, RevocationEndpoint};
use crate::store::sqlite::SqliteStore;
use crate::store::{AccountStore, StoredAccount, StoredKind, StoredSecrets};
use crate::types::account::AccountName;
use crate::types::secret::Secret;
use crate::upstream::tls::install_crypto_provider;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy logout acme
  hubspot-proxy logout acme --keep-remote";

/// Flags of `logout`.
#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    /// The account [default: the default account, else `default`]
    account: Option<AccountName>,

    /// Do not revoke the refresh token at HubSpot: only wipe the local copy
    #[arg(long)]
    keep_remote: bool,
}

/// Runs the command.
pub(super) fn run(config_flag: Option<&Path>, args: &LogoutArgs) -> Result<(), Failure> {
    install_crypto_provider();
    let context = Context::load(config_flag)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(logout(&context, args))
}

async fn logout(context: &Context, args: &LogoutArgs) -> Result<(), Failure> {
    let account = app::account_or_default(context, args.account.as_ref());
    let nothing = || print::note(format!("Account {account} is not logged in: nothing to do."));
    let Some(store) = context.existing_store().await? else {
        nothing();
        return Ok(());
    };
    let Some(stored) = app::stored(&store, &account).await?.filter(|stored| stored.has_secret)
    else {
        nothing();
        return Ok(());
    };
    let revoked = stored.kind == StoredKind::OAuth && !args.keep_remote;
    if revoked {
        revoke(context, &store, &account, &stored).await?;
    }
    store.log_out(&account).await.map_err(Failure::failed)?;
    let what = match stored.kind {
        StoredKind::OAuth if revoked => {
            "its refresh token is revoked at HubSpot and wiped here; access tokens that were issued stay valid until they expire, and the app stays installed"
        }
        StoredKind::OAuth => "its tokens are wiped here; at HubSpot the refresh token stays valid",
        _ => {
            "its credential is wiped here; at HubSpot it stays valid until you deactivate it there"
        }
    };
    print::line(format!("Account {account} is logged out: {what}."));
    Ok(())
}

async fn revoke(
    context: &Context,
    store: &SqliteStore,
    account: &AccountName,
    stored: &StoredAccount,
) -> Result<(), Failure> {
    let url = &context.config.oauth.revoke_url;
    app::check_origin(context, "oauth.revoke_url", url)?;
    let secrets = store.secrets(account).await.map_err(Failure::failed)?;
    let Some(StoredSecrets { secret: Some(refresh_token), client_secret }) = secrets else {
        return Ok(());
    };
    let (client_id, client_secret) = app_of(context, account, stored, client_secret)?;
    let (tls, proxy) = context.way_out()?;
    let endpoint = RevocationEndpoint::new(url.clone(), tls, proxy);
    let app = App { client_id: &client_id, client_secret: &client_secret };
    let spinner = Spinner::start("Revoking the refresh token at HubSpot", None);
    let revoked = endpoint.revoke(app, &refresh_token).await;
    drop(spinner);
    revoked.map_err(|error| {
        Failure::failed(format!(
            "the refresh token could not be revoked ({error}), and is kept: try again, or wipe it here alone with `hubspot-proxy logout {account} --keep-remote`"
        ))
    })
}

/// Id and secret of the app: as configured, else as stored.
fn app_of(
    context: &Context,
    account: &AccountName,
    stored: &StoredAccount,
    stored_secret: Option<Secret>,
) -> Result<(String, Secret), Failure> {
    let mut client_id = stored.client_id.clone();
    let mut client_secret = stored_secret;
    if let Some(CredentialConfig::OAuth { client_id: id, client_secret: secret, .. }) =
        context.config.accounts.get(account).map(|account| &account.credential)
    {
        client_id = Some(id.clone());
        let configured = app::read(context, account, "client_secret", secret.as_ref())?;
        client_secret = configured.or(client_secret);
    }
    match (client_id, client_secret) {
        (Some(client_id), Some(client_secret)) => Ok((client_id, client_secret)),
        _ => Err(Failure::failed(format!(
            "account {account} has no client id or no client secret, which HubSpot asks for to revoke: configure them, or wipe the local copy alone with `hubspot-proxy logout {account} --keep-remote`"
        ))),
    }
}
