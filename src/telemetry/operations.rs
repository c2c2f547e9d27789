//! Requests by method, template of the path and status, as one core counts them.
//!
//! The maps are small and have an end, so that a hash which can be foreseen does no harm.

use http::{Method, StatusCode};
use rustc_hash::FxHashMap;

use super::template;
use crate::types::retirement::{self, Retirement};

/// Templates that are told apart on a core; further ones are counted as one. What looks like a word of
/// the API can be anything, so there has to be an end.
const MOST_TEMPLATES: usize = 256;
/// Counters of one account on a core, likewise.
const MOST_COUNTERS: usize = 2048;
/// Stands for the templates beyond.
const OTHER: &str = "{other}";

/// The templates that a core has seen.
#[derive(Debug)]
pub struct Templates {
    known: FxHashMap<Box<str>, u16>,
    texts: Vec<(Box<str>, Option<Retirement>)>,
    /// Where a template is put together.
    draft: String,
}

/// The place of a template in [`Templates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TemplateId(u16);

impl TemplateId {
    /// Whether it stands for all templates beyond those that are told apart.
    pub fn is_other(self) -> bool {
        self.0 == 0
    }
}

/// What is counted by.
type Key = (Name, TemplateId, StatusCode);

/// Any word can be a method, and a label must be one of a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Get,
    Post,
    Put,
    Patch,
    Delete,
    Head,
    Options,
    Other,
}

/// Counters of one account.
#[derive(Debug, Default)]
pub struct Operations(FxHashMap<Key, u64>);

impl Default for Templates {
    fn default() -> Self {
        Self {
            known: FxHashMap::default(),
            texts: vec![(OTHER.into(), None)],
            draft: String::new(),
        }
    }
}

impl Templates {
    /// That of `path`.
    pub fn of(&mut self, path: &str) -> TemplateId {
        template::write(path, &mut self.draft);
        if let Some(known) = self.known.get(self.draft.as_str()) {
            return TemplateId(*known);
        }
        let id = u16::try_from(self.texts.len()).unwrap_or(0);
        if self.texts.len() > MOST_TEMPLATES || id == 0 {
            return TemplateId(0);
        }
        let text: Box<str> = self.draft.as_str().into();
        self.texts.push((text.clone(), retirement::of(&text)));
        self.known.insert(text, id);
        TemplateId(id)
    }

    /// As text.
    pub fn text(&self, id: TemplateId) -> &str {
        self.texts.get(usize::from(id.0)).map_or(OTHER, |(text, _)| text.as_ref())
    }

    /// What becomes of it, where HubSpot has announced that.
    pub fn retirement(&self, id: TemplateId) -> Option<Retirement> {
        self.texts.get(usize::from(id.0)).and_then(|(_, retirement)| *retirement)
    }
}

impl Operations {
    /// Counts one request.
    pub fn count(&mut self, method: &Method, template: TemplateId, status: StatusCode) {
        let key = (Name::of(method), template, status);
        if let Some(count) = self.0.get_mut(&key) {
            *count += 1;
            return;
        }
        let key = match self.0.len() < MOST_COUNTERS {
            true => key,
            false => (key.0, TemplateId(0), status),
        };
        *self.0.entry(key).or_default() += 1;
    }

    /// All counters, with their templates as text.
    pub fn told(&self, templates: &Templates) -> Vec<Told> {
        let told = self.0.iter().map(|((method, template, status), count)| Told {
            method: method.as_str(),
            template: templates.text(*template).to_owned(),
            status: status.as_u16(),
            count: *count,
        });
        told.collect()
    }
}

/// One counter, for other threads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub template: String,
    pub method: &'static str,
    pub status: u16,
    pub count: u64,
}

impl Name {
    pub(super) fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::HEAD => Self::Head,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Other => "OTHER",
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};

    use super::{MOST_COUNTERS, MOST_TEMPLATES, OTHER, Operations, Templates};

    fn word(number: usize) -> String {
        let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap_or(0));
        [number / 676, number / 26, number].map(letter).iter().collect()
    }

    #[test]
    fn whatever_clients_ask_for_there_is_an_end_of_counters() {
        let (mut templates, mut operations) = (Templates::default(), Operations::default());
        for number in 0..3 * MOST_TEMPLATES {
            let template = templates.of(&format!("/{}", word(number)));
            for status in 400..410 {
                let status = StatusCode::from_u16(status).unwrap_or_default();
                operations.count(&Method::GET, template, status);
            }
        }
        let told = operations.told(&templates);
        assert!(told.len() <= MOST_COUNTERS + 10, "{}", told.len());
        let counted: u64 = told.iter().map(|told| told.count).sum();
        assert_eq!(counted, 30 * MOST_TEMPLATES as u64);
        assert!(told.iter().any(|told| told.template == OTHER));
    }

    #[test]
    fn requests_of_one_operation_share_a_counter() {
        let (mut templates, mut operations) = (Templates::default(), Operations::default());
        for path in ["/crm/v3/objects/contacts/1", "/crm/v3/objects/contacts/2"] {
            operations.count(&Method::GET, templates.of(path), StatusCode::OK);
        }
        let brew = Method::from_bytes(b"BREW").unwrap_or_default();
        operations.count(&brew, templates.of("/coffee"), StatusCode::OK);
        let mut told = operations.told(&templates);
        told.sort();
        assert_eq!(told[0].method, "OTHER");
        assert_eq!(
            (told[1].template.as_str(), told[1].count),
            ("/crm/v3/objects/contacts/{id}", 2)
        );
    }
}
