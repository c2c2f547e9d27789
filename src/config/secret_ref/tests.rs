//! Reading secrets from real variables, files and programs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{MAX_SECRET, SecretError, SecretRef, command};
use crate::config::Environment;

const TOKEN: &str = "pat-na1-11112222-aaaa-bbbb-cccc-333344445555";

fn nothing() -> Environment {
    Environment::from_iter::<[(&str, &str); 0]>([])
}

/// A file of the test's own with this mode.
fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, content).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let _ = mode;
    (folder, path)
}

#[cfg(unix)]
fn shell(script: &str) -> SecretRef {
    SecretRef::Command(["sh", "-c", script].map(str::to_owned).to_vec())
}

#[test]
fn a_variable_is_read_when_it_is_set_and_not_empty() {
    let env: Environment = [("SET", TOKEN), ("EMPTY", "")].into_iter().collect();
    let read = |name: &str| SecretRef::Env(name.to_owned()).read(&env);
    assert_eq!(read("SET").unwrap().expose(), TOKEN);
    assert!(read("EMPTY").unwrap_err().to_string().contains("variable EMPTY is empty"));
    assert!(read("UNSET").unwrap_err().to_string().contains("variable UNSET is not set"));
}

#[test]
fn the_environment_of_the_process_is_the_real_one() {
    // Cargo sets it for each test.
    let secret = SecretRef::Env("CARGO_PKG_NAME".to_owned()).read(&Environment::of_process());
    assert_eq!(secret.unwrap().expose(), "hubspot-proxy");
    assert_eq!(format!("{:?}", Environment::of_process()), "Environment(..)");
}

#[test]
fn a_file_is_read_without_the_newline_at_its_end() {
    for content in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("{TOKEN}\r\n")] {
        let (_folder, path) = file(&content, 0o600);
        assert_eq!(SecretRef::File(path).read(&nothing()).unwrap().expose(), TOKEN);
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused() {
    for mode in [0o640, 0o604, 0o620, 0o610] {
        let (_folder, path) = file(TOKEN, mode);
        let error = SecretRef::File(path.clone()).read(&nothing()).unwrap_err().to_string();
        assert!(error.contains(&format!("run `chmod 600 {}`", path.display())), "{error}");
    }
    let (_folder, path) = file(TOKEN, 0o400);
    assert!(SecretRef::File(path).read(&nothing()).is_ok());
}

#[test]
fn what_cannot_be_a_secret_is_refused_and_not_told() {
    let large = "x".repeat(MAX_SECRET + 1);
    let cases = [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("secret-one secret-two", "cannot be in a header"),
        ("secret-one\nsecret-two", "cannot be in a header"),
        ("secret-\u{1}", "cannot be in a header"),
        ("secret-é", "cannot be in a header"),
        (large.as_str(), "holds more than 64 KiB"),
    ];
    for (content, expected) in cases {
        let (_folder, path) = file(content, 0o600);
        let env: Environment = [("V", content)].into_iter().collect();
        for place in [SecretRef::File(path), SecretRef::Env("V".to_owned())] {
            let error = place.read(&env).unwrap_err();
            let (shown, debug) = (error.to_string(), format!("{error:?}"));
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("secret-") && !debug.contains("secret-"), "{shown} {debug}");
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = SecretRef::File("/no/such/file".into()).read(&nothing()).unwrap_err();
    assert!(error.to_string().starts_with("cannot read the file /no/such/file: "), "{error}");
}

#[cfg(unix)]
#[test]
fn what_a_program_prints_is_the_secret() {
    let secret = shell(&format!("echo {TOKEN}")).read(&nothing()).unwrap();
    assert_eq!(secret.expose(), TOKEN);
    // Nothing waits for input, and no shell reads the arguments.
    assert!(matches!(shell("cat").read(&nothing()), Err(SecretError::Empty(_))));
    let words = ["echo", "$HOME;x"].map(str::to_owned).to_vec();
    assert_eq!(SecretRef::Command(words).read(&nothing()).unwrap().expose(), "$HOME;x");
}

#[cfg(unix)]
#[test]
fn a_program_that_fails_is_named_with_its_status_and_not_what_it_printed() {
    let error = shell(&format!("echo {TOKEN}; exit 3")).read(&nothing()).unwrap_err().to_string();
    assert!(error.starts_with("`sh` failed (exit status: 3)"), "{error}");
    assert!(!error.contains(TOKEN));
    let missing = SecretRef::Command(vec!["no-such-program-here".to_owned(), TOKEN.to_owned()]);
    let error = missing.read(&nothing()).unwrap_err().to_string();
    assert!(error.starts_with("cannot run `no-such-program-here`: "), "{error}");
    assert!(!error.contains(TOKEN));
    let endless = shell("yes");
    assert!(matches!(endless.read(&nothing()), Err(SecretError::TooLarge(_))));
}

#[cfg(unix)]
#[test]
fn a_program_that_does_not_end_is_ended() {
    let limit = Duration::from_millis(200);
    // Silent; silent with its output closed; ended, but with a child that keeps the output open.
    for script in ["exec sleep 60", "exec sleep 60 >&-", "sleep 3 &"] {
        let words = ["sh", "-c", script].map(str::to_owned);
        let start = Instant::now();
        let error = command::output(&words, limit).unwrap_err().to_string();
        assert!(error.starts_with("`sh` did not end within 0.2 s"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2), "{script}");
    }
}
