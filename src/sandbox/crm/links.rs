//! Associations: which records belong together, and under which types.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::kind::Kind;

type End = (Kind, u64);

/// A type of association: a category (`HUBSPOT_DEFINED`, `USER_DEFINED`) and a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LinkType {
    pub(super) category: String,
    pub(super) number: u64,
}

impl LinkType {
    pub(super) fn defined(number: u64) -> Self {
        Self { category: "HUBSPOT_DEFINED".to_owned(), number }
    }

    /// The type without a label between two kinds, as HubSpot numbers it.
    pub(super) fn default_between(from: Kind, to: Kind) -> Self {
        use Kind::{Company, Contact, Deal, Ticket};
        Self::defined(match (from, to) {
            (Contact, Contact) => 449,
            (Contact, Company) => 279,
            (Contact, Deal) => 4,
            (Contact, Ticket) => 15,
            (Company, Contact) => 280,
            (Company, Company) => 450,
            (Company, Deal) => 342,
            (Company, Ticket) => 340,
            (Deal, Contact) => 3,
            (Deal, Company) => 341,
            (Deal, Deal) => 451,
            (Deal, Ticket) => 27,
            (Ticket, Contact) => 16,
            (Ticket, Company) => 339,
            (Ticket, Deal) => 28,
            (Ticket, Ticket) => 452,
        })
    }

    pub(super) fn view(&self) -> Value {
        json!({ "category": self.category, "typeId": self.number, "label": null })
    }
}

/// Each link is kept under both of its ends.
#[derive(Default)]
pub(super) struct Links(BTreeMap<End, BTreeMap<End, BTreeSet<LinkType>>>);

impl Links {
    /// Links two records under the default type and, from the first to the second, these.
    pub(super) fn add(&mut self, from: End, to: End, types: &[LinkType]) {
        let there = self.0.entry(from).or_default().entry(to).or_default();
        there.insert(LinkType::default_between(from.0, to.0));
        there.extend(types.iter().cloned());
        let back = self.0.entry(to).or_default().entry(from).or_default();
        back.insert(LinkType::default_between(to.0, from.0));
    }

    pub(super) fn remove(&mut self, from: End, to: End) {
        for (one, other) in [(from, to), (to, from)] {
            if let Some(links) = self.0.get_mut(&one) {
                links.remove(&other);
            }
        }
    }

    /// Removes every link of a record.
    pub(super) fn forget(&mut self, kind: Kind, id: u64) {
        for other in self.0.remove(&(kind, id)).unwrap_or_default().into_keys() {
            if let Some(links) = self.0.get_mut(&other) {
                links.remove(&(kind, id));
            }
        }
    }

    /// The records of one kind that a record is linked to, in the order of their ids.
    pub(super) fn of(&self, from: End, to: Kind) -> Vec<(u64, &BTreeSet<LinkType>)> {
        let Some(links) = self.0.get(&from) else { return Vec::new() };
        let range = links.range((to, 0)..=(to, u64::MAX));
        range.map(|((_, id), types)| (*id, types)).collect()
    }
}
