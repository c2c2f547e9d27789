//! What is told of requests: logs, the memory of the last ones, counters.
//!
//! No secret and no query string is ever handed to this module; paths go through [`redact`] before
//! anybody reads them.

pub mod audit;
pub mod cores;
pub mod histogram;
pub mod operations;
pub mod rate_limits;
pub mod recent;
pub mod record;
pub mod redact;
pub mod retiring;
mod template;
pub mod traffic;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// What a record says of a request that was answered by a second attempt.
pub const REPLAYED: &str = "; replayed";

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The level that the variable `HUBSPOT_PROXY_LOG` sets.
pub fn level_of_process() -> Option<String> {
    std::env::var("HUBSPOT_PROXY_LOG").ok().filter(|level| !level.is_empty())
}

/// Installs the process's logger, which writes to standard error. `level` is that of the variable
/// `HUBSPOT_PROXY_LOG`; without it, and where it is none, the level is `info`.
///
/// It holds for the proxy's own lines. The libraries below would log what they see on the wire at
/// their finer levels, so theirs stays at `warn`, whatever is asked for.
pub fn install(format: LogFormat, level: Option<&str>) {
    let known = ["off", "error", "warn", "info", "debug", "trace"];
    let level = level.filter(|level| known.contains(level)).unwrap_or("info");
    let filter = EnvFilter::new(format!("warn,hubspot_proxy={level}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // A second installation, as in tests, leaves the first in place.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_target(false).try_init(),
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_target(false).with_ansi(colour).try_init()
        }
    };
}
