//! Entries of `server.listen` and of an account's own `listen`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::Reach;
use super::error::shown;
use super::paths::Base;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `localhost:PORT`: 127.0.0.1 and ::1 on the same port.
    Localhost(u16),
    /// `IP:PORT`; loopback only, unless `server.expose` is set.
    Address(SocketAddr),
    /// `unix:PATH`: a Unix socket at that path.
    Unix(PathBuf),
}

/// What begins the entry of a Unix socket.
const UNIX: &str = "unix:";
const FORMS: &str = "an entry is `localhost:PORT`, a loopback `IP:PORT` or `unix:PATH`, such as `localhost:8787`, `127.0.0.1:8787`, `[::1]:8787` or `unix:proxy.sock`";

/// The entries with the path of each Unix socket as `base` has it.
pub(super) fn resolved(entries: Vec<String>, base: Base<'_>) -> Vec<String> {
    let entry = |entry: String| match entry.strip_prefix(UNIX) {
        // A path that is no text is left as it was written.
        Some(path) if !path.is_empty() => match base.resolve(path).to_str() {
            Some(path) => format!("{UNIX}{path}"),
            None => entry,
        },
        _ => entry,
    };
    entries.into_iter().map(entry).collect()
}

/// All entries; the error is what is wrong with which.
pub(super) fn parse(entries: &[String], reach: Reach) -> Result<Vec<Listen>, String> {
    let mut parsed: Vec<Listen> = Vec::with_capacity(entries.len());
    for entry in entries {
        let listen = parse_entry(entry, reach)?;
        if let Some(earlier) = parsed.iter().find(|earlier| earlier.overlaps(&listen)) {
            return Err(format!("`{earlier}` and `{listen}` are the same address: remove one"));
        }
        parsed.push(listen);
    }
    if parsed.is_empty() {
        return Err(format!("the list is empty: {FORMS}"));
    }
    Ok(parsed)
}

/// All entries of a list beside which those of other lists are `taken`. Port 0 is another one in
/// each list.
pub(super) fn parse_beside(
    taken: &[Listen],
    entries: &[String],
    reach: Reach,
) -> Result<Vec<Listen>, String> {
    let parsed = parse(entries, reach)?;
    for listen in parsed.iter().filter(|listen| !listen.is_any_port()) {
        if let Some(other) = taken.iter().find(|other| other.overlaps(listen)) {
            return Err(format!(
                "`{listen}` is the same address as `{other}` of another list: choose another port"
            ));
        }
    }
    Ok(parsed)
}

fn parse_entry(entry: &str, reach: Reach) -> Result<Listen, String> {
    let name = shown(entry, "an entry");
    if let Some(path) = entry.strip_prefix(UNIX) {
        return match path {
            _ if cfg!(not(unix)) => Err("this system has no Unix sockets".to_owned()),
            "" => Err(format!("{name} names no path: write `unix:proxy.sock`")),
            path => Ok(Listen::Unix(PathBuf::from(path))),
        };
    }
    if let Some(port) = port(entry.strip_prefix(':').unwrap_or(entry)) {
        return Err(format!("{name} names no host: write `localhost:{port}`"));
    }
    if let Ok(address) = entry.parse::<SocketAddr>() {
        if address.ip().is_loopback() || reach.exposed {
            return Ok(Listen::Address(address));
        }
        return Err(format!(
            "{name} is not a loopback address, and whoever reaches the proxy acts with your HubSpot token: write `localhost:{}`, or set `server.expose = true` and `server.client_keys = \"required\"`",
            address.port()
        ));
    }
    if let Ok(ip) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Err(format!("{name} names no port: write `{}`", SocketAddr::new(ip, 8787)));
    }
    match entry.split_once(':').unwrap_or((entry, "")) {
        (host, rest) if host.eq_ignore_ascii_case("localhost") => match (port(rest), rest) {
            (Some(port), _) => Ok(Listen::Localhost(port)),
            (None, "") => Err(format!("{name} names no port: write `localhost:8787`")),
            (None, _) => Err(format!("{name} has no port from 0 to 65535: {FORMS}")),
        },
        _ => Err(format!("{name} is not an address to listen on: {FORMS}")),
    }
}

