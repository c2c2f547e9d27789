//! Operations that take another credential than a portal's token.
//!
//! HubSpot's developer API keys and client-credentials tokens are good for a few operations each,
//! and those are told by their path, whichever version it names and wherever.

use crate::types::path::is_version;

/// The credential that an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A portal's token.
    Portal,
    /// A developer account's API key in the query.
    DeveloperKey,
    /// A token of the app itself.
    App,
}

/// One segment of a rule.
enum Part {
    Is(&'static str),
    /// A number: an app's or a channel's id.
    Id,
}

use Part::{Id, Is};

/// Beginnings of the paths that take a developer key, without their version.
const DEVELOPER: [&[Part]; 12] = [
    &[Is("app-webhooks"), Id],
    &[Is("webhooks"), Id],
    &[Is("automation"), Is("actions"), Id],
    &[Is("crm"), Is("extensions"), Is("calling"), Id, Is("settings")],
    &[Is("crm"), Is("extensions"), Is("cards-dev"), Id],
    &[Is("crm"), Is("extensions"), Is("videoconferencing"), Is("settings"), Id],
    &[Is("feature-flags"), Id, Is("flags")],
    &[Is("integrators"), Is("timeline"), Id],
    &[Is("marketing"), Is("marketing-events"), Id, Is("settings")],
    &[Is("media-bridge"), Id, Is("properties")],
    &[Is("media-bridge"), Id, Is("schemas")],
    &[Is("media-bridge"), Id, Is("settings")],
];
/// The same, for paths with nothing after them: what is below belongs to a portal.
const DEVELOPER_WHOLE: [&[Part]; 2] = [
    &[Is("conversations"), Is("custom-channels")],
    &[Is("conversations"), Is("custom-channels"), Id],
];
const WEBHOOK_ORIGINS: &[Part] =
    &[Is("meta"), Is("network-origins"), Is("ip-ranges"), Is("webhook-subscriptions"), Id];
const JOURNAL: &[u8] = b"webhooks-journal";

/// One more than the longest rule has.
const MOST: usize = 6;

/// What the operation at `path`, given in its decoded form, takes.
pub fn takes(path: &[u8]) -> Takes {
    // Cut once, for every request is held against every rule.
    let mut found = [&b""[..]; MOST];
    let parts = path.split(|b| *b == b'/').filter(|part| !part.is_empty() && !is_version(part));
    let count = parts.zip(&mut found).map(|(part, place)| *place = part).count();
    let parts = &found[..count];
    if parts.first() == Some(&JOURNAL) {
        return Takes::App;
    }
    let is_whole = |rule: &&[Part]| parts.len() == rule.len() && begins_with(parts, rule);
    let developer = DEVELOPER.iter().chain([&WEBHOOK_ORIGINS]).any(|rule| begins_with(parts, rule))
        || DEVELOPER_WHOLE.iter().any(is_whole);
    if developer { Takes::DeveloperKey } else { Takes::Portal }
}

fn begins_with(parts: &[&[u8]], rule: &[Part]) -> bool {
    let fits = |(part, expected): (&&[u8], &Part)| match expected {
        Is(word) => *part == word.as_bytes(),
        Id => part.iter().all(u8::is_ascii_digit),
    };
    rule.len() <= parts.len() && parts.iter().zip(rule).all(fits)
}

#[cfg(test)]
mod tests {
    use super::{Takes, takes};

    #[test]
    fn operations_are_told_by_path_in_every_version() {
        let developer = [
            "/webhooks/v3/77/subscriptions",
            "/webhooks/2026-03/77/settings",
            "/app-webhooks/2026-09-beta/77/subscriptions/batch/update",
            "/automation/actions/v4/77/5/functions",
            "/automation/2026-09/actions/77",
            "/crm/v3/extensions/calling/77/settings",
            "/crm/extensions/cards-dev/2026-03/77/views/migrate",
            "/crm/v3/extensions/videoconferencing/settings/77",
            "/integrators/timeline/v3/77/event-templates",
            "/media-bridge/v1/77/settings/register",
            "/conversations/custom-channels/2026-03",
            "/conversations/v3/custom-channels/9",
            "/meta/network-origins/2026-03/ip-ranges/webhook-subscriptions/77/1/test",
            "/v3/webhooks//77/a/b/c/d/e/f/g",
        ];
        for path in developer {
            assert_eq!(takes(path.as_bytes()), Takes::DeveloperKey, "{path}");
        }
        let portal = [
            "/",
            "/crm/v3/objects/contacts",
            "/crm/objects/2026-03/contacts/77",
            "/automation/actions/v4/callbacks/1/complete",
            "/conversations/v3/custom-channels/9/messages",
            "/media-bridge/v1/events/attention-span",
            "/webhooks",
            "/marketing/v3/marketing-events/events/77",
        ];
        for path in portal {
            assert_eq!(takes(path.as_bytes()), Takes::Portal, "{path}");
        }
        assert_eq!(takes(b"/webhooks-journal/journal/2026-03/earliest"), Takes::App);
        assert_eq!(takes(b"/webhooks-journal/journal-local/2026-03/batch/read"), Takes::App);
    }
}
