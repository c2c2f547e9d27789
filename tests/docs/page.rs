//! A page taken apart: its blocks, with the comments before each.

/// Languages whose blocks are commands.
const COMMANDS: [&str; 3] = ["sh", "shell", "console"];
/// Languages whose blocks show something: output, or a file.
const SHOWN: [&str; 7] = ["text", "toml", "json", "yaml", "ini", "dockerfile", "http"];
/// Languages whose blocks are programs: each says which file it is, or why it is not run.
const PROGRAMS: [&str; 7] = ["js", "ts", "python", "php", "ruby", "go", "rust"];

pub struct Page {
    /// In the package, such as `docs/sandbox.md`.
    pub path: String,
    pub text: String,
    pub blocks: Vec<Block>,
}

pub struct Block {
    /// The line of its fence, from 1.
    pub line: usize,
    pub language: String,
    pub text: String,
    pub comments: Comments,
    /// The `text` block that follows.
    pub output: Option<String>,
}

/// Something that is done before a block.
#[derive(Debug, PartialEq)]
pub enum First {
    /// See to it that just this is running.
    Running(Vec<String>),
    Run(String),
}

/// What the comments before a block say.
#[derive(Default)]
pub struct Comments {
    /// What is done before the block, in the order of the comments.
    pub first: Vec<First>,
    pub keeps_running: bool,
    pub typed: Vec<String>,
    pub on_a_terminal: bool,
    pub exit_status: i32,
    pub file: Option<String>,
    pub not_run: Option<String>,
}

impl Page {
    /// Fails where a block could hide a command from being run.
    pub fn parse(path: &str, text: &str) -> Result<Self, String> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut comments = Comments::default();
        let mut follows = false;
        let mut in_list = false;
        let mut lines = text.lines().zip(1..);
        while let Some((line, number)) = lines.next() {
            let wrong = |what: &str| format!("{path}:{number}: {what}");
            let inner = line.trim_start();
            if let Some(language) = inner.strip_prefix("```") {
                let indent = line.len() - inner.len();
                let end = |(line, _): &(&str, usize)| line.trim_start() != "```";
                let body: Vec<&str> =
                    lines.by_ref().take_while(end).map(|(line, _)| line).collect();
                let body: Vec<&str> =
                    body.iter().map(|line| line.get(indent..).unwrap_or_default()).collect();
                let mut body = body.join("\n");
                body.push('\n');
                if language == "text" && follows {
                    blocks.last_mut().unwrap().output = Some(body);
                    follows = false;
                    continue;
                }
                let block = Block {
                    line: number,
                    language: language.to_owned(),
                    text: body,
                    comments: std::mem::take(&mut comments),
                    output: None,
                };
                block.check().map_err(|what| wrong(&what))?;
                follows = matches!(language, "sh" | "shell");
                blocks.push(block);
                continue;
            }
            if let Some(comment) = inner.strip_prefix("<!--") {
                let comment = comment.strip_suffix("-->").map(str::trim);
                let comment = comment.ok_or_else(|| wrong("a comment has one line"))?;
                comments.take(comment).map_err(|what| wrong(&what))?;
                follows = false;
                continue;
            }
            if line.is_empty() {
                continue;
            }
            if !comments.is_empty() {
                return Err(wrong("a block has to follow the comment"));
            }
            if line.starts_with("    ") && !in_list {
                return Err(wrong("this is code without a fence: give it one, and a language"));
            }
            let is_item = inner.starts_with("- ")
                || inner.split_once(". ").is_some_and(|(n, _)| n.parse::<u8>().is_ok());
            in_list = is_item || (in_list && line.starts_with(' '));
            follows = false;
        }
        Ok(Self { path: path.to_owned(), text: text.to_owned(), blocks })
    }
}

impl Block {
    pub fn is_of_commands(&self) -> bool {
        COMMANDS.contains(&self.language.as_str())
    }

