//! `accounts import`: a credential from standard input, found out, checked with HubSpot, and kept.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use http::StatusCode;

use crate::cli::spinner::Spinner;
use crate::cli::store::Context;
use crate::cli::{Failure, app, print, terminal};
use crate::config::CredentialConfig;
use crate::oauth::{
    AccessKeyEndpoint, App, IntrospectionEndpoint, TokenEndpoint, TokenError, TokenInfo,
    TokenInfoEndpoint,
};
use crate::store::sqlite::SqliteStore;
use crate::store::{AccountStore, NewAccount, Obtained, StoredKind, StoredToken};
use crate::types::account::{About, AccountName, Identity};
use crate::types::clock::{Clock, SystemClock};
use crate::types::secret::Secret;

pub(super) const HELP: &str = "\
Examples:
  hubspot-proxy accounts import shop < token.txt
  op read op://Private/HubSpot/token | hubspot-proxy accounts import shop
  hubspot-proxy accounts import shop --kind access_token      asks for it, and does not show it";

/// Flags of `accounts import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    name: AccountName,

    /// What it is [default: found out]
    #[arg(long, value_name = "KIND")]
    kind: Option<KindArg>,

    /// Keep it without asking HubSpot whether it is valid
    #[arg(long)]
    no_check: bool,
}

/// Values of `--kind`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum KindArg {
    Oauth,
    AccessToken,
    PersonalAccessKey,
}

/// The app that a refresh token is presented with.
struct OwnApp {
    client_id: String,
    client_secret: Secret,
}

pub(super) async fn import(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let configured = context.config.accounts.get(&args.name);
    if let Some(account) = configured
        && !matches!(account.credential, CredentialConfig::OAuth { .. } | CredentialConfig::Stored)
    {
        return Err(Failure::usage(format!(
            "account {} has its credential from the configuration: take that out, or choose another name",
            args.name
        )));
    }
    let store = context.store().await?;
    store.check_key().await.map_err(Failure::failed)?;
    let secret = terminal::secret_from_input("Refresh token, static token or personal access key")?;
    let app = own_app(context, &store, &args.name).await?;
    let importing = Importing { context, args, app, now: Arc::new(SystemClock::new()) };
    let kind = match args.kind.map(StoredKind::from).or_else(|| guess(&secret)) {
        Some(kind) => kind,
        None => importing.find_out(&secret).await?,
    };
    let new = importing.check(kind, secret).await?;
    if let (Some(configured), Some(found)) =
        (configured.and_then(|account| account.hub_id), new.hub_id)
        && configured != found
    {
        return Err(Failure::failed(format!(
            "this credential is for the portal with Hub ID {found}, and hub_id of account {} is {configured}: import another one, or correct hub_id",
            args.name
        )));
    }
    store.replace(&args.name, &new).await.map_err(Failure::failed)?;
    let what = match kind {
        StoredKind::OAuth => "refresh token",
        StoredKind::AccessToken => "static token",
        StoredKind::PersonalAccessKey => "personal access key",
    };
    let portal = new.hub_id.map(|hub_id| format!(" of Hub ID {hub_id}")).unwrap_or_default();
    print::line(format!("Account {} has a {what}{portal}.", args.name));
    Ok(())
}

/// By how it begins, as HubSpot's credentials do.
fn guess(secret: &Secret) -> Option<StoredKind> {
    let text = secret.expose();
    if text.starts_with("pat-") {
        return Some(StoredKind::AccessToken);
    }
    (text.starts_with("CiR") && text.len() > 60).then_some(StoredKind::PersonalAccessKey)
}

/// What is configured or stored of the account's app.
async fn own_app(
    context: &Context,
    store: &SqliteStore,
    name: &AccountName,
) -> Result<Option<OwnApp>, Failure> {
    let stored = app::stored(store, name).await?;
    let (mut client_id, mut secret) = (stored.and_then(|stored| stored.client_id), None);
    if let Some(CredentialConfig::OAuth { client_id: id, client_secret, .. }) =
        context.config.accounts.get(name).map(|account| &account.credential)
    {
        client_id = Some(id.clone());
        secret = app::read(context, name, "client_secret", client_secret.as_ref())?;
    }
    if secret.is_none() {
        secret = app::stored_client_secret(store, name).await?;
    }
    Ok(client_id.zip(secret).map(|(client_id, client_secret)| OwnApp { client_id, client_secret }))
}

struct Importing<'a> {
    context: &'a Context,
    args: &'a ImportArgs,
    app: Option<OwnApp>,
    now: Arc<SystemClock>,
}

