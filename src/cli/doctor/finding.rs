//! What a check has found: one sentence of what was seen, and one of what mends it.
//!
//! A finding never holds a secret: the places of secrets are named, not what is there.

use std::fmt;
use std::path::PathBuf;

use crate::types::account::AccountName;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Ok,
    /// What it depends on has failed, or is not used.
    Skipped,
    /// It works, or will for a while.
    Warning,
    Failed,
}

impl Outcome {
    /// As it is printed, and as it stands in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// What `--fix` does about a finding: nothing else is ever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fix {
    /// Takes permissions of others away from a file or folder of this user.
    Mode { path: PathBuf, mode: u32 },
    /// Removes a socket that nobody answers.
    DeadSocket(PathBuf),
    /// Removes what a proxy that was killed has left in the runtime folder.
    Leftover(PathBuf),
}

/// The finding of one check, or of one check of one account.
#[derive(Clone, Debug)]
pub struct Finding {
    pub outcome: Outcome,
    /// The account that it is about, where it is about one.
    pub account: Option<AccountName>,
    pub seen: String,
    /// What to run or to write; always there for a warning and a failure.
    pub mend: Option<String>,
    pub fix: Option<Fix>,
}

impl Finding {
    pub fn ok(seen: impl Into<String>) -> Self {
        Self::new(Outcome::Ok, seen.into(), None)
    }

    /// `why` says what it waits for, or why there is nothing to check.
    pub fn skipped(why: impl Into<String>) -> Self {
        Self::new(Outcome::Skipped, why.into(), None)
    }

    pub fn warning(seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Outcome::Warning, seen.into(), Some(mend.into()))
    }

    pub fn failed(seen: impl Into<String>, mend: impl Into<String>) -> Self {
        Self::new(Outcome::Failed, seen.into(), Some(mend.into()))
    }

    /// A failure whose message ends with what to do; `otherwise` is for one that does not.
    pub fn told(message: impl fmt::Display, otherwise: &str) -> Self {
        let message = message.to_string();
        let cuts = message.match_indices(": ").chain(message.match_indices("; "));
        let first = cuts.map(|(at, _)| at).filter(|at| is_advice(&message[at + 2..])).min();
        match (first, message.split_once(" must be ")) {
            (Some(at), _) => Self::failed(&message[..at], &message[at + 2..]),
            (None, Some((_, rule))) => Self::failed(&message, format!("write {rule}")),
            (None, None) => Self::failed(message, otherwise),
        }
    }

    pub fn of(self, account: &AccountName) -> Self {
        Self { account: Some(account.clone()), ..self }
    }

    pub fn fixed_by(self, fix: Fix) -> Self {
        Self { fix: Some(fix), ..self }
    }

    fn new(outcome: Outcome, seen: String, mend: Option<String>) -> Self {
        Self { outcome, account: None, seen, mend, fix: None }
    }
}

/// Whether a sentence tells what to do, and not why something failed: it begins with a verb of ours.
fn is_advice(text: &str) -> bool {
    const VERBS: [&str; 24] = [
        "run", "set", "put", "choose", "install", "unlock", "write", "check", "correct", "stop",
        "name", "move", "remove", "save", "add", "use", "start", "give", "take", "log", "say",
        "did", "unset", "mend",
    ];
    let first = text.split([' ', ',']).next().unwrap_or_default();
    VERBS.contains(&first)
}

#[cfg(test)]
mod tests {
    use super::{Finding, Outcome};

    #[test]
    fn what_a_message_advises_is_the_mend() {
        let told = |message: &str| Finding::told(message, "look at the log");
        for (message, seen, mend) in [
            (
                "the store /a is damaged and is left as it is: put a copy back, or move it: away",
                "the store /a is damaged and is left as it is",
                "put a copy back, or move it: away",
            ),
            (
                "cannot read /a: Permission denied; check its path",
                "cannot read /a: Permission denied",
                "check its path",
            ),
            (
                "cannot read /a: No such file or directory",
                "cannot read /a: No such file or directory",
                "look at the log",
            ),
            (
                "line 2: `threads` must be a number from 1 to 1024, such as `threads = 4`",
                "line 2: `threads` must be a number from 1 to 1024, such as `threads = 4`",
                "write a number from 1 to 1024, such as `threads = 4`",
            ),
        ] {
            let finding = told(message);
            assert_eq!(finding.outcome, Outcome::Failed);
            assert_eq!((finding.seen.as_str(), finding.mend.as_deref()), (seen, Some(mend)));
        }
    }
}