    fn check(&self) -> Result<(), String> {
        let language = self.language.as_str();
        let is_told = self.comments.file.is_some() || self.comments.not_run.is_some();
        if self.is_of_commands() {
            return Ok(());
        }
        if PROGRAMS.contains(&language) && !is_told {
            return Err(format!("a program of {language} says `file:` or `not run:`"));
        }
        if !PROGRAMS.contains(&language) && !SHOWN.contains(&language) {
            return Err(format!("`{language}` is no language of a block: see tests/docs/page.rs"));
        }
        if language == "json" && serde_json::from_str::<serde_json::Value>(&self.text).is_err() {
            return Err("this is no JSON".to_owned());
        }
        Ok(())
    }

    /// Each command and what it prints, if the page shows that.
    pub fn steps(&self) -> Vec<(String, Option<String>)> {
        if self.language != "console" {
            return vec![(self.text.clone(), self.output.clone())];
        }
        let mut steps: Vec<(String, Option<String>)> = Vec::new();
        let mut goes_on = false;
        for line in self.text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push((format!("{command}\n"), Some(String::new())));
            } else if let Some((command, output)) = steps.last_mut() {
                let part = if goes_on { command } else { output.get_or_insert_default() };
                part.push_str(line);
                part.push('\n');
                goes_on = goes_on && line.ends_with('\\');
                continue;
            }
            goes_on = line.ends_with('\\');
        }
        steps
    }
}

impl Comments {
    fn is_empty(&self) -> bool {
        self.first.is_empty()
            && !self.keeps_running
            && self.typed.is_empty()
            && !self.on_a_terminal
            && self.exit_status == 0
            && self.file.is_none()
            && self.not_run.is_none()
    }

    fn take(&mut self, comment: &str) -> Result<(), String> {
        match comment {
            "keeps running" => {
                self.keeps_running = true;
                return Ok(());
            }
            "on a terminal" => {
                self.on_a_terminal = true;
                return Ok(());
            }
            "nothing is running" => {
                self.first.push(First::Running(Vec::new()));
                return Ok(());
            }
            _ => {}
        }
        let (name, value) = comment.split_once(": ").ok_or("no such comment")?;
        let value = value.to_owned();
        match name {
            "running" => match self.first.last_mut() {
                Some(First::Running(commands)) => commands.push(value),
                _ => self.first.push(First::Running(vec![value])),
            },
            "before" => self.first.push(First::Run(value)),
            "typed" => self.typed.push(value),
            "exit status" => self.exit_status = value.parse().map_err(|_| "a number")?,
            "file" => self.file = Some(value),
            "not run" => self.not_run = Some(value),
            _ => return Err(format!("there is no comment `{name}`")),
        }
        Ok(())
    }
}

#[test]
fn a_command_cannot_hide() {
    let refused = |text: &str| Page::parse("page.md", text).err().unwrap();
    assert!(refused("Run\n\n    hubspot-proxy\n").contains("page.md:3: this is code"));
    assert!(refused("```\nhubspot-proxy\n```\n").contains("no language"));
    assert!(refused("```bat\nhubspot-proxy\n```\n").contains("no language"));
    assert!(refused("```python\nprint()\n```\n").contains("says `file:`"));
    assert!(refused("<!-- not run: x -->\n\nText.\n").contains("has to follow"));
    assert!(refused("<!-- ran: x -->\n").contains("no comment `ran`"));
    assert!(Page::parse("page.md", "- a\n\n  - b\n    goes on\n").is_ok());
}

#[test]
fn blocks_are_read_with_their_comments_and_output() {
    let text = "<!-- before: o -->\n<!-- running: a -->\n<!-- running: b -->\n```sh\nx\n```\n\n```text\ny\n```\n\n\
                1. list\n\n   ```console\n   $ a \\\n     b\n   c\n   $ d\n   ```\n\n```text\nz\n```\n";
    let page = Page::parse("page.md", text).unwrap();
    let [first, second, third] = &page.blocks[..] else { panic!() };
    let running = First::Running(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(first.comments.first, [First::Run("o".to_owned()), running]);
    assert_eq!(first.steps(), [("x\n".to_owned(), Some("y\n".to_owned()))]);
    let steps = [("a \\\n  b\n".to_owned(), "c\n".to_owned()), ("d\n".to_owned(), String::new())];
    assert_eq!(second.steps(), steps.map(|(command, output)| (command, Some(output))));
    assert_eq!((third.language.as_str(), third.line), ("text", 21));
}
