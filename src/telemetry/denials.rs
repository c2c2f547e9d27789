//! Operations that HubSpot refused for want of a scope, as one core has seen them.

use http::Method;
use rustc_hash::FxHashMap;

use super::operations::{Name, TemplateId, Templates};
use super::record::Record;
use super::upstream_answer::UpstreamAnswer;

/// Operations that are remembered for one account on a core.
const MOST: usize = 256;

/// Those of one account.
#[derive(Debug, Default)]
pub struct Denials(FxHashMap<(Name, TemplateId), Vec<String>>);

/// One of them, for other threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub method: &'static str,
    pub template: String,
    /// Any one of these scopes would do, HubSpot said.
    pub any_of: Vec<String>,
}

impl Denials {
    /// Looks at an answer 403 to `method` on `template`, unless one was looked at before.
    pub fn look(&mut self, method: &Method, template: TemplateId, record: &Record) {
        let key = (Name::of(method), template);
        if self.0.contains_key(&key) || self.0.len() >= MOST || template.is_other() {
            return;
        }
        if let Some(any_of) = UpstreamAnswer::of(record).missing_scopes() {
            self.0.insert(key, any_of);
        }
    }

    /// All of them.
    pub fn told(&self, templates: &Templates) -> Vec<Told> {
        let told = self.0.iter().map(|((method, template), any_of)| Told {
            method: method.as_str(),
            template: templates.text(*template).to_owned(),
            any_of: any_of.clone(),
        });
        told.collect()
    }
}
