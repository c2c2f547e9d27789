//! What HubSpot retires: paths of its first APIs, and numbered versions of the others.
//!
//! Facts of HubSpot's changelog, as of 2026. A date says when support ends; what then happens to the
//! path is HubSpot's to say.

use super::path::is_version;

/// An API that is going, or has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// What it is, in a few words.
    pub what: &'static str,
    /// When support ends, or ended.
    pub when: &'static str,
    /// What to call instead.
    pub successor: &'static str,
}

/// Beginnings of the paths of HubSpot's first APIs, the longer before the shorter, and their successors.
pub const FIRST_APIS: [(&str, &str); 9] = [
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

const DATED: &str = "the same API in a dated version, such as 2026-03: the version's place in the path varies, see HubSpot's reference";

/// The place in [`FIRST_APIS`] of the API that `path` lies under.
pub fn first_api(path: &[u8]) -> Option<usize> {
    let is_under = |(old, _): &(&str, &str)| {
        let rest = path.strip_prefix(old.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    FIRST_APIS.iter().position(is_under)
}

/// What becomes of `path`, which can be a template; `None` where nothing is announced.
pub fn of(path: &str) -> Option<Retirement> {
    if let Some(place) = first_api(path.as_bytes()) {
        let successor = FIRST_APIS[place].1;
        return Some(Retirement {
            what: "one of HubSpot's first APIs",
            when: "gone or going",
            successor,
        });
    }
    let version = path.split('/').find(|segment| is_version(segment.as_bytes()))?;
    let (what, when) = match version {
        "v4" => ("version v4", "2027-03-30"),
        "v1" | "v2" | "v3" => ("a version of v1 to v3", "September 2027"),
        _ => return None,
    };
    Some(Retirement { what, when, successor: DATED })
}

#[cfg(test)]
mod tests {
    use super::{first_api, of};

    #[test]
    fn numbered_versions_have_an_end_and_dated_ones_do_not_yet() {
        let when = |path: &str| of(path).map(|retirement| retirement.when);
        for (path, expected) in [
            ("/crm/v3/objects/contacts/{id}", Some("September 2027")),
            ("/crm/v4/objects/contacts/{id}/associations", Some("2027-03-30")),
            ("/contacts/v1/contact/{id}", Some("gone or going")),
            ("/crm/objects/2026-03/contacts", None),
            ("/sandbox/requests", None),
            ("/", None),
        ] {
            assert_eq!(when(path), expected, "{path}");
        }
        assert_eq!(of("/deals/v1/deal").map(|r| r.successor), Some("/crm/objects/2026-03/deals"));
    }

    #[test]
    fn first_apis_are_known_with_all_that_is_below_them() {
        for (path, place) in [
            ("/contacts/v1/contact/vid/1/profile", Some(1)),
            ("/contacts/v1", Some(1)),
            ("/contacts/v1/lists/1", Some(0)),
            ("/companies/v2/companies/1", Some(3)),
            ("/integrations/v1/me", Some(8)),
            ("/contacts/v10", None),
            ("/contacts/v3", None),
            ("/crm/v3/objects/contacts", None),
            ("/a/contacts/v1", None),
            ("/", None),
        ] {
            assert_eq!(first_api(path.as_bytes()), place, "{path}");
        }
    }
}
