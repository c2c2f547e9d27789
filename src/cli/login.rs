//! `login`: from HubSpot's consent page to a grant in the store.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::StatusCode;
use tokio::runtime::Builder;

use super::spinner::Spinner;
use super::store::Context;
use super::{Failure, app, print, spinner, terminal, web_browser};
use crate::accounts::login::callback::{Callback, parse_pasted};
use crate::accounts::login::keep::{connected, keep, wrong_portal};
use crate::accounts::login::listener::{Arrived, CallbackListener};
use crate::accounts::login::{Begun, Brought, Endpoints, Wish, objection};
use crate::config::{AccountConfig, Consent, CredentialConfig, parse_duration};
use crate::oauth::{App, IntrospectionEndpoint, TokenEndpoint};
use crate::store::NewAccount;
use crate::store::sqlite::SqliteStore;
use crate::types::account::AccountName;
use crate::types::clock::SystemClock;
use crate::types::secret::Secret;
use crate::upstream::tls::install_crypto_provider;

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy login
  hubspot-proxy login acme --scope oauth --scope crm.objects.contacts.read
  hubspot-proxy login acme --paste                            on a machine without a browser

The app needs the redirect URL http://localhost:3000/oauth-callback, or that of oauth.redirect_uri.";

/// Flags of `login`.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// The account [default: the default account, else `default`]
    account: Option<AccountName>,

    /// Do not open a browser: only print the URL
    #[arg(long)]
    no_browser: bool,

    /// Paste the URL that the browser ends on, instead of waiting for it at the redirect URI
    #[arg(long)]
    paste: bool,

    /// How long to wait for the consent
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,

    /// Client id of the app, for an account that is not configured
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,

    /// Scope to ask for, beside those configured; may be given several times
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,

    /// Scope to ask for that may be left out; may be given several times
    #[arg(long = "optional-scope", value_name = "SCOPE")]
    optional_scopes: Vec<String>,
}

/// An account and its app, as far as they are known before the login.
struct Subject {
    account: AccountName,
    configured: Option<AccountConfig>,
    client_id: String,
    client_secret: Secret,
    /// Whether the store is to keep the client secret.
    keep_secret: bool,
    consent: Consent,
}

/// Runs the command.
pub(super) fn run(config_flag: Option<&Path>, args: &LoginArgs) -> Result<(), Failure> {
    install_crypto_provider();
    let context = Context::load(config_flag)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(login(&context, args))
}

async fn login(context: &Context, args: &LoginArgs) -> Result<(), Failure> {
    let oauth = &context.config.oauth;
    warn_of_retirement(context);
    app::check_origin(context, "oauth.introspect_url", &oauth.introspect_url)?;
    // What is wrong with the store shows before the user is sent to HubSpot.
    let store = context.store().await?;
    store.check_key().await.map_err(Failure::failed)?;
    let subject = subject(context, &store, args).await?;
    if let Some(objection) = objection(&subject.consent) {
        return Err(Failure::usage(objection));
    }
    let wish = Wish {
        authorize_url: &oauth.authorize_url,
        redirect_uri: &oauth.redirect_uri,
        client_id: &subject.client_id,
        consent: &subject.consent,
    };
    let begun = Begun::new(&wish).map_err(Failure::usage)?;
    let (tls, proxy) = context.way_out()?;
    let endpoints = Endpoints {
        token: TokenEndpoint::new(oauth.token_url.clone(), tls.clone(), proxy.clone()),
        introspection: IntrospectionEndpoint::new(oauth.introspect_url.clone(), tls, proxy),
        clock: Arc::new(SystemClock::new()),
    };
    let login = Login { context, store: &store, subject: &subject, begun: &begun, endpoints };
    if args.paste { login.by_paste().await } else { login.by_callback(args).await }
}

fn warn_of_retirement(context: &Context) {
    for warning in app::retirements(&context.config.oauth) {
        print::note(format!("Note: {warning}."));
    }
}

