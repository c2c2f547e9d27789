//! Help and version.

use super::Run;

fn printed(arguments: &[&str]) -> String {
    let output = Run::of(arguments).output();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_ends_with_examples_and_fits_a_terminal() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["serve", "--help"],
        &["sandbox", "--help"],
        &["doctor", "--help"],
        &["dashboard", "--help"],
        &["help", "sandbox"],
        &["audit", "--help"],
        &["audit", "verify", "--help"],
        &["audit", "tail", "--help"],
        &["audit", "summary", "--help"],
        &["exec", "--help"],
        &["init", "--help"],
        &["completions", "--help"],
        &["man", "--help"],
        &["service", "--help"],
        &["service", "install", "--help"],
        &["service", "uninstall", "--help"],
        &["service", "status", "--help"],
    ] {
        let text = printed(arguments);
        let examples = text.split("Examples:\n").nth(1);
        let examples = examples.unwrap_or_else(|| panic!("no examples: {text}"));
        assert!(examples.contains("  hubspot-proxy"), "{text}");
        let usage = text.split("Examples:").next().unwrap();
        assert!(usage.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn help_names_every_flag_of_the_command() {
    let serve = printed(&["serve", "--help"]);
    let flags =
        ["--listen", "--account", "--sandbox", "--log-format", "--log-requests", "--config"];
    for flag in flags {
        assert!(serve.contains(flag), "{flag}: {serve}");
    }
    let sandbox = printed(&["sandbox", "--help"]);
    for flag in ["--listen", "--token-ttl", "--rotation", "--seed"] {
        assert!(sandbox.contains(flag), "{flag}: {sandbox}");
    }
    for word in ["localhost:8788", "30m", "fixed", "grace", "strict"] {
        assert!(sandbox.contains(word), "{word}: {sandbox}");
    }
}

#[test]
fn version_is_the_packages() {
    let expected = concat!("hubspot-proxy ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(printed(&["--version"]), expected);
    assert_eq!(printed(&["-V"]), expected);
}
