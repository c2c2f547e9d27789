//! Mistakes in `proxy.toml` and in the environment.

use std::net::TcpListener;

use super::{Bench, Case, Fails, SERVE, SERVE_AS_WRITTEN};

/// A file beside a token that works.
macro_rules! file {
    ($text:literal) => {
        |bench| {
            bench.token();
            bench.config($text);
        }
    };
}

fn hold(bench: &mut Bench, address: &str) {
    bench.token();
    let holder = TcpListener::bind(address).unwrap();
    let port = holder.local_addr().unwrap().port();
    bench.keep(holder);
    bench.var("HUBSPOT_PROXY_SERVER__LISTEN", &format!("localhost:{port}"));
}

pub const CASES: &[Case] = &[
    Case {
        name: "a key that is misspelt",
        break_it: file!("[server]\nlistne = [\"localhost:0\"]\n"),
        fails: SERVE,
        told: &["proxy.toml line 2", "listne", "`server.listen`"],
        check: "configuration",
        seen: &["proxy.toml line 2", "listne"],
        mend: &["`server.listen`"],
    },
    Case {
        name: "a table that does not end",
        break_it: file!("[server\n"),
        fails: SERVE,
        told: &["proxy.toml line 1", "not TOML", "correct"],
        check: "configuration",
        seen: &["proxy.toml line 1", "not TOML"],
        mend: &["correct that line"],
    },
    Case {
        name: "a secret where its place belongs",
        break_it: |bench| {
            bench.config("[accounts.acme]\ntype = \"access_token\"\ntoken = \"pat-na1-4711\"\n")
        },
        fails: SERVE,
        told: &["line 3", "accounts.acme.token", "never written here", "{ env = \"NAME\" }"],
        check: "configuration",
        seen: &["line 3", "accounts.acme.token", "never written here"],
        mend: &["write where it is", "{ env = \"NAME\" }"],
    },
    Case {
        name: "a duration without a unit",
        break_it: file!("[server]\nidle_timeout = \"90\"\n"),
        fails: SERVE,
        told: &["line 2", "idle_timeout", "\"75s\""],
        check: "configuration",
        seen: &["line 2", "idle_timeout"],
        mend: &["\"75s\""],
    },
    Case {
        name: "an account without a type",
        break_it: |bench| bench.config("[accounts.acme]\ntoken = { env = \"ACME\" }\n"),
        fails: SERVE,
        told: &["acme", "no type", "write `type = \"oauth\"`"],
        check: "configuration",
        seen: &["`acme` has no type"],
        mend: &["write `type = \"oauth\"`"],
    },
    Case {
        name: "an account without its token",
        break_it: |bench| bench.config("[accounts.acme]\ntype = \"access_token\"\n"),
        fails: SERVE,
        told: &["line 2", "has no `token`", "add one to `[accounts.acme]`"],
        check: "configuration",
        seen: &["line 2", "has no `token`"],
        mend: &["add one to `[accounts.acme]`", "token = "],
    },
    Case {
        name: "an app without its secret",
        break_it: |bench| bench.config("[accounts.acme]\ntype = \"oauth\"\nclient_id = \"x\"\n"),
        fails: SERVE,
        told: &["acme", "client_secret", "add one", "hubspot-proxy login acme"],
        check: "accounts",
        seen: &["acme", "has no `client_secret`"],
        mend: &["add one", "hubspot-proxy login acme"],
    },
    Case {
        name: "a default account that does not exist",
        break_it: file!("default_account = \"acme\"\n"),
        fails: SERVE,
        told: &["line 1", "no account `acme`", "name one of default"],
        check: "accounts",
        seen: &["line 1", "no account `acme`"],
        mend: &["name one of default"],
    },
    Case {
        name: "a file that others can write",
        break_it: |bench| {
            bench.token();
            bench.config("[server]\n");
            bench.mode("proxy.toml", 0o666);
        },
        fails: SERVE,
        told: &["proxy.toml", "can be written by others", "chmod go-w"],
        check: "configuration",
        seen: &["proxy.toml can be written by others"],
        mend: &["chmod go-w"],
    },
    Case {
        name: "a file that is not there",
        break_it: |bench| bench.token(),
        fails: Fails::Command(&["--config", "nowhere.toml", "serve"], 2),
        told: &["nowhere.toml", "No such file", "check its path"],
        check: "configuration",
        seen: &["nowhere.toml", "No such file"],
        mend: &["check its path"],
    },
    Case {
        name: "a file that is no text",
        break_it: |bench| {
            bench.token();
            bench.file("proxy.toml", [0xff, 0xfe, 0]);
        },
        fails: SERVE,
        told: &["proxy.toml line 1", "UTF-8", "save the file as UTF-8"],
        check: "configuration",
        seen: &["proxy.toml line 1", "not UTF-8"],
        mend: &["save the file as UTF-8"],
    },
    Case {
        name: "a variable that is misspelt",
        break_it: |bench| {
            bench.token();
            bench.var("HUBSPOT_PROXY_SERVER__IDEL_TIMEOUT", "5s");
        },
        fails: SERVE,
        told: &["HUBSPOT_PROXY_SERVER__IDEL_TIMEOUT", "HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT"],
        check: "configuration",
        seen: &["HUBSPOT_PROXY_SERVER__IDEL_TIMEOUT"],
        mend: &["HUBSPOT_PROXY_SERVER__IDLE_TIMEOUT"],
    },
    Case {
        name: "a client id without its secret",
        break_it: |bench| bench.var("HUBSPOT_CLIENT_ID", "x"),
        fails: SERVE,
        told: &["HUBSPOT_CLIENT_SECRET is needed as well", "set it too"],
        check: "configuration",
        seen: &["HUBSPOT_CLIENT_SECRET is needed as well"],
        mend: &["set it too"],
    },
    Case {
        name: "two credentials in the environment",
        break_it: |bench| {
            bench.token();
            bench.var("HUBSPOT_PERSONAL_ACCESS_KEY", "CiRx");
        },
        fails: SERVE,
        told: &["HUBSPOT_ACCESS_TOKEN", "HUBSPOT_PERSONAL_ACCESS_KEY", "unset"],
        check: "configuration",
        seen: &["HUBSPOT_PERSONAL_ACCESS_KEY"],
        mend: &["unset"],
    },
    Case {
        name: "no account at all",
        break_it: |_| {},
        fails: SERVE,
        told: &["no account is configured", "hubspot-proxy login", "HUBSPOT_ACCESS_TOKEN"],
        check: "accounts",
        seen: &["no account is configured"],
        mend: &["run `hubspot-proxy login`", "HUBSPOT_ACCESS_TOKEN"],
    },
    Case {
        name: "an address that others can reach",
        break_it: file!("[server]\nlisten = [\"0.0.0.0:8787\"]\n"),
        fails: SERVE_AS_WRITTEN,
        told: &["line 2", "0.0.0.0", "loopback"],
        check: "configuration",
        seen: &["line 2", "0.0.0.0"],
        mend: &["server.expose"],
    },
    Case {
        name: "exposed without client keys",
        break_it: file!("[server]\nexpose = true\nlisten = [\"0.0.0.0:0\"]\n"),
        fails: SERVE_AS_WRITTEN,
        told: &["line 2", "server.expose", "client_keys = \"required\""],
        check: "configuration",
        seen: &["line 2", "`server.expose` lets other machines in"],
        mend: &["set `server.client_keys = \"required\"`"],
    },
    Case {
        name: "any web page may call",
        break_it: file!("[server]\nallowed_origins = [\"*\"]\n"),
        fails: SERVE,
        told: &["line 2", "pages of any site", "name each origin"],
        check: "configuration",
        seen: &["line 2", "pages of any site"],
        mend: &["name each origin"],
    },
    Case {
        name: "a user that does not exist",
        break_it: file!("[server]\nallowed_users = [\"self\", \"nobody-such\"]\n"),
        fails: SERVE_AS_WRITTEN,
        told: &["allowed_users", "no user `nobody-such`", "check the name"],
        check: "users",
        seen: &["no user `nobody-such`"],
        mend: &["check the name"],
    },
    Case {
        name: "a port that another program has on IPv4",
        break_it: |bench| hold(bench, "127.0.0.1:0"),
        fails: Fails::Command(&["serve"], 1),
        told: &["127.0.0.1", "in use by another program", "choose another port"],
        check: "ports",
        seen: &["127.0.0.1", "in use by process"],
        mend: &["stop that program", "--listen localhost:PORT"],
    },
    Case {
        name: "a port that another program has on IPv6",
        break_it: |bench| hold(bench, "[::1]:0"),
        fails: Fails::Command(&["serve"], 1),
        told: &["::1", "in use by another program", "choose another port"],
        check: "ports",
        seen: &["::1", "in use by process"],
        mend: &["stop that program", "--listen localhost:PORT"],
    },
    Case {
        name: "a file where the socket is to be",
        break_it: |bench| {
            bench.token();
            bench.file("proxy.sock", "not a socket");
            bench.var("HUBSPOT_PROXY_SERVER__LISTEN", "unix:proxy.sock");
        },
        fails: Fails::Command(&["serve"], 1),
        told: &["proxy.sock", "not a socket", "choose another path"],
        check: "ports",
        seen: &["proxy.sock", "not a socket"],
        mend: &["choose another path"],
    },
    Case {
        name: "a socket in a folder that others can write",
        break_it: |bench| {
            bench.token();
            std::fs::create_dir(bench.path("open")).unwrap();
            bench.mode("open", 0o777);
            bench.var("HUBSPOT_PROXY_SERVER__LISTEN", "unix:open/proxy.sock");
        },
        fails: Fails::Command(&["serve"], 1),
        told: &["open", "written by others", "chmod"],
        check: "ports",
        seen: &["open", "written by others"],
        mend: &["chmod"],
    },
    Case {
        name: "client keys required, and none made",
        break_it: file!("[server]\nclient_keys = \"required\"\n"),
        fails: Fails::Request("client-key-required"),
        told: &["client key", "hubspot-proxy keys create"],
        check: "client-keys",
        seen: &["a client key is required", "there is none"],
        mend: &["hubspot-proxy keys create"],
    },
    Case {
        name: "an upstream in clear on another machine",
        break_it: |bench| {
            bench.var("HUBSPOT_ACCESS_TOKEN", "pat-na1-x");
            bench.config("[upstream]\nurl = \"http://api.hubapi.com\"\n");
        },
        fails: SERVE,
        told: &["upstream.url", "plain http to another machine", "write https"],
        check: "configuration",
        seen: &["upstream.url", "plain http to another machine"],
        mend: &["write https"],
    },
    Case {
        name: "an upstream with a path",
        break_it: |bench| {
            bench.token();
            bench.var("HUBSPOT_PROXY_UPSTREAM__URL", "https://api.hubapi.com/crm");
        },
        fails: SERVE,
        told: &["upstream.url", "end after the host and port", "write an origin"],
        check: "configuration",
        seen: &["HUBSPOT_PROXY_UPSTREAM__URL", "must end after the host"],
        mend: &["write an origin", "https://api.hubapi.com"],
    },
];
