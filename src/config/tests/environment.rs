//! Keys and accounts from the environment.

use super::default_of;
use super::{ACCOUNT, Start, env_secret};
use crate::config::CredentialConfig;
use crate::config::keys::KEYS;

#[test]
fn an_access_token_alone_makes_the_account_default() {
    let config = Start::new().env("HUBSPOT_ACCESS_TOKEN", "t").config();
    assert_eq!(default_of(&config), "default");
    let account = config.accounts.into_values().next().unwrap();
    assert!(matches!(
        account.credential,
        CredentialConfig::AccessToken { token } if token == env_secret("HUBSPOT_ACCESS_TOKEN")
    ));
}

#[test]
fn client_and_refresh_token_make_the_account_default() {
    let config = Start::new()
        .env("HUBSPOT_CLIENT_ID", "client")
        .env("HUBSPOT_CLIENT_SECRET", "s")
        .env("HUBSPOT_REFRESH_TOKEN", "r")
        .env("HUBSPOT_PROXY_ACCOUNTS__DEFAULT__HUB_ID", "77")
        .config();
    let account = config.accounts.into_values().next().unwrap();
    assert_eq!(account.hub_id, Some(77));
    let CredentialConfig::OAuth { client_id, client_secret, refresh_token, .. } =
        account.credential
    else {
        panic!("not OAuth");
    };
    assert_eq!(client_id, "client");
    assert_eq!(client_secret, Some(env_secret("HUBSPOT_CLIENT_SECRET")));
    assert_eq!(refresh_token, Some(env_secret("HUBSPOT_REFRESH_TOKEN")));
}

#[test]
fn empty_variables_count_as_not_set() {
    let config = Start::with_file(ACCOUNT)
        .env("HUBSPOT_ACCESS_TOKEN", "")
        .env("HUBSPOT_CLIENT_ID", "")
        .env("HUBSPOT_PROXY_SERVER__THREADS", "")
        .env("HUBSPOT_PROXY_NO_SUCH_THING", "")
        .config();
    assert_eq!(config.accounts.len(), 1);
}

#[test]
fn the_environments_account_stands_beside_those_of_the_file() {
    let config = Start::with_file(ACCOUNT).env("HUBSPOT_ACCESS_TOKEN", "t").config();
    let names: Vec<&str> = config.accounts.keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["acme", "default"]);
    // Two accounts and no choice: a request has to name one, rather than reach the wrong portal.
    assert_eq!(config.roster(&[]).default, None);
}

#[test]
fn the_environments_credential_replaces_that_of_the_files_default() {
    let config = Start::with_file(
        "[accounts.default]\ntype = \"oauth\"\nhub_id = 5\nclient_id = \"c\"\n\
         client_secret = { env = \"S\" }\nrefresh_token = { env = \"R\" }\n",
    )
    .env("HUBSPOT_ACCESS_TOKEN", "t")
    .config();
    let account = config.accounts.into_values().next().unwrap();
    assert_eq!(account.hub_id, Some(5));
    assert!(matches!(account.credential, CredentialConfig::AccessToken { .. }));
}

#[test]
fn a_variable_that_an_account_reads_makes_no_account_of_its_own() {
    let token = ACCOUNT.replace("\"T\"", "\"HUBSPOT_ACCESS_TOKEN\"");
    let config = Start::with_file(&token).env("HUBSPOT_ACCESS_TOKEN", "t").config();
    assert_eq!(default_of(&config), "acme");
    assert_eq!(config.accounts.len(), 1);

    let oauth = "[accounts.acme]\ntype = \"oauth\"\nclient_id = \"c\"\n\
        client_secret = { env = \"HUBSPOT_CLIENT_SECRET\" }\nrefresh_token = { env = \"R\" }\n";
    let config = Start::with_file(oauth)
        .env("HUBSPOT_CLIENT_ID", "c")
        .env("HUBSPOT_CLIENT_SECRET", "s")
        .config();
    assert_eq!(config.accounts.len(), 1);
}

#[test]
fn every_key_but_a_secret_can_be_set_by_its_variable() {
    for key in KEYS.iter().filter(|key| !key.kind.is_secret()) {
        let variable = key.variable("ACME");
        let value = key.example.trim_matches(['[', ']', '"']);
        let value = if key.leaf() == "type" { "access_token" } else { value };
        let start = Start::with_file(ACCOUNT).env(&variable, value);
        // These are set all right, but do not go with an access token.
        let foreign = matches!(key.leaf(), "client_id" | "scopes" | "optional_scopes" | "pkce");
        let expected = foreign.then_some("does not go with");
        match (start.load(), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(text)) => {
                let error = error.to_string();
                assert!(error.starts_with(&variable) && error.contains(text), "{error}");
            }
            (result, _) => panic!("{variable}={value}: {result:?}"),
        }
    }
}

#[test]
fn a_variable_changes_what_its_key_stands_for() {
    let config = Start::with_file(ACCOUNT)
        .env("HUBSPOT_PROXY_UPSTREAM__URL", "http://localhost:1")
        .env("HUBSPOT_PROXY_SERVER__MAX_BODY_SIZE", "1MiB")
        .env("HUBSPOT_PROXY_SERVER__RESPONSE_HEADER", "false")
        .env("HUBSPOT_PROXY_ACCOUNTS__ACME__HUB_ID", "9")
        .config();
    assert_eq!(config.upstream.url.port(), 1);
    assert_eq!(config.server.max_body_size, Some(1 << 20));
    assert!(!config.server.response_header);
    assert_eq!(config.accounts.values().next().unwrap().hub_id, Some(9));
}

