//! Somebody who reads a page from top to bottom and does what it says.

use crate::page::{Block, First, Page};
use crate::printed::is_as_shown;
use crate::shell::{Network, Ran, Shell};

/// What came of a page.
#[derive(Default)]
pub struct Told {
    pub run: usize,
    pub not_run: Vec<String>,
    /// How many of those are commands, and not programs that a page shows.
    pub left_out: usize,
    /// For each block that did something else than the page says, what.
    pub wrong: Vec<String>,
}

/// Reads the page. What follows a block that went wrong is not read: it would go wrong as well.
pub fn read(page: &Page, network: Network) -> Told {
    let mut told = Told::default();
    let mut shell = Shell::start(network);
    for block in &page.blocks {
        let place = format!("{}:{}", page.path, block.line);
        if let Some(reason) = &block.comments.not_run {
            told.not_run.push(format!("{place}: {reason}"));
            told.left_out += usize::from(block.is_of_commands());
            continue;
        }
        if let Err(wrong) = follow(block, &mut shell) {
            let background = shell.background_output();
            told.wrong.push(format!("{place}: {wrong}{background}"));
            break;
        }
        told.run += usize::from(block.is_of_commands());
    }
    if let Err(wrong) = shell.stop_all_but(&[]) {
        told.wrong.push(format!("{}: {wrong}", page.path));
    }
    told
}

fn follow(block: &Block, shell: &mut Shell) -> Result<(), String> {
    let comments = &block.comments;
    for first in &comments.first {
        match first {
            First::Running(commands) => see_to_it_that_runs(commands, shell)?,
            First::Run(command) => {
                let Ran { status, output } = shell.run(&format!("{command}\n"), &[])?;
                if status != 0 {
                    return Err(format!("{command}\nended with status {status}:\n{output}"));
                }
            }
        }
    }
    if let Some(file) = &comments.file {
        let path = shell.home().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &block.text).unwrap();
    }
    if block.is_of_commands() {
        return run(block, shell);
    }
    Ok(())
}

fn see_to_it_that_runs(commands: &[String], shell: &mut Shell) -> Result<(), String> {
    let wanted: Vec<String> = commands.iter().map(|command| format!("{command}\n")).collect();
    shell.stop_all_but(&wanted)?;
    for command in &wanted {
        if !shell.is_running(command) {
            shell.leave_running(command, is_listening)?;
        }
    }
    Ok(())
}

fn run(block: &Block, shell: &mut Shell) -> Result<(), String> {
    let steps = block.steps();
    let last = steps.len() - 1;
    for (at, (command, shown)) in steps.iter().enumerate() {
        let is_shown = |printed: &str| match shown {
            Some(shown) => is_as_shown(shown, printed),
            None => is_listening(printed),
        };
        if block.comments.keeps_running && at == last {
            shell.leave_running(command, is_shown)?;
            return Ok(());
        }
        let ran = match block.comments.on_a_terminal {
            true => shell.run_on_a_terminal(command, &block.comments.typed)?,
            false => shell.run(command, &block.comments.typed)?,
        };
        let expected = if at == last { block.comments.exit_status } else { 0 };
        if ran.status != expected {
            return Err(format!("{command}ended with status {}:\n{}", ran.status, ran.output));
        }
        if let Some(shown) = shown
            && !is_as_shown(shown, &ran.output)
        {
            return Err(format!("{command}--- printed\n{}--- and not\n{shown}", ran.output));
        }
    }
    Ok(())
}

/// Whether a proxy or sandbox has said all that it says at its start.
fn is_listening(printed: &str) -> bool {
    printed.contains("\nTry: ") || printed.contains("\nWhat arrived: ")
}

#[cfg(test)]
mod tests {
    use super::{Network, Page, read};

    fn wrong(text: &str) -> String {
        read(&Page::parse("page.md", text).unwrap(), Network::find()).wrong.join("\n")
    }

    #[test]
    fn a_page_that_is_wrong_is_found_out() {
        assert_eq!(
            wrong(
                "```sh\nexport A=1\n```\n\n```console\n$ echo $A; pwd | grep -o home$\n1\nhome\n```\n"
            ),
            ""
        );
        assert!(
            wrong("```sh\nfalse\ntrue\n```\n")
                .contains("page.md:1: false\ntrue\nended with status 1")
        );
        assert!(
            wrong("```sh\necho a\n```\n\n```text\nb\n```\n")
                .contains("--- printed\na\n--- and not\nb\n")
        );
        assert!(wrong("```console\n$ echo a\n```\n").contains("--- printed\na\n"));
        assert!(
            wrong("<!-- exit status: 3 -->\n```sh\ntrue\n```\n").contains("ended with status 0")
        );
        assert!(wrong("<!-- keeps running -->\n```sh\ntrue\n```\n").contains("has not come to"));
        assert!(wrong("```sh\nhubspot-proxy --nonsense\n```\n").contains("ended with status 2"));
        assert!(wrong("```sh\nexit 0\n```\n").contains("does not end"));
    }

    #[test]
    fn what_runs_on_is_there_and_then_gone() {
        let page = "<!-- running: hubspot-proxy sandbox -->\n```sh\ncurl -fsS http://localhost:8788/sandbox/requests\n```\n\n\
                    <!-- running: hubspot-proxy --sandbox -->\n<!-- exit status: 7 -->\n```sh\ncurl -fsS http://localhost:8788/\n```\n\n\
                    ```text\n...\n```\n\n```sh\ncurl -fsS http://localhost:8787/_proxy/health\n```\n";
        assert_eq!(wrong(page), "");
    }
}
