//! Mistakes in the file: each is named with its line and its mend, and no error tells a secret.

use super::{ACCOUNT, Start};
use crate::config::keys::KEYS;

/// Secrets as they look, written where they do not belong.
const SECRETS: [&str; 5] = [
    "pat-na1-11112222-aaaa-bbbb-cccc-333344445555",
    "6f1e2d3c-0a0b-4c0d-8e0f-102030405060",
    "hsp_0123456789abcdefghijklmnop",
    "CJSP5qf1KhICAQEYs-gDIIGOBii1hQIyGQAf3xBKmlwHjX7OIpuIFEavB2-qYAGQsF4",
    "hunter2-correct horse \\\\ battery",
];

#[test]
fn each_mistake_is_named_with_its_line_and_its_mend() {
    let cases = [
        (
            "[server]\nliste = 1",
            "line 2: unknown key `server.liste`; did you mean `server.listen`?",
        ),
        ("[sever]\nlisten = 1", "line 1: unknown key `sever`; did you mean `server`?"),
        ("server.lisen = 1", "line 1: unknown key `server.lisen`; did you mean `server.listen`?"),
        ("listen = 1", "line 1: unknown key `listen`; did you mean `server.listen`?"),
        (
            "[upstream]\nlisten = 1",
            "line 2: unknown key `upstream.listen`; did you mean `server.listen`?",
        ),
        ("[log]\ndefault_account = 1", "it belongs at the top of the file, before the first table"),
        ("client_id = 1", "it belongs in `[accounts.NAME]`"),
        ("[log]\nweather = 1", "line 2: unknown key `log.weather`; `[log]` has requests"),
        (
            "weather = 1",
            "; the top level has default_account, legacy_oauth_shim, server, upstream, oauth, store, log, audit, policy, accounts",
        ),
        (
            "[accounts.b]\ntoke = 1",
            "unknown key `accounts.b.toke`; did you mean `accounts.b.token`?",
        ),
        ("[stores]\nurl = \"sqlite:x\"", "line 1: unknown key `stores`; did you mean `store`?"),
        ("[log]\nb = 1\na = 1", "line 2: unknown key `log.b`"),
        ("server = 1", "line 1: `server` is a table of keys: write `[server]`"),
        ("accounts = []", "line 1: `accounts` is a table of keys: write `[accounts.NAME]`"),
        ("accounts.a = 1", "`accounts.a` is a table of keys: write `[accounts.a]`"),
        ("[accounts.Acme]", "line 1: `Acme` is no account name: an account name has 1 to 63"),
        ("[accounts.123]", "`123` is no account name"),
        (
            "[server]\nthreads = 0",
            "line 2: `server.threads` must be a whole number from 1 to 1024, such as `threads = 2`",
        ),
        ("[server]\nthreads = -1", "must be a whole number from 1 to 1024"),
        ("[server]\nthreads = \"2\"", "must be a whole number from 1 to 1024"),
        ("[server]\nthreads = 2.5", "must be a whole number from 1 to 1024"),
        ("[server]\nmax_headers = 1001", "must be a whole number from 1 to 1000"),
        (
            "[server]\nlisten = \"localhost:1\"",
            "must be a list of texts, such as `listen = [\"localhost:8787\"]`",
        ),
        ("[server]\nlisten = [1]", "must be a list of texts"),
        ("[server]\nlisten = []", "line 2: `server.listen`: the list is empty"),
        (
            "[server]\nallowed_origins = [\"*\"]",
            "line 2: `server.allowed_origins`: a `*` would let",
        ),
        (
            "[server]\nallowed_hosts = [\"a.b\"]",
            "line 2: `server.allowed_hosts`: `a.b` is not a name",
        ),
        (
            "[server]\nlisten = [\"8787\"]",
            "`server.listen`: `8787` names no host: write `localhost:8787`",
        ),
        (
            "[server]\nidle_timeout = 75",
            "a duration from 100ms to 24h, such as `idle_timeout = \"75s\"`",
        ),
        ("[server]\nidle_timeout = \"0s\"", "a duration from 100ms to 24h"),
        ("[server]\nidle_timeout = \"75 sec\"", "a duration from 100ms to 24h"),
        (
            "[server]\nmax_header_size = \"1B\"",
            "a size from 1KiB to 1MiB, such as `max_header_size = \"64KiB\"`",
        ),
        ("[server]\nmax_body_size = 0", "a size from 1B to 1024GiB, or off"),
        (
            "[server]\nresponse_header = \"true\"",
            "must be true or false, such as `response_header = true`",
        ),
        ("[server.threads]\n", "line 1: `server.threads` must be a whole number"),
        ("default_account = \"shop\"", "line 1: there is no account `shop`: name one of acme"),
        ("[upstream]\nurl = \"\"", "must be a text that is not empty"),
        ("[upstream]\nurl = \"api.hubapi.com\"", "line 2: `upstream.url`: it is not a URL such as"),
        ("[upstream]\nurl = \"https://a/b\"", "it must end after the host and port"),
        (
            "[upstream]\nproxy = \"https://p:1\"",
            "`upstream.proxy` must be an http proxy: write a URL",
        ),
        ("[upstream]\nproxy = \"socks5://p:1\"", "`upstream.proxy` must be an http proxy"),
        ("[upstream]\nproxy = \"http://u:p@p:1\"", "set HTTPS_PROXY in the environment"),
        (
            "[oauth]\ntoken_url = \"http://id.example/t\"",
            "`oauth.token_url` is plain http to another machine",
        ),
        ("[oauth]\ntoken_url = \"https://id.example/t?a=b\"", "must have no query and no fragment"),
        (
            "[oauth]\ntoken_url = \"https://u:p@id.example/t\"",
            "must not hold a user name or password",
        ),
        ("[oauth]\ntoken_url = \"ftp://id.example/t\"", "must be https"),
        (
            "[oauth]\ntoken_url = \"/t\"",
            "`oauth.token_url` is not a URL: write a URL such as `https://",
        ),
        (
            "[oauth]\nredirect_uri = \"http://127.0.0.1:3000/cb\"",
            "`oauth.redirect_uri` must be https, or http to `localhost`, which an IP address is not",
        ),
        ("[oauth]\nredirect_uri = \"https://a.example/cb#x\"", "must have no fragment"),
        ("[oauth]\nredirect_uri = \"localhost:3000\"", "`oauth.redirect_uri` "),
        (
            "[oauth]\nrevoke_url = \"http://id.example/r\"",
            "`oauth.revoke_url` is plain http to another machine",
        ),
        (
            "[store]\nurl = \"postgres://a/b\"",
            "must be `sqlite:` and the path of the store, such as `url = \"sqlite:store.sqlite\"`",
        ),
        ("[store]\nurl = \"sqlite:\"", "must be `sqlite:` and the path of the store"),
        ("[store]\nkey = { keyring = false }", "`store.key` must name its place in one of"),
        ("[store]\nkey = \"c2VjcmV0\"", "`store.key` is a secret, and a secret is never written"),
        ("[server]\nclient_keys = \"always\"", "must be `optional` or `required`"),
        (
            "[server]\nexpose = true",
            "line 2: `server.expose` lets other machines in, and whoever reaches the proxy acts with",
        ),
        (
            "[server]\nclient_keys = \"required\"\nlisten = [\"0.0.0.0:1\"]",
            "is not a loopback address",
        ),
        ("x = ", "line 1: this is not TOML: "),
        ("\n\n[server\n", "line 3: this is not TOML: "),
        ("[log]\nrequests = true\nrequests = true", "line 3: this is not TOML: duplicate key"),
    ];
    for (file, expected) in cases {
        let account = if file.starts_with("accounts") { "" } else { ACCOUNT };
        let error = Start::with_file(&format!("{file}\n{account}")).error();
        assert!(error.starts_with("proxy.toml line "), "{file}\n{error}");
        assert!(error.contains(expected), "{file}\n{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn each_mistake_in_an_account_names_account_and_key() {
    let token = "token = { env = \"T\" }";
    let cases = [
        (
            "",
            "line 1: account `a` has no type: write `type = \"oauth\"` or `type = \"access_token\"`",
        ),
        (token, "line 1: account `a` has no type"),
        (
            "type = \"outh\"",
            "`outh` is no type that account `a` can have: write `type = \"oauth\"` or",
        ),
        ("type = \"access_token\"", "account `a` of type `access_token` has no `token`"),
        ("type = \"oauth\"", "account `a` of type `oauth` has no `client_id`"),
        (
            "type = \"oauth\"\ntoken = { env = \"T\" }",
            "line 3: `accounts.a.token` does not go with type `oauth`",
        ),
        (
            "type = \"access_token\"\nclient_id = \"c\"",
            "`accounts.a.client_id` does not go with type `access_token`",
        ),
        (
            "type = \"access_token\"\nhub_id = \"5\"",
            "must be a whole number from 1, such as `hub_id = 1234567`",
        ),
        (
            "type = \"access_token\"\ntoken = { env = \"T\" }\nlisten = [\"[::1]:8787\"]",
            "line 4: `accounts.a.listen`: `[::1]:8787` is the same address as `localhost:8787` of",
        ),
        (
            "type = \"access_token\"\ntoken = { env = \"T\" }\nlisten = [\"0.0.0.0:1\"]",
            "`accounts.a.listen`: `0.0.0.0:1` is not a loopback address",
        ),
        ("type = \"access_token\"\nhub_id = 0", "must be a whole number from 1"),
        (
            "type = \"oauth\"\nclient_id = \"c d\"\nclient_secret = { env = \"S\" }\nrefresh_token = { env = \"R\" }",
            "line 3: `accounts.a.client_id` holds a space",
        ),
        (
            "token = \"x\"",
            "line 2: `accounts.a.token` is a secret, and a secret is never written here",
        ),
        ("token = 5", "is a secret, and a secret is never written here"),
        ("token = {}", "must name exactly one place"),
        ("token = { env = \"A\", file = \"b\" }", "must name exactly one place"),
        (
            "token = { vault = \"x\" }",
            "names no known place of a secret: write `{ env = \"NAME\" }`",
        ),
        ("token = { env = \"\" }", "must name an environment variable"),
        ("token = { env = \"A-B\" }", "must name an environment variable"),
        ("token = { keyring = true }", "must name its place in one of these forms"),
        ("token = { keyring = \"a b\" }", "must name an entry of the keyring"),
        (
            "type = \"oauth\"\nclient_id = \"c\"\nscopes = [\"a b\"]",
            "line 4: `accounts.a.scopes`: each scope is a word of its own",
        ),
        ("token = { env = 1 }", "must name its place in one of these forms"),
        ("token = { file = \"\" }", "must name its place in one of these forms"),
        ("token = { command = \"op read x\" }", "must name its place in one of these forms"),
        ("token = { command = [] }", "must name a place that is not empty"),
        ("token = { command = [\"\"] }", "must name a place that is not empty"),
    ];
    for (account, expected) in cases {
        let error = Start::with_file(&format!("[accounts.a]\n{account}\n")).error();
        assert!(error.starts_with("proxy.toml line "), "{account}\n{error}");
        assert!(error.contains(expected), "{account}\n{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_the_line() {
    let start = Start::new();
    std::fs::write(start.path("here/proxy.toml"), b"# a\n# \xff\n").unwrap();
    super::set_mode(&start.path("here/proxy.toml"), 0o644);
    assert!(start.error().starts_with("proxy.toml line 2: this is not UTF-8 text"));
}

#[test]
fn no_error_tells_a_secret_that_was_written_into_the_file() {
    for secret in SECRETS {
        let mut files = vec![
            format!("[accounts.a]\ntoken = \"{secret}\""),
            format!("[accounts.a]\ntoken = {secret}"),
            format!("[accounts.a]\ntoken = \"{secret}"),
            format!("[accounts.a]\ntoken = '{secret}' x"),
            format!("[accounts.a]\n{secret}"),
            format!("[accounts.a]\n\"{secret}\" = 1"),
            format!("[{secret}]"),
            format!("[accounts.a]\ntoken = {{ env = \"{secret}\" }}"),
            format!("[accounts.a]\ntoken = {{ keyring = \"{secret}\" }}"),
            format!("[accounts.a]\ntoken = {{ \"{secret}\" = 1 }}"),
            format!("[accounts.a]\ntoken = [\"{secret}\"]"),
            format!("[upstream]\nurl = \"https://u:{secret}@api.hubapi.com\""),
            format!("[upstream]\nproxy = \"http://u:{secret}@proxy\""),
            format!("[upstream]\nproxy = \"ftp://u:{secret}@proxy\""),
            format!("[oauth]\ntoken_url = \"https://id.example/?key={secret}\""),
            format!("[oauth]\ntoken_url = \"https://u:{secret}@id.example/\""),
            format!("[server]\nlisten = [\"{secret}\"]"),
            format!("[server]\nallowed_users = [\"{secret}\"]"),
            format!("[accounts.a]\ntype = \"access_token\"\nkey = \"{secret}\""),
        ];
        // As the value of every key, where the key does not take any text.
        files.extend(
            KEYS.iter()
                .filter(|key| !matches!(key.leaf(), "ca_file" | "file" | "client_id"))
                .map(|key| format!("{} = \"{secret}\"", key.path.replace("NAME", "a"))),
        );
        for file in files {
            let error = Start::with_file(&format!("{file}\n")).error();
            for part in [secret, &secret[..12], &secret[secret.len() - 12..]] {
                assert!(!error.contains(part), "{file}\n{error}");
            }
        }
    }
}

#[test]
fn a_token_in_the_place_of_its_place_is_neither_used_nor_told() {
    let [token, uuid, key, ..] = SECRETS;
    let places = [
        format!("{{ file = \"{token}\" }}"),
        format!("{{ file = \"{uuid}\" }}"),
        format!("{{ command = [\"echo\", \"{token}\"] }}"),
        format!("{{ command = [\"{key}\"] }}"),
    ];
    for place in places {
        let error = Start::with_file(&format!("[accounts.a]\ntoken = {place}\n")).error();
        assert!(error.contains("seems to hold the secret itself"), "{error}");
        assert!(![token, uuid, key].iter().any(|secret| error.contains(secret)), "{error}");
    }
    // A password manager's entry is a UUID too.
    let file = ACCOUNT.replace("{ env = \"T\" }", &format!("{{ command = [\"bw\", \"{uuid}\"] }}"));
    Start::with_file(&file).config();
}

#[test]
fn no_error_tells_a_secret_that_was_set_in_the_environment() {
    for secret in SECRETS {
        let mut variables: Vec<String> = KEYS
            .iter()
            .filter(|key| !matches!(key.leaf(), "ca_file" | "file" | "client_id"))
            .map(|key| key.variable("ACME"))
            .collect();
        variables.push("HUBSPOT_PROXY_TOKEN".to_owned());
        variables.push("HUBSPOT_CLIENT_SECRET".to_owned());
        variables.push("HUBSPOT_REFRESH_TOKEN".to_owned());
        variables.push(format!("HUBSPOT_PROXY_{secret}"));
        for variable in variables {
            let error = Start::with_file(ACCOUNT).env(&variable, secret).error();
            assert!(!error.contains(secret), "{error}");
        }
        let mut start = Start::with_file(ACCOUNT);
        start.flags.account = Some(secret.to_owned());
        assert!(!start.error().contains(secret));
        start.flags =
            crate::config::Flags { listen: vec![secret.to_owned()], ..Default::default() };
        assert!(!start.error().contains(secret));
    }
}
