//! Settings from the environment: `HUBSPOT_PROXY_*` for keys, and the account that HubSpot's own
//! variables make. An empty variable counts as one that is not set.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::error::{ConfigError, Place, shown};
use super::file::from_text;
use super::keys::{self, KEYS, PREFIX};
use super::layers::{Layer, Value};
use super::paths::Base;
use super::secret_ref::SecretRef;
use crate::types::account::AccountName;

/// Sets what is logged, for all commands; no key of the configuration.
const LOG_LEVEL: &str = "HUBSPOT_PROXY_LOG";

const ACCESS_TOKEN: &str = "HUBSPOT_ACCESS_TOKEN";
const CLIENT_ID: &str = "HUBSPOT_CLIENT_ID";
const CLIENT_SECRET: &str = "HUBSPOT_CLIENT_SECRET";
const REFRESH_TOKEN: &str = "HUBSPOT_REFRESH_TOKEN";
const PERSONAL_ACCESS_KEY: &str = "HUBSPOT_PERSONAL_ACCESS_KEY";
const OAUTH: [&str; 3] = [CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN];
/// HubSpot's own variables that hold a secret: for no other program to inherit.
pub const SECRET_VARIABLES: [&str; 4] =
    [ACCESS_TOKEN, CLIENT_SECRET, REFRESH_TOKEN, PERSONAL_ACCESS_KEY];

/// The environment variables, of the process or as a test has them.
pub struct Environment(Variables);

enum Variables {
    /// Asked for one at a time, so that no second copy of a secret is kept.
    Process,
    Given(BTreeMap<String, OsString>),
}

/// What a variable holds.
enum Lookup {
    Unset,
    Text(String),
    NotText,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(Variables::Process)
    }

    /// The variable's value, also an empty one.
    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        match &self.0 {
            Variables::Process => std::env::var_os(name),
            Variables::Given(variables) => variables.get(name).cloned(),
        }
    }

    fn text(&self, name: &str) -> Lookup {
        match self.get(name).map(OsString::into_string) {
            None => Lookup::Unset,
            Some(Ok(text)) if text.is_empty() => Lookup::Unset,
            Some(Ok(text)) => Lookup::Text(text),
            Some(Err(_)) => Lookup::NotText,
        }
    }

    fn is_set(&self, name: &str) -> bool {
        !matches!(self.text(name), Lookup::Unset)
    }

    /// The names that start with [`PREFIX`], sorted, so that the first error is always the same.
    fn own_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.0 {
            Variables::Process => {
                std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect()
            }
            Variables::Given(variables) => variables.keys().cloned().collect(),
        };
        if cfg!(windows) {
            names.iter_mut().for_each(|name| name.make_ascii_uppercase());
        }
        // Read before there is a configuration: it sets how that is logged.
        names.retain(|name| name.starts_with(PREFIX) && name != LOG_LEVEL);
        names.sort();
        names
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(Variables::Given(variables.collect()))
    }
}

impl fmt::Debug for Environment {
    /// Without names or values: many of them are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment(..)")
    }
}

/// The keys that `HUBSPOT_PROXY_*` variables set.
pub(super) fn settings(env: &Environment, base: Base<'_>) -> Result<Layer, ConfigError> {
    let mut layer = Layer::default();
    for name in env.own_names() {
        let text = match env.text(&name) {
            Lookup::Unset => continue,
            Lookup::Text(text) => text,
            Lookup::NotText => {
                return Err(ConfigError::variable(
                    &name,
                    "its value is not UTF-8 text: set it again",
                ));
            }
        };
        let Some((key, path)) = key_of(&name)? else {
            let advice = keys::advice_on_variable(&name);
            return Err(ConfigError::Setting {
                place: Place::Variable(shown_variable(&name)),
                problem: format!("there is no such setting; {advice}"),
            });
        };
        if key.kind.is_secret() {
            let problem = format!(
                "secrets are not read from {PREFIX}* variables: write where it is into proxy.toml, such as `{} = {}`, or set {ACCESS_TOKEN}",
                key.leaf(),
                key.example
            );
            return Err(ConfigError::variable(&name, problem));
        }
        let value = from_text(key.kind, &text, base)
            .ok_or_else(|| ConfigError::variable(&name, key.expected_in_environment()))?;
        layer.set(&path, value, Place::Variable(name));
    }
    Ok(layer)
}

