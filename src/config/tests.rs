//! Loading as a whole, from real files and an environment of the test's own.

mod documented;
mod environment;
mod example;
mod mistakes;
mod policies;

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::types::account::AccountName;

use super::{
    AllowedUsers, Config, ConfigError, CredentialConfig, Environment, Flags, Folders, Listen,
    Loaded,
};
use super::{SecretRef, Sources, load};

/// One start of the program: folders, files, environment and flags.
struct Start {
    root: TempDir,
    env: Vec<(String, String)>,
    flags: Flags,
    config_flag: Option<PathBuf>,
}

/// The name of the account that serves requests which name none.
fn default_of(config: &Config) -> String {
    config.roster(&[]).default.unwrap().to_string()
}

/// An account, so that a test about something else has one.
const ACCOUNT: &str = "[accounts.acme]\ntype = \"access_token\"\ntoken = { env = \"T\" }\n";

impl Start {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["here", "config", "home"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root, env: Vec::new(), flags: Flags::default(), config_flag: None }
    }

    /// With `text` as `./proxy.toml`.
    fn with_file(text: &str) -> Self {
        let start = Self::new();
        start.write("here/proxy.toml", text);
        start
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.root.path().join(path);
        std::fs::write(&path, text).unwrap();
        set_mode(&path, 0o644);
        path
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        let folders = Folders {
            current: self.path("here"),
            config: Some(self.path("config")),
            state: Some(self.path("state")),
            runtime: None,
            home: Some(self.path("home")),
        };
        let env: Environment = self.env.iter().map(|(name, value)| (name, value)).collect();
        let loaded = load(&Sources {
            config_flag: self.config_flag.as_deref(),
            flags: self.flags.clone(),
            env: &env,
            folders: &folders,
        })?;
        if !self.flags.sandbox {
            loaded.config.check(&loaded.config.roster(&[]))?;
        }
        Ok(loaded)
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{error}")).config
    }

    fn error(&self) -> String {
        self.load().expect_err("this must not load").to_string()
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = (path, mode);
}

fn env_secret(name: &str) -> SecretRef {
    SecretRef::Env(name.to_owned())
}

#[test]
fn a_file_with_one_account_and_nothing_else_gives_the_defaults() {
    let config = Start::with_file(ACCOUNT).config();
    assert_eq!(config.server.listen, [Listen::Localhost(8787)]);
    assert_eq!(config.server.allowed_users, AllowedUsers::default());
    assert!(config.server.threads >= 1);
    assert_eq!(config.server.max_connections, 4096);
    assert_eq!(config.server.idle_timeout, Duration::from_secs(75));
    assert_eq!(config.server.max_body_size, None);
    assert!(config.server.response_header);
    assert_eq!(config.upstream.url.to_string(), "https://api.hubapi.com");
    assert_eq!(config.upstream.replay_buffer, 256 * 1024);
    assert_eq!(config.oauth.token_url, "https://api.hubapi.com/oauth/2026-03/token");
    assert_eq!(config.oauth.refresh_ahead, Duration::from_secs(300));
    assert!(!config.log.requests);
    assert_eq!(default_of(&config), "acme");
    assert_eq!(config.accounts.len(), 1);
}

#[test]
fn the_named_file_is_used_before_the_one_here_before_the_users() {
    let mut start = Start::new();
    start.write("config/proxy.toml", &format!("[server]\nthreads = 3\n{ACCOUNT}"));
    let loaded = start.load().unwrap();
    assert_eq!(
        (loaded.config.server.threads, loaded.file),
        (3, Some(start.path("config/proxy.toml")))
    );

    start.write("here/proxy.toml", &format!("[server]\nthreads = 2\n{ACCOUNT}"));
    let loaded = start.load().unwrap();
    assert_eq!(
        (loaded.config.server.threads, loaded.file),
        (2, Some(start.path("here/proxy.toml")))
    );

    start.write("here/other.toml", &format!("[server]\nthreads = 1\n{ACCOUNT}"));
    start.config_flag = Some("other.toml".into());
    let loaded = start.load().unwrap();
    assert_eq!(
        (loaded.config.server.threads, loaded.file),
        (1, Some(start.path("here/other.toml")))
    );

    let loaded = Start::new().env("HUBSPOT_ACCESS_TOKEN", "t").load().unwrap();
    assert_eq!(loaded.file, None);
}

