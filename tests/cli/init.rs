//! `init` where there is nobody to ask.

use std::path::Path;

use super::Run;

const EXAMPLE: &str = include_str!("../../proxy.toml.example");

/// The lines that set something.
fn set(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Whether the proxy takes the file.
fn is_taken(text: &str) {
    let run = Run::of(&["accounts", "list"]).file("proxy.toml", text);
    let output = run.output();
    assert_eq!(output.status.code(), Some(0), "{output:?}: {text}");
}

const TABLES: [&str; 3] = ["[server]", "[policy]", "[log]"];
const OAUTH: &[&str] = &[
    "[oauth]",
    "[accounts.default]",
    "type = \"oauth\"",
    "client_id = \"client-4711\"",
    "client_secret = { env = \"ACME_SECRET\" }",
    "scopes = [\"oauth\", \"crm.objects.contacts.read\"]",
];

#[test]
fn flags_are_in_the_file_and_the_next_commands_are_told() {
    // Flags, what is set beside the tables that every file has, and a command that comes next.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], &'a str);
    let cases: [Case<'_>; 7] = [
        (&[], &[], "accounts import NAME"),
        (
            &[
                "--client-id",
                "client-4711",
                "--scope",
                "crm.objects.contacts.read",
                "--secret",
                "env:ACME_SECRET",
            ],
            OAUTH,
            "hubspot-proxy login default",
        ),
        (
            &["--kind", "access_token", "--account", "shop"],
            &[],
            "hubspot-proxy accounts import shop --kind access_token",
        ),
        (
            &[
                "--kind",
                "access_token",
                "--account",
                "shop",
                "--secret",
                "command:op read op://a/b",
            ],
            &[
                "[accounts.shop]",
                "type = \"access_token\"",
                "token = { command = [\"op\", \"read\", \"op://a/b\"] }",
            ],
            "hubspot-proxy  ",
        ),
        (
            &["--yes", "--kind", "personal_access_key", "--secret", "file:a \"key\""],
            &[
                "[accounts.default]",
                "type = \"personal_access_key\"",
                "key = { file = \"a \\\"key\\\"\" }",
            ],
            "chmod 600 'a \"key\"'",
        ),
        (
            &["--kind", "access_token", "--secret", "keyring:shop"],
            &["[accounts.default]", "type = \"access_token\"", "token = { keyring = \"shop\" }"],
            "hubspot-proxy  ",
        ),
        (
            &["--listen", "localhost:9000", "--policy", "no-destructive"],
            &["listen = [\"localhost:9000\"]", "mode = \"no-destructive\""],
            "curl 'http://localhost:9000/crm/v3/objects/contacts?limit=1'",
        ),
    ];
    for (flags, expected, next) in cases {
        let run = Run::of(&[&["init"], flags].concat());
        let output = run.output();
        assert_eq!(output.status.code(), Some(0), "{flags:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(printed.starts_with("Wrote proxy.toml") && printed.contains(next), "{printed}");
        let text = std::fs::read_to_string(run.path().join("proxy.toml")).unwrap();
        let set = set(&text);
        let own: Vec<_> = set.iter().copied().filter(|line| !TABLES.contains(line)).collect();
        assert_eq!(own, expected, "{flags:?}: {text}");
        is_taken(&text);
    }
}

#[test]
fn each_key_in_a_comment_is_the_default_and_can_be_set() {
    for flags in [
        &["init"][..],
        &["init", "--client-id", "x"],
        &["init", "--kind", "access_token", "--account", "shop"],
        &["init", "--kind", "access_token", "--secret", "env:TOKEN"],
    ] {
        let run = Run::of(flags);
        assert_eq!(run.output().status.code(), Some(0));
        let text = std::fs::read_to_string(run.path().join("proxy.toml")).unwrap();
        let is_key =
            |line: &&str| line.len() > 1 && line.starts_with('#') && !line.starts_with("# ");
        let keys = text.lines().filter(is_key);
        let mut seen = 0;
        for key in keys {
            seen += 1;
            let is_example =
                key.starts_with("#deny") || key.contains("accounts.") || key.contains("env");
            assert!(is_example || EXAMPLE.lines().any(|line| line == key), "{key}");
        }
        assert!(seen >= 5, "{text}");
        let taken_out = text.lines().map(|line| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
            _ => line,
        });
        is_taken(&taken_out.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn what_is_there_stays_as_it_is() {
    let error = Run::of(&["init"]).file("proxy.toml", "# mine\n");
    let said = error.error(1);
    assert!(said.contains("proxy.toml is there already and stays as it is"), "{said}");
    assert_eq!(std::fs::read_to_string(error.path().join("proxy.toml")).unwrap(), "# mine\n");
    #[cfg(unix)]
    {
        let run = Run::of(&["init", "--config", "link.toml"]);
        std::os::unix::fs::symlink("nowhere.toml", run.path().join("link.toml")).unwrap();
        assert!(run.error(1).contains("link.toml is there already"));
        assert!(!run.path().join("nowhere.toml").exists());
    }
}

#[test]
fn the_file_goes_where_it_was_wanted() {
    let run = Run::of(&["init", "--user"]);
    let output = run.output();
    let path = run.path().join("config/hubspot-proxy/proxy.toml");
    assert!(output.status.success() && path.is_file(), "{output:?}");
    assert_private(&path);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(!printed.contains("--config"), "it is found without: {printed}");

    // A secret's path was meant from here.
    let flags =
        ["init", "--config", "new/acme.toml", "--kind", "access_token", "--secret", "file:t"];
    let run = Run::of(&flags);
    let output = run.output();
    let path = run.path().join("new/acme.toml");
    assert!(output.status.success(), "{output:?}");
    assert_private(&path);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("  hubspot-proxy --config new/acme.toml  "), "{printed}");
    let token = run.path().canonicalize().unwrap().join("t");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains(&format!("token = {{ file = {:?} }}", token.to_str().unwrap())),
        "{text}"
    );

    // The one in this folder comes first, so the other has to be named.
    let run = Run::of(&["init", "--user"]).file("proxy.toml", "");
    let printed = String::from_utf8(run.output().stdout).unwrap();
    assert!(printed.contains("--config"), "{printed}");
}

fn assert_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[test]
fn what_makes_no_sense_is_named_and_leaves_no_file() {
    let cases: [(&[&str], &str); 9] = [
        (&["--kind", "oauth"], "add --client-id"),
        (&["--account", "shop"], "add --kind"),
        (&["--kind", "access_token", "--client-id", "x"], "are for --kind oauth"),
        (
            &["--kind", "access_token", "--secret", "pat-na1-4711"],
            "--secret: write store, env:NAME",
        ),
        (
            &["--kind", "access_token", "--secret", "env:pat-na1-4711"],
            "no name of an environment variable",
        ),
        (&["--listen", "0.0.0.0:8787"], "--listen: `0.0.0.0:8787` is not a loopback address"),
        (&["--client-id", "two words"], "holds a space"),
        (&["--client-id", "x", "--scope", "a\"b"], "each scope is a word"),
        (&["--user", "--config", "x.toml"], "--user and --config"),
    ];
    for (flags, said) in cases {
        let run = Run::of(&[&["init"], flags].concat());
        let error = run.error(2);
        assert!(error.contains(said) && !error.contains("4711"), "{flags:?}: {error}");
        assert_eq!(std::fs::read_dir(run.path()).unwrap().count(), 0, "{flags:?}");
    }
    let error = Run::of(&["init", "--config", "file/x.toml"]).file("file", "").error(1);
    assert!(error.contains("cannot write file/x.toml"), "{error}");
}
