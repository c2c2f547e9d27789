//! Records: seed, pages, single and batch changes, search, properties, associations.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{Options, demo};
use super::{Bench, text};

const CONTACTS: &str = "/crm/v3/objects/contacts";

#[tokio::test]
async fn the_same_seed_makes_the_same_records() {
    let with = |seed| Bench::with(Options { seed, ..Options::default() });
    let path = "/crm/v3/objects/deals?limit=100&associations=contacts,companies";
    let (one, again, other) =
        (with(7).get(path).await, with(7).get(path).await, with(8).get(path).await);
    assert_eq!(one, again);
    assert_ne!(one, other);
    assert_eq!(one["results"].as_array().unwrap().len(), 36);
}

#[tokio::test]
async fn paging_reaches_every_record_once_in_every_version() {
    let bench = Bench::new();
    for base in [CONTACTS, "/crm/objects/2026-03/contacts", "/crm/objects/2031-09-beta/0-1"] {
        let mut seen = BTreeSet::new();
        let mut after = String::new();
        loop {
            let page = bench.get(&format!("{base}?limit=7&properties=email{after}")).await;
            for record in page["results"].as_array().unwrap() {
                assert!(seen.insert(text(&record["properties"], "email")));
            }
            let Some(next) = page["paging"]["next"]["after"].as_str() else { break };
            let link = page["paging"]["next"]["link"].as_str().unwrap();
            let expected =
                format!("https://api.hubapi.com{base}?limit=7&properties=email&after={next}");
            assert_eq!(link, expected);
            after = format!("&after={next}");
        }
        assert_eq!(seen.len(), 60);
    }
    for limit in ["0", "101", "x"] {
        let got = bench.call("GET", &format!("{CONTACTS}?limit={limit}"), Value::Null).await;
        assert_eq!(got.code(), 400);
    }
}

