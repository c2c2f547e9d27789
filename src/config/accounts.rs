//! `[accounts.NAME]`: that each account has what its type needs and nothing else, and which one
//! is the default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::{ConfigError, Place, shown};
use super::layers::Layer;
use super::{
    AccountConfig, Config, Consent, CredentialConfig, DefaultAccount, Listen, Reach, SecretRef,
    listen,
};
use crate::types::account::AccountName;

/// What an account of one type has beside `type`; `hub_id`, `listen` and `policy` are free to any.
struct Type {
    name: &'static str,
    /// Keys that it must have.
    needed: &'static [&'static str],
    /// Keys that it may have.
    allowed: &'static [&'static str],
}

const TYPES: [Type; 5] = [
    Type {
        name: "oauth",
        needed: &["client_id"],
        allowed: &["client_secret", "refresh_token", "scopes", "optional_scopes", "pkce"],
    },
    Type { name: "access_token", needed: &["token"], allowed: &[] },
    Type { name: "personal_access_key", needed: &["key"], allowed: &[] },
    Type {
        name: "client_credentials",
        needed: &["client_id", "client_secret"],
        allowed: &["scopes"],
    },
    Type { name: "developer_api_key", needed: &["key"], allowed: &[] },
];

impl Config {
    /// The environment variables that secrets are read from, as far as they are configured.
    pub fn secret_variables(&self) -> BTreeSet<&str> {
        let accounts = self.accounts.values().flat_map(|account| account.credential.secrets());
        let all = accounts.map(|(_, place)| place).chain(&self.store.key);
        all.filter_map(|secret| match secret {
            SecretRef::Env(name) => Some(name.as_str()),
            _ => None,
        })
        .collect()
    }
}

impl CredentialConfig {
    /// The configured secrets: the key of each, and where it is.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        match self {
            Self::AccessToken { token } => vec![("token", token)],
            Self::PersonalAccessKey { key } | Self::DeveloperApiKey { key } => vec![("key", key)],
            Self::ClientCredentials { client_secret, .. } => vec![("client_secret", client_secret)],
            Self::OAuth { client_secret, refresh_token, .. } => {
                let secret = client_secret.iter().map(|secret| ("client_secret", secret));
                secret.chain(refresh_token.iter().map(|seed| ("refresh_token", seed))).collect()
            }
            Self::Stored => Vec::new(),
        }
    }
}

impl Type {
    fn takes(&self, key: &str) -> bool {
        self.needed.contains(&key) || self.allowed.contains(&key)
    }
}

/// Gives the settings of all accounts their meaning; `listen` are the addresses that serve them all.
pub(super) fn build(
    layer: &mut Layer,
    listen: &[Listen],
    reach: Reach,
) -> Result<BTreeMap<AccountName, AccountConfig>, ConfigError> {
    let mut accounts = BTreeMap::new();
    let mut taken = listen.to_vec();
    for (name, place) in layer.take_accounts() {
        if super::error::looks_like_credential(&name) {
            let problem = "what stands for an account's name looks like a token: choose a name, and write the token where `token` says";
            return Err(ConfigError::at(&place, problem));
        }
        let name: AccountName =
            name.parse().map_err(|rule| ConfigError::at(&place, format!("{rule}")))?;
        let mut account = account(layer, &name, &place)?;
        let path = format!("accounts.{name}.listen");
        let listen =
            layer.parse_list(&path, |entries| listen::parse_beside(&taken, entries, reach))?;
        account.listen = listen.unwrap_or_default();
        taken.extend_from_slice(&account.listen);
        accounts.insert(name, account);
    }
    Ok(accounts)
}

fn account(
    layer: &mut Layer,
    name: &AccountName,
    mentioned: &Place,
) -> Result<AccountConfig, ConfigError> {
    let path = |key: &str| format!("accounts.{name}.{key}");
    let names = TYPES.iter().map(|kind| format!("`type = \"{}\"`", kind.name));
    let types = names.collect::<Vec<_>>().join(" or ");
    let Some((kind, place)) = layer.take_text(&path("type")) else {
        if !has_credential(layer, name) && layer.has_any(&path("")) {
            return finished(layer, name, mentioned, CredentialConfig::Stored);
        }
        let problem = format!("account `{name}` has no type: write {types}");
        return Err(ConfigError::at(mentioned, problem));
    };
    let Some(kind) = TYPES.iter().find(|known| known.name == kind) else {
        let kind = shown(&kind, "this");
        let problem = format!("{kind} is no type that account `{name}` can have: write {types}");
        return Err(ConfigError::at(&place, problem));
    };
    refuse_foreign_keys(layer, name, kind)?;
    let mut settings = Settings { layer, name, kind, place: &place };
    let credential = match kind.name {
        "access_token" => CredentialConfig::AccessToken { token: settings.secret("token")? },
        "personal_access_key" => {
            CredentialConfig::PersonalAccessKey { key: settings.secret("key")? }
        }
        "developer_api_key" => CredentialConfig::DeveloperApiKey { key: settings.secret("key")? },
        "client_credentials" => CredentialConfig::ClientCredentials {
            client_id: settings.client_id()?,
            client_secret: settings.secret("client_secret")?,
            scopes: settings.scopes("scopes")?,
        },
        _ => CredentialConfig::OAuth {
            client_id: settings.client_id()?,
            client_secret: settings.optional_secret("client_secret"),
            refresh_token: settings.optional_secret("refresh_token"),
            consent: Consent {
                scopes: settings.scopes("scopes")?,
                optional_scopes: settings.scopes("optional_scopes")?,
                pkce: settings.pkce(),
            },
        },
    };
    finished(layer, name, &place, credential)
}

