//! A name under which the proxy can be called.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The longest name that DNS has (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// In small letters, without a dot at its end.
    host: String,
    port: Option<u16>,
}

/// Why a text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidHostName {
    #[error("it is not a host such as hubspot.localhost or hubspot.localhost:8787")]
    NotAHost,
}

impl HostName {
    /// Whether it is loopback by nature: `localhost`, a name below it (RFC 6761, section 6.3), an
    /// address of 127.0.0.0/8 or `[::1]`. Any other can be made to point here, or be reached from
    /// elsewhere.
    pub fn is_local(&self) -> bool {
        match self.host.parse::<Ipv4Addr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host == "[::1]" || self.host.rsplit('.').next() == Some("localhost"),
        }
    }

    /// Whether a `Host` of `host`, without a dot at its end, and `port` is meant; an entry without
    /// a port means that of the listener, and any on one that has none.
    pub fn is(&self, host: &[u8], port: u16, listener: Option<u16>) -> bool {
        self.host.as_bytes().eq_ignore_ascii_case(host)
            && self.port.or(listener).is_none_or(|own| own == port)
    }
}

impl FromStr for HostName {
    type Err = InvalidHostName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end_of_host = match text.starts_with('[') {
            true => text.find(']').map_or(text.len(), |at| at + 1),
            false => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(end_of_host);
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| InvalidHostName::NotAHost)?)
            }
            _ => return Err(InvalidHostName::NotAHost),
        };
        if port == Some(0) {
            return Err(InvalidHostName::NotAHost);
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = inner {
            let address: Ipv6Addr = address.parse().map_err(|_| InvalidHostName::NotAHost)?;
            // As clients write it (RFC 5952).
            return Ok(Self { host: format!("[{address}]"), port });
        }
        if host.parse::<Ipv4Addr>().is_err()
            && (host.len() > LONGEST || !host.split('.').all(is_label))
        {
            return Err(InvalidHostName::NotAHost);
        }
        Ok(Self { host, port })
    }
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = (1..=LONGEST_LABEL).contains(&label.len());
    fits && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HostName, InvalidHostName};

    #[test]
    fn a_host_is_known_for_local_where_it_is_loopback_by_nature() {
        let cases = [
            ("hubspot.localhost", Ok(("hubspot.localhost", true))),
            ("HubSpot.LocalHost.:99", Ok(("hubspot.localhost:99", true))),
            ("a.b-c.localhost:65535", Ok(("a.b-c.localhost:65535", true))),
            ("localhost:9000", Ok(("localhost:9000", true))),
            ("127.0.0.2", Ok(("127.0.0.2", true))),
            ("127.255.0.1:80", Ok(("127.255.0.1:80", true))),
            ("[::1]:9000", Ok(("[::1]:9000", true))),
            ("proxy.example", Ok(("proxy.example", false))),
            ("localhost.example", Ok(("localhost.example", false))),
            ("hubspotlocalhost", Ok(("hubspotlocalhost", false))),
            ("host.docker.internal", Ok(("host.docker.internal", false))),
            ("127.1", Ok(("127.1", false))),
            ("0.0.0.0", Ok(("0.0.0.0", false))),
            ("192.168.0.1:80", Ok(("192.168.0.1:80", false))),
            ("[::]", Ok(("[::]", false))),
            ("[0:0::1]", Ok(("[::1]", true))),
            ("[::ffff:127.0.0.1]", Ok(("[::ffff:127.0.0.1]", false))),
            ("::1", Err(InvalidHostName::NotAHost)),
            ("[::1", Err(InvalidHostName::NotAHost)),
            ("[x]", Err(InvalidHostName::NotAHost)),
            ("*.localhost", Err(InvalidHostName::NotAHost)),
            (".localhost", Err(InvalidHostName::NotAHost)),
            ("a..localhost", Err(InvalidHostName::NotAHost)),
            ("-a.localhost", Err(InvalidHostName::NotAHost)),
            ("a b.localhost", Err(InvalidHostName::NotAHost)),
            ("user@a.localhost", Err(InvalidHostName::NotAHost)),
            ("http://a.localhost", Err(InvalidHostName::NotAHost)),
            ("a.localhost/x", Err(InvalidHostName::NotAHost)),
            ("a.localhost:", Err(InvalidHostName::NotAHost)),
            ("a.localhost:0", Err(InvalidHostName::NotAHost)),
            ("a.localhost:+1", Err(InvalidHostName::NotAHost)),
            ("a.localhost:65536", Err(InvalidHostName::NotAHost)),
            ("", Err(InvalidHostName::NotAHost)),
        ];
        for (text, expected) in cases {
            let seen = text.parse::<HostName>().map(|name| (name.to_string(), name.is_local()));
            assert_eq!(seen, expected.map(|(name, local)| (name.to_owned(), local)), "{text}");
        }
    }

    #[test]
    fn an_entry_without_a_port_means_the_listeners() {
        let name = |text: &str| text.parse::<HostName>().unwrap();
        let plain = name("hubspot.localhost");
        assert!(plain.is(b"HUBSPOT.localhost", 8787, Some(8787)));
        assert!(!plain.is(b"hubspot.localhost", 80, Some(8787)));
        assert!(!plain.is(b"x.hubspot.localhost", 8787, Some(8787)));
        let with_port = name("hubspot.localhost:80");
        assert!(with_port.is(b"hubspot.localhost", 80, Some(8787)));
        assert!(!with_port.is(b"hubspot.localhost", 8787, Some(8787)));
    }
}
