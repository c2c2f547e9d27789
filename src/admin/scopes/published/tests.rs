use http::Method;

use super::groups;

/// Names a list of HubSpot's operations: tab separated, with method, path and scopes in its columns 1, 2
/// and 8, and a line with their names first.
const OPERATIONS: &str = "HUBSPOT_OPERATIONS_TSV";
/// A list with more groups is one for every type of object.
const LONGEST_OWN_LIST: usize = 8;

fn text(method: &str, path: &str) -> String {
    let method: Method = method.parse().unwrap();
    let groups = groups(&method, path).unwrap_or_default();
    groups.iter().map(|group| group.join("+")).collect::<Vec<_>>().join("|")
}

#[test]
fn scopes_are_told_by_area_type_and_access() {
    for (method, path, expected) in [
        ("GET", "/crm/v3/objects/contacts/{id}", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/contacts/search", "crm.objects.contacts.read"),
        ("POST", "/crm/objects/2026-03/contacts/batch/read", "crm.objects.contacts.read"),
        ("PATCH", "/crm/objects/2026-03/companies/{id}", "crm.objects.companies.write"),
        ("DELETE", "/crm/v3/objects/deals/{id}", "crm.objects.deals.write"),
        ("GET", "/crm/v3/objects/notes", "crm.objects.contacts.read"),
        ("POST", "/crm/v3/objects/tickets", "tickets"),
        ("GET", "/crm/v3/properties/contacts", "crm.schemas.contacts.read"),
        ("GET", "/crm/v3/objects/{objectType}/{id}", ""),
        ("GET", "/crm/v3/owners", "crm.objects.owners.read"),
        ("PUT", "/crm/v3/lists/{id}/memberships/add", "crm.lists.read+crm.lists.write"),
        ("GET", "/cms/v3/hubdb/tables/{id}/rows", "hubdb|hubdb.rows.read"),
        ("GET", "/automation/v4/flows", "automation"),
        ("GET", "/account-info/v3/details", "oauth"),
        ("GET", "/nothing/known/here", ""),
        ("GET", "{other}", ""),
    ] {
        assert_eq!(text(method, path), expected, "{method} {path}");
    }
}

#[test]
fn the_table_agrees_with_a_list_of_operations() {
    let Some(list) = std::env::var_os(OPERATIONS) else {
        eprintln!("skipped: {OPERATIONS} names no list of operations");
        return;
    };
    let list = std::fs::read_to_string(list).unwrap();
    let (mut published, mut known, mut wrong) = (0, 0, Vec::new());
    for line in list.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (method, path, scopes) = (columns[0], columns[1], columns[7]);
        if scopes == "-" {
            continue;
        }
        published += 1;
        let told = text(method, path);
        if told.is_empty() {
            continue;
        }
        known += 1;
        let list: Vec<&str> = scopes.split('|').collect();
        // Of a list for all types ours is a part; of an operation's own list, one that is not longer.
        let is_part = told.split('|').all(|group| list.contains(&group));
        if !is_part {
            let shown = if list.len() > LONGEST_OWN_LIST { "a list for all types" } else { scopes };
            wrong.push(format!("{method} {path}: {told}, not {shown}"));
        }
    }
    let share = |part: usize, of: usize| part as f64 / of.max(1) as f64;
    let precision = share(known - wrong.len(), known);
    let recall = share(known - wrong.len(), published);
    for line in &wrong {
        eprintln!("{line}");
    }
    eprintln!(
        "{published} operations with scopes, {known} told, {} otherwise: precision {precision:.4}, recall {recall:.4}",
        wrong.len()
    );
    assert!(precision > 0.99, "{precision}");
    assert!(recall > 0.7, "{recall}");
}
