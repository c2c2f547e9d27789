//! A name under which this machine can be reached by itself alone.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// The longest name that DNS has (RFC 1035, section 2.3.4).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host that is loopback by nature, and perhaps a port: `localhost`, a name below it
/// (RFC 6761, section 6.3), an address of 127.0.0.0/8 or `[::1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalName {
    /// In small letters, without a dot at its end.
    host: String,
    port: Option<u16>,
}

/// Why a text is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidLocalName {
    #[error("it is not a host such as hubspot.localhost or hubspot.localhost:8787")]
    NotAHost,
    #[error("it can be reached by, or point to, another machine")]
    NotLocal,
}

impl LocalName {
    /// Whether a `Host` of `host`, without a dot at its end, and `port` is meant; an entry without
    /// a port means that of the listener, and any on one that has none.
    pub fn is(&self, host: &[u8], port: u16, listener: Option<u16>) -> bool {
        self.host.as_bytes().eq_ignore_ascii_case(host)
            && self.port.or(listener).is_none_or(|own| own == port)
    }
}

impl FromStr for LocalName {
    type Err = InvalidLocalName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end_of_host = match text.starts_with('[') {
            true => text.find(']').map_or(text.len(), |at| at + 1),
            false => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(end_of_host);
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| InvalidLocalName::NotAHost)?)
            }
            _ => return Err(InvalidLocalName::NotAHost),
        };
        if port == Some(0) {
            return Err(InvalidLocalName::NotAHost);
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(address) = inner {
            return match address.parse::<Ipv6Addr>() {
                Ok(Ipv6Addr::LOCALHOST) if address == "::1" => Ok(Self { host, port }),
                Ok(_) => Err(InvalidLocalName::NotLocal),
                Err(_) => Err(InvalidLocalName::NotAHost),
            };
        }
        if let Ok(address) = host.parse::<IpAddr>() {
            let local = address.is_loopback();
            return local.then_some(Self { host, port }).ok_or(InvalidLocalName::NotLocal);
        }
        if host.len() > LONGEST || !host.split('.').all(is_label) {
            return Err(InvalidLocalName::NotAHost);
        }
        match host.rsplit('.').next() {
            Some("localhost") => Ok(Self { host, port }),
            _ => Err(InvalidLocalName::NotLocal),
        }
    }
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let fits = (1..=LONGEST_LABEL).contains(&label.len());
    fits && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for LocalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidLocalName, LocalName};

    #[test]
    fn only_what_is_loopback_by_nature_is_a_local_name() {
        let cases = [
            ("hubspot.localhost", Ok("hubspot.localhost")),
            ("HubSpot.LocalHost.:99", Ok("hubspot.localhost:99")),
            ("a.b-c.localhost:65535", Ok("a.b-c.localhost:65535")),
            ("localhost:9000", Ok("localhost:9000")),
            ("127.0.0.2", Ok("127.0.0.2")),
            ("127.255.0.1:80", Ok("127.255.0.1:80")),
            ("[::1]:9000", Ok("[::1]:9000")),
            ("proxy.example", Err(InvalidLocalName::NotLocal)),
            ("localhost.example", Err(InvalidLocalName::NotLocal)),
            ("hubspotlocalhost", Err(InvalidLocalName::NotLocal)),
            ("host.docker.internal", Err(InvalidLocalName::NotLocal)),
            ("127.1", Err(InvalidLocalName::NotLocal)),
            ("0.0.0.0", Err(InvalidLocalName::NotLocal)),
            ("192.168.0.1:80", Err(InvalidLocalName::NotLocal)),
            ("[::]", Err(InvalidLocalName::NotLocal)),
            ("[::ffff:127.0.0.1]", Err(InvalidLocalName::NotLocal)),
            ("::1", Err(InvalidLocalName::NotAHost)),
            ("[::1", Err(InvalidLocalName::NotAHost)),
            ("[x]", Err(InvalidLocalName::NotAHost)),
            ("*.localhost", Err(InvalidLocalName::NotAHost)),
            (".localhost", Err(InvalidLocalName::NotAHost)),
            ("a..localhost", Err(InvalidLocalName::NotAHost)),
            ("-a.localhost", Err(InvalidLocalName::NotAHost)),
            ("a b.localhost", Err(InvalidLocalName::NotAHost)),
            ("user@a.localhost", Err(InvalidLocalName::NotAHost)),
            ("http://a.localhost", Err(InvalidLocalName::NotAHost)),
            ("a.localhost/x", Err(InvalidLocalName::NotAHost)),
            ("a.localhost:", Err(InvalidLocalName::NotAHost)),
            ("a.localhost:0", Err(InvalidLocalName::NotAHost)),
            ("a.localhost:+1", Err(InvalidLocalName::NotAHost)),
            ("a.localhost:65536", Err(InvalidLocalName::NotAHost)),
            ("", Err(InvalidLocalName::NotAHost)),
        ];
        for (text, expected) in cases {
            let seen = text.parse::<LocalName>().map(|name| name.to_string());
            assert_eq!(seen, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_entry_without_a_port_means_the_listeners() {
        let name = |text: &str| text.parse::<LocalName>().unwrap();
        let plain = name("hubspot.localhost");
        assert!(plain.is(b"HUBSPOT.localhost", 8787, Some(8787)));
        assert!(!plain.is(b"hubspot.localhost", 80, Some(8787)));
        assert!(!plain.is(b"x.hubspot.localhost", 8787, Some(8787)));
        let with_port = name("hubspot.localhost:80");
        assert!(with_port.is(b"hubspot.localhost", 80, Some(8787)));
        assert!(!with_port.is(b"hubspot.localhost", 8787, Some(8787)));
    }
}