/// The key that a variable sets, and its path with the account's name where it has one.
fn key_of(variable: &str) -> Result<Option<(&'static keys::Key, String)>, ConfigError> {
    let rest = variable.strip_prefix(PREFIX).unwrap_or_default();
    let Some(of_account) = rest.strip_prefix("ACCOUNTS__") else {
        let key =
            KEYS.iter().find(|key| key.of_account().is_none() && key.variable("") == variable);
        return Ok(key.map(|key| (key, key.path.to_owned())));
    };
    // From the end, since an account's name can hold `__` as well.
    let found = KEYS.iter().find_map(|key| {
        let name = key.of_account()?.replace('.', "__").to_ascii_uppercase();
        Some((key, of_account.strip_suffix(&name)?.strip_suffix("__")?))
    });
    let Some((key, name)) = found else { return Ok(None) };
    let name = name.to_ascii_lowercase();
    if key.variable(&name) != variable {
        return Ok(None);
    }
    match name.parse::<AccountName>() {
        Ok(name) => {
            let below = key.of_account().unwrap_or_default();
            Ok(Some((key, format!("accounts.{name}.{below}"))))
        }
        Err(rule) => {
            let place = shown_variable(variable);
            Err(ConfigError::variable(&place, format!("it names no account: {rule}")))
        }
    }
}

/// The name of an unknown variable, unless what follows the prefix could be a secret.
fn shown_variable(name: &str) -> String {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    if rest.is_empty() || rest.contains("__") || !shown(rest, "").is_empty() {
        name.to_owned()
    } else {
        format!("a {PREFIX}* variable")
    }
}

/// The account `default` that HubSpot's own variables make, if they do, over what `layer` says of
/// its credential; whether they do. A variable that an account of `layer` reads its secret from is
/// that account's and makes none.
pub(super) fn add_account(env: &Environment, layer: &mut Layer) -> Result<bool, ConfigError> {
    let taken = layer.secret_variables();
    let is_free = |name: &str| env.is_set(name) && !taken.iter().any(|taken| taken == name);
    let oauth: Vec<&str> = if OAUTH.iter().any(|name| taken.iter().any(|taken| taken == name)) {
        Vec::new()
    } else {
        OAUTH.into_iter().filter(|name| env.is_set(name)).collect()
    };
    let single = [ACCESS_TOKEN, PERSONAL_ACCESS_KEY].into_iter().filter(|name| is_free(name));
    let mut makers = single.chain(oauth.first().copied());
    let Some(made_by) = makers.next() else { return Ok(false) };
    if let Some(other) = makers.next() {
        let problem = format!(
            "{other} is set as well, and each makes the account `default`: unset one of them"
        );
        return Err(ConfigError::variable(made_by, problem));
    }
    let token = !OAUTH.contains(&made_by);
    let needed = [CLIENT_ID, CLIENT_SECRET];
    if let (false, Some(missing)) = (token, needed.into_iter().find(|name| !oauth.contains(name))) {
        let problem = format!("{missing} is needed as well to make an account: set it too");
        return Err(ConfigError::variable(made_by, problem));
    }
    const CREDENTIAL: [&str; 6] =
        ["type", "client_id", "client_secret", "refresh_token", "token", "key"];
    const OF_A_LOGIN: [&str; 3] = ["scopes", "optional_scopes", "pkce"];
    let of_a_login: &[&str] = if token { &OF_A_LOGIN } else { &[] };
    for key in CREDENTIAL.iter().chain(of_a_login) {
        let setting = layer.take(&format!("accounts.default.{key}"));
        if let Some(Place::Variable(variable)) = setting.map(|setting| setting.place) {
            let problem =
                format!("{made_by} makes the account `default` by itself: unset one of them");
            return Err(ConfigError::variable(&variable, problem));
        }
    }
    let mut set = |key: &str, value, variable: &str| {
        let place = Place::Variable(variable.to_owned());
        layer.set(&format!("accounts.default.{key}"), value, place);
    };
    let secret = |name: &str| Value::Secret(SecretRef::Env(name.to_owned()));
    if made_by == ACCESS_TOKEN {
        set("type", Value::Text("access_token".to_owned()), ACCESS_TOKEN);
        set("token", secret(ACCESS_TOKEN), ACCESS_TOKEN);
        return Ok(true);
    }
    if made_by == PERSONAL_ACCESS_KEY {
        set("type", Value::Text("personal_access_key".to_owned()), PERSONAL_ACCESS_KEY);
        set("key", secret(PERSONAL_ACCESS_KEY), PERSONAL_ACCESS_KEY);
        return Ok(true);
    }
    let Lookup::Text(client_id) = env.text(CLIENT_ID) else {
        return Err(ConfigError::variable(CLIENT_ID, "its value is not UTF-8 text: set it again"));
    };
    set("type", Value::Text("oauth".to_owned()), CLIENT_ID);
    set("client_id", Value::Text(client_id), CLIENT_ID);
    set("client_secret", secret(CLIENT_SECRET), CLIENT_SECRET);
    if oauth.contains(&REFRESH_TOKEN) {
        set("refresh_token", secret(REFRESH_TOKEN), REFRESH_TOKEN);
    }
    Ok(true)
}
