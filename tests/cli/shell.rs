//! Completions and manual pages: what they say, and that those who read them have nothing to object to.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Run;

fn printed(arguments: &[&str]) -> String {
    let output = Run::of(arguments).output();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What `--help` lists under "Commands:".
fn commands_of(help: &str) -> Vec<&str> {
    let list = help.split("Commands:\n").nth(1).unwrap_or("").split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !["", "help"].contains(name)).collect()
}

/// Whether the machine has a program that reads what is tested; CI has to.
fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs {program}");
    eprintln!("skipped: there is no {program}");
    false
}

#[test]
fn completions_for_each_shell_know_the_commands_and_their_flags() {
    let help = printed(&["--help"]);
    let commands = commands_of(&help);
    assert!(commands.len() >= 10, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        for word in commands.iter().copied().chain(["log-requests", "token-ttl"]) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn bash_completes_as_it_reads_the_script() {
    if !has("bash") {
        return;
    }
    let home = Run::of(&[]);
    let script = home.path().join("completions");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    std::fs::write(home.path().join("with blank.toml"), "").unwrap();
    let cases: [(&[&str], &[&str]); 7] = [
        (&["hubspot-proxy", "comp"], &["completions"]),
        (&["hubspot-proxy", "keys", "re"], &["revoke"]),
        (&["hubspot-proxy", "completions", "z"], &["zsh"]),
        (&["hubspot-proxy", "--log-format", "j"], &["json"]),
        (&["hubspot-proxy", "sandbox", "--to"], &["--token-ttl"]),
        (&["hubspot-proxy", "accounts", "import", "x", "--kind", "acc"], &["access_token"]),
        (&["hubspot-proxy", "--config", "with"], &["with blank.toml"]),
    ];
    // As bash calls the function: the command, the word, the word before it.
    let ask = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        function=$(complete -p hubspot-proxy | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" hubspot-proxy "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    for (words, expected) in cases {
        let mut bash = Command::new("bash");
        let bash = bash.args(["--norc", "-c", ask, "bash"]).arg(&script).args(words);
        let output = bash.current_dir(home.path()).output().unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected, "{words:?}");
    }
}

#[test]
fn shellcheck_finds_nothing_in_the_completions_for_bash() {
    if !has("shellcheck") {
        return;
    }
    let home = Run::of(&[]).file("completions", &printed(&["completions", "bash"]));
    let output = Command::new("shellcheck").arg(home.path().join("completions")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn each_command_has_a_page_with_its_flags_and_examples() {
    let run = Run::of(&["man", "--dir", "new/man1"]);
    let output = run.output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    let folder = run.path().join("new/man1");
    let mut pages = Vec::new();
    described(&folder, &[], &mut pages);
    let files = std::fs::read_dir(&folder).unwrap();
    let mut files: Vec<_> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    pages.sort();
    assert_eq!(files, pages);
    assert!(pages.len() >= 15, "{pages:?}");
}

/// Checks the page of `command` and of all below it against their `--help`.
fn described(folder: &Path, command: &[&str], pages: &mut Vec<String>) {
    let help = printed(&[command, &["--help"]].concat());
    let name = [&["hubspot-proxy"], command].concat().join("-");
    let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
    assert_eq!(page, printed(&[&["man"], command].concat()), "{name}");
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    for flag in help.split([' ', ',', '\n']).filter(|word| word.starts_with("--")) {
        assert!(plain.contains(flag.trim_end_matches(['.', '`'])), "{name} lacks {flag}");
    }
    assert!(plain.contains(".SH EXAMPLES\n.nf\n") && plain.contains("hubspot-proxy"), "{name}");
    pages.push(format!("{name}.1"));
    for below in commands_of(&help) {
        described(folder, &[command, &[below]].concat(), pages);
    }
}

#[test]
fn man_finds_nothing_to_warn_of_in_the_pages() {
    if !has("man") {
        return;
    }
    let run = Run::of(&["man", "--dir", "man1"]);
    assert_eq!(run.output().status.code(), Some(0));
    for page in std::fs::read_dir(run.path().join("man1")).unwrap() {
        let page = page.unwrap().path();
        let mut man = Command::new("man");
        let man = man.args(["--warnings=w", "-l"]).arg(&page).env("MANWIDTH", "100");
        let output = man.env("LC_ALL", "C.UTF-8").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", page.display());
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("SYNOPSIS") && shown.contains("hubspot-proxy manual"), "{shown}");
    }
}

#[cfg(unix)]
#[test]
fn whoever_may_read_the_folder_may_read_the_pages() {
    use std::os::unix::fs::PermissionsExt;
    let home = Run::of(&[]);
    let mut sh = Command::new("sh");
    let sh = sh.args(["-c", "umask 022; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_hubspot-proxy")]);
    let status = sh.args(["man", "--dir", "man1"]).current_dir(home.path()).status().unwrap();
    assert!(status.success());
    let page = std::fs::metadata(home.path().join("man1/hubspot-proxy.1")).unwrap();
    assert_eq!(page.permissions().mode() & 0o777, 0o644);
}

#[test]
fn what_is_wrong_is_named() {
    let cases: [(&[&str], &str); 4] = [
        (&["man", "acounts"], "`hubspot-proxy` has no command `acounts`: name one of serve, "),
        (&["man", "keys", "create", "x"], "`hubspot-proxy keys create` has no commands of its own"),
        (&["man", "--config", "x.toml"], "`man` reads no configuration file"),
        (&["completions", "bash", "--config", "x.toml"], "`completions` reads no configuration"),
    ];
    for (arguments, said) in cases {
        let error = Run::of(arguments).error(2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
    let error = Run::of(&["man", "--dir", "file/man1"]).file("file", "").error(1);
    assert!(error.starts_with("error: file/man1 cannot be written: "), "{error}");
}