#[test]
fn each_mistake_in_the_environment_is_named_with_its_mend() {
    // A variable, its value, and what the error starts with and contains.
    let cases = [
        ("HUBSPOT_PROXY_SERVER__LISTE", "x", "did you mean HUBSPOT_PROXY_SERVER__LISTEN?"),
        ("HUBSPOT_PROXY_SERVER_LISTEN", "x", "did you mean HUBSPOT_PROXY_SERVER__LISTEN?"),
        ("HUBSPOT_PROXY_LISTEN", "x", "did you mean HUBSPOT_PROXY_SERVER__LISTEN?"),
        ("HUBSPOT_PROXY_server__threads", "2", "HUBSPOT_PROXY_server__threads: there is no such"),
        ("HUBSPOT_PROXY_WEATHER", "x", "mend its name or unset it"),
        ("HUBSPOT_PROXY_", "x", "mend its name or unset it"),
        (
            "HUBSPOT_PROXY_ACCOUNTS__ACME__HUBID",
            "1",
            "did you mean HUBSPOT_PROXY_ACCOUNTS__ACME__HUB_ID?",
        ),
        ("HUBSPOT_PROXY_ACCOUNTS__12__HUB_ID", "1", "it names no account: an account name has"),
        ("HUBSPOT_PROXY_SERVER__THREADS", "0", "a whole number from 1 to 1024, such as `2`"),
        ("HUBSPOT_PROXY_SERVER__THREADS", "+2", "a whole number"),
        ("HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT", "75", "a duration from 100ms to 24h, such as `75s`"),
        ("HUBSPOT_PROXY_LOG__REQUESTS", "yes", "true or false, such as `false`"),
        ("HUBSPOT_PROXY_SERVER__LISTEN", "0.0.0.0:1", "is not a loopback address"),
        ("HUBSPOT_PROXY_ACCOUNTS__ACME__TOKEN", "x", "secrets are not read from HUBSPOT_PROXY_*"),
        ("HUBSPOT_PROXY_DEFAULT_ACCOUNT", "shop", "there is no account `shop`: name one of acme"),
        ("HUBSPOT_CLIENT_ID", "x", "HUBSPOT_CLIENT_SECRET is needed as well"),
        ("HUBSPOT_REFRESH_TOKEN", "x", "HUBSPOT_CLIENT_ID is needed as well"),
    ];
    for (variable, value, expected) in cases {
        let error = Start::with_file(ACCOUNT).env(variable, value).error();
        assert!(error.starts_with(variable), "{error}");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn credentials_that_contradict_each_other_are_refused_by_name() {
    let token = ("HUBSPOT_ACCESS_TOKEN", "t");
    let client = ("HUBSPOT_CLIENT_ID", "c");
    let cases = [
        (vec![token, client], "HUBSPOT_ACCESS_TOKEN: HUBSPOT_CLIENT_ID is set as well"),
        (
            vec![token, ("HUBSPOT_PROXY_ACCOUNTS__DEFAULT__TYPE", "oauth")],
            "HUBSPOT_PROXY_ACCOUNTS__DEFAULT__TYPE: HUBSPOT_ACCESS_TOKEN makes the account",
        ),
        (
            vec![],
            "no account is configured: run `hubspot-proxy login`, or set HUBSPOT_ACCESS_TOKEN, or write an account into proxy.toml, or try `hubspot-proxy --sandbox`",
        ),
    ];
    for (variables, expected) in cases {
        let start =
            variables.iter().fold(Start::new(), |start, (name, value)| start.env(name, value));
        let error = start.error();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_value_that_is_no_text_is_refused() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let bytes = || OsString::from_vec(vec![b'a', 0xff]);
    let env = [("HUBSPOT_PROXY_UPSTREAM__URL", bytes())].into_iter().collect();
    let start = Start::with_file(ACCOUNT);
    let folders = crate::config::Folders {
        current: start.path("here"),
        config: None,
        state: None,
        runtime: None,
        home: None,
    };
    let sources = crate::config::Sources {
        config_flag: None,
        flags: Default::default(),
        env: &env,
        folders: &folders,
    };
    let error = crate::config::load(&sources).unwrap_err().to_string();
    assert!(error.starts_with("HUBSPOT_PROXY_UPSTREAM__URL: its value is not UTF-8"), "{error}");
}

#[test]
fn the_variable_of_the_log_is_no_setting() {
    Start::new().env("HUBSPOT_ACCESS_TOKEN", "t").env("HUBSPOT_PROXY_LOG", "debug").config();
}

#[test]
fn a_personal_access_key_alone_makes_the_account_default() {
    let config = Start::new().env("HUBSPOT_PERSONAL_ACCESS_KEY", "k").config();
    let account = config.accounts.into_values().next().unwrap();
    assert!(matches!(
        account.credential,
        CredentialConfig::PersonalAccessKey { key } if key == env_secret("HUBSPOT_PERSONAL_ACCESS_KEY")
    ));
    let both =
        Start::new().env("HUBSPOT_PERSONAL_ACCESS_KEY", "k").env("HUBSPOT_ACCESS_TOKEN", "t");
    let error = both.load().unwrap_err().to_string();
    assert!(error.contains("HUBSPOT_PERSONAL_ACCESS_KEY is set as well"), "{error}");
}
