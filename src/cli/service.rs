//! `service`: the proxy as a service of this user, kept by systemd or launchd.
//!
//! It writes the manager's files, and has the manager start it. No credential is put into a file: what
//! hangs on variables of the shell is named instead.

mod launchd;
mod manager;
mod plan;
mod systemd;

use std::path::Path;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Failure, print};
use crate::config::{Config, SECRET_VARIABLES};
use manager::{Manager, State};
use plan::{Plan, Planned, plan};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy service install
  hubspot-proxy --config ~/work/proxy.toml service install
  hubspot-proxy service install --print
  hubspot-proxy service status";

const INSTALL_HELP: &str = "\
Examples:
  hubspot-proxy service install
  hubspot-proxy service install --print       show the files, write nothing
  hubspot-proxy service install --no-start    write the files, start nothing";

/// What `service` does.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Write the service's files and start it, now and at each login
    #[command(after_help = INSTALL_HELP)]
    Install(InstallArgs),
    /// Stop the service and remove its files
    #[command(after_help = "Examples:\n  hubspot-proxy service uninstall")]
    Uninstall {
        /// Also remove files that hubspot-proxy has not written
        #[arg(long)]
        force: bool,
    },
    /// Show whether it is installed, enabled and running, and with which binary
    #[command(after_help = "Examples:\n  hubspot-proxy service status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Flags of `service install`.
#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// Only write the files: start and enable nothing
    #[arg(long)]
    no_start: bool,

    /// Only show the files
    #[arg(long, conflicts_with_all = ["no_start", "force"])]
    print: bool,

    /// Overwrite files that hubspot-proxy has not written
    #[arg(long)]
    force: bool,
}

/// Runs one of the commands.
pub(super) fn run(config_flag: Option<&Path>, command: &ServiceCommand) -> Result<(), Failure> {
    let manager = Manager::of_platform()?;
    match command {
        ServiceCommand::Install(args) => install(&manager, config_flag, args),
        ServiceCommand::Uninstall { force } => uninstall(&manager, *force),
        ServiceCommand::Status { json } => status(&manager, config_flag, *json),
    }
}

/// Begins what `service` has written, in whatever kind of comment.
const MARKER: &str = "Written by hubspot-proxy ";

/// Says who has written a file, and in which version.
fn marker() -> String {
    format!("{MARKER}{}, `hubspot-proxy service install`", env!("CARGO_PKG_VERSION"))
}

fn install(
    manager: &Manager,
    config_flag: Option<&Path>,
    args: &InstallArgs,
) -> Result<(), Failure> {
    let Planned { mut plan, config, has_account } = plan(config_flag)?;
    if plan.user_namespace && manager.lacks_user_namespaces() {
        plan.user_namespace = false;
        print::note(
            "This system allows services no user namespace: the unit goes without what needs one.",
        );
    }
    let files = manager.files(&plan);
    if args.print {
        for (path, text) in &files {
            print::line(format!("# {}\n{text}", path.display()));
        }
        notes(&plan, &config);
        return Ok(());
    }
    if !has_account && !args.no_start {
        return Err(Failure::usage(format!(
            "there is no account that the service could serve, since it does not get the variables of this shell: run `hubspot-proxy login` or `hubspot-proxy accounts import default` first, or write what it needs into {} (mode 600)",
            plan.environment_file.display()
        )));
    }
    manager.check_own(&files, args.force)?;
    let before = manager.state();
    for (path, text) in &files {
        manager::write(path, text)?;
        print::line(format!("Wrote {}", path.display()));
    }
    for folder in &plan.writable {
        // The proxy itself says what is wrong with one that cannot be made.
        let _ = crate::store::private::create_folder(folder);
    }
    notes(&plan, &config);
    if args.no_start {
        print::note(format!("Nothing was started. To do so: {}", manager.by_hand()));
        return Ok(());
    }
    if let Err(why) = manager.reachable() {
        print::note(format!(
            "Nothing was started, since no service manager answers here ({why}). In a session that has one, run: {}",
            manager.by_hand()
        ));
        return Ok(());
    }
    manager.start(before.running.is_some())?;
    print::line(format!("Started, now and at each login: {}", addresses(&plan)));
    print::note(manager.after_start());
    Ok(())
}

