//! Matches the path of a rule against a path, segment by segment.
//!
//! Works on the two texts as they are and allocates nothing. A pattern with several `**` takes at
//! most the product of the two lengths, never more.

/// Any number of segments, also none.
pub(super) const ANY_NUMBER: &str = "**";
/// Any one segment that is not empty.
pub(super) const ANY_ONE: &str = "*";

/// Whether `path` fits `pattern`; both are empty or begin with a slash.
pub(super) fn fits(pattern: &[u8], path: &[u8]) -> bool {
    let (mut pattern, mut path) = (pattern, path);
    // What follows the last `**`, and from where on it is to be tried next.
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        let wanted = first_segment(pattern);
        if let Some((part, rest)) = wanted
            && part == ANY_NUMBER.as_bytes()
        {
            if rest.is_empty() {
                return true;
            }
            again = Some((rest, path));
            pattern = rest;
            continue;
        }
        let Some((segment, after)) = first_segment(path) else { return wanted.is_none() };
        match wanted {
            Some((part, rest)) if is_one(part, segment) => {
                pattern = rest;
                path = after;
            }
            _ => {
                let Some((rest, from)) = again else { return false };
                let Some((_, shorter)) = first_segment(from) else { return false };
                again = Some((rest, shorter));
                pattern = rest;
                path = shorter;
            }
        }
    }
}

fn is_one(part: &[u8], segment: &[u8]) -> bool {
    if part == ANY_ONE.as_bytes() { !segment.is_empty() } else { part == segment }
}

/// The first segment, without its slash, and what follows it.
fn first_segment(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = path.strip_prefix(b"/")?;
    let end = path.iter().position(|b| *b == b'/').unwrap_or(path.len());
    Some(path.split_at(end))
}
