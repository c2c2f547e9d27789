//! `man`: the manual, a page for each command, made from the same definition as `--help`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory, ValueHint};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::hygiene::Before;
use super::{Cli, Failure, print};

/// What `--help` ends with.
pub const HELP: &str = "\
Examples:
  hubspot-proxy man | man -l -
  hubspot-proxy man keys create | man -l -
  hubspot-proxy man --dir ~/.local/share/man/man1             then: man hubspot-proxy-serve";

const SECTION: &str = "1";
/// An argument that is there and empty.
const NO_DATE: &str = "\"\"";

/// What only the page of the program itself has.
const FILES: [(&str, &str); 4] = [
    ("./proxy.toml", "The configuration, if there is one in the current folder."),
    ("$XDG_CONFIG_HOME/hubspot-proxy/proxy.toml", "Else this one; by default in ~/.config."),
    (
        "$XDG_STATE_HOME/hubspot-proxy",
        "The encrypted store of logins and client keys; by default in ~/.local/state.",
    ),
    ("$XDG_RUNTIME_DIR/hubspot-proxy", "By what is in here, commands find a running proxy."),
];
const ENVIRONMENT: [(&str, &str); 6] = [
    ("HUBSPOT_ACCESS_TOKEN", "Makes an account `default` with this static token."),
    (
        "HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET, HUBSPOT_REFRESH_TOKEN",
        "Make an account `default` of this app. Without a refresh token it needs a login.",
    ),
    ("HUBSPOT_PERSONAL_ACCESS_KEY", "Makes an account `default` of this key."),
    (
        "HUBSPOT_PROXY_...",
        "Sets any key of the configuration that is no secret: its path in capitals, with `__` for each dot, as in HUBSPOT_PROXY_UPSTREAM__URL.",
    ),
    ("HUBSPOT_PROXY_LOG", "What is logged: off, error, warn, info (the default), debug or trace."),
    ("NO_COLOR", "Switches colour off, where it is set and not empty."),
];
const EXIT_STATUS: [(&str, &str); 3] = [
    ("0", "What was asked for has been done."),
    ("1", "It could not be done."),
    ("2", "The command line or the configuration is wrong."),
];

/// Flags of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command that the page is about [default: hubspot-proxy itself]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,

    /// Write all pages into this folder, and none to standard output
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "command")]
    dir: Option<PathBuf>,
}

/// Prints a page, or writes them all.
pub(super) fn run(args: &ManArgs, before: &Before) -> Result<(), Failure> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    if let Some(dir) = &args.dir {
        // They are meant for whoever may read the folder.
        let written = before.restored(|| write_all(&root, None, dir));
        return written.map_err(|error| {
            Failure::failed(format!("{} cannot be written: {error}", dir.display()))
        });
    }
    let (mut command, mut parent) = (&root, None);
    for word in &args.command {
        parent = Some(command);
        command = command.find_subcommand(word).ok_or_else(|| unknown(word, command))?;
    }
    print::bytes(&page(command, parent).map_err(Failure::failed)?)
}

fn unknown(word: &str, command: &Command) -> Failure {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let known: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
    Failure::usage(match known.as_slice() {
        [] => format!("`{name}` has no commands of its own: leave out `{word}`"),
        known => format!("`{name}` has no command `{word}`: name one of {}", known.join(", ")),
    })
}

/// Writes the pages of `command` and of all below it.
fn write_all(command: &Command, parent: Option<&Command>, dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let file = dir.join(format!("{}.{SECTION}", name_of(command)));
    fs::write(file, page(command, parent)?)?;
    command.get_subcommands().try_for_each(|below| write_all(below, Some(command), dir))
}

/// Such as `hubspot-proxy-keys-create`.
fn name_of(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, parent: Option<&Command>) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_owned();
    let named = command.clone().override_usage(usage).subcommand_help_heading("COMMANDS");
    let man = Man::new(named).section(SECTION);
    title(command).to_writer(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut rest = Roff::new();
    end_of_help(command, &mut rest);
    match parent {
        None => {
            list("ENVIRONMENT", &ENVIRONMENT, &mut rest);
            list("FILES", &FILES, &mut rest);
            list("EXIT STATUS", &EXIT_STATUS, &mut rest);
        }
        Some(parent) => {
            rest.control("SH", ["SEE ALSO"]);
            rest.text([bold(name_of(parent)), roman(format!("({SECTION})"))]);
        }
    }
    rest.to_writer(&mut out)?;
    Ok(out)
}

/// The head, without a date: the version says enough, and the same source makes the same page.
fn title(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let source = concat!("hubspot-proxy ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name_of(command), SECTION, NO_DATE, source, "hubspot-proxy manual"]);
    roff
}

/// What `--help` ends with: examples as they are, the rest as paragraphs.
fn end_of_help(command: &Command, roff: &mut Roff) {
    let Some(text) = command.get_after_help() else { return };
    let text = text.to_string();
    let (examples, notes): (Vec<_>, Vec<_>) =
        text.split("\n\n").partition(|part| part.starts_with("Examples:"));
    if !notes.is_empty() {
        roff.control("SH", ["NOTES"]);
    }
    for note in notes {
        roff.control("PP", []);
        roff.text([roman(note.replace('\n', " "))]);
    }
    if !examples.is_empty() {
        roff.control("SH", ["EXAMPLES"]);
    }
    for example in examples {
        roff.control("nf", []);
        for line in example.lines().skip(1) {
            roff.text([roman(line.trim_start())]);
        }
        roff.control("fi", []);
    }
}

fn list(heading: &str, entries: &[(&str, &str)], roff: &mut Roff) {
    roff.control("SH", [heading]);
    for (name, meaning) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*meaning)]);
    }
}
