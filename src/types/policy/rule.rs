//! One rule: methods and a path, such as `GET /crm/v3/objects/**`.

use std::fmt;

use http::Method;
use thiserror::Error;

use super::pattern::{ANY_NUMBER, ANY_ONE, fits};
use crate::types::target::Target;

/// The methods that a rule can name; a method's place here is its bit in [`Rule::methods`].
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
const GET: u8 = 1;
const HEAD: u8 = 2;
/// Stands for all methods that are not in [`METHODS`], which only `*` means.
const OTHER: u8 = 1 << METHODS.len();
const ALL: u8 = u8::MAX;

/// A rule, ready to be matched.
#[derive(Clone, PartialEq, Eq)]
pub struct Rule {
    /// As written, with one blank.
    text: Box<str>,
    methods: u8,
    /// The path as written, for the path as sent.
    path: Box<str>,
    /// The same in small letters, as they are in the decoded form.
    folded: Box<str>,
    /// How much of the path stands before its first `*`, which is compared at one go.
    literal: usize,
}

/// What a rule is asked about.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    method: u8,
    /// The method as a server might take it that does not care for capitals.
    folded_method: u8,
    sent: &'a [u8],
    decoded: &'a [u8],
    twice_decoded: Option<&'a [u8]>,
}

/// What is wrong with a rule, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    #[error(
        "a rule is a method and a path with a blank between them, such as `GET /crm/v3/objects/**`"
    )]
    Form,
    #[error("methods are {}, with commas and no blanks between them, or `*` for all", METHODS.join(", "))]
    Method,
    #[error("the path has to begin with a slash, such as `/crm/**`")]
    NoSlash,
    #[error(
        "the path is written decoded, in letters, digits and marks that need no `%`, and without `;`, `?`, `#` or a backslash: put `*` for a segment that cannot be written so"
    )]
    Character,
    #[error(
        "`*` stands for a whole segment and `**` for any number of them: write no more than that between two slashes"
    )]
    PartOfSegment,
    #[error("`.` and `..` are in no path that is sent: write where they lead")]
    Dots,
    #[error("a path ends without a slash: leave it out, or write `/**` for all that is below")]
    Slash,
    #[error("two slashes follow each other: write one")]
    TwoSlashes,
    #[error("`/@NAME` is no part of the path: put the rule into the policy of that account")]
    Account,
    #[error("the proxy's own paths are under no policy: leave the rule out")]
    Local,
}

impl Rule {
    /// Reads a rule.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(methods), Some(path), None) = (words.next(), words.next(), words.next()) else {
            return Err(RuleError::Form);
        };
        let mask = parse_methods(methods)?;
        check_path(path)?;
        let before_star = path.find('*').unwrap_or(path.len());
        // Whole segments only, and no slash at the end: `/` alone has none.
        let literal = match path[before_star..].is_empty() {
            true => path.trim_end_matches('/').len(),
            false => before_star.saturating_sub(1),
        };
        let text = format!("{methods} {path}").into();
        // The path `/` has no segment.
        let path = if path == "/" { "" } else { path };
        let folded = path.to_ascii_lowercase().into();
        Ok(Self { text, methods: mask, path: path.into(), folded, literal })
    }

    /// What stands before the first `*`: whole segments, in small letters.
    pub(super) fn beginning(&self) -> &[u8] {
        &self.folded.as_bytes()[..self.literal]
    }

    /// Whether it matches in one of the two forms of the path. A rule that denies hits in any
    /// spelling, also of the method.
    pub fn matches_either(&self, asked: Asked<'_>) -> bool {
        // What matches as sent matches with its letters folded too, unless decoding changes more
        // than letters.
        self.methods & asked.folded_method != 0
            && (self.matches(&self.folded, asked.decoded)
                || (asked.sent != asked.decoded && self.matches(&self.path, asked.sent))
                || asked.twice_decoded.is_some_and(|form| self.matches(&self.folded, form)))
    }

    /// Whether it matches in both forms: a rule that allows means just what it says.
    pub fn matches_both(&self, asked: Asked<'_>) -> bool {
        self.methods & asked.method != 0
            && self.matches(&self.path, asked.sent)
            && (asked.sent == asked.decoded || self.matches(&self.folded, asked.decoded))
    }

    fn matches(&self, pattern: &str, path: &[u8]) -> bool {
        let (literal, pattern) = pattern.as_bytes().split_at(self.literal);
        let Some(rest) = path.strip_prefix(literal) else { return false };
        matches!(rest, [] | [b'/', ..]) && fits(pattern, rest)
    }
}

impl<'a> Asked<'a> {
    /// The question whether `method` may be done on `target`.
    pub fn about(method: &Method, target: &'a Target) -> Self {
        let name = method.as_str();
        let place = |same: fn(&str, &str) -> bool| {
            METHODS.iter().position(|known| same(known, name)).map_or(OTHER, |bit| 1 << bit)
        };
        Self {
            method: place(|known, name| known == name),
            folded_method: place(str::eq_ignore_ascii_case),
            sent: without_bare_slash(target.path().as_bytes()),
            decoded: without_bare_slash(target.decoded()),
            twice_decoded: target.twice_decoded().map(without_bare_slash),
        }
    }

    /// The path, where it is sent as it is decoded and there is no other form of it.
    pub(super) fn only_form(&self) -> Option<&'a [u8]> {
        (self.sent == self.decoded && self.twice_decoded.is_none()).then_some(self.decoded)
    }
}

/// The path `/` has no segment.
fn without_bare_slash(path: &[u8]) -> &[u8] {
    if path == b"/" { b"" } else { path }
}

fn parse_methods(text: &str) -> Result<u8, RuleError> {
    if text == "*" {
        return Ok(ALL);
    }
    text.split(',').try_fold(0, |mask, name| {
        let place = METHODS.iter().position(|known| *known == name).ok_or(RuleError::Method)?;
        let bit = 1 << place;
        // A server answers HEAD as it answers GET.
        Ok(mask | bit | if bit == GET { HEAD } else { 0 })
    })
}

fn check_path(path: &str) -> Result<(), RuleError> {
    let Some(below) = path.strip_prefix('/') else { return Err(RuleError::NoSlash) };
    let is_plain = |b: u8| b.is_ascii_graphic() && !b"%;?#\\`".contains(&b);
    if !path.bytes().all(is_plain) {
        return Err(RuleError::Character);
    }
    if below.starts_with('@') {
        return Err(RuleError::Account);
    }
    let first = below.split('/').next().unwrap_or_default();
    if first.eq_ignore_ascii_case("_proxy") {
        return Err(RuleError::Local);
    }
    let mut parts = below.split('/').peekable();
    while let Some(part) = parts.next() {
        match part {
            "" if parts.peek().is_some() => return Err(RuleError::TwoSlashes),
            "" if below.is_empty() => {}
            "" => return Err(RuleError::Slash),
            "." | ".." => return Err(RuleError::Dots),
            ANY_ONE | ANY_NUMBER => {}
            part if part.contains('*') => return Err(RuleError::PartOfSegment),
            _ => {}
        }
    }
    Ok(())
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.text)
    }
}