#[tokio::test]
async fn a_record_lives_from_creation_to_archive() {
    let bench = Bench::new();
    let wish = json!({ "properties": { "email": "new@example.com", "firstname": "New" } });
    let made = bench.call("POST", CONTACTS, wish.clone()).await;
    let id = text(&made.json(), "id");
    assert_eq!(made.code(), 201);
    assert_eq!(made.header("location"), format!("https://api.hubapi.com{CONTACTS}/{id}"));
    assert_eq!(made.header("content-type"), "application/json;charset=utf-8");

    let twice = bench.call("POST", CONTACTS, wish).await;
    assert_eq!((twice.code(), text(&twice.json(), "category").as_str()), (409, "CONFLICT"));
    assert_eq!(twice.json()["message"], format!("Contact already exists. Existing ID: {id}"));

    let by_email = format!("{CONTACTS}/NEW%40example.com?idProperty=email");
    assert_eq!(bench.get(&by_email).await["id"], id.as_str());
    let change = json!({ "properties": { "email": "newer@example.com", "firstname": "" } });
    let changed = bench.call("PATCH", &by_email, change).await;
    assert_eq!(changed.json()["properties"]["email"], "newer@example.com");
    assert!(changed.json()["properties"].get("firstname").is_none());
    assert_eq!(bench.call("GET", &by_email, Value::Null).await.code(), 404);

    let path = format!("{CONTACTS}/{id}");
    for _ in 0..2 {
        assert_eq!(bench.call("DELETE", &path, Value::Null).await.code(), 204);
    }
    let gone = bench.call("GET", &path, Value::Null).await;
    assert_eq!((gone.code(), text(&gone.json(), "category").as_str()), (404, "OBJECT_NOT_FOUND"));
    assert_eq!(bench.get(&format!("{path}?archived=true")).await["archived"], true);
    let listed = bench.get(&format!("{CONTACTS}?archived=true")).await;
    assert_eq!(listed["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_record_cannot_hold_is_a_validation_error() {
    let bench = Bench::new();
    let cases = [
        ("contacts", json!({ "properties": { "shoe_size": "43" } }), "PROPERTY_DOESNT_EXIST"),
        ("contacts", json!({ "properties": { "hs_object_id": "1" } }), "READ_ONLY_VALUE"),
        ("deals", json!({ "properties": { "amount": "much" } }), "INVALID_VALUE"),
        ("tickets", json!({ "properties": { "hs_ticket_priority": "URGENT" } }), "INVALID_VALUE"),
    ];
    for (kind, body, code) in cases {
        let got = bench.call("POST", &format!("/crm/v3/objects/{kind}"), body).await;
        assert_eq!(got.code(), 400);
        assert_eq!(got.json()["category"], "VALIDATION_ERROR");
        assert_eq!(got.json()["errors"][0]["code"], code);
    }
    let unknown = bench.call("GET", "/crm/v3/objects/spaceships", Value::Null).await;
    assert_eq!(unknown.code(), 400);
    let nothing = bench.call("GET", "/crm/v3/nothing", Value::Null).await;
    assert_eq!(nothing.code(), 404);
}

#[tokio::test]
async fn a_batch_that_fails_in_part_is_207_with_results_and_errors() {
    let bench = Bench::new();
    let batch = |action: &str| format!("{CONTACTS}/batch/{action}");
    let of = |emails: &[&str]| -> Value {
        emails.iter().map(|email| json!({ "properties": { "email": email } })).collect()
    };
    let cases = [
        ("read", json!([{ "id": "1001" }, { "id": 1002 }]), 200, 2, 0),
        ("read", json!([{ "id": "1001" }, { "id": "9" }]), 207, 1, 1),
        ("create", of(&["a@example.com", "b@example.com"]), 201, 2, 0),
        ("create", of(&["a@example.com", "c@example.com"]), 207, 1, 1),
        ("create", of(&["a@example.com"]), 409, 0, 0),
        ("update", json!([{ "id": "1001", "properties": { "city": "X" } }]), 200, 1, 0),
        ("archive", json!([{ "id": "1003" }]), 204, 0, 0),
        ("read", json!([{ "id": "1003" }]), 207, 0, 1),
        ("dance", json!([{ "id": "1003" }]), 404, 0, 0),
    ];
    for (action, inputs, status, results, errors) in cases {
        let got = bench.call("POST", &batch(action), json!({ "inputs": inputs })).await;
        let count = |name: &str| got.json()[name].as_array().map_or(0, Vec::len);
        assert_eq!(got.code(), status, "{action} {}", got.text());
        assert_eq!(count("results"), results, "{action}");
        assert_eq!(count("errors"), if status == 207 { errors } else { count("errors") });
    }
    let upsert = json!({ "inputs": [
        { "id": "contact1@example.com", "idProperty": "email", "properties": { "city": "Y" } },
        { "id": "brand@example.com", "idProperty": "email", "properties": { "city": "Z" } },
    ] });
    let got = bench.call("POST", &batch("upsert"), upsert).await.json();
    assert_eq!(got["results"][0]["new"], false);
    assert_eq!(got["results"][1]["new"], true);
    let many: Value = (0..101).map(|id| json!({ "id": id })).collect();
    let got = bench.call("POST", &batch("read"), json!({ "inputs": many })).await;
    assert_eq!(got.code(), 400);
}

#[tokio::test]
async fn every_search_operator_selects_what_it_says() {
    let bench = Bench::new();
    // Five deals with known amounts, one without, told apart from the seed by their pipeline.
    for (name, amount) in
        [("Blue whale", "1"), ("Red fox", "2"), ("Red-hot", "10"), ("Grey", "100"), ("None", "")]
    {
        let deal = json!({ "dealname": name, "amount": amount, "pipeline": "test" });
        bench.call("POST", "/crm/v3/objects/deals", json!({ "properties": deal })).await;
    }
    let cases = [
        (json!({ "operator": "EQ", "value": "2.0" }), "amount", "Red fox"),
        (json!({ "operator": "NEQ", "value": 2 }), "amount", "Blue whale,Grey,None,Red-hot"),
        (json!({ "operator": "LT", "value": "10" }), "amount", "Blue whale,Red fox"),
        (json!({ "operator": "LTE", "value": "10" }), "amount", "Blue whale,Red fox,Red-hot"),
        (json!({ "operator": "GT", "value": "10" }), "amount", "Grey"),
        (json!({ "operator": "GTE", "value": "10" }), "amount", "Grey,Red-hot"),
        (
            json!({ "operator": "BETWEEN", "value": "2", "highValue": "10" }),
            "amount",
            "Red fox,Red-hot",
        ),
        (json!({ "operator": "IN", "values": ["1", "100"] }), "amount", "Blue whale,Grey"),
        (json!({ "operator": "NOT_IN", "values": ["1", "100"] }), "amount", "Red fox,Red-hot"),
        (json!({ "operator": "HAS_PROPERTY" }), "amount", "Blue whale,Grey,Red fox,Red-hot"),
        (json!({ "operator": "NOT_HAS_PROPERTY" }), "amount", "None"),
        (json!({ "operator": "CONTAINS_TOKEN", "value": "red" }), "dealname", "Red fox,Red-hot"),
        (json!({ "operator": "CONTAINS_TOKEN", "value": "wha*" }), "dealname", "Blue whale"),
        (
            json!({ "operator": "NOT_CONTAINS_TOKEN", "value": "red" }),
            "dealname",
            "Blue whale,Grey,None",
        ),
        (json!({ "operator": "EQ", "value": "red FOX" }), "dealname", "Red fox"),
    ];
    for (mut filter, property, expected) in cases {
        filter["propertyName"] = property.into();
        let pipeline = json!({ "propertyName": "pipeline", "operator": "EQ", "value": "test" });
        let search = json!({ "filterGroups": [{ "filters": [pipeline, filter.clone()] }] });
        let got = bench.call("POST", "/crm/v3/objects/deals/search", search).await.json();
        let results = got["results"].as_array().unwrap();
        let mut names: Vec<String> =
            results.iter().map(|deal| text(&deal["properties"], "dealname")).collect();
        names.sort();
        assert_eq!(names.join(","), expected, "{filter}");
        assert_eq!(got["total"], names.len());
    }
}

#[tokio::test]
async fn search_sorts_pages_and_keeps_its_limits() {
    let bench = Bench::new();
    let path = "/crm/objects/2026-03/contacts/search";
    let search = json!({
        "query": "contact1", "limit": 4, "after": "4", "properties": ["email"],
        "sorts": [{ "propertyName": "email", "direction": "DESCENDING" }],
    });
    let got = bench.call("POST", path, search).await;
    assert!(!got.headers.contains_key("x-hubspot-ratelimit-max"));
    let got = got.json();
    assert_eq!(got["total"], 11, "contact1 and contact10 to contact19");
    assert_eq!(got["results"][0]["properties"]["email"], "contact16@example.com");
    assert_eq!(got["paging"]["next"]["after"], "8");
    let refused = [
        json!({ "limit": 201 }),
        json!({ "limit": 200, "after": "9801" }),
        json!({ "query": "x".repeat(3000) }),
        json!({ "sorts": ["no_such"] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "email", "operator": "LIKE", "value": "x" }] }] }),
        json!({ "filterGroups": [{ "filters": [{ "propertyName": "no", "operator": "EQ", "value": "x" }] }] }),
        json!({ "filterGroups": vec![json!({ "filters": [] }); 6] }),
    ];
    for search in refused {
        assert_eq!(bench.call("POST", path, search.clone()).await.code(), 400, "{search}");
    }
}