impl Importing<'_> {
    /// Asks HubSpot what a credential is that does not show it.
    async fn find_out(&self, secret: &Secret) -> Result<StoredKind, Failure> {
        if !self.args.no_check {
            for kind in [StoredKind::AccessToken, StoredKind::PersonalAccessKey] {
                if self.ask(kind, secret).await.is_ok() {
                    return Ok(kind);
                }
            }
            // Not asked about here: with some servers a refresh token is used up by that.
            if self.app.is_some() {
                return Ok(StoredKind::OAuth);
            }
        }
        Err(Failure::usage(
            "it is not clear what this is: say so with `--kind access_token`, `--kind personal_access_key` or `--kind oauth` (for which client_id and client_secret have to be configured)",
        ))
    }

    async fn check(&self, kind: StoredKind, secret: Secret) -> Result<NewAccount, Failure> {
        if kind == StoredKind::OAuth && self.app.is_none() {
            return Err(Failure::usage(format!(
                "a refresh token needs its app: configure client_id and client_secret of account {}, or run `hubspot-proxy login {0}` instead",
                self.args.name
            )));
        }
        if self.args.no_check {
            return Ok(self.bare(kind, secret));
        }
        let asked = self.ask(kind, &secret).await;
        asked.map(|new| new.unwrap_or_else(|| self.bare(kind, secret))).map_err(|error| {
            Failure::failed(format!(
                "{error}; nothing is stored (`--no-check` stores it without asking)"
            ))
        })
    }

    fn bare(&self, kind: StoredKind, secret: Secret) -> NewAccount {
        NewAccount {
            obtained: Obtained::Import,
            kind,
            secret,
            access_token: None,
            client_id: self
                .app
                .as_ref()
                .filter(|_| kind == StoredKind::OAuth)
                .map(|app| app.client_id.clone()),
            client_secret: None,
            hub_id: None,
            about: About::default(),
            at: self.now.now(),
        }
    }

    /// Uses the credential once, for what HubSpot then says of it.
    async fn ask(&self, kind: StoredKind, secret: &Secret) -> Result<Option<NewAccount>, Error> {
        let (tls, proxy) = self.context.way_out().map_err(|failure| Error(failure.to_string()))?;
        let _spinner = Spinner::start("Asking HubSpot about it", None);
        let api = &self.context.config.upstream.url;
        match kind {
            StoredKind::AccessToken => {
                let endpoint = TokenInfoEndpoint::new(api, tls, proxy);
                match endpoint.look_up(secret).await {
                    Ok(TokenInfo::Valid(Identity { hub_id, about })) => {
                        let new = self.bare(kind, secret.duplicate());
                        Ok(Some(NewAccount { hub_id, about, ..new }))
                    }
                    Ok(TokenInfo::Refused) | Err(TokenError::Rejected(StatusCode::NOT_FOUND)) => {
                        Err(Error("HubSpot does not know this token".to_owned()))
                    }
                    Err(error) => Err(error.into()),
                }
            }
            StoredKind::PersonalAccessKey => {
                let endpoint = AccessKeyEndpoint::new(api, tls, proxy, Arc::clone(&self.now) as _);
                let issued = endpoint.exchange(secret).await.map_err(|error| match error {
                    TokenError::GrantRefused => {
                        Error("HubSpot refused this personal access key".to_owned())
                    }
                    error => error.into(),
                })?;
                let new = self.bare(kind, secret.duplicate());
                let Identity { hub_id, about } = issued.identity;
                Ok(Some(NewAccount { hub_id, about, ..new }))
            }
            StoredKind::OAuth => self.refresh(secret).await.map(Some),
        }
    }

    async fn refresh(&self, refresh_token: &Secret) -> Result<NewAccount, Error> {
        let Some(OwnApp { client_id, client_secret }) = &self.app else {
            return Err(Error("there is no app for a refresh token".to_owned()));
        };
        let (tls, proxy) = self.context.way_out().map_err(|failure| Error(failure.to_string()))?;
        let oauth = &self.context.config.oauth;
        let endpoint = TokenEndpoint::new(oauth.token_url.clone(), tls.clone(), proxy.clone());
        let issued = endpoint.refresh(client_id, client_secret, refresh_token).await?;
        let now = self.now.now();
        let mut identity = issued.identity;
        if app::check_origin(self.context, "oauth.introspect_url", &oauth.introspect_url).is_ok() {
            let endpoint = IntrospectionEndpoint::new(oauth.introspect_url.clone(), tls, proxy);
            // What it does not say is not known, and that is no reason to refuse the token.
            if let Ok(known) =
                endpoint.introspect(App { client_id, client_secret }, &issued.access_token).await
            {
                identity = known.identity.or(&identity);
            }
        }
        let Identity { hub_id, about } = identity;
        let token = StoredToken {
            token: issued.access_token,
            issued: now,
            expires: now.after(issued.life),
            hub_id,
        };
        let secret = issued.refresh_token.unwrap_or_else(|| refresh_token.duplicate());
        let new = self.bare(StoredKind::OAuth, secret);
        Ok(NewAccount { access_token: Some(token), hub_id, about, ..new })
    }
}

/// What HubSpot said, as a person is told.
#[derive(Debug)]
struct Error(String);

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<KindArg> for StoredKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Oauth => Self::OAuth,
            KindArg::AccessToken => Self::AccessToken,
            KindArg::PersonalAccessKey => Self::PersonalAccessKey,
        }
    }
}
