//! `completions`: what a shell needs to complete commands and flags, made from the same definition as
//! `--help`.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::{Cli, Failure, print};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy completions bash > ~/.local/share/bash-completion/completions/hubspot-proxy
  hubspot-proxy completions zsh > ~/.zfunc/_hubspot-proxy     into a folder of fpath
  hubspot-proxy completions fish > ~/.config/fish/completions/hubspot-proxy.fish";

const NAME: &str = "hubspot-proxy";
/// With a hyphen in it, nothing would be completed behind a command (clap-rs/clap#6421). Only the line
/// that registers the function has to have the true name.
const NAME_IN_BASH: &str = "hubspot_proxy";
/// For those who check scripts. What is split there are lines and words without blanks.
const BASH_HEAD: &str = "# shellcheck shell=bash disable=SC2207\n";

/// Flags of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    if args.shell != Shell::Bash {
        generate(args.shell, &mut command, NAME, &mut script);
        return print::bytes(&script);
    }
    generate(args.shell, &mut command, NAME_IN_BASH, &mut script);
    let script = String::from_utf8(script).map_err(Failure::failed)?;
    let script = script.replace(&format!(" {NAME_IN_BASH}\n"), &format!(" {NAME}\n"));
    print::bytes(format!("{BASH_HEAD}{script}").as_bytes())
}
