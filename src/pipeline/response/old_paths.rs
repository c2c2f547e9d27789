//! Paths of HubSpot's first APIs, and what has taken their place.
//!
//! HubSpot answers a path that it has retired with 404 or 410, like one that never was. Who gets such
//! an answer is told that the path is an old one; the answer stays as it is. A record that is not
//! there looks the same on a path that still works, so the hint says no more than that.

use std::sync::atomic::{AtomicU32, Ordering};

use http::StatusCode;
use tracing::warn;

use crate::types::account::AccountName;
use crate::types::retirement::{self, FIRST_APIS};

/// What `X-HubSpot-Proxy` says of an old path.
pub const HINT: &str = "; hint=old-path";

/// An old path: its place in [`FIRST_APIS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldPath(usize);

/// Bits of those that the log has told of: once each is enough for who reads it.
static TOLD: AtomicU32 = AtomicU32::new(0);

impl OldPath {
    /// The old path that `decoded` lies under, if there is one.
    pub fn of(decoded: &[u8]) -> Option<Self> {
        retirement::first_api(decoded).map(Self)
    }

    /// What to add to the header where HubSpot answered with `status`; says so once in the log.
    pub fn hint(self, status: StatusCode, account: Option<&AccountName>) -> &'static str {
        if !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return "";
        }
        let bit = 1 << self.0;
        if TOLD.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            let (old, successor) = FIRST_APIS[self.0];
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

    use super::{HINT, OldPath};

    #[test]
    fn only_an_answer_that_there_is_nothing_gets_the_hint() {
        let old = OldPath::of(b"/deals/v1/deal").unwrap();
        for (status, hint) in [(404, HINT), (410, HINT), (200, ""), (400, ""), (401, ""), (500, "")]
        {
            assert_eq!(old.hint(StatusCode::from_u16(status).unwrap(), None), hint, "{status}");
        }
    }
}
