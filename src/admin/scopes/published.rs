//! Which scopes HubSpot's documentation names for an operation.
//!
//! A compact table of the areas of the API, for hints alone: where HubSpot publishes one list for every
//! type of object, holding one of its scopes does not prove that a call is allowed, and what HubSpot
//! itself says in a 403 counts for more.

use http::Method;

use super::smallest::Groups;
use crate::pipeline::policy::access::{self, Access};
use crate::types::path::is_version;

/// Beginnings of paths without their version, the longer before the shorter, with the scopes to read and
/// to write there; `*` is any one segment. `a+b|c` means a and b, or else c.
#[rustfmt::skip]
const AREAS: [(&str, &str, &str); 72] = [
    ("account-info/activity", "account-info.security.read", ""),
    ("account-info", "oauth", ""),
    ("automation/actions/callbacks", "automation", "automation"),
    ("automation/actions", "", ""),
    ("automation/email-templates", "sales-templates-public-read", "sales-templates-public-write"),
    ("automation/sequences/enrollments", "automation.sequences.read", "automation.sequences.enrollments.write"),
    ("automation/sequences", "automation.sequences.read", ""),
    ("automation", "automation", "automation"),
    ("business-units", "business_units_view.read", ""),
    ("cms/hubdb/tables/*/draft", "hubdb", "hubdb"),
    ("cms/hubdb/tables/*/export", "hubdb|hubdb.rows.read", ""),
    ("cms/hubdb/tables/*/unpublish", "", "hubdb"),
    ("cms/hubdb/tables/*/rows", "hubdb|hubdb.rows.read", "hubdb|hubdb.rows.write"),
    ("cms/hubdb/tables", "hubdb|hubdb.tables.read", "hubdb|hubdb.tables.write"),
    ("cms/pages/landing-pages", "content|content.landing_pages.read", "content|content.landing_pages.write"),
    ("cms/pages/site-pages", "content|content.site_pages.read", "content"),
    ("cms/domains", "content|cms.domains.read", ""),
    ("cms", "content", "content"),
    ("communication-preferences/statuses/batch", "communication_preferences.statuses.batch.read", "communication_preferences.statuses.batch.write"),
    ("communication-preferences/links", "", "communication_preferences.read_write|communication_preferences.read+communication_preferences.write"),
    ("communication-preferences", "communication_preferences.read|communication_preferences.read_write", "communication_preferences.read_write|communication_preferences.write"),
    ("conversations/conversations", "conversations.read", "conversations.write"),
    ("conversations/custom-channels", "", ""),
    ("crm/exports/export", "crm.export", "crm.export"),
    ("crm/imports", "crm.import", "crm.import"),
    ("crm/lists", "crm.lists.read", "crm.lists.read+crm.lists.write"),
    ("crm/owners", "crm.objects.owners.read", ""),
    ("crm-object-schemas/schemas", "crm.schemas.custom.read", "crm.schemas.custom.write"),
    ("crm/schemas", "crm.schemas.custom.read", "crm.schemas.custom.write"),
    ("crm/objects/deals/splits", "crm.dealsplits.read_write", "crm.dealsplits.read_write"),
    ("deal-splits", "crm.dealsplits.read_write", "crm.dealsplits.read_write"),
    ("events/custom/event-definitions", "behavioral_events.event_definitions.read_write", "behavioral_events.event_definitions.read_write"),
    ("events/custom", "", "analytics.behavioral_events.send"),
    ("events/send", "", "analytics.behavioral_events.send"),
    ("events/event-definitions", "behavioral_events.event_definitions.read_write", "behavioral_events.event_definitions.read_write"),
    ("events/event-occurrences", "oauth", ""),
    ("events/events", "oauth", ""),
    ("files/files/import-from-url", "files", "files"),
    ("files/folders/update", "files", "files"),
    ("files/folders", "files|files.ui_hidden.read", "files"),
    ("files", "files|files.ui_hidden.read", "files|files.ui_hidden.write"),
    ("forecast-settings", "forecast-read|forecasting-access", ""),
    ("forecast-submissions", "forecast-read", ""),
    ("marketing/campaigns/*/reports/revenue", "", ""),
    ("marketing/campaigns/*/reports/contacts", "", ""),
    ("marketing/campaigns", "marketing.campaigns.read", "marketing.campaigns.write"),
    ("marketing/email", "", "marketing-email|transactional-email"),
    ("marketing/emails/*/publish", "", "marketing-email|transactional-email"),
    ("marketing/emails/*/unpublish", "", "marketing-email|transactional-email"),
    ("marketing/emails", "content", "content"),
    ("marketing/forms", "forms", "forms"),
    ("marketing/marketing-events/associations", "crm.objects.marketing_events.write", "crm.objects.marketing_events.write"),
    ("marketing/marketing-events", "crm.objects.marketing_events.read", "crm.objects.marketing_events.write"),
    ("marketing/transactional", "transactional-email", "transactional-email"),
    ("media-bridge/events", "", "media_bridge.write"),
    ("payments-subscriptions", "", "crm.objects.subscriptions.write|crm.schemas.subscriptions.write"),
    ("commerce/payment-links", "payment-links-read", "payment-links-write"),
    ("commerce/contracts", "contracts-read", "revenue-contracts-public-api-write"),
    ("commerce/price-books", "price-book-read", "price-book-write"),
    ("scheduler/meetings", "scheduler.meetings.meeting-link.read", ""),
    ("settings/currencies", "settings.currencies.read", "settings.currencies.write"),
    ("settings/users/seats", "settings.billing.write", ""),
    ("settings/users/teams", "settings.users.teams.read", ""),
    ("settings/users/roles", "settings.users.read", ""),
    ("settings/users", "settings.users.read|crm.objects.users.read", "settings.users.write|crm.objects.users.write"),
    ("settings/teams", "settings.users.teams.read", "settings.users.teams.write"),
    ("tax-rates", "tax_rates.read", ""),
    ("url-mappings", "content", "content"),
    ("visitor-identification/tokens", "", "conversations.visitor_identification.tokens.create"),
    ("webhooks-journal/journal", "", ""),
    ("contacts/search", "crm.objects.contacts.read", ""),
    ("appinstalls", "", "oauth"),
];