/// What to say of an app whose secret is neither here nor in the store.
pub(super) fn no_client_secret(name: &AccountName) -> String {
    let example = super::keys::find(&["accounts", "NAME", "client_secret"]);
    let example = example.map_or("", |key| key.example);
    format!(
        "account `{name}` of type `oauth` has no `client_secret`: add one to `[accounts.{name}]`, such as `client_secret = {example}`, or run `hubspot-proxy login {name}`, which asks for it"
    )
}

/// Adds what an account of any type may have.
fn finished(
    layer: &mut Layer,
    name: &AccountName,
    place: &Place,
    credential: CredentialConfig,
) -> Result<AccountConfig, ConfigError> {
    let hub_id = layer.take_number(&format!("accounts.{name}.hub_id"));
    let policy = super::policy::of_account(layer, name)?.map(Arc::new);
    let place = Some(place.clone());
    Ok(AccountConfig { listen: Vec::new(), hub_id, policy, credential, place })
}

/// Whether anything is set that goes with one type or another.
fn has_credential(layer: &Layer, name: &AccountName) -> bool {
    let mut all = TYPES.iter().flat_map(|kind| kind.needed.iter().chain(kind.allowed));
    all.any(|key| layer.place(&format!("accounts.{name}.{key}")).is_some())
}

fn refuse_foreign_keys(layer: &Layer, name: &AccountName, kind: &Type) -> Result<(), ConfigError> {
    let all = TYPES.iter().flat_map(|kind| kind.needed.iter().chain(kind.allowed));
    for key in all.filter(|key| !kind.takes(key)) {
        if let Some(place) = layer.place(&format!("accounts.{name}.{key}")) {
            let taken: Vec<&str> = [kind.needed, kind.allowed].concat();
            let problem = format!(
                "`accounts.{name}.{key}` does not go with type `{}`, which takes {}: remove it",
                kind.name,
                taken.join(", ")
            );
            return Err(ConfigError::at(place, problem));
        }
    }
    Ok(())
}

/// The settings of one account.
struct Settings<'a> {
    layer: &'a mut Layer,
    name: &'a AccountName,
    kind: &'a Type,
    /// Where its type was written.
    place: &'a Place,
}

impl Settings<'_> {
    fn path(&self, key: &str) -> String {
        format!("accounts.{}.{key}", self.name)
    }

    fn secret(&mut self, key: &str) -> Result<SecretRef, ConfigError> {
        let path = self.path(key);
        self.layer.take_secret(&path).ok_or_else(|| self.missing(key))
    }

    fn client_id(&mut self) -> Result<String, ConfigError> {
        let path = self.path("client_id");
        let (client_id, place) =
            self.layer.take_text(&path).ok_or_else(|| self.missing("client_id"))?;
        if !client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!("`{path}` holds a space or a character that no client id has");
            return Err(ConfigError::at(&place, problem));
        }
        Ok(client_id)
    }

    fn optional_secret(&mut self, key: &str) -> Option<SecretRef> {
        let path = self.path(key);
        self.layer.take_secret(&path)
    }

    fn pkce(&mut self) -> bool {
        let path = self.path("pkce");
        self.layer.take_switch(&path).unwrap_or(false)
    }

    /// Scopes as RFC 6749, section 3.3 has them.
    fn scopes(&mut self, key: &str) -> Result<Vec<String>, ConfigError> {
        let path = self.path(key);
        let is_legal = |scope: &String| {
            !scope.is_empty()
                && scope.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b))
        };
        let scopes = self.layer.parse_list(&path, |scopes| match scopes.iter().all(is_legal) {
            true => Ok(scopes.to_vec()),
            false => {
                Err("each scope is a word of its own, such as \"crm.objects.contacts.read\""
                    .to_owned())
            }
        })?;
        Ok(scopes.unwrap_or_default())
    }

    fn missing(&self, key: &str) -> ConfigError {
        let Self { name, kind, place, .. } = self;
        let example = super::keys::find(&["accounts", "NAME", key]).map_or("", |key| key.example);
        let problem = format!(
            "account `{name}` of type `{}` has no `{key}`: add one to `[accounts.{name}]`, such as `{key} = {example}`",
            kind.name
        );
        ConfigError::at(place, problem)
    }
}

/// The account of requests that name none: as chosen, else the only one.
pub(super) fn default_account(
    chosen: Option<&DefaultAccount>,
    accounts: &BTreeMap<AccountName, AccountConfig>,
) -> Result<Option<AccountName>, ConfigError> {
    let Some(DefaultAccount { text, place }) = chosen else {
        let mut names = accounts.keys();
        return Ok(names.next().filter(|_| accounts.len() == 1).cloned());
    };
    match text.parse::<AccountName>() {
        Ok(name) if accounts.contains_key(&name) => Ok(Some(name)),
        _ => {
            let name = shown(text, "one of this name");
            let names: Vec<&str> = accounts.keys().map(AccountName::as_str).collect();
            let problem = match names.as_slice() {
                [] => format!("there is no account {name}: none is configured"),
                names => format!("there is no account {name}: name one of {}", names.join(", ")),
            };
            Err(ConfigError::at(place, problem))
        }
    }
}
