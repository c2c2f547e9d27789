//! What an account may do, as configured: a mode, and rules that allow or deny.
//!
//! Parsed once, when the configuration is read, and never changed. What a request does, and what
//! follows from a policy for it, is the pipeline's business.

mod pattern;
mod rule;
mod rules;

use std::fmt;

pub use rule::{Asked, Rule, RuleError};
pub use rules::Rules;

/// What may be done where no rule says more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    ReadWrite,
    /// All but what destroys.
    NoDestructive,
    ReadOnly,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::ReadWrite, Self::NoDestructive, Self::ReadOnly];

    /// As it stands in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadWrite => "read-write",
            Self::NoDestructive => "no-destructive",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part of a policy, with what a person has to know to change it.
#[derive(Clone, Debug, Default)]
pub struct Part<T> {
    pub value: T,
    /// The key, such as `policy.deny`.
    pub key: Box<str>,
    /// Where it is set: a file or a variable.
    pub set_in: Box<str>,
}

/// A request has to pass all three parts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub mode: Part<Mode>,
    /// One of these has to match, unless there are none.
    pub allow: Part<Rules>,
    /// None of these may match.
    pub deny: Part<Rules>,
}

impl Policy {
    /// Whether it lets everything pass.
    pub fn is_open(&self) -> bool {
        let Self { mode, allow, deny } = self;
        mode.value == Mode::ReadWrite && allow.value.is_empty() && deny.value.is_empty()
    }
}

#[cfg(test)]
mod tests;
