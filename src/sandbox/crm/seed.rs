//! The records that are there from the start: made from a seed, alike on every run.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::json;

use super::super::time::{SEED_START, iso};
use super::kind::Kind;
use super::links::Links;
use super::properties::{Property, default_group};
use super::{Crm, FIRST_NEW_ID, Wishes};
use crate::types::clock::WallTime;

/// How many records of each kind, and the number of the first.
const CONTACTS: (u64, u64) = (60, 1001);
const COMPANIES: (u64, u64) = (24, 2001);
const DEALS: (u64, u64) = (36, 3001);
const TICKETS: (u64, u64) = (30, 4001);

const STAGES: [&str; 5] =
    ["appointmentscheduled", "qualifiedtobuy", "contractsent", "closedwon", "closedlost"];
const LIFECYCLES: [&str; 4] = ["subscriber", "lead", "opportunity", "customer"];
const INDUSTRIES: [&str; 4] = ["COMPUTER_SOFTWARE", "RETAIL", "BANKING", "EDUCATION_MANAGEMENT"];
const PRIORITIES: [&str; 3] = ["LOW", "MEDIUM", "HIGH"];

/// Name, data type and field type of what a kind has besides ids and times.
fn properties(kind: Kind) -> &'static [(&'static str, &'static str, &'static str)] {
    match kind {
        Kind::Contact => &[
            ("email", "string", "text"),
            ("firstname", "string", "text"),
            ("lastname", "string", "text"),
            ("phone", "string", "phonenumber"),
            ("company", "string", "text"),
            ("website", "string", "text"),
            ("jobtitle", "string", "text"),
            ("city", "string", "text"),
            ("country", "string", "text"),
            ("lifecyclestage", "enumeration", "radio"),
            ("hs_lead_status", "string", "text"),
            ("hubspot_owner_id", "string", "text"),
        ],
        Kind::Company => &[
            ("name", "string", "text"),
            ("domain", "string", "text"),
            ("phone", "string", "phonenumber"),
            ("city", "string", "text"),
            ("state", "string", "text"),
            ("country", "string", "text"),
            ("industry", "enumeration", "select"),
            ("numberofemployees", "number", "number"),
            ("annualrevenue", "number", "number"),
            ("description", "string", "textarea"),
            ("hubspot_owner_id", "string", "text"),
        ],
        Kind::Deal => &[
            ("dealname", "string", "text"),
            ("amount", "number", "number"),
            ("dealstage", "string", "radio"),
            ("pipeline", "string", "select"),
            ("closedate", "datetime", "date"),
            ("dealtype", "string", "radio"),
            ("description", "string", "textarea"),
            ("hubspot_owner_id", "string", "text"),
        ],
        Kind::Ticket => &[
            ("subject", "string", "text"),
            ("content", "string", "textarea"),
            ("hs_pipeline", "string", "select"),
            ("hs_pipeline_stage", "string", "radio"),
            ("hs_ticket_priority", "enumeration", "select"),
            ("hs_ticket_category", "string", "select"),
            ("hubspot_owner_id", "string", "text"),
        ],
    }
}

fn options(name: &str) -> Vec<serde_json::Value> {
    let values: &[&str] = match name {
        "lifecyclestage" => &LIFECYCLES,
        "industry" => &INDUSTRIES,
        "hs_ticket_priority" => &PRIORITIES,
        _ => &[],
    };
    let option = |(order, value): (usize, &&str)| {
        let label = value.to_lowercase().replace('_', " ");
        json!({ "label": label, "value": value, "displayOrder": order, "hidden": false })
    };
    values.iter().enumerate().map(option).collect()
}

fn built_in(kind: Kind, name: &str, data_type: &str, field_type: &str) -> Property {
    Property {
        label: name.trim_start_matches("hs_").replace('_', " "),
        data_type: data_type.to_owned(),
        field_type: field_type.to_owned(),
        group: default_group(kind),
        description: String::new(),
        options: options(name),
        unique: kind == Kind::Contact && name == "email",
        read_only: matches!(name, "createdate" | "hs_object_id") || name == kind.modified(),
        built_in: true,
    }
}

