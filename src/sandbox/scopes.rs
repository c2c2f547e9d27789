//! Scopes: which there are, which the demo credentials hold, and which a path needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;

use super::crm::kind::Kind;

/// What a grant can hold.
pub(super) const KNOWN: [&str; 20] = [
    "automation",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.objects.owners.read",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.schemas.deals.read",
    "crm.schemas.deals.write",
    "developers-read",
    "developers-write",
    "files",
    "files.ui_hidden.read",
    "oauth",
    "tickets",
];

/// What the demo credentials lack, so that a 403 can be seen; a login can ask for `automation`.
const NOT_IN_DEMO: [&str; 3] = ["automation", "developers-read", "developers-write"];

/// What a client-credentials token can hold.
pub(super) const JOURNAL: [&str; 4] = [
    "developer.webhooks_journal.read",
    "developer.webhooks_journal.snapshots.read",
    "developer.webhooks_journal.subscriptions.read",
    "developer.webhooks_journal.subscriptions.write",
];

/// Every scope but `automation` and those of developer accounts.
pub(super) fn of_demo() -> Arc<BTreeSet<String>> {
    let scopes = KNOWN.into_iter().filter(|scope| !NOT_IN_DEMO.contains(scope));
    Arc::new(scopes.map(str::to_owned).collect())
}

/// The scopes of which any one opens this path; none where a token is enough.
pub(super) fn needed(method: &Method, segments: &[&str]) -> Vec<&'static str> {
    let last = segments.last().copied().unwrap_or_default();
    let reads = method == Method::GET
        || method == Method::POST && (last == "search" || segments.ends_with(&["batch", "read"]));
    match segments {
        ["account-info", ..] | ["sandbox-data", ..] | ["appinstalls", ..] => vec!["oauth"],
        ["crm", "owners", ..] => vec!["crm.objects.owners.read"],
        ["crm", "objects" | "associations", kind, ..] => of_object("objects", kind, reads),
        ["crm", "properties", kind, ..] => of_object("schemas", kind, reads),
        ["files", ..] if reads => vec!["files", "files.ui_hidden.read"],
        ["files", ..] => vec!["files"],
        ["automation", ..] => vec!["automation"],
        ["webhooks-journal", ..] => JOURNAL[..1].to_vec(),
        ["webhooks", ..] if reads => vec!["developers-read"],
        ["webhooks", ..] => vec!["developers-write"],
        _ => Vec::new(),
    }
}

fn of_object(area: &str, kind: &str, reads: bool) -> Vec<&'static str> {
    let Some(kind) = Kind::named(kind) else { return Vec::new() };
    if kind == Kind::Ticket {
        return vec!["tickets"];
    }
    let end = if reads { "read" } else { "write" };
    let name = format!("crm.{area}.{}.{end}", kind.plural());
    KNOWN.into_iter().filter(|known| *known == name).collect()
}
