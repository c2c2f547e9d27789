//! Commands and flags, nothing else; what a command does is in its own file.

mod accounts;
mod addresses;
mod app;
mod audit;
mod completions;
mod control;
mod dashboard;
mod doctor;
mod exec;
mod exit;
mod explain;
mod hygiene;
mod init;
mod keys;
mod login;
mod logout;
mod man;
mod print;
mod proxy;
mod sandbox;
mod scopes;
mod serve;
mod service;
mod shutdown;
mod spinner;
mod status;
mod store;
mod sunset;
mod terminal;
mod web_browser;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use hygiene::Before;
use sandbox::SandboxArgs;
use serve::flags::ServeArgs;

pub use exit::{Exit, Failure};

const AFTER_HELP: &str = "\
Examples:
  hubspot-proxy --sandbox                      try it, without a HubSpot account
  hubspot-proxy login                          log in to a HubSpot app, then run hubspot-proxy
  HUBSPOT_ACCESS_TOKEN=... hubspot-proxy       serve with a static token
  hubspot-proxy --config ./proxy.toml          serve as the file says
  hubspot-proxy sandbox --token-ttl 30s        a HubSpot emulator alone

Not affiliated with HubSpot.";

/// A reverse proxy on localhost that holds the HubSpot credential so that nothing else has to
#[derive(Debug, Parser)]
#[command(name = "hubspot-proxy", version, after_help = AFTER_HELP, max_term_width = 100)]
struct Cli {
    /// Configuration file [default: ./proxy.toml, else the one in the user's configuration folder]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    #[command(flatten)]
    serve: ServeArgs,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy (the default command)
    #[command(after_help = serve::HELP)]
    Serve(ServeArgs),
    /// Write a first proxy.toml
    #[command(after_help = init::HELP)]
    Init(init::InitArgs),
    /// Log in to HubSpot: its tokens are kept, encrypted
    #[command(after_help = login::HELP)]
    Login(login::LoginArgs),
    /// Log out: revoke the refresh token and wipe it
    #[command(after_help = logout::HELP)]
    Logout(logout::LogoutArgs),
    /// The accounts: list, show, import, remove, rekey
    #[command(after_help = accounts::HELP)]
    Accounts {
        #[command(subcommand)]
        command: Option<accounts::AccountsCommand>,
    },
    /// Client keys: create, list, revoke
    #[command(subcommand, after_help = keys::HELP)]
    Keys(keys::KeysCommand),
    /// How the running proxy and its accounts stand
    #[command(after_help = status::HELP)]
    Status(status::StatusArgs),
    /// What the running proxy decided about a request, and why it failed
    #[command(after_help = explain::HELP)]
    Explain(explain::ExplainArgs),
    /// Which scopes are granted, and which the traffic needed
    #[command(after_help = scopes::HELP)]
    Scopes(scopes::ScopesArgs),
    /// What clients still call that HubSpot retires
    #[command(after_help = sunset::HELP)]
    Sunset(sunset::SunsetArgs),
    /// Run a command with a proxy of its own
    #[command(after_help = exec::HELP)]
    Exec(exec::ExecArgs),
    /// The proxy as a service of this user: install, uninstall, status
    #[command(subcommand, after_help = service::HELP)]
    Service(service::ServiceCommand),
    /// Check the whole set-up, and say how to mend what is wrong
    #[command(after_help = doctor::HELP)]
    Doctor(doctor::DoctorArgs),
    /// The audit log: verify, tail, summary
    #[command(subcommand, after_help = audit::HELP)]
    Audit(audit::AuditCommand),
    /// Open the dashboard of the running proxy in the browser
    #[command(after_help = dashboard::HELP)]
    Dashboard(dashboard::DashboardArgs),
    /// Run the HubSpot emulator alone
    #[command(after_help = sandbox::HELP)]
    Sandbox(SandboxArgs),
    /// Print completions for a shell
    #[command(after_help = completions::HELP)]
    Completions(completions::CompletionsArgs),
    /// Print the manual page of a command, or write them all
    #[command(after_help = man::HELP)]
    Man(man::ManArgs),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let before = hygiene::protect();
    // Usage errors, help and version end here, with status 2 or 0.
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match dispatch(matches.subcommand_name().unwrap_or("serve"), cli, &before) {
        Ok(status) => status,
        Err(failure) => {
            print::error(&failure);
            failure.exit.into()
        }
    }
}

fn dispatch(name: &str, cli: Cli, before: &Before) -> Result<ExitCode, Failure> {
    let config = cli.config.as_deref();
    let command = match cli.command {
        None => return done(serve::run(config, &cli.serve)),
        Some(Command::Serve(flags)) => return done(serve::run(config, &cli.serve.merged(flags))),
        Some(command) => command,
    };
    // They may stand before any command, and mean nothing to others.
    if cli.serve != ServeArgs::default() {
        return Err(Failure::usage(format!(
            "`{name}` takes none of the flags of `serve`: see `hubspot-proxy {name} --help`"
        )));
    }
    done(match command {
        Command::Exec(args) => return exec::run(config, &args, before),
        Command::Serve(flags) => serve::run(config, &flags),
        Command::Init(args) => init::run(config, &args),
        Command::Login(args) => login::run(config, &args),
        Command::Logout(args) => logout::run(config, &args),
        Command::Accounts { command } => accounts::run(config, command),
        Command::Keys(command) => keys::run(config, &command),
        Command::Status(_)
        | Command::Explain(_)
        | Command::Dashboard(_)
        | Command::Scopes(_)
        | Command::Sunset(_)
            if config.is_some() =>
        {
            Err(Failure::usage(format!(
                "`{name}` asks the running proxy, which has read its file: leave out --config"
            )))
        }
        Command::Status(args) => status::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Audit(command) => audit::run(config, &command),
        Command::Scopes(args) => scopes::run(&args),
        Command::Sunset(args) => sunset::run(&args),
        Command::Dashboard(args) => dashboard::run(&args),
        Command::Service(command) => service::run(config, &command),
        Command::Doctor(args) => doctor::run(config, &args),
        Command::Sandbox(_) | Command::Completions(_) | Command::Man(_) if config.is_some() => {
            Err(Failure::usage(format!("`{name}` reads no configuration file: leave out --config")))
        }
        Command::Sandbox(flags) => sandbox::run(&flags),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, before),
    })
}

fn done(outcome: Result<(), Failure>) -> Result<ExitCode, Failure> {
    outcome.map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

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
        let flags = both.serve.merged(flags);
        assert!(flags.sandbox);
        assert_eq!(flags.listen, ["localhost:1"]);
    }
}
