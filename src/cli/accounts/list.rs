//! `accounts list` and `accounts show`.

use serde_json::{Value, json};

use crate::cli::store::Context;
use crate::cli::{Failure, app, print};
use crate::config::{AccountConfig, CredentialConfig};
use crate::store::{AccountStore, Origins, StoredAccount};
use crate::types::account::AccountName;
use crate::types::clock::{Clock, SystemClock, WallTime};

/// One account, as far as files tell.
struct Line<'a> {
    name: &'a AccountName,
    configured: Option<&'a AccountConfig>,
    stored: Option<&'a StoredAccount>,
    is_default: bool,
}

pub(super) async fn list(context: &Context, json: bool) -> Result<(), Failure> {
    let stored = stored(context).await?;
    let names: Vec<AccountName> = stored.iter().map(|stored| stored.name.clone()).collect();
    let roster = context.config.roster(&names);
    let lines: Vec<Line<'_>> = roster
        .accounts
        .iter()
        .map(|(name, account)| Line {
            name,
            configured: context.config.accounts.contains_key(name).then_some(account),
            stored: stored.iter().find(|stored| stored.name == *name),
            is_default: roster.default.as_ref() == Some(name),
        })
        .collect();
    let (now, origins) = (SystemClock::new().now(), context.origins()?);
    if json {
        let lines: Vec<Value> = lines.iter().map(|line| line.as_json(now, &origins)).collect();
        print::line(Value::from(lines));
        return Ok(());
    }
    if lines.is_empty() {
        print::note("There are no accounts: `hubspot-proxy login` makes one.");
        return Ok(());
    }
    let rows = lines.iter().map(|line| {
        let name = format!("{}{}", line.name, if line.is_default { " (default)" } else { "" });
        let hub_id = line.hub_id().map_or("-".to_owned(), |hub_id| hub_id.to_string());
        [name, line.kind().to_owned(), hub_id, line.from().to_owned(), line.state(now, &origins)]
    });
    let header = ["NAME", "TYPE", "HUB ID", "FROM", "STATE"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for [name, kind, hub_id, from, state] in &rows {
        let (a, b, c, d) = (width(0), width(1), width(2), width(3));
        print::line(format!("{name:a$}  {kind:b$}  {hub_id:c$}  {from:d$}  {state}"));
    }
    Ok(())
}

pub(super) async fn show(context: &Context, name: &AccountName, json: bool) -> Result<(), Failure> {
    let stored = stored(context).await?;
    let stored = stored.iter().find(|stored| stored.name == *name);
    let configured = context.config.accounts.get(name);
    if stored.is_none() && configured.is_none() {
        return Err(Failure::failed(format!(
            "there is no account {name}: `hubspot-proxy accounts` lists those that there are"
        )));
    }
    let default = context.config.roster(&[]).default;
    let line = Line { name, configured, stored, is_default: default.as_ref() == Some(name) };
    let (now, origins) = (SystemClock::new().now(), context.origins()?);
    if json {
        print::line(line.as_json(now, &origins));
        return Ok(());
    }
    let text = |label: &str, value: String| print::line(format!("{label:14}{value}"));
    text("Account", name.to_string());
    text("Type", line.kind().to_owned());
    text("From", line.from().to_owned());
    text("State", line.state(now, &origins));
    if let Some(hub_id) = line.hub_id() {
        text("Hub ID", hub_id.to_string());
    }
    let Some(stored) = stored else { return Ok(()) };
    let optional = [
        ("Client ID", stored.client_id.clone()),
        ("User", stored.about.user.clone()),
        ("User ID", stored.about.user_id.map(|id| id.to_string())),
        ("App ID", stored.about.app_id.map(|id| id.to_string())),
    ];
    for (label, value) in optional {
        if let Some(value) = value {
            text(label, value);
        }
    }
    if !stored.about.scopes.is_empty() {
        text("Scopes", stored.about.scopes.join(" "));
    }
    text("For", format!("{} and {}", stored.origins.api, stored.origins.token));
    text("Since", stored.since.to_string());
    Ok(())
}

async fn stored(context: &Context) -> Result<Vec<StoredAccount>, Failure> {
    match context.existing_store().await? {
        Some(store) => store.accounts().await.map_err(Failure::failed),
        None => Ok(Vec::new()),
    }
}

impl Line<'_> {
    fn kind(&self) -> &'static str {
        match self.configured.map(|account| &account.credential) {
            Some(CredentialConfig::AccessToken { .. }) => "access_token",
            Some(CredentialConfig::OAuth { .. }) => "oauth",
            Some(CredentialConfig::PersonalAccessKey { .. }) => "personal_access_key",
            Some(CredentialConfig::ClientCredentials { .. }) => "client_credentials",
            Some(CredentialConfig::DeveloperApiKey { .. }) => "developer_api_key",
            Some(CredentialConfig::Stored) | None => {
                self.stored.map_or("-", |stored| stored.kind.name())
            }
        }
    }

    fn hub_id(&self) -> Option<u64> {
        let configured = self.configured.and_then(|account| account.hub_id);
        configured.or(self.stored.and_then(|stored| stored.hub_id))
    }

    fn from(&self) -> &'static str {
        match (self.configured, self.stored) {
            (Some(_), Some(_)) => "configuration and store",
            (Some(_), None) => "configuration",
            _ => "store",
        }
    }

    fn state(&self, now: WallTime, origins: &Origins) -> String {
        let needs_store = match self.configured.map(|account| &account.credential) {
            Some(CredentialConfig::OAuth { refresh_token: Some(_), .. })
                if self.stored.is_none() =>
            {
                return "has a refresh token, not used yet".to_owned();
            }
            Some(CredentialConfig::OAuth { .. } | CredentialConfig::Stored) | None => true,
            Some(_) => false,
        };
        let Some(stored) = self.stored.filter(|_| needs_store) else {
            return if needs_store { "needs a login".to_owned() } else { "configured".to_owned() };
        };
        if !stored.has_secret {
            return "logged out".to_owned();
        }
        if !app::is_for(stored, origins) {
            return format!("for {}, and not for what is configured", stored.origins.api);
        }
        match (stored.begun, stored.expires) {
            (Some(begun), _) => {
                format!("a refresh began at {} and has not ended", begun)
            }
            (None, Some(end)) if end > now => {
                format!("logged in, token for {} more", print::span(now.until(end)))
            }
            (None, Some(_)) => "logged in, token renewed at the next use".to_owned(),
            (None, None) => "ready".to_owned(),
        }
    }

    fn as_json(&self, now: WallTime, origins: &Origins) -> Value {
        let stored = self.stored;
        json!({
            "name": self.name.as_str(),
            "default": self.is_default,
            "type": self.kind(),
            "hub_id": self.hub_id(),
            "from": self.from(),
            "state": self.state(now, origins),
            "client_id": stored.and_then(|stored| stored.client_id.as_deref()),
            "user": stored.and_then(|stored| stored.about.user.as_deref()),
            "user_id": stored.and_then(|stored| stored.about.user_id),
            "app_id": stored.and_then(|stored| stored.about.app_id),
            "scopes": stored.map(|stored| &stored.about.scopes),
            "api_origin": stored.map(|stored| stored.origins.api.to_string()),
            "token_origin": stored.map(|stored| stored.origins.token.to_string()),
            "since": stored.map(|stored| stored.since.to_string()),
            "token_expires": stored.and_then(|stored| stored.expires).map(|time| time.to_string()),
        })
    }
}
