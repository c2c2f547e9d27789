use std::collections::BTreeMap;
use std::io::Write;

use http::Method;
use http::uri::PathAndQuery;

use super::{Access, of};
use crate::types::path::is_version;
use crate::types::target::Target;

/// Names a list of HubSpot's operations: tab separated, with method, path and access in its
/// columns 1, 2 and 6, and a line with their names first.
const OPERATIONS: &str = "HUBSPOT_OPERATIONS_TSV";

fn access(method: &str, path: &str) -> Access {
    let target = Target::new(path.parse::<PathAndQuery>().unwrap());
    of(&method.parse::<Method>().unwrap(), &target)
}

#[test]
fn operations_are_told_by_method_and_path_in_every_version() {
    use Access::{Destructive, Read, Write};
    let cases = [
        ("GET", "/anything/merge", Read),
        ("HEAD", "/crm/v3/objects/contacts", Read),
        ("OPTIONS", "/crm/v3/objects/contacts", Read),
        ("DELETE", "/crm/v3/objects/contacts/1", Destructive),
        ("DELETE", "/crm/v3/objects/contacts/search", Destructive),
        ("delete", "/crm/v3/objects/contacts/1", Destructive),
        ("PURGE", "/x", Destructive),
        ("POST", "/crm/v3/objects/contacts", Write),
        ("PATCH", "/crm/v3/objects/contacts/1", Write),
        ("PUT", "/crm/v4/objects/contacts/1/associations/default/companies/2", Write),
        ("POST", "/crm/v3/objects/contacts/search", Read),
        ("POST", "/crm/objects/2026-03/contacts/search", Read),
        ("POST", "/crm/objects/2027-09-beta/contacts/search", Read),
        ("POST", "/crm/v3/objects/contacts/batch/read", Read),
        ("POST", "/crm/v3/objects/contacts/batch/update", Write),
        ("POST", "/crm/v3/objects/contacts/batch/archive", Destructive),
        ("POST", "/crm/v3/objects/contacts/merge", Destructive),
        ("POST", "/crm/v3/objects/contacts/gdpr-delete", Destructive),
        ("PUT", "/crm/v3/lists/7/memberships/remove", Destructive),
        ("PUT", "/crm/v3/lists/7/memberships/add-and-remove", Write),
        ("POST", "/crm/lists/2026-03/search", Read),
        ("POST", "/cms/v3/source-code/draft/validate/a/b.html", Read),
        ("POST", "/cms/v3/source-code/draft/validate", Write),
        // A name that the client chose says nothing.
        ("POST", "/cms/v3/source-code/draft/content/batch/read", Write),
        ("POST", "/cms/source-code/2026-03/draft/content/x/batch/read", Write),
        ("POST", "/crm/v3/objects/search", Write),
        ("POST", "/crm/v3/pipelines/search", Write),
        ("PUT", "/crm/v3/objects/contacts/search", Write),
        ("PATCH", "/crm/v3/objects/contacts/batch/read", Write),
        ("POST", "/crm/v3/objects/v3/v3/search", Write),
        // A spelling that one reader takes for a read and another does not is no read.
        ("POST", "/crm/v3/objects/contacts%2Fsearch", Write),
        ("POST", "/crm/v3/objects/contacts/search;x", Write),
        ("POST", "/crm/v3/objects/contacts/SEARCH", Write),
        ("POST", "/crm/v3/objects/contacts/search/", Write),
        ("POST", "/crm/v3/objects/contacts/%6Derge", Destructive),
        ("POST", "/crm/v3/objects/contacts/MERGE/", Destructive),
        ("POST", "/crm/v3/objects/contacts;x/merge;search", Destructive),
        // No longer documented, and still answered.
        ("POST", "/contacts/v1/contact/merge-vids/7", Destructive),
        ("POST", "/contacts/v1/lists/7/remove", Destructive),
        ("POST", "/crm-objects/v1/objects/deals/batch-delete", Destructive),
        ("PUT", "/crm-associations/v1/associations/delete-batch", Destructive),
        ("POST", "/contacts/v1/contact/batch", Write),
        ("POST", "/", Write),
        ("POST", "/search", Write),
    ];
    for (method, path, expected) in cases {
        assert_eq!(access(method, path), expected, "{method} {path}");
    }
}

/// Operations of the list that are classed otherwise here, each with its reason.
const EXCEPTIONS: [(&str, &str, Access, &str); 0] = [];

#[test]
fn every_operation_of_the_list_is_classed_as_there() {
    let Some(file) = std::env::var_os(OPERATIONS) else {
        // Not by `println!`, whose output a test that passes keeps to itself.
        let line = format!("SKIPPED: {OPERATIONS} names no list of operations\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    };
    let text = std::fs::read_to_string(&file).unwrap();
    let classes = [Access::Read, Access::Write, Access::Destructive];
    // Rows by what the list says and what is said here.
    let mut counts: BTreeMap<(Access, Access), u32> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in text.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [method, path, _, _, _, class, ..] = columns.as_slice() else { panic!("{row:?}") };
        let expected = match *class {
            "read" => Access::Read,
            "write" => Access::Write,
            "destructive" => Access::Destructive,
            other => panic!("{other}: {row:?}"),
        };
        let found = access(method, &filled(path));
        *counts.entry((expected, found)).or_default() += 1;
        let is_known =
            EXCEPTIONS.iter().any(|(m, p, access, _)| m == method && p == path && *access == found);
        if found != expected && !is_known {
            wrong.push(format!("{method} {path} is {expected:?}, not {found:?}"));
        }
        // Versions come twice a year, and none may change what an operation does.
        assert_eq!(access(method, &filled(&in_a_later_version(path))), found, "{method} {path}");
        assert!(found >= expected, "{method} {path} passes for less than it is: {found:?}");
    }
    let count = |which: &dyn Fn(&(Access, Access)) -> bool| -> u32 {
        counts.iter().filter(|(pair, _)| which(pair)).map(|(_, count)| count).sum()
    };
    for class in classes {
        let right = count(&|pair| *pair == (class, class));
        let (said, are) = (count(&|(_, found)| *found == class), count(&|(is, _)| *is == class));
        let share = |of: u32| f64::from(right) / f64::from(of.max(1));
        println!(
            "{class:?}: precision {:.4} ({right} of {said}), recall {:.4} ({right} of {are})",
            share(said),
            share(are)
        );
    }
    println!("{} operations, {} exceptions", count(&|_| true), EXCEPTIONS.len());
    assert!(count(&|_| true) > 1_000, "that is no list of HubSpot's operations");
    assert_eq!(wrong, Vec::<String>::new());
}

fn in_a_later_version(path: &str) -> String {
    let part = |part| if is_version(str::as_bytes(part)) { "2031-03" } else { part };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// A path with a value in the place of each `{parameter}`.
fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        part if part.starts_with('{') && part.ends_with('}') => "x1".to_owned(),
        part => part.replace(['{', '}'], ""),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}
