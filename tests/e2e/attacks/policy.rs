//! Ways around a policy: spelling, case, and other words for a method.

use super::Expected::Refused;
use super::{ask, row, run, sent_with};

const DENIED: super::Expected = Refused(403, "policy-denied");

#[test]
fn a_policy_holds_in_every_spelling() {
    let mut rows = Vec::new();
    for target in [
        "/crm/v3/objects/contacts",
        "/crm/v3/objects/contacts/",
        "/crm/v3/objects/contacts/1",
        "//crm/v3/objects/contacts",
        "/crm//v3/objects///contacts",
        "/CRM/V3/Objects/CONTACTS",
        "/crm/v3/objects/%63ontacts",
        "/crm%2Fv3%2fobjects/contacts",
        "/crm;a=b/v3/objects/contacts;x",
        "/crm/v3/objects/contacts%3Bx",
        "/crm/v3/objects/contacts%00",
        "/crm/v3/objects/c%256fntacts",
        "/crm/v3/objects/contacts?x=/../y",
        "/crm/v3/objects/contacts#x",
    ] {
        for method in ["GET", "HEAD", "POST", "get", "PURGE"] {
            rows.push(row(ask(method, &format!("/@denied{target}"), ""), DENIED));
        }
    }
    rows.push(row(
        ask("POST", "/@denied/crm/v3/lists/search;%2Fx", ""),
        Refused(400, "bad-request-target"),
    ));
    let deals = "/crm/v3/objects/deals";
    rows.push(row(
        ask("GET", &format!("/@denied{deals}"), ""),
        sent_with(&format!("GET {deals}"), "denied", &[], ""),
    ));
    for (method, target) in [
        ("POST", deals),
        ("PATCH", deals),
        ("PUT", deals),
        ("DELETE", deals),
        ("delete", deals),
        ("get", deals),
        ("PROPFIND", deals),
        ("POST", "/crm/v3/objects/deals/merge"),
        ("POST", "/crm/v3/objects/deals/batch%2Farchive"),
        ("POST", "/crm/v3/objects/deals/merge;/search"),
        ("POST", "/crm/v3/objects/deals/%6Derge"),
        ("POST", "/crm/v3/objects/deals/search/x"),
        ("POST", "/crm/v3/objects/deals/SEARCH"),
        ("POST", "/crm/v3/objects/deals/x%2Fsearch"),
        ("POST", "/crm/v3/objects/deals/gdpr-delete"),
        ("POST", "/crm/v3/objects/deals/search%00x"),
    ] {
        rows.push(row(ask(method, &format!("/@reader{target}"), "Content-Length: 0\r\n"), DENIED));
    }
    for lines in [
        "X-HTTP-Method-Override: DELETE\r\n",
        "X-HTTP-Method: DELETE\r\n",
        "X-Method-Override: DELETE\r\n",
        "x-http-method-OVERRIDE: PUT\r\nConnection: x\r\n",
    ] {
        rows.push(row(
            ask("GET", &format!("/@reader{deals}"), lines),
            sent_with(&format!("GET {deals}"), "reader", &[], ""),
        ));
    }
    let search = "/crm/v3/objects/deals/search";
    rows.push(row(
        ask("POST", &format!("/@reader{search}"), ""),
        sent_with(&format!("POST {search}"), "reader", &[], ""),
    ));
    for (method, target) in [
        ("DELETE", deals),
        ("delete", deals),
        ("DELETe", deals),
        ("POST", "/crm/v3/objects/deals/merge"),
        ("POST", "/crm/v3/objects/deals/MERGE"),
        ("POST", "/crm/v3/objects/deals/merge%00"),
        ("POST", "/crm/v3/objects/deals/merge%3Bx"),
        ("POST", "/crm/v3/objects/deals/m%2565rge"),
        ("POST", "/crm/v3/objects/deals/batch//archive/"),
        ("PUT", "/a/remove"),
        ("PURGE", "/a"),
    ] {
        rows.push(row(ask(method, &format!("/@keeper{target}"), "Content-Length: 0\r\n"), DENIED));
    }
    for (method, target) in [
        ("POST", "/crm/a"),
        ("GET", "/account-info/v3/details"),
        ("GET", "/CRM/a"),
        ("GET", "/crm%2Fa"),
        ("GET", "/a/crm/b"),
        ("get", "/crm/a"),
        ("GET", "/%63rm/a"),
        ("GET", "/crmx"),
    ] {
        rows.push(row(ask(method, &format!("/@listed{target}"), ""), DENIED));
    }
    run(|setup| setup, &rows);
}