fn addresses(plan: &Plan) -> String {
    plan.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What a person has to know of variables that the service does not get.
fn notes(plan: &Plan, config: &Config) {
    let file = plan.environment_file.display();
    let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let credentials: Vec<&str> =
        SECRET_VARIABLES.iter().chain(&["HUBSPOT_CLIENT_ID"]).copied().filter(is_set).collect();
    if !credentials.is_empty() {
        print::note(format!(
            "Not in the service: {} of this shell, since a service file is no place for secrets. Run `hubspot-proxy login` or `hubspot-proxy accounts import NAME`, or write NAME=VALUE lines into {file} (mode 600).",
            credentials.join(", ")
        ));
    }
    let named: Vec<&str> = config.secret_variables().into_iter().collect();
    if !named.is_empty() && !plan.environment_file.exists() {
        print::note(format!(
            "The configuration reads secrets from variables: write NAME=VALUE lines for {} into {file} (mode 600), since the service does not get those of this shell.",
            named.join(", ")
        ));
    }
    let own = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut own: Vec<String> =
        own.filter(|name| name.starts_with("HUBSPOT_PROXY_") && is_set(&name.as_str())).collect();
    own.sort();
    if !own.is_empty() {
        print::note(format!(
            "Not in the service: {} of this shell. Write these settings into proxy.toml.",
            own.join(", ")
        ));
    }
}

fn uninstall(manager: &Manager, force: bool) -> Result<(), Failure> {
    let paths: Vec<_> = manager.paths().into_iter().filter(|path| path.exists()).collect();
    if paths.is_empty() {
        print::note("The service is not installed.");
        return Ok(());
    }
    if !force {
        manager.check_ours(&paths, "removed")?;
    }
    match manager.reachable() {
        Ok(()) => {
            manager.stop();
            print::line("Stopped and disabled");
        }
        Err(why) => print::note(format!(
            "No service manager answers here ({why}): one that runs elsewhere goes on until it is stopped."
        )),
    }
    for path in &paths {
        std::fs::remove_file(path).map_err(|error| {
            Failure::failed(format!("cannot remove {}: {error}", path.display()))
        })?;
        print::line(format!("Removed {}", path.display()));
    }
    manager.forget();
    Ok(())
}

/// How an installed service stands, for who looks without a change.
pub(super) struct Standing {
    pub path: std::path::PathBuf,
    pub running: bool,
    /// What the service, or the manager, says of its state.
    pub says: String,
    /// Why the manager cannot be asked.
    pub reachable: Result<(), String>,
    /// In what the installed files differ from what would be installed now.
    pub outdated: Option<String>,
}

/// Where the service's files are, if there are any.
pub(super) fn installed() -> Option<std::path::PathBuf> {
    let manager = Manager::of_platform().ok()?;
    manager.paths().into_iter().find(|path| path.exists())
}

/// Asks the manager, which may take its time; `None` where the service is not installed.
pub(super) fn standing() -> Option<Standing> {
    let manager = Manager::of_platform().ok()?;
    let state = manager.state();
    let path = installed()?;
    let outdated = outdated(&manager, &state, None);
    let says = state.says.unwrap_or_default();
    Some(Standing {
        path,
        running: state.running.is_some(),
        says,
        reachable: state.reachable,
        outdated,
    })
}

fn status(manager: &Manager, config_flag: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let state = manager.state();
    let outdated = outdated(manager, &state, config_flag);
    if as_json {
        print::line(json!({
            "installed": state.installed,
            "enabled": state.enabled,
            "running": state.running.is_some(),
            "pid": state.running,
            "says": state.says,
            "binary": state.binary(),
            "version": state.version,
            "outdated": outdated,
            "manager": state.reachable.is_ok(),
        }));
        return Ok(());
    }
    if !state.installed {
        print::line("Installed: no");
        print::note("`hubspot-proxy service install` installs it.");
        return Ok(());
    }
    for path in manager.paths() {
        print::line(format!("Installed: {}", path.display()));
    }
    let version = state.version.as_deref().unwrap_or("not written by hubspot-proxy");
    print::line(format!("Binary: {} ({version})", state.binary().unwrap_or("unknown")));
    match &state.reachable {
        Err(why) => print::line(format!("Running: unknown, no service manager answers ({why})")),
        Ok(()) => {
            print::line(format!("Enabled: {}", if state.enabled { "yes" } else { "no" }));
            let says = state.says.as_deref().unwrap_or_default();
            match state.running {
                Some(pid) => print::line(format!("Running: yes, process {pid}. {says}")),
                None => print::line(format!("Running: no. {says}")),
            }
        }
    }
    match outdated {
        None => print::line("Up to date: yes"),
        Some(why) => {
            print::line(format!("Up to date: no, {why}"));
            print::note("`hubspot-proxy service install` writes it anew.");
        }
    }
    Ok(())
}

/// In what the installed files differ from what would be installed now.
fn outdated(manager: &Manager, state: &State, config_flag: Option<&Path>) -> Option<String> {
    if !state.installed {
        return None;
    }
    let Some(version) = &state.version else {
        return Some("hubspot-proxy has not written it".to_owned());
    };
    let binary = state.binary().unwrap_or_default();
    if !Path::new(binary).exists() {
        return Some(format!("its binary {binary} is gone"));
    }
    let Planned { mut plan, .. } = match plan(config_flag.or_else(|| state.config())) {
        Ok(planned) => planned,
        Err(error) => return Some(format!("its configuration cannot be used: {error}")),
    };
    if Path::new(binary) != plan.binary {
        return Some(format!("it runs {binary}, and this is {}", plan.binary.display()));
    }
    if version != env!("CARGO_PKG_VERSION") {
        let own = env!("CARGO_PKG_VERSION");
        return Some(format!("version {version} has written it, and this is {own}"));
    }
    // A system that allows none, or allows one by now, is no reason to install it again.
    plan.user_namespace &= state.user_namespace;
    let same = |(path, text): &(_, String)| std::fs::read_to_string(path).is_ok_and(|t| t == *text);
    if manager.files(&plan).iter().all(same) {
        return None;
    }
    Some("the configuration or the file has changed since".to_owned())
}