/// Paths below which the segment that follows is a type of object.
const BY_TYPE: [(&str, &str); 4] = [
    ("crm/objects", "objects"),
    ("crm/associations", "objects"),
    ("crm/properties", "schemas"),
    ("crm/pipelines", "schemas"),
];

/// Types of objects, and what stands for them in `crm.objects.TYPE.read`. Activities go with contacts.
#[rustfmt::skip]
const TYPES: [(&str, &str); 32] = [
    ("appointments", "appointments"), ("calls", "contacts"), ("carts", "carts"),
    ("commerce_payments", "commercepayments"), ("communications", "contacts"),
    ("companies", "companies"), ("contacts", "contacts"),
    ("courses", "courses"), ("deals", "deals"), ("discounts", "line_items"), ("emails", "contacts"),
    ("fees", "line_items"),
    ("goal_targets", "goals"), ("goals", "goals"), ("invoices", "invoices"), ("leads", "leads"),
    ("line_items", "line_items"), ("listings", "listings"), ("meetings", "contacts"),
    ("notes", "contacts"), ("orders", "orders"), ("partner_clients", "partner-clients"),
    ("partner_services", "partner-services"), ("postal_mail", "contacts"),
    ("products", "products"), ("projects", "projects"), ("quotes", "quotes"),
    ("services", "services"), ("subscriptions", "subscriptions"), ("tasks", "contacts"),
    ("taxes", "line_items"), ("users", "users"),
];
/// The type that has one scope for all.
const TICKETS: &str = "tickets";

/// The groups of scopes of which any one opens `template` to `method`; `None` where that is not known.
pub fn groups(method: &Method, template: &str) -> Option<Groups> {
    let reads = access::of_template(method, template) == Access::Read;
    let segments = without_version(template);
    let Some(area) = AREAS.iter().find(|(area, ..)| begins_with(&segments, area)) else {
        return by_type(&segments, reads).map(|scope| vec![vec![scope]]);
    };
    let text = if reads { area.1 } else { area.2 };
    let groups = text.split('|').filter(|group| !group.is_empty());
    let groups = groups.map(|group| group.split('+').map(str::to_owned).collect());
    Some(groups.collect()).filter(|groups: &Groups| !groups.is_empty())
}

/// A path names one version; what else looks like one is a name.
fn without_version(template: &str) -> Vec<&str> {
    let mut segments: Vec<&str> =
        template.split('/').filter(|segment| !segment.is_empty()).collect();
    if let Some(version) = segments.iter().position(|segment| is_version(segment.as_bytes())) {
        segments.remove(version);
    }
    segments
}

fn begins_with(segments: &[&str], area: &str) -> bool {
    let mut segments = segments.iter();
    area.split('/').all(|part| segments.next().is_some_and(|s| part == "*" || part == *s))
}

fn by_type(segments: &[&str], reads: bool) -> Option<String> {
    let area = BY_TYPE.iter().find(|(area, _)| begins_with(segments, area))?.1;
    let kind = *segments.get(2)?;
    if kind == TICKETS {
        return Some(TICKETS.to_owned());
    }
    let stem = TYPES.iter().find(|(name, _)| *name == kind)?.1;
    Some(format!("crm.{area}.{stem}.{}", if reads { "read" } else { "write" }))
}

#[cfg(test)]
mod tests;
