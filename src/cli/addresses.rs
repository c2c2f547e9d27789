//! Addresses as a person would type them.

use std::net::SocketAddr;

use crate::config::Listen;
use crate::server::listener::Listener;

/// What begins the address of a Unix socket.
const UNIX: &str = "unix:";

/// The addresses as a person would type them.
pub fn shown_addresses(entries: &[Listen], listeners: &[Listener]) -> Vec<String> {
    let mut bound = listeners.iter().map(Listener::address).peekable();
    let mut shown = Vec::new();
    for entry in entries {
        let Some(first) = bound.next() else { break };
        match (entry, first) {
            (Listen::Localhost(_), Some(first)) => {
                shown.push(format!("http://localhost:{}", first.port()));
                // The second family of the same entry.
                let same = |next: &Option<SocketAddr>| {
                    next.is_some_and(|next| next.port() == first.port() && next.is_ipv6())
                };
                bound.next_if(same);
            }
            (_, Some(address)) => shown.push(format!("http://{address}")),
            (entry, None) => shown.push(entry.to_string()),
        }
    }
    shown
}

/// A command that asks for `target`, which begins with a slash, at one of [`shown_addresses`].
pub fn curl(address: &str, target: &str) -> String {
    match address.strip_prefix(UNIX) {
        Some(path) => format!("curl --unix-socket {} 'http://localhost{target}'", quoted(path)),
        None => format!("curl '{address}{target}'"),
    }
}

/// `text` as one word of a shell.
pub fn quoted(text: &str) -> String {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::curl;

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        assert_eq!(curl("http://localhost:1", "/a"), "curl 'http://localhost:1/a'");
        let plain = "curl --unix-socket /run/a-b/proxy.sock 'http://localhost/a'";
        assert_eq!(curl("unix:/run/a-b/proxy.sock", "/a"), plain);
        let odd = r"curl --unix-socket '/it'\''s here' 'http://localhost/a'";
        assert_eq!(curl("unix:/it's here", "/a"), odd);
    }
}
