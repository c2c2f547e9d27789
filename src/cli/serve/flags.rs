//! The flags of `serve`, which is the default command: they may stand before and after its name.

use clap::{Args, ValueEnum};

use crate::telemetry::LogFormat;

/// Flags of `serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct ServeArgs {
    /// Address to listen on, such as localhost:8787 or unix:proxy.sock; may be given several times
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,

    /// Account of requests that name none
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,

    /// Use the built-in HubSpot emulator as the upstream: needs no HubSpot account
    #[arg(long)]
    pub sandbox: bool,

    /// How log lines are written [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<FormatArg>,

    /// Log one line for each request
    #[arg(long)]
    pub log_requests: bool,
}

/// Values of `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Text,
    Json,
}

impl ServeArgs {
    /// These, with those that stand after the word `serve`.
    pub fn merged(self, after: Self) -> Self {
        Self {
            listen: [self.listen, after.listen].concat(),
            account: after.account.or(self.account),
            sandbox: self.sandbox || after.sandbox,
            log_format: after.log_format.or(self.log_format),
            log_requests: self.log_requests || after.log_requests,
        }
    }
}

impl From<FormatArg> for LogFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Text => Self::Text,
            FormatArg::Json => Self::Json,
        }
    }
}
