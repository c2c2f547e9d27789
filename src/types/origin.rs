//! An `http` or `https` origin (RFC 6454): scheme, host and port, and nothing else.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::uri::{Authority, Scheme, Uri};
use thiserror::Error;

/// Where requests are sent: a scheme and an authority without user information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

/// Why a text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidOrigin {
    #[error("it is not a URL such as https://api.hubapi.com")]
    NotAUrl,
    #[error("the scheme must be http or https")]
    Scheme,
    #[error("it must not hold a user name or password")]
    UserInfo,
    #[error("it must end after the host and port: no path, query or fragment")]
    NotAnOrigin,
}

impl Origin {
    /// HubSpot's API.
    pub fn hubspot_api() -> Self {
        Self { scheme: Scheme::HTTPS, authority: Authority::from_static("api.hubapi.com") }
    }

    /// Whether connections to it are encrypted.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// The scheme.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and, where it was given, port: the value of a `Host` header.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host without port and without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, by default that of the scheme.
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(default)
    }

    /// As browsers write it (RFC 6454, section 6.2): in small letters, without a default port.
    pub fn serialized(&self) -> String {
        let host = self.authority.host().to_ascii_lowercase();
        match self.authority.port_u16() {
            Some(port) if port != if self.is_https() { 443 } else { 80 } => {
                format!("{}://{host}:{port}", self.scheme)
            }
            _ => format!("{}://{host}", self.scheme),
        }
    }

    /// Whether the host is this machine: `localhost`, `127.0.0.0/8` or `::1`.
    pub fn is_loopback(&self) -> bool {
        if let Ok(address) = self.host().parse::<IpAddr>() {
            return address.is_loopback();
        }
        let name = self.host().trim_end_matches('.').to_ascii_lowercase();
        name == "localhost" || name.ends_with(".localhost")
    }
}

impl Origin {
    /// The origin of a whole URL.
    pub fn of_url(url: &str) -> Result<Self, InvalidOrigin> {
        let uri: Uri = url.parse().map_err(|_| InvalidOrigin::NotAUrl)?;
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => format!("{scheme}://{authority}").parse(),
            _ => Err(InvalidOrigin::NotAUrl),
        }
    }
}

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('#') {
            return Err(InvalidOrigin::NotAnOrigin);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidOrigin::NotAUrl)?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or(InvalidOrigin::NotAUrl)?;
        let authority = parts.authority.ok_or(InvalidOrigin::NotAUrl)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(InvalidOrigin::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(InvalidOrigin::UserInfo);
        }
        if authority.host().is_empty() || authority.as_str().ends_with(':') {
            return Err(InvalidOrigin::NotAUrl);
        }
        match parts.path_and_query {
            Some(path) if path.as_str() != "/" => Err(InvalidOrigin::NotAnOrigin),
            _ => Ok(Self { scheme, authority }),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::{InvalidOrigin, Origin};

    #[test]
    fn an_origin_is_scheme_host_and_port_and_no_more() {
        let cases = [
            ("https://api.hubapi.com", Ok(("api.hubapi.com", 443, false))),
            ("https://api.hubapi.com/", Ok(("api.hubapi.com", 443, false))),
            ("http://[::1]:8788", Ok(("::1", 8788, true))),
            ("http://127.9.9.9", Ok(("127.9.9.9", 80, true))),
            ("http://LOCALHOST.:1", Ok(("LOCALHOST.", 1, true))),
            ("http://localhost.example", Ok(("localhost.example", 80, false))),
            ("ftp://a", Err(InvalidOrigin::Scheme)),
            ("https://u:p@a", Err(InvalidOrigin::UserInfo)),
            ("https://a/b", Err(InvalidOrigin::NotAnOrigin)),
            ("https://a?b", Err(InvalidOrigin::NotAnOrigin)),
            ("https://a#b", Err(InvalidOrigin::NotAnOrigin)),
            ("api.hubapi.com", Err(InvalidOrigin::NotAUrl)),
            ("https://", Err(InvalidOrigin::NotAUrl)),
            ("https://a:", Err(InvalidOrigin::NotAUrl)),
            ("", Err(InvalidOrigin::NotAUrl)),
        ];
        for (text, expected) in cases {
            let parsed = text.parse::<Origin>();
            let seen = parsed.as_ref().map(|o| (o.host(), o.port(), o.is_loopback()));
            assert_eq!(seen.map_err(|e| *e), expected, "{text}");
        }
    }
}