impl Crm {
    /// Records, properties and associations made from this seed.
    pub(in crate::sandbox) fn seeded(seed: u64) -> Self {
        let mut crm = Self {
            records: BTreeMap::new(),
            properties: BTreeMap::new(),
            unique: HashMap::new(),
            links: Links::default(),
            next_id: FIRST_NEW_ID,
        };
        for kind in Kind::ALL {
            let automatic = [
                ("createdate", "datetime", "date"),
                (kind.modified(), "datetime", "date"),
                ("hs_object_id", "number", "number"),
            ];
            for (name, data_type, field_type) in properties(kind).iter().chain(&automatic) {
                let property = built_in(kind, name, data_type, field_type);
                crm.properties.insert((kind, (*name).to_owned()), property);
            }
        }
        let mut random = fastrand::Rng::with_seed(seed);
        crm.add_seed_records(&mut random);
        crm.add_seed_links(&mut random);
        crm
    }

    fn add_seed_records(&mut self, random: &mut fastrand::Rng) {
        let mut now = SEED_START;
        for (kind, (count, first)) in [
            (Kind::Company, COMPANIES),
            (Kind::Contact, CONTACTS),
            (Kind::Deal, DEALS),
            (Kind::Ticket, TICKETS),
        ] {
            for number in 1..=count {
                now = now.after(Duration::from_secs(60 * random.u64(1..180)));
                let wishes = match kind {
                    Kind::Contact => contact(number, random),
                    Kind::Company => company(number, random),
                    Kind::Deal => deal(number, now, random),
                    Kind::Ticket => ticket(number, random),
                };
                self.insert(kind, first + number - 1, wishes, now);
            }
        }
    }

    fn add_seed_links(&mut self, random: &mut fastrand::Rng) {
        let mut any = |(count, first): (u64, u64)| first + random.u64(0..count);
        for number in 0..CONTACTS.0 {
            let company = (Kind::Company, any(COMPANIES));
            self.links.add((Kind::Contact, CONTACTS.1 + number), company, &[]);
        }
        for number in 0..DEALS.0 {
            let deal = (Kind::Deal, DEALS.1 + number);
            self.links.add(deal, (Kind::Contact, any(CONTACTS)), &[]);
            self.links.add(deal, (Kind::Company, any(COMPANIES)), &[]);
        }
        for number in 0..TICKETS.0 {
            let ticket = (Kind::Ticket, TICKETS.1 + number);
            self.links.add(ticket, (Kind::Contact, any(CONTACTS)), &[]);
        }
    }
}

fn all<const N: usize>(values: [(&str, String); N]) -> Wishes {
    values.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect()
}

fn one_of(values: &[&str], random: &mut fastrand::Rng) -> String {
    values[random.usize(0..values.len())].to_owned()
}

fn owner(random: &mut fastrand::Rng) -> String {
    random.u64(501..506).to_string()
}

fn contact(number: u64, random: &mut fastrand::Rng) -> Wishes {
    all([
        ("email", format!("contact{number}@example.com")),
        ("firstname", "Contact".to_owned()),
        ("lastname", number.to_string()),
        ("phone", format!("+1 555 01{:02}", random.u64(0..100))),
        ("lifecyclestage", one_of(&LIFECYCLES, random)),
        ("hubspot_owner_id", owner(random)),
    ])
}

fn company(number: u64, random: &mut fastrand::Rng) -> Wishes {
    all([
        ("name", format!("Company {number}")),
        ("domain", format!("company{number}.example")),
        ("industry", one_of(&INDUSTRIES, random)),
        ("numberofemployees", random.u64(1..5000).to_string()),
        ("hubspot_owner_id", owner(random)),
    ])
}

fn deal(number: u64, now: WallTime, random: &mut fastrand::Rng) -> Wishes {
    let close = now.after(Duration::from_secs(86_400 * random.u64(7..120)));
    all([
        ("dealname", format!("Deal {number}")),
        ("amount", (random.u64(1..500) * 100).to_string()),
        ("dealstage", one_of(&STAGES, random)),
        ("pipeline", "default".to_owned()),
        ("closedate", iso(close)),
        ("hubspot_owner_id", owner(random)),
    ])
}

fn ticket(number: u64, random: &mut fastrand::Rng) -> Wishes {
    all([
        ("subject", format!("Ticket {number}")),
        ("content", format!("Text of ticket {number}")),
        ("hs_pipeline", "0".to_owned()),
        ("hs_pipeline_stage", random.u64(1..5).to_string()),
        ("hs_ticket_priority", one_of(&PRIORITIES, random)),
    ])
}
