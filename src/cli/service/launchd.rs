//! The text of a launchd agent.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::plan::Plan;

/// The agent's name.
pub const LABEL: &str = "hubspot-proxy";

/// The agent, which logs into the folder `logs`.
pub fn agent(plan: &Plan, logs: &Path) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n";
    let _ = writeln!(text, "<!-- {}. Changes are lost when it is run again. -->", super::marker());
    text += "<plist version=\"1.0\">\n<dict>\n";
    let _ = writeln!(text, "  <key>Label</key>\n  <string>{LABEL}</string>");
    text += "  <key>ProgramArguments</key>\n  <array>\n";
    for word in plan.command() {
        let _ = writeln!(text, "    <string>{}</string>", escaped(&word));
    }
    text += "  </array>\n  <key>WorkingDirectory</key>\n  <string>/</string>\n";
    if !plan.environment.is_empty() {
        text += "  <key>EnvironmentVariables</key>\n  <dict>\n";
        for (name, value) in &plan.environment {
            let value = escaped(value);
            let _ = writeln!(text, "    <key>{name}</key>\n    <string>{value}</string>");
        }
        text += "  </dict>\n";
    }
    text += "  <key>RunAtLoad</key>\n  <true/>\n";
    // One that has ended well was told to.
    text += "  <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n";
    text += "  <key>ThrottleInterval</key>\n  <integer>10</integer>\n";
    let seconds = plan.stop_within.as_secs();
    let _ = writeln!(text, "  <key>ExitTimeOut</key>\n  <integer>{seconds}</integer>");
    // 077, which property lists have no octal numbers for.
    text += "  <key>Umask</key>\n  <integer>63</integer>\n";
    text += "  <key>HardResourceLimits</key>\n  <dict>\n    <key>Core</key>\n    <integer>0</integer>\n  </dict>\n";
    let log = escaped(&logs.join("hubspot-proxy.log").display().to_string());
    for stream in ["StandardOutPath", "StandardErrorPath"] {
        let _ = writeln!(text, "  <key>{stream}</key>\n  <string>{log}</string>");
    }
    text + "</dict>\n</plist>\n"
}

/// The command line in the text of an agent.
pub fn command_in(text: &str) -> Vec<String> {
    let arguments = text.split("<key>ProgramArguments</key>").nth(1).unwrap_or_default();
    let arguments = arguments.split("</array>").next().unwrap_or_default();
    let strings = arguments.split("<string>").skip(1);
    strings.filter_map(|rest| rest.split_once("</string>")).map(|(s, _)| unescaped(s)).collect()
}

/// Where a user's own agents are.
pub fn folder(home: &Path) -> PathBuf {
    home.join("Library/LaunchAgents")
}

/// Where they log.
pub fn logs(home: &Path) -> PathBuf {
    home.join("Library/Logs")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::super::plan::Plan;
    use super::{agent, command_in};
    use crate::config::Listen;

    #[test]
    fn an_agent_starts_the_proxy_at_login_and_again_after_a_failure() {
        let plan = Plan {
            binary: "/Applications/R&D <tools>/hubspot-proxy".into(),
            config: Some("/Users/ann/proxy.toml".into()),
            listen: vec![Listen::Localhost(8787)],
            writable: Vec::new(),
            environment: vec![("XDG_STATE_HOME".to_owned(), "/Users/ann/a&b".to_owned())],
            environment_file: PathBuf::from("/Users/ann/environment"),
            user_namespace: true,
            stop_within: std::time::Duration::from_secs(25),
            has_ipv6: true,
        };
        let text = agent(&plan, Path::new("/Users/ann/Library/Logs"));
        assert_eq!(command_in(&text), plan.command());
        for part in [
            "<string>/Applications/R&amp;D &lt;tools&gt;/hubspot-proxy</string>",
            "<key>RunAtLoad</key>\n  <true/>",
            "<key>SuccessfulExit</key>\n    <false/>",
            "<key>XDG_STATE_HOME</key>\n    <string>/Users/ann/a&amp;b</string>",
            "<key>StandardErrorPath</key>\n  <string>/Users/ann/Library/Logs/hubspot-proxy.log",
            "<key>Umask</key>\n  <integer>63</integer>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let (opened, closed) = (text.matches("<dict>").count(), text.matches("</dict>").count());
        assert_eq!(opened, closed);
        assert!(text.ends_with("</plist>\n"));
    }
}
