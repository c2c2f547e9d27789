//! The template of a path, for counters: words of the API stay, ids and names of the portal's own become
//! `{id}` and the like.
//!
//! It is told from the path alone. What it takes for a word of the API can be a name that somebody chose;
//! so whoever counts by it has a bound on how many there are.

use crate::types::path::is_version;

/// A word of the API is no longer.
const LONGEST_WORD: usize = 32;
/// Segments beyond this many are not told apart.
const MOST_SEGMENTS: usize = 10;

/// What the segment after `parent` is, where that is a name that the portal chose.
fn name_below(parent: &str) -> Option<&'static str> {
    Some(match parent {
        "associations" | "objects" | "pipelines" | "properties" | "schemas" => OBJECT_TYPE,
        "event-definitions" => "{eventName}",
        "flags" => "{flagName}",
        "groups" => "{groupName}",
        "meeting-links" => "{slug}",
        "property" => "{propertyName}",
        "tables" => "{tableIdOrName}",
        "tokens" => "{tokenName}",
        _ => return None,
    })
}

const OBJECT_TYPE: &str = "{objectType}";

/// Whether the rest behind this segment is a path that the portal chose.
fn has_path_below(api: &str, segment: &str) -> bool {
    matches!(api, "cms" | "files")
        && matches!(segment, "content" | "extract" | "folders" | "metadata" | "stat" | "validate")
}

/// Words that stand where a name can.
#[rustfmt::skip]
fn is_no_name(segment: &str) -> bool {
    matches!(
        segment,
        "all" | "archive" | "batch" | "create" | "default" | "definitions" | "draft" | "gdpr-delete"
            | "groups" | "labels" | "merge" | "query" | "search" | "upsert" | "usage"
    )
}

/// Types of objects that HubSpot has by itself; each is told apart.
#[rustfmt::skip]
fn is_object_type(segment: &str) -> bool {
    matches!(
        segment,
        "appointments" | "calls" | "carts" | "communications" | "companies" | "contacts" | "deals"
            | "discounts" | "emails" | "feedback_submissions" | "fees" | "goal_targets" | "invoices"
            | "leads" | "line_items" | "meetings" | "notes" | "orders" | "postal_mail" | "products"
            | "quotes" | "subscriptions" | "tasks" | "taxes" | "tickets" | "users"
    )
}

/// Writes the template of `path`, without its query, into `template`.
pub fn write(path: &str, template: &mut String) {
    template.clear();
    let mut before = "";
    let mut api = "";
    for (count, segment) in segments(path).enumerate() {
        template.push('/');
        if count == MOST_SEGMENTS {
            template.push_str("{rest}");
            return;
        }
        if has_path_below(api, before) && !is_literal(segment) {
            template.push_str("{path}");
            return;
        }
        template.push_str(of_segment(before, segment, template_ends_in_type(before)));
        if count == 0 {
            api = segment;
        }
        // A version does not come between a segment and what is named below it.
        if !is_version(segment.as_bytes()) {
            before = if is_type_of(before, segment) { PROPERTY_OF } else { segment };
        }
    }
    if template.is_empty() {
        template.push('/');
    }
}

/// What stands between slashes. By bytes: the search for a character costs more than short segments do.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        loop {
            let end = rest.bytes().position(|b| b == b'/').unwrap_or(rest.len());
            let segment = &rest[..end];
            let is_last = end == rest.len();
            rest = if is_last { "" } else { &rest[end + 1..] };
            if !segment.is_empty() {
                return Some(segment);
            }
            if is_last {
                return None;
            }
        }
    })
}

/// Stands for the segment before, when that was the object type of `properties/{objectType}`.
const PROPERTY_OF: &str = "\0properties of a type";

fn is_type_of(before: &str, segment: &str) -> bool {
    before == "properties" && !is_no_name(segment)
}

fn template_ends_in_type(before: &str) -> bool {
    before == PROPERTY_OF
}

fn is_literal(segment: &str) -> bool {
    is_no_name(segment) || is_version(segment.as_bytes())
}

fn of_segment<'a>(before: &str, segment: &'a str, names_property: bool) -> &'a str {
    if is_literal(segment) {
        return segment;
    }
    if names_property {
        return "{propertyName}";
    }
    if let Some(name) = name_below(before) {
        return if name == OBJECT_TYPE && is_object_type(segment) { segment } else { name };
    }
    if is_word(segment) { segment } else { "{id}" }
}

fn is_word(segment: &str) -> bool {
    segment.len() <= LONGEST_WORD
        && segment.bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::write;

    #[test]
    fn words_of_the_api_stay_and_what_a_portal_chose_does_not() {
        let cases = [
            ("/", "/"),
            ("/crm/v3/objects/contacts", "/crm/v3/objects/contacts"),
            ("/crm/v3/objects/contacts/", "/crm/v3/objects/contacts"),
            ("//crm/v3/objects/contacts/501", "/crm/v3/objects/contacts/{id}"),
            ("/crm/objects/2026-03/deals/501", "/crm/objects/2026-03/deals/{id}"),
            ("/crm/v3/objects/2-1234/7", "/crm/v3/objects/{objectType}/{id}"),
            ("/crm/v3/objects/p_cars/search", "/crm/v3/objects/{objectType}/search"),
            ("/crm/v3/objects/contacts/ana@example.com", "/crm/v3/objects/contacts/{id}"),
            (
                "/crm/v4/objects/contacts/1/associations/default/companies/2",
                "/crm/v4/objects/contacts/{id}/associations/default/companies/{id}",
            ),
            ("/crm/v3/properties/contacts/shoe_size", "/crm/v3/properties/contacts/{propertyName}"),
            (
                "/crm/v3/properties/contacts/groups/mine",
                "/crm/v3/properties/contacts/groups/{groupName}",
            ),
            ("/crm/v3/properties/contacts/batch/read", "/crm/v3/properties/contacts/batch/read"),
            (
                "/cms/v3/source-code/draft/content/a/b.html",
                "/cms/v3/source-code/draft/content/{path}",
            ),
            ("/files/v3/folders/123", "/files/v3/folders/{path}"),
            ("/cms/v3/hubdb/tables/mine/rows/9", "/cms/v3/hubdb/tables/{tableIdOrName}/rows/{id}"),
            ("/oauth/...", "/oauth/{id}"),
            ("/a/b/c/d/e/f/g/h/i/j/k/l", "/a/b/c/d/e/f/g/h/i/j/{rest}"),
            ("/account-info/v3/details", "/account-info/v3/details"),
            ("/CRM/V3/x", "/{id}/{id}/x"),
        ];
        let mut template = String::new();
        for (path, expected) in cases {
            write(path, &mut template);
            assert_eq!(template, expected, "{path}");
        }
    }
}
