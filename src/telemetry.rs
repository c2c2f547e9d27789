//! What is told of requests: logs, the memory of the last ones, counters.
//!
//! No secret and no query string is ever handed to this module; paths go through [`redact`] before
//! anybody reads them.

pub mod audit;
pub mod cores;
pub mod denials;
pub mod histogram;
pub mod operations;
pub mod rate_limits;
pub mod recent;
pub mod record;
pub mod redact;
pub mod retiring;
mod template;
pub mod traffic;
pub mod upstream_answer;

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

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
    let level = known_level(level).unwrap_or(LevelFilter::INFO);
    let filter =
        Targets::new().with_default(LevelFilter::WARN).with_target(env!("CARGO_CRATE_NAME"), level);
    let lines = fmt::layer().with_writer(io::stderr).with_target(false);
    // A second installation, as in tests, leaves the first in place.
    let _ = match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            registry().with(lines).with(filter).try_init()
        }
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry().with(lines.with_ansi(colour)).with(filter).try_init()
        }
    };
}

/// Of the names, in lower case, and of no numbers.
fn known_level(name: Option<&str>) -> Option<LevelFilter> {
    Some(match name? {
        "off" => LevelFilter::OFF,
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "info" => LevelFilter::INFO,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return None,
    })
}
