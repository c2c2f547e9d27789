//! The text of a systemd user unit and of its socket.

use std::fmt::Write;
use std::path::Path;

use super::plan::Plan;
use crate::config::Listen;

/// The units' names.
pub const SERVICE: &str = "hubspot-proxy.service";
pub const SOCKET: &str = "hubspot-proxy.socket";

/// What a user's manager can do in a user namespace alone: without `PrivateUsers` it passes over some of
/// these without a word, and fails at others. In the namespace all other users look the same.
const USER_NAMESPACE: &str = "\
# All other users, root as well, look the same from inside.
PrivateUsers=yes
CapabilityBoundingSet=
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectControlGroups=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectClock=yes
ProtectHostname=yes
";
/// What tells the two forms of a unit apart.
pub const PRIVATE_USERS: &str = "PrivateUsers=yes";

/// What holds for any process. Programs that print secrets (`command = [...]`) are held to it as well.
const HARDENING: &str = "\
NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# AF_NETLINK: the kernel is asked whose a connection is. AF_UNIX: the keyring, and this manager.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
";

/// The service.
pub fn service(plan: &Plan) -> String {
    let mut text = marker();
    let words: Vec<String> = plan.command().iter().map(|word| argument(word)).collect();
    text += "[Unit]\nDescription=HubSpot API proxy on localhost\n";
    let _ = write!(text, "Requires={SOCKET}\nAfter={SOCKET}\n\n[Service]\n");
    text += "Type=notify\nNotifyAccess=main\n";
    let _ = writeln!(text, "ExecStart={}\nExecReload=/bin/kill -HUP $MAINPID", words.join(" "));
    // Where no proxy.toml of the user's lies that was not named.
    text += "WorkingDirectory=/\n";
    for (name, value) in &plan.environment {
        let _ = writeln!(text, "Environment={}", quoted(&format!("{name}={value}")));
    }
    let environment = specifiers(&plan.environment_file.display().to_string());
    let _ = writeln!(text, "EnvironmentFile=-{environment}");
    // A start that the configuration forbids fails the same way again.
    text += "Restart=on-failure\nRestartSec=2s\nRestartPreventExitStatus=2\n";
    let _ = writeln!(text, "TimeoutStopSec={}s\n", plan.stop_within.as_secs());
    text += "RuntimeDirectory=hubspot-proxy\nRuntimeDirectoryMode=0700\n";
    // Proxies that run beside the service have theirs there too.
    text += "RuntimeDirectoryPreserve=yes\n";
    if plan.user_namespace {
        text += USER_NAMESPACE;
        for path in &plan.writable {
            let _ = writeln!(text, "ReadWritePaths={}", quoted(&format!("-{}", path.display())));
        }
    }
    text += HARDENING;
    text + "\n[Install]\nWantedBy=default.target\n"
}

/// The sockets: connections wait in them while the service starts or is replaced.
pub fn socket(plan: &Plan) -> String {
    let mut text = marker();
    text += "[Unit]\nDescription=Sockets of the HubSpot API proxy\n\n[Socket]\n";
    for address in addresses(plan) {
        let _ = writeln!(text, "ListenStream={}", specifiers(&address));
    }
    text += "BindIPv6Only=ipv6-only\nSocketMode=0600\nDirectoryMode=0700\nRemoveOnStop=yes\n";
    text += "Backlog=1024\nAccept=no\n";
    text + "\n[Install]\nWantedBy=sockets.target\n"
}

/// What the sockets are bound to.
fn addresses(plan: &Plan) -> Vec<String> {
    let of = |entry: &Listen| match entry {
        Listen::Localhost(port) if plan.has_ipv6 => {
            vec![format!("127.0.0.1:{port}"), format!("[::1]:{port}")]
        }
        Listen::Localhost(port) => vec![format!("127.0.0.1:{port}")],
        Listen::Address(address) => vec![address.to_string()],
        Listen::Unix(path) => vec![path.display().to_string()],
    };
    plan.listen.iter().flat_map(of).collect()
}

/// The command line in the text of a service.
pub fn command_in(text: &str) -> Vec<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart="));
    line.map(words).unwrap_or_default()
}

