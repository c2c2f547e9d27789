//! What `login`, `logout` and `accounts` have in common: an account, its app, and where credentials may go.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::Failure;
use super::store::Context;
use crate::accounts::login;
use crate::config::{OAuthConfig, SecretRef};
use crate::oauth::retirement;
use crate::store::sqlite::SqliteStore;
use crate::store::{AccountStore, Origins, StoreError, StoredAccount, StoredKind};
use crate::types::account::AccountName;
use crate::types::secret::Secret;

/// The account that a command is about when it names none.
pub fn account_or_default(context: &Context, named: Option<&AccountName>) -> AccountName {
    let default = || context.config.roster(&[]).default;
    named.cloned().or_else(default).unwrap_or_else(AccountName::default_name)
}

/// What is stored of an account.
pub async fn stored(
    store: &SqliteStore,
    account: &AccountName,
) -> Result<Option<StoredAccount>, Failure> {
    let all = store.accounts().await.map_err(Failure::failed)?;
    Ok(all.into_iter().find(|stored| stored.name == *account))
}

/// The stored client secret, where it may be used for the configured origins.
pub async fn stored_client_secret(
    store: &SqliteStore,
    account: &AccountName,
) -> Result<Option<Secret>, Failure> {
    match store.secrets(account).await {
        Ok(secrets) => Ok(secrets.and_then(|secrets| secrets.client_secret)),
        Err(StoreError::OtherOrigin(_)) => Ok(None),
        Err(error) => Err(Failure::failed(error)),
    }
}

/// A configured secret.
pub fn read(
    context: &Context,
    account: &AccountName,
    key: &str,
    secret: Option<&SecretRef>,
) -> Result<Option<Secret>, Failure> {
    let Some(secret) = secret else { return Ok(None) };
    let read = secret.read(&context.env);
    read.map(Some).map_err(|error| Failure::usage(format!("accounts.{account}.{key}: {error}")))
}

/// Refuses an endpoint that would get a credential and is at neither of the origins that it is for.
pub fn check_origin(context: &Context, key: &str, url: &str) -> Result<(), Failure> {
    login::check_origin(&context.config, key, url).map_err(Failure::usage)
}

/// Writes a secret into a new file that only this user can read.
pub fn write_private(path: &Path, secret: &Secret) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = options.open(path).map_err(failed)?;
    writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Whether what is stored may be used for `origins`.
pub fn is_for(stored: &StoredAccount, origins: &Origins) -> bool {
    let api = stored.origins.api.serialized() == origins.api.serialized();
    let token = stored.origins.token.serialized() == origins.token.serialized();
    api && (token || stored.kind != StoredKind::OAuth)
}

/// What to say of configured endpoints that HubSpot is going to end.
pub fn retirements(oauth: &OAuthConfig) -> Vec<String> {
    let urls = [
        ("oauth.token_url", &oauth.token_url),
        ("oauth.introspect_url", &oauth.introspect_url),
        ("oauth.revoke_url", &oauth.revoke_url),
    ];
    urls.into_iter().filter_map(|(key, url)| retirement(key, url)).collect()
}