#[test]
fn a_named_file_that_cannot_be_read_is_an_error_and_no_other_is_tried() {
    let mut start = Start::with_file(ACCOUNT);
    start.config_flag = Some("missing.toml".into());
    let error = start.error();
    assert!(error.contains("cannot read the configuration file"), "{error}");
    assert!(error.contains("missing.toml"), "{error}");

    // A folder in the place of the file is a mistake, not a missing file.
    let start = Start::new();
    std::fs::create_dir(start.path("here/proxy.toml")).unwrap();
    start.write("config/proxy.toml", ACCOUNT);
    assert!(start.error().contains("cannot read the configuration file"));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_is_refused() {
    let start = Start::with_file(ACCOUNT);
    for (mode, accepted) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
        set_mode(&start.path("here/proxy.toml"), mode);
        match start.load() {
            Ok(_) => assert!(accepted, "{mode:o}"),
            Err(error) => {
                assert!(!accepted, "{mode:o}");
                assert!(error.to_string().contains("chmod go-w"), "{error}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_strangers_file_is_used_only_when_it_is_named() {
    let mut start = Start::with_file(ACCOUNT);
    // Only root can give a file away; for anybody else there is nothing to try here.
    if std::os::unix::fs::chown(start.path("here/proxy.toml"), Some(4711), None).is_err() {
        return;
    }
    let error = start.error();
    assert!(error.contains("belongs to another user"), "{error}");
    assert!(error.contains("name it with `--config"), "{error}");
    start.config_flag = Some("proxy.toml".into());
    start.config();
}

#[test]
fn a_file_that_is_too_large_is_refused() {
    let error = Start::with_file(&"#".repeat(1024 * 1024 + 1)).error();
    assert!(error.contains("larger than a configuration file can be (1024 KiB)"), "{error}");
}

proptest::proptest! {
    #[test]
    fn whatever_is_in_the_file_the_answer_is_a_configuration_or_one_line(
        key in "[a-z_.]{0,12}|server\\.[a-z]{1,9}|accounts\\.a\\.[a-z_]{1,9}|\\PC{0,9}",
        value in "[0-9]{1,4}|\"\\PC{0,9}\"|\\{ [a-z]{1,7} = \\PC{0,9} \\}|\\PC{0,9}",
    ) {
        if let Err(error) = Start::with_file(&format!("{key} = {value}\n{ACCOUNT}")).load() {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = format!(
        "default_account = \"acme\"\n[server]\nlisten = [\"localhost:1\"]\n[log]\nrequests = false\n{ACCOUNT}\
         [accounts.b]\ntype = \"access_token\"\ntoken = {{ env = \"B\" }}\n\
         [accounts.c]\ntype = \"access_token\"\ntoken = {{ env = \"C\" }}\n"
    );
    let mut start = Start::with_file(&file);
    let config = start.config();
    assert_eq!(config.server.listen, [Listen::Localhost(1)]);
    assert_eq!(default_of(&config), "acme");

    start = start
        .env("HUBSPOT_PROXY_SERVER__LISTEN", "localhost:2, [::1]:3")
        .env("HUBSPOT_PROXY_DEFAULT_ACCOUNT", "b");
    let config = start.config();
    let expected = [Listen::Localhost(2), Listen::Address("[::1]:3".parse().unwrap())];
    assert_eq!(config.server.listen, expected);
    assert_eq!(default_of(&config), "b");

    start.flags.listen = vec!["localhost:4".to_owned()];
    start.flags.account = Some("c".to_owned());
    start.flags.log_requests = true;
    let config = start.config();
    assert_eq!(config.server.listen, [Listen::Localhost(4)]);
    assert_eq!(default_of(&config), "c");
    assert!(config.log.requests);
}

#[test]
fn each_secret_form_is_kept_as_a_place_with_paths_made_whole() {
    let start = Start::with_file(
        "[accounts.a]\ntype = \"oauth\"\nhub_id = 12_34\nclient_id = \"id\"\n\
         client_secret = { file = \"~/secret\" }\nrefresh_token = { command = [\"./get\", \"x\"] }\n\
         [accounts.b]\ntype = \"access_token\"\ntoken = { file = \"sub/token\" }\n\
         [accounts.c]\ntype = \"access_token\"\ntoken = { command = [\"op\", \"read\"] }\n",
    );
    let config = start.config();
    assert_eq!(config.roster(&[]).default, None);
    let mut accounts = config.accounts.into_values();
    let account = accounts.next().unwrap();
    assert_eq!(account.hub_id, Some(1234));
    let CredentialConfig::OAuth { client_id, client_secret, refresh_token, .. } =
        account.credential
    else {
        panic!("not OAuth");
    };
    assert_eq!(client_id, "id");
    assert_eq!(client_secret, Some(SecretRef::File(start.path("home/secret"))));
    let program = start.path("here").join("./get").display().to_string();
    assert_eq!(refresh_token, Some(SecretRef::Command(vec![program, "x".to_owned()])));
    for expected in [
        SecretRef::File(start.path("here/sub/token")),
        SecretRef::Command(vec!["op".to_owned(), "read".to_owned()]),
    ] {
        let account = accounts.next().unwrap();
        assert!(
            matches!(account.credential, CredentialConfig::AccessToken { token } if token == expected)
        );
    }
}

#[test]
fn relative_paths_start_at_the_file_or_at_the_current_folder() {
    let mut start = Start::new();
    start.write("home/p.toml", &format!("[upstream]\nca_file = \"ca.pem\"\n{ACCOUNT}"));
    start.config_flag = Some("../home/p.toml".into());
    let path = start.config().upstream.ca_file.unwrap();
    assert_eq!(path, start.path("here/../home/ca.pem"));

    let start = start.env("HUBSPOT_PROXY_UPSTREAM__CA_FILE", "ca.pem");
    assert_eq!(start.config().upstream.ca_file, Some(start.path("here/ca.pem")));
}

#[test]
fn the_token_url_follows_the_upstream_unless_it_is_set() {
    let upstream = "[upstream]\nurl = \"http://127.0.0.1:9000/\"\n";
    let config = Start::with_file(&format!("{upstream}{ACCOUNT}")).config();
    assert_eq!(config.oauth.token_url, "http://127.0.0.1:9000/oauth/2026-03/token");
    let oauth = "[oauth]\ntoken_url = \"https://id.example/token\"\n";
    let config = Start::with_file(&format!("{upstream}{oauth}{ACCOUNT}")).config();
    assert_eq!(config.oauth.token_url, "https://id.example/token");
}

#[test]
fn plain_http_to_another_machine_needs_to_be_allowed() {
    let file = "[upstream]\nallow_plaintext = true\nurl = \"http://gw.example\"\n";
    let config = Start::with_file(&format!("{file}{ACCOUNT}")).config();
    assert_eq!(config.oauth.token_url, "http://gw.example/oauth/2026-03/token");
    let refused = file.replace("true", "false");
    let error = Start::with_file(&format!("{refused}{ACCOUNT}")).error();
    assert!(error.starts_with("proxy.toml line 3: `upstream.url` is plain http"), "{error}");
    assert!(error.contains("allow_plaintext"), "{error}");
}

#[test]
fn the_sandbox_needs_no_account_and_takes_none() {
    let file = format!(
        "default_account = \"acme\"\n[server]\nthreads = 7\n[upstream]\nurl = \"http://x.example\"\n\
         [accounts.half]\ntype = \"oauth\"\n{ACCOUNT}"
    );
    let mut start = Start::with_file(&file)
        .env("HUBSPOT_ACCESS_TOKEN", "t")
        .env("HUBSPOT_CLIENT_ID", "c")
        .env("HUBSPOT_PROXY_ACCOUNTS__ACME__HUB_ID", "1");
    start.flags.sandbox = true;
    let config = start.config();
    assert!(config.accounts.is_empty());
    assert_eq!(config.server.threads, 7);
    start.flags.account = Some("acme".to_owned());
    assert_eq!(start.error(), "--account: the sandbox has one account, `default`");
}

#[cfg(unix)]
#[test]
fn the_path_of_a_socket_is_relative_to_where_it_was_written() {
    let entries = "listen = [\"unix:run/p.sock\", \"unix:~/p.sock\", \"unix:/p.sock\"]";
    let start = Start::new();
    start.write("config/proxy.toml", &format!("[server]\n{entries}\n{ACCOUNT}"));
    let unix = |path: &str| Listen::Unix(start.path(path));
    let expected = [unix("config/run/p.sock"), unix("home/p.sock"), unix("/p.sock")];
    assert_eq!(start.config().server.listen, expected);
    let expected = [unix("here/a"), Listen::Localhost(1)];
    let start = start.env("HUBSPOT_PROXY_SERVER__LISTEN", "unix:a, localhost:1");
    assert_eq!(start.config().server.listen, expected);
    let expected = [Listen::Unix(start.path("here/b"))];
    let mut start = start;
    start.flags.listen = vec!["unix:b".to_owned()];
    assert_eq!(start.config().server.listen, expected);
}

#[test]
fn stored_accounts_stand_beside_those_of_a_file_and_not_beside_one_of_the_environment() {
    let names = |start: &Start, stored: &[&str]| {
        let stored: Vec<AccountName> = stored.iter().map(|name| name.parse().unwrap()).collect();
        let roster = start.load().unwrap().config.roster(&stored);
        let names = roster.accounts.keys().map(|name| name.as_str().to_owned());
        (names.collect::<Vec<_>>().join(" "), roster.default.map(|name| name.to_string()))
    };
    let file = Start::with_file(ACCOUNT);
    assert_eq!(names(&file, &[]), ("acme".to_owned(), Some("acme".to_owned())));
    assert_eq!(names(&file, &["beta"]), ("acme beta".to_owned(), Some("acme".to_owned())));
    assert_eq!(names(&file, &["acme"]).0, "acme");
    let env = Start::new().env("HUBSPOT_ACCESS_TOKEN", "t");
    assert_eq!(names(&env, &["beta"]), ("default".to_owned(), Some("default".to_owned())));
    let half = Start::with_file("[accounts.beta]\npolicy = { mode = \"read-only\" }\n");
    let config = half.load().unwrap().config;
    assert!(matches!(
        config.accounts.values().next().unwrap().credential,
        CredentialConfig::Stored
    ));
}

#[test]
fn other_machines_and_any_name_are_let_in_where_client_keys_are_required() {
    let file = format!(
        "[server]\nclient_keys = \"required\"\nexpose = true\nlisten = [\"0.0.0.0:8787\"]\n\
         allowed_hosts = [\"proxy.example:8787\", \"192.168.0.1\"]\n{ACCOUNT}"
    );
    let config = Start::with_file(&file).config();
    assert!(config.server.keys_required);
    assert_eq!(config.server.listen, [Listen::Address("0.0.0.0:8787".parse().unwrap())]);
    let hosts: Vec<String> = config.server.allowed_hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["proxy.example:8787", "192.168.0.1"]);
}