/// Finds out what is configured, stored or given, and asks for the rest.
async fn subject(
    context: &Context,
    store: &SqliteStore,
    args: &LoginArgs,
) -> Result<Subject, Failure> {
    let account = app::account_or_default(context, args.account.as_ref());
    let configured = context.config.accounts.get(&account).cloned();
    let stored = app::stored(store, &account).await?;
    let (mut client_id, mut client_secret, mut consent) = (None, None, Consent::default());
    match configured.as_ref().map(|account| &account.credential) {
        Some(CredentialConfig::OAuth {
            client_id: id,
            client_secret: secret,
            consent: asked,
            ..
        }) => {
            client_id = Some(id.clone());
            client_secret = app::read(context, &account, "client_secret", secret.as_ref())?;
            consent = asked.clone();
        }
        Some(CredentialConfig::Stored) | None => {}
        Some(_) => {
            return Err(Failure::usage(format!(
                "account {account} is configured with another type than `oauth`: a login is for OAuth apps; choose another name"
            )));
        }
    }
    if let (Some(given), Some(known)) = (&args.client_id, &client_id)
        && given != known
    {
        return Err(Failure::usage(format!(
            "account {account} is configured with another client_id: change it there, or leave out --client-id"
        )));
    }
    let known = stored.as_ref().and_then(|stored| stored.client_id.clone());
    let client_id = match client_id.or_else(|| args.client_id.clone()).or_else(|| known.clone()) {
        Some(client_id) => client_id,
        None if terminal::is_interactive() => {
            terminal::ask("Client ID of your app (HubSpot, the app's page, Auth)", None)?
        }
        None => {
            return Err(Failure::usage(format!(
                "account {account} has no client id: give --client-id, or set HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET, or write the account into proxy.toml"
            )));
        }
    };
    if client_secret.is_none() && known.as_ref() == Some(&client_id) {
        client_secret = app::stored_client_secret(store, &account).await?;
    }
    let (client_secret, keep_secret) = match client_secret {
        Some(secret) => (secret, false),
        None => ask_for_secret(context, &account, &client_id)?,
    };
    consent.scopes.extend(args.scopes.iter().cloned());
    consent.optional_scopes.extend(args.optional_scopes.iter().cloned());
    Ok(Subject { account, configured, client_id, client_secret, keep_secret, consent })
}

/// Asks for the client secret, and where it is to be kept.
fn ask_for_secret(
    context: &Context,
    account: &AccountName,
    client_id: &str,
) -> Result<(Secret, bool), Failure> {
    if !terminal::is_interactive() {
        return Err(Failure::usage(format!(
            "account {account} has no client secret: write `client_secret = {{ file = \"PATH\" }}` into [accounts.{account}], or set HUBSPOT_CLIENT_ID and HUBSPOT_CLIENT_SECRET, or run this on a terminal"
        )));
    }
    let secret = terminal::ask_secret("Client secret of your app")?;
    let answer = terminal::ask("Keep it in the encrypted store (s) or in a file (f)?", Some("s"))?;
    if answer != "f" {
        return Ok((secret, true));
    }
    let folder = context.folders.config.clone().unwrap_or_else(|| context.folders.current.clone());
    let default = folder.join(format!("{account}.secret"));
    let path = PathBuf::from(terminal::ask("File", default.to_str())?);
    app::write_private(&path, &secret)?;
    print::note(format!(
        "Put this into proxy.toml, so that the proxy finds it:\n\n[accounts.{account}]\ntype = \"oauth\"\nclient_id = \"{client_id}\"\nclient_secret = {{ file = \"{}\" }}\n",
        path.display()
    ));
    Ok((secret, false))
}

/// A login under way.
struct Login<'a> {
    context: &'a Context,
    store: &'a SqliteStore,
    subject: &'a Subject,
    begun: &'a Begun,
    endpoints: Endpoints,
}