#[tokio::test]
async fn associations_are_made_read_and_removed_in_the_forms_of_v3_and_v4() {
    let bench = Bench::new();
    let none = Value::Null;
    let base = "/crm/v4/objects/contacts/1001/associations";
    let before = bench.get(&format!("{base}/deals")).await["results"].as_array().unwrap().len();
    let wish = json!({ "properties": { "dealname": "Linked" }, "associations": [{
        "to": { "id": "1001" },
        "types": [{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 3 }],
    }] });
    let deal = text(&bench.call("POST", "/crm/v3/objects/deals", wish).await.json(), "id");
    let after = bench.get(&format!("{base}/deals")).await;
    assert_eq!(after["results"].as_array().unwrap().len(), before + 1);
    let own = after["results"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(own["toObjectId"], deal.as_str());
    assert_eq!(own["associationTypes"][0]["typeId"], 4);

    let put = format!("{base}/default/tickets/4001");
    assert_eq!(bench.call("PUT", &put, none.clone()).await.code(), 200);
    let dated = "/crm/objects/2026-03/tickets/4001/associations/contacts";
    let found = bench.get(dated).await;
    assert!(found["results"].as_array().unwrap().iter().any(|one| one["toObjectId"] == "1001"));
    let old = bench.get("/crm/v3/objects/contacts/1001/associations/deals").await;
    assert_eq!(old["results"].as_array().unwrap().last().unwrap()["type"], "contact_to_deal");
    let gone = format!("{base}/deals/{deal}");
    assert_eq!(bench.call("DELETE", &gone, none.clone()).await.code(), 204);
    let left = bench.get(&format!("{base}/deals")).await;
    assert_eq!(left["results"].as_array().unwrap().len(), before);

    let types = json!([{ "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279 }]);
    let create =
        json!({ "inputs": [{ "from": { "id": "1002" }, "to": { "id": "2001" }, "types": types }] });
    let batch = "/crm/v4/associations/contacts/companies/batch";
    let made = bench.call("POST", &format!("{batch}/create"), create).await;
    assert_eq!(made.code(), 201);
    let read = json!({ "inputs": [{ "id": "1002" }, { "id": "77" }] });
    let read = bench.call("POST", &format!("{batch}/read"), read).await;
    assert_eq!(read.code(), 207);
    let linked = read.json()["results"][0]["to"].as_array().unwrap().clone();
    assert!(linked.iter().any(|one| one["toObjectId"] == "2001"));
    let archive = json!({ "inputs": [{ "from": { "id": "1002" }, "to": [{ "id": "2001" }] }] });
    assert_eq!(bench.call("POST", &format!("{batch}/archive"), archive).await.code(), 204);
}

#[tokio::test]
async fn properties_can_be_added_used_and_archived() {
    let bench = Bench::new();
    let base = "/crm/v3/properties/contacts";
    let built_in = bench.get(base).await["results"].as_array().unwrap().len();
    let wish = json!({
        "name": "badge", "label": "Badge", "type": "string", "fieldType": "text",
        "groupName": "contactinformation", "hasUniqueValue": true,
    });
    assert_eq!(bench.call("POST", base, wish.clone()).await.code(), 201);
    assert_eq!(bench.call("POST", base, wish).await.code(), 409);
    assert_eq!(bench.get(base).await["results"].as_array().unwrap().len(), built_in + 1);
    let set = json!({ "properties": { "badge": "B1" } });
    bench.call("PATCH", &format!("{CONTACTS}/1001"), set.clone()).await;
    assert_eq!(bench.get(&format!("{CONTACTS}/B1?idProperty=badge")).await["id"], "1001");
    assert_eq!(bench.call("PATCH", &format!("{CONTACTS}/1002"), set).await.code(), 409);
    let path = format!("{base}/badge");
    let renamed = bench.call("PATCH", &path, json!({ "label": "Pass" })).await.json();
    assert_eq!(renamed["label"], "Pass");
    assert_eq!(bench.call("DELETE", &path, Value::Null).await.code(), 204);
    assert_eq!(bench.call("GET", &path, Value::Null).await.code(), 404);
    assert_eq!(bench.call("DELETE", &format!("{base}/email"), Value::Null).await.code(), 400);
    assert_eq!(
        bench.get(&format!("{base}/groups")).await["results"][0]["name"],
        "contactinformation"
    );
}

#[tokio::test]
async fn the_account_and_its_owners_can_be_read() {
    let bench = Bench::new();
    for path in ["/account-info/v3/details", "/account-info/2026-09/details"] {
        assert_eq!(bench.get(path).await["portalId"], demo::HUB_ID);
    }
    let page = bench.get("/crm/v3/owners?limit=2").await;
    assert_eq!(page["paging"]["next"]["after"], "502");
    assert_eq!(bench.get("/crm/owners/2026-03/505").await["email"], "owner505@example.com");
    let usage = bench.get("/account-info/v3/api-usage/daily/private-apps").await;
    assert_eq!(usage["results"][0]["currentUsage"], 5, "this call included");
}