fn marker() -> String {
    format!(
        "# {}. Changes are lost when it is run again: make them with `systemctl --user edit`.\n\n",
        super::marker()
    )
}

/// `%` begins what systemd fills in.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// One word of a list.
fn quoted(word: &str) -> String {
    format!("\"{}\"", specifiers(word).replace('\\', r"\\").replace('"', "\\\""))
}

/// One word of a command line, where `$` begins a variable.
fn argument(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte);
    if word.bytes().all(is_plain) { word.to_owned() } else { quoted(word).replace('$', "$$") }
}

/// The words of a command line that [`argument`] has written.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut in_quotes) = (Vec::new(), String::new(), false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => in_quotes = !in_quotes,
            '\\' => word.extend(letters.next()),
            // Doubled by those who write a line.
            '%' | '$' => {
                word.push(letter);
                letters.next();
            }
            ' ' if !in_quotes => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words
}

/// Where a user's own units are, below the configuration folder.
pub fn folder(config_home: &Path) -> std::path::PathBuf {
    config_home.join("systemd/user")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::plan::Plan;
    use super::{command_in, service, socket};
    use crate::config::Listen;

    fn plan() -> Plan {
        Plan {
            binary: "/opt/our tools/hubspot-proxy".into(),
            config: Some("/home/ann/100% \"mine\" $x\\proxy.toml".into()),
            listen: vec![
                Listen::Localhost(8787),
                Listen::Address("127.0.0.1:9000".parse().unwrap()),
                Listen::Unix("/run/user/1000/50%/proxy.sock".into()),
            ],
            writable: vec!["/home/ann/.local/state/hubspot-proxy".into()],
            environment: vec![("XDG_STATE_HOME".to_owned(), "/home/ann/my state".to_owned())],
            environment_file: PathBuf::from("/home/ann/.config/hubspot-proxy/environment"),
            user_namespace: true,
            stop_within: std::time::Duration::from_secs(25),
            has_ipv6: true,
        }
    }

    #[test]
    fn the_command_line_survives_quoting() {
        let plan = plan();
        let text = service(&plan);
        let line = r#"ExecStart="/opt/our tools/hubspot-proxy" serve --config "/home/ann/100%% \"mine\" $$x\\proxy.toml""#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert_eq!(command_in(&text), plan.command());
    }

    #[test]
    fn a_service_says_when_it_is_ready_and_is_confined() {
        let text = service(&plan());
        for line in [
            "Type=notify",
            "Requires=hubspot-proxy.socket",
            "RestartPreventExitStatus=2",
            "TimeoutStopSec=25s",
            "NoNewPrivileges=yes",
            "PrivateUsers=yes",
            "ProtectSystem=strict",
            "ReadWritePaths=\"-/home/ann/.local/state/hubspot-proxy\"",
            "Environment=\"XDG_STATE_HOME=/home/ann/my state\"",
            "EnvironmentFile=-/home/ann/.config/hubspot-proxy/environment",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
            "LimitCORE=0",
            "WantedBy=default.target",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    fn addresses_in(text: &str) -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("ListenStream="));
        lines.map(|address| address.replace("%%", "%")).collect()
    }

    #[test]
    fn localhost_is_both_addresses_and_a_path_is_not_expanded() {
        let text = socket(&plan());
        let expected =
            ["127.0.0.1:8787", "[::1]:8787", "127.0.0.1:9000", "/run/user/1000/50%/proxy.sock"];
        assert_eq!(addresses_in(&text), expected);
        assert!(text.contains("ListenStream=/run/user/1000/50%%/proxy.sock\n"), "{text}");
        let without = socket(&Plan { has_ipv6: false, ..plan() });
        assert!(!without.contains("[::1]"), "{without}");
    }

    #[test]
    fn without_a_user_namespace_other_users_can_be_told_apart() {
        let text = service(&Plan { user_namespace: false, ..plan() });
        assert!(!text.contains("Private") && !text.contains("ReadWritePaths"), "{text}");
        assert!(text.contains("NoNewPrivileges=yes\n"), "{text}");
    }
}
