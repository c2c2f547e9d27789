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
const JOURNAL: &str = "webhooks-journal";

/// What the operation at `path`, given in its decoded form, takes.
pub fn takes(path: &[u8]) -> Takes {
    let Ok(path) = std::str::from_utf8(path) else { return Takes::Portal };
    let parts = path.split('/').filter(|part| !part.is_empty() && !is_version(part.as_bytes()));
    if parts.clone().next() == Some(JOURNAL) {
        return Takes::App;
    }
    let begins = |rule: &&[Part]| begins_with(&mut parts.clone(), rule);
    let is_whole = |rule: &&[Part]| {
        let mut parts = parts.clone();
        begins_with(&mut parts, rule) && parts.next().is_none()
    };
    let developer = DEVELOPER.iter().chain([&WEBHOOK_ORIGINS]).any(begins)
        || DEVELOPER_WHOLE.iter().any(is_whole);
    if developer { Takes::DeveloperKey } else { Takes::Portal }
}

fn begins_with<'a>(parts: &mut impl Iterator<Item = &'a str>, rule: &[Part]) -> bool {
    rule.iter().all(|expected| match (parts.next(), expected) {
        (Some(part), Is(word)) => part == *word,
        (Some(part), Id) => part.bytes().all(|b| b.is_ascii_digit()),
        (None, _) => false,
    })
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
