//! Logs: set-up, and what of a request may stand in them.
//!
//! No secret, no body and no query string is ever handed to this module's macros; paths go through
//! [`redact`] first.

pub mod redact;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the process's logger, which writes to standard error. `directives` are those of the
/// variable `HUBSPOT_PROXY_LOG` (such as `debug`, or `hubspot_proxy=trace`); without them, and
/// where they are malformed, the level is `info`.
pub fn install(format: LogFormat, directives: Option<&str>) {
    // The libraries below log what they see on the wire at their finer levels.
    let own = |level: &str| EnvFilter::new(format!("warn,hubspot_proxy={level}"));
    let filter = match directives {
        Some(level @ ("off" | "error" | "warn" | "info" | "debug" | "trace")) => own(level),
        Some(other) => EnvFilter::try_new(other).unwrap_or_else(|_| own("info")),
        None => own("info"),
    };
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
