//! Requests to what HubSpot retires, by template and by what the client calls itself.

use rustc_hash::FxHashMap;

use super::operations::{TemplateId, Templates};
use super::redact;
use crate::types::retirement::Retirement;

/// Pairs that a core tells apart; clients beyond are counted as one for each template.
const MOST: usize = 512;
/// Stands for the clients beyond.
const OTHERS: &str = "{other}";

/// The counters of one core.
#[derive(Debug, Default)]
pub struct Retiring(FxHashMap<TemplateId, FxHashMap<Box<str>, u64>>);

/// One counter, for other threads.
#[derive(Clone, Debug)]
pub struct Told {
    pub template: String,
    /// What the client calls itself; empty where it does not say.
    pub agent: String,
    pub count: u64,
    pub retirement: Retirement,
}

impl Retiring {
    /// Counts a request of a client that calls itself `agent`.
    pub fn count(&mut self, template: TemplateId, agent: &str) {
        if let Some(count) = self.0.get_mut(&template).and_then(|agents| agents.get_mut(agent)) {
            *count += 1;
            return;
        }
        let known: usize = self.0.values().map(FxHashMap::len).sum();
        let agent = if known < MOST { agent } else { OTHERS };
        *self.0.entry(template).or_default().entry(agent.into()).or_default() += 1;
    }

    /// All counters.
    pub fn told(&self, templates: &Templates) -> Vec<Told> {
        let each = self.0.iter().filter_map(|(id, agents)| {
            Some((templates.text(*id), templates.retirement(*id)?, agents))
        });
        let told = each.flat_map(|(template, retirement, agents)| {
            agents.iter().map(move |(agent, count)| Told {
                template: template.to_owned(),
                agent: redact::word(agent),
                count: *count,
                retirement,
            })
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, OTHERS, Retiring};
    use crate::telemetry::operations::Templates;

    #[test]
    fn clients_are_told_apart_up_to_an_end() {
        let (mut templates, mut retiring) = (Templates::default(), Retiring::default());
        let contacts = templates.of("/crm/v3/objects/contacts");
        for number in 0..2 * MOST {
            retiring.count(contacts, &format!("client/{number}"));
        }
        retiring.count(contacts, "client/0");
        let told = retiring.told(&templates);
        assert_eq!(told.len(), MOST + 1);
        let of = |agent: &str| told.iter().find(|told| told.agent == agent).map(|told| told.count);
        assert_eq!((of("client/0"), of(OTHERS)), (Some(2), Some(MOST as u64)));
        assert_eq!(told[0].retirement.when, "September 2027");
    }

    #[test]
    fn what_looks_like_a_key_is_no_name_of_a_client() {
        let (mut templates, mut retiring) = (Templates::default(), Retiring::default());
        retiring.count(templates.of("/crm/v3/x"), "hsp_0123456789");
        assert_eq!(retiring.told(&templates)[0].agent, "{redacted}");
    }
}