impl Login<'_> {
    async fn by_callback(&self, args: &LoginArgs) -> Result<(), Failure> {
        let redirect_uri = &self.context.config.oauth.redirect_uri;
        let listener = CallbackListener::bind(redirect_uri, &self.begun.state).await;
        let listener = listener.map_err(Failure::failed)?;
        self.show_url();
        if !args.no_browser {
            web_browser::open(&self.begun.url);
        }
        let mut spinner = Some(wait_at(redirect_uri, args.timeout));
        let waiting = listener.wait(async |arrived: Arrived| {
            spinner = None;
            let outcome = self.finish(arrived.callback).await;
            match &outcome {
                Ok(done) => arrived.browser.show(StatusCode::OK, "You are logged in", done),
                Err(failure) => arrived.browser.show(
                    StatusCode::BAD_REQUEST,
                    "The login has failed",
                    &failure.to_string(),
                ),
            }
            outcome.map(drop)
        });
        let waited = tokio::time::timeout(args.timeout, waiting).await;
        drop(spinner);
        match waited {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::failed(format!(
                "no answer came from HubSpot within {} s, as when the consent is cancelled: run `hubspot-proxy login {}` again",
                args.timeout.as_secs(),
                self.subject.account
            ))),
        }
    }

    async fn by_paste(&self) -> Result<(), Failure> {
        self.show_url();
        let redirect_uri = &self.context.config.oauth.redirect_uri;
        let is_terminal = io::stdin().is_terminal();
        print::note(format!(
            "Open it in any browser and allow the app. The browser then goes to {redirect_uri}?..., where it may find nothing: paste that whole address here."
        ));
        loop {
            let mut pasted = String::new();
            let read = io::stdin().lock().read_line(&mut pasted).map_err(Failure::failed)?;
            if read == 0 {
                return Err(Failure::failed("no address was pasted"));
            }
            if pasted.trim().is_empty() {
                continue;
            }
            match parse_pasted(&pasted, redirect_uri, &self.begun.state) {
                Ok(callback) => return self.finish(callback).await.map(drop),
                Err(stray) if is_terminal => print::note(describe_pasted(stray)),
                Err(stray) => return Err(Failure::failed(describe_pasted(stray))),
            }
        }
    }

    fn show_url(&self) {
        print::note("Open this URL in a browser where you are logged in to HubSpot:");
        print::line(&self.begun.url);
    }

    /// Exchanges, judges, stores; says what to show in the browser.
    async fn finish(&self, callback: Callback) -> Result<String, Failure> {
        let code = match callback {
            Callback::Code(code) => code,
            Callback::Refused(why) => return Err(Failure::failed(why)),
        };
        let Subject { account, client_id, client_secret, keep_secret, .. } = self.subject;
        let app = App { client_id, client_secret };
        let spinner = Spinner::start("Exchanging the code for tokens", None);
        let brought = self.begun.finish(&self.endpoints, app, &code).await;
        drop(spinner);
        let mut brought = brought.map_err(Failure::failed)?;
        let configured = self.subject.configured.as_ref().and_then(|account| account.hub_id);
        if let Some(objection) = wrong_portal(account, configured, &brought) {
            return Err(Failure::failed(objection));
        }
        if *keep_secret {
            brought.new.client_secret = Some(client_secret.duplicate());
        }
        self.keep(&brought.new).await?;
        self.report(&brought);
        Ok(connected(account, brought.new.hub_id))
    }

    async fn keep(&self, new: &NewAccount) -> Result<(), Failure> {
        let account = &self.subject.account;
        let credential = self.subject.configured.as_ref().map(|account| &account.credential);
        let seed = match credential {
            Some(CredentialConfig::OAuth { refresh_token: Some(seed), .. }) => {
                app::read(self.context, account, "refresh_token", Some(seed))?
            }
            _ => None,
        };
        keep(self.store, account, seed.as_ref(), new).await.map_err(Failure::failed)
    }

    fn report(&self, brought: &Brought) {
        let Brought { new, hub_domain, missing, beyond, unknown } = brought;
        let domain = hub_domain.as_ref().map(|domain| format!(" ({domain})")).unwrap_or_default();
        let portal = match new.hub_id {
            Some(hub_id) => format!("Hub ID {hub_id}{domain}"),
            None => "a portal that HubSpot does not name".to_owned(),
        };
        let user = new.about.user.as_ref().map(|user| format!(" by {user}")).unwrap_or_default();
        print::line(format!("Account {} is logged in to {portal}{user}.", self.subject.account));
        if !new.about.scopes.is_empty() {
            print::line(format!("Scopes: {}", new.about.scopes.join(" ")));
        }
        if !missing.is_empty() {
            print::note(format!("Asked for and not granted: {}", missing.join(" ")));
        }
        if !beyond.is_empty() {
            print::note(format!("Granted beyond what was asked: {}", beyond.join(" ")));
        }
        if let Some(error) = unknown {
            print::note(format!("HubSpot did not say whose token this is: {error}."));
        }
    }
}

/// Says that an answer is waited for: where nobody looks, once.
fn wait_at(redirect_uri: &str, timeout: Duration) -> Spinner {
    let waiting = format!("Waiting for HubSpot's answer at {redirect_uri}");
    if !spinner::is_shown() {
        print::note(format!("{waiting} ..."));
    }
    Spinner::start(&waiting, Some(timeout))
}

fn describe_pasted(stray: crate::accounts::login::callback::Stray) -> String {
    use crate::accounts::login::callback::Stray;
    match stray {
        Stray::Elsewhere | Stray::Method => "this is not the address that the browser ended on: it begins as oauth.redirect_uri does".to_owned(),
        Stray::OtherLogin => "this address belongs to another login: open the URL above, and paste what comes of it".to_owned(),
        Stray::Malformed(why) => why.to_owned(),
    }
}
