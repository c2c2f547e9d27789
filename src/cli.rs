//! Commands and flags, nothing else; what a command does is in its own file.

mod accounts;
mod addresses;
mod app;
mod exit;
mod hygiene;
mod keys;
mod login;
mod logout;
mod print;
mod sandbox;
mod serve;
mod shutdown;
mod store;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::parse_duration;
use crate::sandbox::Rotation;
use crate::telemetry::LogFormat;
pub use exit::{Exit, Failure};

const AFTER_HELP: &str = "\
Examples:
  hubspot-proxy --sandbox                      try it, without a HubSpot account
  hubspot-proxy login                          log in to a HubSpot app, then run hubspot-proxy
  HUBSPOT_ACCESS_TOKEN=... hubspot-proxy       serve with a static token
  hubspot-proxy --config ./proxy.toml          serve as the file says
  hubspot-proxy sandbox --token-ttl 30s        a HubSpot emulator alone

Not affiliated with HubSpot.";

const SERVE_HELP: &str = "\
Examples:
  hubspot-proxy serve --listen localhost:9000
  hubspot-proxy serve --sandbox --log-requests
  curl 'http://localhost:8787/crm/v3/objects/contacts?limit=1'";

const LOGIN_HELP: &str = "\
Examples:
  hubspot-proxy login
  hubspot-proxy login acme --scope oauth --scope crm.objects.contacts.read
  hubspot-proxy login acme --paste                            on a machine without a browser

The app needs the redirect URL http://localhost:3000/oauth-callback, or that of oauth.redirect_uri.";

const LOGOUT_HELP: &str = "\
Examples:
  hubspot-proxy logout acme
  hubspot-proxy logout acme --keep-remote";

const ACCOUNTS_HELP: &str = "\
Examples:
  hubspot-proxy accounts
  hubspot-proxy accounts import shop < token.txt
  hubspot-proxy accounts remove shop";

const KEYS_HELP: &str = "\
Examples:
  hubspot-proxy keys create --name ci --account acme --policy read-only
  hubspot-proxy keys list
  hubspot-proxy keys revoke ci";

const SANDBOX_HELP: &str = "\
Examples:
  hubspot-proxy sandbox
  HUBSPOT_ACCESS_TOKEN=sandbox-access-token HUBSPOT_PROXY_UPSTREAM__URL=http://localhost:8788 hubspot-proxy
  curl http://localhost:8788/sandbox/requests";

/// A reverse proxy on localhost that holds the HubSpot credential so that nothing else has to
#[derive(Debug, Parser)]
#[command(name = "hubspot-proxy", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    /// Configuration file [default: ./proxy.toml, else the one in the user's configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    serve: ServeArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default command)
    #[command(after_help = SERVE_HELP)]
    Serve(ServeArgs),
    /// Log in to HubSpot: its tokens are kept, encrypted
    #[command(after_help = LOGIN_HELP)]
    Login(login::LoginArgs),
    /// Log out: revoke the refresh token and wipe it
    #[command(after_help = LOGOUT_HELP)]
    Logout(logout::LogoutArgs),
    /// The accounts: list, show, import, remove, rekey
    #[command(after_help = ACCOUNTS_HELP)]
    Accounts {
        #[command(subcommand)]
        command: Option<accounts::AccountsCommand>,
    },
    /// Client keys: create, list, revoke
    #[command(subcommand, after_help = KEYS_HELP)]
    Keys(keys::KeysCommand),
    /// Run the HubSpot emulator alone
    #[command(after_help = SANDBOX_HELP)]
    Sandbox(SandboxArgs),
}

/// Flags of `serve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
struct ServeArgs {
    /// Address to listen on, such as localhost:8787 or unix:proxy.sock; may be given several times
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,

    /// Account of requests that name none
    #[arg(long, value_name = "NAME")]
    account: Option<String>,

    /// Use the built-in HubSpot emulator as the upstream: needs no HubSpot account
    #[arg(long)]
    sandbox: bool,

    /// How log lines are written [default: text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<FormatArg>,

    /// Log one line for each request
    #[arg(long)]
    log_requests: bool,
}

/// Values of `--log-format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatArg {
    Text,
    Json,
}

/// Flags of `sandbox`.
#[derive(Debug, Args)]
struct SandboxArgs {
    /// Address to listen on; loopback only
    #[arg(long, value_name = "ADDR", default_value = "localhost:8788")]
    listen: String,

    /// How long an issued access token lives
    #[arg(long, value_name = "DURATION", default_value = "30m", value_parser = parse_duration)]
    token_ttl: Duration,

    /// What a refresh does to the refresh token: fixed, grace or strict
    #[arg(long, value_name = "MODE", default_value = "fixed")]
    rotation: Rotation,

    /// Seed of the objects that are there at the start
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    hygiene::protect_memory();
    hygiene::protect_files();
    // Usage errors, help and version end here, with status 2 or 0.
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print::error(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        None => serve::run(cli.config.as_deref(), &cli.serve),
        Some(Command::Serve(flags)) => serve::run(cli.config.as_deref(), &merged(cli.serve, flags)),
        Some(Command::Login(args)) => {
            refuse_serve_flags("login", &cli.serve)?;
            login::run(cli.config.as_deref(), &args)
        }
        Some(Command::Logout(args)) => {
            refuse_serve_flags("logout", &cli.serve)?;
            logout::run(cli.config.as_deref(), &args)
        }
        Some(Command::Accounts { command }) => {
            refuse_serve_flags("accounts", &cli.serve)?;
            accounts::run(cli.config.as_deref(), command)
        }
        Some(Command::Keys(command)) => {
            refuse_serve_flags("keys", &cli.serve)?;
            keys::run(cli.config.as_deref(), &command)
        }
        Some(Command::Sandbox(flags)) => {
            refuse_serve_flags("sandbox", &cli.serve)?;
            if cli.config.is_some() {
                return Err(Failure::usage(
                    "`sandbox` has no configuration file: leave out --config",
                ));
            }
            sandbox::run(&flags)
        }
    }
}

/// The flags of `serve` may stand before any command, and mean nothing to others.
fn refuse_serve_flags(command: &str, flags: &ServeArgs) -> Result<(), Failure> {
    match *flags == ServeArgs::default() {
        true => Ok(()),
        false => Err(Failure::usage(format!(
            "`{command}` takes none of the flags of `serve`: see `hubspot-proxy {command} --help`"
        ))),
    }
}

/// Flags may stand before and after the word `serve`.
fn merged(before: ServeArgs, after: ServeArgs) -> ServeArgs {
    ServeArgs {
        listen: [before.listen, after.listen].concat(),
        account: after.account.or(before.account),
        sandbox: before.sandbox || after.sandbox,
        log_format: after.log_format.or(before.log_format),
        log_requests: before.log_requests || after.log_requests,
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

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command, merged};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_and_its_flags_may_stand_on_either_side() {
        let bare = Cli::parse_from(["hubspot-proxy", "--sandbox"]);
        assert!(bare.command.is_none() && bare.serve.sandbox);
        let line =
            ["hubspot-proxy", "--sandbox", "serve", "--listen", "localhost:1", "--config", "x"];
        let both = Cli::parse_from(line);
        assert_eq!(both.config.as_deref(), Some(std::path::Path::new("x")));
        let Some(Command::Serve(flags)) = both.command else { panic!("not serve") };
        let flags = merged(both.serve, flags);
        assert!(flags.sandbox);
        assert_eq!(flags.listen, ["localhost:1"]);
    }
}
