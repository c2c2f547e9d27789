//! What an operation of HubSpot's does: read, write or destroy.
//!
//! The method says it for nearly all. Some POSTs only read, some destroy; those are told by their
//! path, whichever version it names and wherever. What is not known here counts as a write.

use http::Method;

use crate::types::path::is_version;
use crate::types::target::Target;

/// From the harmless to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    Read,
    Write,
    /// What is gone is gone, or hard to get back.
    Destructive,
}

/// POSTs that only read, as whole paths without their version; `*` is any one segment and `**`, at
/// the end, one or more. Whole, since a last word alone can be a name that a client chose.
const READS: [&str; 7] = [
    "crm/objects/*/search",
    "crm/lists/search",
    "crm/lists/all",
    "crm/lists/idmapping",
    "commerce/contracts/changes/preview",
    "cms/source-code/*/validate/**",
    "oauth/token/introspect",
];
/// Ends of POSTs that read many records at once, in every API that has them.
const BATCH_READS: [[&str; 2]; 2] = [["batch", "read"], ["unsubscribe-all", "read"]];
/// Below these, what follows is a path that the client chose: its last word says nothing.
const FREE_PATHS: &str = "cms/source-code/*/content/**";
/// Last words of POSTs, PUTs and PATCHes that destroy. The ones with two words in one are those of
/// APIs that HubSpot no longer documents and still answers.
const DESTRUCTIVE: [&str; 10] = [
    "archive",
    "batch-delete",
    "delete",
    "delete-batch",
    "full-delete",
    "gdpr-delete",
    "merge",
    "purge",
    "remove",
    "revoke",
];
/// The same, with the id of the record that stays behind it.
const MERGE_INTO: &str = "merge-vids";

/// What `method` on `target` does: the worst of what the forms of its path say.
pub fn of(method: &Method, target: &Target) -> Access {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => return Access::Read,
        Method::POST | Method::PUT | Method::PATCH => {}
        // DELETE, and what no API documents, such as `delete`, which a server may take for it.
        _ => return Access::Destructive,
    }
    let mut decoded = of_path(method, target.decoded());
    if let Some(form) = target.twice_decoded() {
        decoded = decoded.max(of_path(method, form));
    }
    match target.path().as_bytes() {
        sent if sent == target.decoded() => decoded,
        sent => decoded.max(of_path(method, sent)),
    }
}

/// What a method does on paths of `template`, in which ids and the like are left open; a hint, for what
/// a policy judges is the path that is sent.
pub fn of_template(method: &Method, template: &str) -> Access {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Access::Read,
        Method::POST | Method::PUT | Method::PATCH => of_path(method, template.as_bytes()),
        _ => Access::Destructive,
    }
}

fn of_path(method: &Method, path: &[u8]) -> Access {
    let mut last = path.rsplit(|b| *b == b'/');
    let (last, before) = (last.next().unwrap_or_default(), last.next().unwrap_or_default());
    let is_last = |word: &&str| word.as_bytes() == last;
    if DESTRUCTIVE.iter().any(is_last) || before == MERGE_INTO.as_bytes() {
        return Access::Destructive;
    }
    if *method != Method::POST {
        return Access::Write;
    }
    let is_batch = BATCH_READS.iter().any(|words| words.map(str::as_bytes) == [before, last]);
    let reads = (is_batch && !is_whole(path, FREE_PATHS))
        || READS.iter().any(|pattern| is_whole(path, pattern));
    if reads { Access::Read } else { Access::Write }
}

/// Whether `path`, without its version, is what `pattern` says.
fn is_whole(path: &[u8], pattern: &str) -> bool {
    // Only the first: a path names one version, and what else looks like one is a name.
    let mut version_seen = false;
    let segments = path.strip_prefix(b"/").unwrap_or(path).split(|b| *b == b'/');
    let mut segments = segments.filter(|segment| {
        let is_first_version = !version_seen && is_version(segment);
        version_seen |= is_first_version;
        !is_first_version
    });
    for part in pattern.split('/') {
        match (part, segments.next()) {
            (_, None) => return false,
            ("**", Some(_)) => return true,
            ("*", Some(segment)) if !segment.is_empty() => {}
            (word, Some(segment)) if word.as_bytes() == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

#[cfg(test)]
mod tests;
