//! `[accounts.NAME]`: that each account has what its type needs and nothing else, and which one
//! is the default.

use std::collections::BTreeMap;

use super::error::{ConfigError, Place, shown};
use super::layers::Layer;
use super::{AccountConfig, CredentialConfig};
use crate::types::account::AccountName;

/// Keys beside `type` that an account of each type must have. `hub_id` is free to any.
const TYPES: [(&str, &[&str]); 2] =
    [("oauth", &["client_id", "client_secret", "refresh_token"]), ("access_token", &["token"])];

/// Gives the settings of all accounts their meaning.
pub(super) fn build(
    layer: &mut Layer,
) -> Result<BTreeMap<AccountName, AccountConfig>, ConfigError> {
    let mut accounts = BTreeMap::new();
    for (name, place) in layer.take_accounts() {
        if super::error::looks_like_credential(&name) {
            let problem = "what stands for an account's name looks like a token: choose a name, and write the token where `token` says";
            return Err(ConfigError::at(&place, problem));
        }
        let name: AccountName =
            name.parse().map_err(|rule| ConfigError::at(&place, format!("{rule}")))?;
        let account = account(layer, &name, &place)?;
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
    let types = TYPES.map(|(kind, _)| format!("`type = \"{kind}\"`")).join(" or ");
    let Some((kind, place)) = layer.take_text(&path("type")) else {
        let problem = format!("account `{name}` has no type: write {types}");
        return Err(ConfigError::at(mentioned, problem));
    };
    let Some((kind, needed)) = TYPES.iter().find(|(known, _)| *known == kind) else {
        let kind = shown(&kind, "this");
        let problem = format!("{kind} is no type that account `{name}` can have: write {types}");
        return Err(ConfigError::at(&place, problem));
    };
    let foreign = TYPES.iter().flat_map(|(_, keys)| *keys).filter(|key| !needed.contains(key));
    for key in foreign {
        if let Some(place) = layer.place(&path(key)) {
            let problem = format!(
                "`accounts.{name}.{key}` does not go with type `{kind}`, which takes {}: remove it",
                needed.join(", ")
            );
            return Err(ConfigError::at(place, problem));
        }
    }
    let missing = |key: &str| {
        let example = super::keys::find(&["accounts", "NAME", key]).map_or("", |key| key.example);
        let problem = format!(
            "account `{name}` of type `{kind}` has no `{key}`: add one to `[accounts.{name}]`, such as `{key} = {example}`"
        );
        ConfigError::at(&place, problem)
    };
    let mut secret = |key: &str| layer.take_secret(&path(key)).ok_or_else(|| missing(key));
    let credential = if *kind == "access_token" {
        CredentialConfig::AccessToken { token: secret("token")? }
    } else {
        let (client_secret, refresh_token) = (secret("client_secret"), secret("refresh_token"));
        let (client_id, place) =
            layer.take_text(&path("client_id")).ok_or_else(|| missing("client_id"))?;
        if !client_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            let problem = format!(
                "`accounts.{name}.client_id` holds a space or a character that no client id has"
            );
            return Err(ConfigError::at(&place, problem));
        }
        CredentialConfig::OAuth {
            client_id,
            client_secret: client_secret?,
            refresh_token: refresh_token?,
        }
    };
    Ok(AccountConfig { hub_id: layer.take_number(&path("hub_id")), credential })
}

/// The account of requests that name none: as chosen, else the only one.
pub(super) fn default_account(
    chosen: Option<(String, Place)>,
    accounts: &BTreeMap<AccountName, AccountConfig>,
) -> Result<Option<AccountName>, ConfigError> {
    let Some((text, place)) = chosen else {
        let mut names = accounts.keys();
        return Ok(names.next().filter(|_| accounts.len() == 1).cloned());
    };
    match text.parse::<AccountName>() {
        Ok(name) if accounts.contains_key(&name) => Ok(Some(name)),
        _ => {
            let name = shown(&text, "one of this name");
            let names: Vec<&str> = accounts.keys().map(AccountName::as_str).collect();
            let problem = match names.as_slice() {
                [] => format!("there is no account {name}: none is configured"),
                names => format!("there is no account {name}: name one of {}", names.join(", ")),
            };
            Err(ConfigError::at(&place, problem))
        }
    }
}