/// Digits only: `u16` itself would accept a sign.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

impl Listen {
    /// Whether it stands for any free port.
    fn is_any_port(&self) -> bool {
        match self {
            Self::Localhost(port) => *port == 0,
            Self::Address(address) => address.port() == 0,
            Self::Unix(_) => false,
        }
    }

    /// Whether both would take the same port; 0 is any free one, so only a repetition counts.
    fn overlaps(&self, other: &Self) -> bool {
        let within = |port: u16, address: &SocketAddr| {
            let localhost = ["127.0.0.1", "::1"].map(|ip| ip.parse::<IpAddr>().ok());
            port != 0 && address.port() == port && localhost.contains(&Some(address.ip()))
        };
        match (self, other) {
            (Self::Localhost(port), Self::Address(address))
            | (Self::Address(address), Self::Localhost(port)) => within(*port, address),
            (one, other) => one == other,
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(entry: &str) -> Result<Self, String> {
        parse_entry(entry, Reach::default())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Reach;

    use super::{Listen, parse, parse_beside};

    #[test]
    fn an_address_is_in_one_list_only() {
        let taken =
            parse(&["localhost:1".to_owned(), "localhost:0".to_owned()], Reach::default()).unwrap();
        for (entry, overlaps) in [
            ("localhost:1", true),
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("127.0.0.2:1", false),
            ("localhost:2", false),
            ("localhost:0", false),
        ] {
            let error = parse_beside(&taken, &[entry.to_owned()], Reach::default()).err();
            assert_eq!(error.is_some(), overlaps, "{entry}: {error:?}");
            let says_which = |e: String| e.contains("`localhost:1` of another list");
            assert!(error.is_none_or(says_which), "{entry}");
        }
    }

    #[test]
    fn loopback_addresses_of_both_families_are_accepted() {
        let entries = ["localhost:8787", "LOCALHOST:0", "127.0.0.1:9", "127.5.0.1:9", "[::1]:8"];
        let parsed = parse(&entries.map(str::to_owned), Reach::default()).unwrap();
        assert_eq!(parsed[0], Listen::Localhost(8787));
        let shown: Vec<String> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["localhost:8787", "localhost:0", "127.0.0.1:9", "127.5.0.1:9", "[::1]:8"]
        );
    }

    #[test]
    fn each_mistake_has_its_mend() {
        let cases: [(&[&str], &str); 16] = [
            (&[], "the list is empty"),
            (&["8787"], "`8787` names no host: write `localhost:8787`"),
            (&[":8787"], "write `localhost:8787`"),
            (&["localhost"], "names no port: write `localhost:8787`"),
            (&["127.0.0.1"], "names no port: write `127.0.0.1:8787`"),
            (&["::1"], "names no port: write `[::1]:8787`"),
            (&["localhost:99999"], "no port from 0 to 65535"),
            (&["localhost:+1"], "no port from 0 to 65535"),
            (&["0.0.0.0:8787"], "acts with your HubSpot token: write `localhost:8787`"),
            (&["[::]:1"], "is not a loopback address"),
            (&["192.168.1.5:1"], "is not a loopback address"),
            (&["unix:"], "names no path"),
            (&["unix:/a", "unix:/a"], "`unix:/a` and `unix:/a` are the same address"),
            (&["example.com:80"], "is not an address to listen on"),
            (&["localhost:1", "localhost:1"], "`localhost:1` and `localhost:1` are the same"),
            (&["[::1]:1", "localhost:1"], "`[::1]:1` and `localhost:1` are the same"),
        ];
        for (entries, expected) in cases {
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            let error = parse(&entries, Reach::default()).unwrap_err();
            assert!(error.contains(expected), "{entries:?}: {error}");
        }
    }
}
