//! `[policy]` and `[accounts.NAME.policy]`.

use super::error::{ConfigError, Place, looks_like_credential};
use super::layers::Layer;
use crate::types::account::AccountName;
use crate::types::policy::{Mode, Part, Policy, Rule, Rules};

/// What a file is called where the policy speaks of it.
const FILE: &str = "proxy.toml";
const KEYS: [&str; 3] = ["mode", "allow", "deny"];

/// The policy of accounts that have none of their own.
pub(super) fn global(layer: &mut Layer) -> Result<Policy, ConfigError> {
    policy(layer, "policy")
}

/// An account's own policy, which takes the place of the other as a whole.
pub(super) fn of_account(
    layer: &mut Layer,
    name: &AccountName,
) -> Result<Option<Policy>, ConfigError> {
    let table = format!("accounts.{name}.policy");
    let is_set = KEYS.iter().any(|key| layer.place(&format!("{table}.{key}")).is_some());
    is_set.then(|| policy(layer, &table)).transpose()
}

fn policy(layer: &mut Layer, table: &str) -> Result<Policy, ConfigError> {
    let mode = mode(layer, format!("{table}.mode"))?;
    let allow = rules(layer, format!("{table}.allow"))?;
    let deny = rules(layer, format!("{table}.deny"))?;
    Ok(Policy { mode, allow, deny })
}

fn mode(layer: &mut Layer, key: String) -> Result<Part<Mode>, ConfigError> {
    let Some((text, place)) = layer.take_text(&key) else {
        return Ok(part(Mode::default(), key, None));
    };
    match Mode::ALL.into_iter().find(|mode| mode.name() == text) {
        Some(mode) => Ok(part(mode, key, Some(&place))),
        None => {
            let names = Mode::ALL.map(|mode| format!("`{mode}`")).join(", ");
            Err(ConfigError::at(&place, format!("`{key}` must be one of {names}")))
        }
    }
}

fn rules(layer: &mut Layer, key: String) -> Result<Part<Rules>, ConfigError> {
    let Some((texts, place)) = layer.take_list(&key) else {
        return Ok(part(Rules::default(), key, None));
    };
    let mut rules = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let rule = Rule::parse(text).map_err(|error| {
            let which = named(at + 1, text);
            let commas = match place {
                Place::Variable(_) => "; in a variable a comma ends a rule, so each has one method",
                _ => "",
            };
            ConfigError::at(&place, format!("`{key}`, {which}: {error}{commas}"))
        })?;
        rules.push(rule);
    }
    Ok(part(rules.into_iter().collect(), key, Some(&place)))
}

/// A rule by its number, and in its words where they are methods and paths: what else was pasted
/// there can be a credential.
fn named(number: usize, text: &str) -> String {
    let is_method = |c: char| c.is_ascii_uppercase() || matches!(c, ',' | '*');
    let is_path = |c: char| c.is_ascii_graphic() && c != '`';
    let is_harmless = |word: &str| match word.strip_prefix('/') {
        None => word.len() <= 30 && word.chars().all(is_method),
        Some(path) => path.chars().all(is_path) && path.split('/').all(is_short),
    };
    if !text.is_empty() && text.len() <= 100 && text.split(' ').all(is_harmless) {
        format!("rule {number} (`{text}`)")
    } else {
        format!("rule {number}")
    }
}

fn is_short(segment: &str) -> bool {
    segment.len() <= 30 && !looks_like_credential(segment)
}

fn part<T>(value: T, key: String, place: Option<&Place>) -> Part<T> {
    let set_in = match place {
        Some(Place::Variable(name)) => name.as_str(),
        Some(Place::Line { .. } | Place::Flag(_)) | None => FILE,
    };
    Part { value, key: key.into(), set_in: set_in.into() }
}
