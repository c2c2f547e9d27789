//! Whom the configuration lets in beside local programs that call the proxy by its own names.

use http::header::{HeaderMap, HeaderValue, ORIGIN};

use crate::config::ServerConfig;
use crate::types::host_name::HostName;

/// `server.allowed_hosts` and `server.allowed_origins`.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Names in `Host` beside the usual ones.
    pub hosts: Vec<HostName>,
    /// Origins as browsers write them, so that bytes can be compared.
    pub origins: Vec<HeaderValue>,
}

impl Allowed {
    /// Those of `server`. A parsed origin is visible ASCII: none is left out.
    pub fn of(server: &ServerConfig) -> Self {
        let origins = server.allowed_origins.iter();
        Self {
            hosts: server.allowed_hosts.clone(),
            origins: origins.filter_map(|origin| origin.serialized().parse().ok()).collect(),
        }
    }

    /// Whether a page of this origin may call. Compared whole: what begins or ends like an origin of
    /// the list is another one.
    pub fn has_origin(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin)
    }

    /// The `Origin` of a request, if there is just one and it may call.
    pub fn origin_of<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let only = origins.next().filter(|_| origins.next().is_none())?;
        self.has_origin(only.as_bytes()).then_some(only)
    }
}
