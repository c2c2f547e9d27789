//! The files of a service, in a home that no service manager watches.

use std::path::PathBuf;

use super::Run;

const CONFIG: &str = "
[server]
listen = [\"localhost:8787\", \"unix:/run/user/1000/hubspot.sock\"]
[accounts.acme]
type = \"access_token\"
token = { env = \"ACME_TOKEN\" }
listen = [\"127.0.0.1:9000\"]
";

/// What a command prints on both streams.
fn said(run: &Run, words: &[&str], status: i32) -> String {
    let output = run.and_then(words);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
    said
}

fn units(run: &Run) -> [PathBuf; 2] {
    let folder = run.path().join("config/systemd/user");
    ["hubspot-proxy.service", "hubspot-proxy.socket"].map(|name| folder.join(name))
}

#[test]
fn what_install_writes_status_knows_and_uninstall_removes() {
    let run = Run::of(&[]).file("proxy.toml", CONFIG);
    let config = run.path().join("proxy.toml");
    let [service, socket] = units(&run);

    let shown = said(&run, &["service", "install", "--print"], 0);
    assert!(!service.exists() && !socket.exists());
    let installed = said(&run, &["service", "install", "--no-start"], 0);
    for name in ["ACME_TOKEN", "environment (mode 600)", "systemctl --user enable --now"] {
        assert!(installed.contains(name), "{name}: {installed}");
    }
    for path in [&service, &socket] {
        assert!(shown.contains(&std::fs::read_to_string(path).unwrap()), "{shown}");
    }
    let text = std::fs::read_to_string(&service).unwrap();
    assert!(text.contains(&format!("serve --config {}\n", config.display())), "{text}");
    let text = std::fs::read_to_string(&socket).unwrap();
    for address in ["127.0.0.1:8787", "127.0.0.1:9000", "/run/user/1000/hubspot.sock"] {
        assert!(text.contains(&format!("ListenStream={address}\n")), "{text}");
    }

    let status = said(&run, &["service", "status"], 0);
    assert!(status.contains("Up to date: yes"), "{status}");
    let run = run.file("proxy.toml", &CONFIG.replace("8787", "8700"));
    let status = said(&run, &["service", "status"], 0);
    assert!(status.contains("Up to date: no"), "{status}");
    said(&run, &["service", "install", "--no-start"], 0);
    let json = said(&run, &["service", "status", "--json"], 0);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["installed"], &json["outdated"]), (&true.into(), &().into()), "{json}");

    said(&run, &["service", "uninstall"], 0);
    assert!(!service.exists() && !socket.exists());
    assert!(said(&run, &["service", "status"], 0).contains("Installed: no"));
    said(&run, &["service", "uninstall"], 0);
}

#[test]
fn a_unit_of_another_hand_is_neither_overwritten_nor_removed() {
    let run = Run::of(&[]).file("proxy.toml", CONFIG);
    let [service, socket] = units(&run);
    std::fs::create_dir_all(service.parent().unwrap()).unwrap();
    let own = "[Service]\nExecStart=/opt/mine\n";
    std::fs::write(&service, own).unwrap();
    for words in [&["service", "install", "--no-start"], &["service", "uninstall"][..]] {
        let said = said(&run, words, 1);
        assert!(said.contains(service.to_str().unwrap()) && said.contains("--force"), "{said}");
        assert_eq!(std::fs::read_to_string(&service).unwrap(), own);
        assert!(!socket.exists(), "{said}");
    }
    said(&run, &["service", "install", "--no-start", "--force"], 0);
    assert_ne!(std::fs::read_to_string(&service).unwrap(), own);
}

#[test]
fn no_secret_of_the_shell_enters_a_unit() {
    let token = "pat-na1-of-this-shell";
    let run = Run::of(&[]).env("HUBSPOT_ACCESS_TOKEN", token);
    let refused = said(&run, &["service", "install"], 2);
    assert!(refused.contains("hubspot-proxy login"), "{refused}");
    let installed = said(&run, &["service", "install", "--no-start"], 0);
    assert!(installed.contains("HUBSPOT_ACCESS_TOKEN"), "{installed}");
    for path in units(&run) {
        assert!(!std::fs::read_to_string(path).unwrap().contains(token));
    }
    assert!(!installed.contains(token));
}

#[test]
fn a_port_that_the_system_chooses_is_none_for_a_service() {
    let run = Run::of(&[]).file("proxy.toml", "server.listen = [\"localhost:0\"]\n");
    assert!(said(&run, &["service", "install", "--print"], 2).contains("localhost:0"));
}
