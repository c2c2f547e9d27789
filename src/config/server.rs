//! `[server]`: where the proxy listens, to whom, and within which limits.

use std::time::Duration;

use super::error::{ConfigError, Place};
use super::layers::Layer;
use super::{AllowedUsers, Listen, allowed, listen, users};
use crate::types::host_name::HostName;
use crate::types::origin::Origin;

/// `[server]`.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub listen: Vec<Listen>,
    /// Whether nobody is served without a client key.
    pub keys_required: bool,
    /// Names in `Host` beside the usual ones.
    pub allowed_hosts: Vec<HostName>,
    /// Origins of the web pages that may call.
    pub allowed_origins: Vec<Origin>,
    pub allowed_users: AllowedUsers,
    /// Data-plane runtimes, at least 1.
    pub threads: usize,
    pub max_connections: usize,
    pub header_timeout: Duration,
    pub idle_timeout: Duration,
    pub shutdown_grace: Duration,
    /// Bytes.
    pub max_header_size: usize,
    pub max_headers: usize,
    /// Bytes; `None` is no limit.
    pub max_body_size: Option<u64>,
    /// Whether answers carry `X-HubSpot-Proxy`.
    pub response_header: bool,
}

pub(super) fn build(layer: &mut Layer, reach: Reach) -> Result<ServerConfig, ConfigError> {
    let listen = match layer.take_list("server.listen") {
        Some((entries, place)) => listen::parse(&entries, reach)
            .map_err(|what| ConfigError::at(&place, listen_problem(&place, &what)))?,
        None => vec![Listen::Localhost(8787)],
    };
    let hosts = |entries: &[String]| allowed::hosts(entries, reach.keys_required);
    let allowed_hosts = layer.parse_list("server.allowed_hosts", hosts)?;
    let allowed_origins = layer.parse_list("server.allowed_origins", allowed::origins)?;
    let allowed_users = match layer.take_list("server.allowed_users") {
        Some((entries, place)) => {
            users::parse(&entries).map_err(|problem| ConfigError::at(&place, problem))?
        }
        None => AllowedUsers::default(),
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = Duration::from_secs;
    Ok(ServerConfig {
        listen,
        keys_required: reach.keys_required,
        allowed_hosts: allowed_hosts.unwrap_or_default(),
        allowed_origins: allowed_origins.unwrap_or_default(),
        allowed_users,
        threads: layer.take_usize("server.threads").unwrap_or_else(cores),
        max_connections: layer.take_usize("server.max_connections").unwrap_or(4096),
        header_timeout: layer.take_time("server.header_timeout").unwrap_or(seconds(10)),
        idle_timeout: layer.take_time("server.idle_timeout").unwrap_or(seconds(75)),
        shutdown_grace: layer.take_time("server.shutdown_grace").unwrap_or(seconds(10)),
        max_header_size: layer.take_usize("server.max_header_size").unwrap_or(64 * 1024),
        max_headers: layer.take_usize("server.max_headers").unwrap_or(100),
        max_body_size: layer.take_number("server.max_body_size"),
        response_header: layer.take_switch("server.response_header").unwrap_or(true),
    })
}

/// Who can get at the proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    /// Other machines, which is only where keys are required.
    pub exposed: bool,
    pub keys_required: bool,
}

pub(super) fn reach(layer: &mut Layer) -> Result<Reach, ConfigError> {
    let required = layer.parse_text("server.client_keys", |text| match text {
        "optional" => Ok(false),
        "required" => Ok(true),
        _ => Err("`server.client_keys` must be `optional` or `required`".to_owned()),
    })?;
    let keys_required = required.unwrap_or(false);
    let place = layer.place("server.expose").cloned();
    let exposed = layer.take_switch("server.expose").unwrap_or(false);
    match place {
        Some(place) if exposed && !keys_required => Err(ConfigError::at(
            &place,
            "`server.expose` lets other machines in, and whoever reaches the proxy acts with your HubSpot token: set `server.client_keys = \"required\"` as well",
        )),
        _ => Ok(Reach { exposed, keys_required }),
    }
}

/// A flag that has the name of what it sets says it once.
fn listen_problem(place: &Place, what: &str) -> String {
    match place {
        Place::Flag(_) => what.to_owned(),
        _ => format!("`server.listen`: {what}"),
    }
}
