//! Paths of HubSpot's first APIs, and what has taken their place.
//!
//! HubSpot answers a path that it has retired with 404 or 410, like one that never was. Who gets such
//! an answer is told that the path is an old one; the answer stays as it is. A record that is not
//! there looks the same on a path that still works, so the hint says no more than that.

use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use tracing::warn;

use crate::types::account::AccountName;

/// What `X-HubSpot-Proxy` says of an old path.
pub const HINT: &str = "; hint=old-path";

/// An old path, its place in [`OLD`] with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldPath(usize);

/// Beginnings of decoded paths, the longer before the shorter, and their successors.
const OLD: [(&str, &str); 9] = [
    ("/contacts/v1/lists", "/crm/lists/2026-03"),
    ("/contacts/v1", "/crm/objects/2026-03/contacts"),
    ("/companies/v1", "/crm/objects/2026-03/companies"),
    ("/companies/v2", "/crm/objects/2026-03/companies"),
    ("/deals/v1", "/crm/objects/2026-03/deals"),
    ("/engagements/v1", "/crm/objects/2026-03"),
    ("/crm-pipelines/v1", "/crm/pipelines/2026-03"),
    ("/content/filemapper/v1", "/cms/source-code/2026-03"),
    ("/integrations/v1/me", "/account-info/2026-03/details"),
];

/// Bits of those that the log has told of: once each is enough for who reads it.
static TOLD: AtomicU32 = AtomicU32::new(0);

impl OldPath {
    /// The old path that `decoded` lies under, if there is one.
    pub fn of(decoded: &[u8]) -> Option<Self> {
        let is_under = |(old, _): &(&str, &str)| {
            let rest = decoded.strip_prefix(old.as_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        OLD.iter().position(is_under).map(Self)
    }

    /// What to add to the header where HubSpot answered with `status`; says so once in the log.
    pub fn hint(self, status: StatusCode, account: Option<&AccountName>) -> &'static str {
        if !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return "";
        }
        let bit = 1 << self.0;
        if TOLD.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let (old, successor) = OLD[self.0];
            warn!(
                account = account.map_or("-", AccountName::as_str),
                "HubSpot answered {} below {old}, a path of an API that it retires: use {successor} instead",
                status.as_u16()
            );
        }
        HINT
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{HINT, OLD, OldPath};

    #[test]
    fn old_paths_are_known_with_all_that_is_below_them() {
        for (path, successor) in [
            ("/contacts/v1/contact/vid/1/profile", Some("/crm/objects/2026-03/contacts")),
            ("/contacts/v1", Some("/crm/objects/2026-03/contacts")),
            ("/contacts/v1/lists/1", Some("/crm/lists/2026-03")),
            ("/companies/v2/companies/1", Some("/crm/objects/2026-03/companies")),
            ("/integrations/v1/me", Some("/account-info/2026-03/details")),
            ("/contacts/v10", None),
            ("/contacts/v3", None),
            ("/crm/v3/objects/contacts", None),
            ("/a/contacts/v1", None),
            ("/", None),
        ] {
            let found = OldPath::of(path.as_bytes()).map(|OldPath(place)| OLD[place].1);
            assert_eq!(found, successor, "{path}");
        }
    }

    #[test]
    fn only_an_answer_that_there_is_nothing_gets_the_hint() {
        let old = OldPath::of(b"/deals/v1/deal").unwrap();
        for (status, hint) in [(404, HINT), (410, HINT), (200, ""), (400, ""), (401, ""), (500, "")]
        {
            assert_eq!(old.hint(StatusCode::from_u16(status).unwrap(), None), hint, "{status}");
        }
    }
}
