//! The rules of one part of a policy, found by path: what a request costs does not grow with their
//! number.

use std::ops::Deref;

use rustc_hash::FxHashMap;

use super::rule::{Asked, Rule};

/// So few are looked through faster than found.
const FEW: usize = 8;

/// Rules in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    all: Box<[Rule]>,
    /// By what stands before a rule's first `*`, in small letters: whole segments, so that a path need
    /// only be asked for at each of its slashes. Empty where there are few.
    by_beginning: FxHashMap<Box<[u8]>, Vec<usize>>,
}

impl Rules {
    /// The first that matches in one of the forms of the path (see [`Rule::matches_either`]).
    pub fn first_to_match_either(&self, asked: Asked<'_>) -> Option<&Rule> {
        match asked.only_form().filter(|_| self.is_indexed()) {
            Some(path) => self.first_below(path, |rule| rule.matches_either(asked)),
            // A path in unusual spelling has forms that begin otherwise.
            None => self.all.iter().find(|rule| rule.matches_either(asked)),
        }
    }

    /// Whether one matches in both forms of the path (see [`Rule::matches_both`]).
    pub fn any_matches_both(&self, asked: Asked<'_>) -> bool {
        match asked.only_form().filter(|_| self.is_indexed()) {
            Some(path) => self.first_below(path, |rule| rule.matches_both(asked)).is_some(),
            None => self.all.iter().any(|rule| rule.matches_both(asked)),
        }
    }

    fn is_indexed(&self) -> bool {
        !self.by_beginning.is_empty()
    }

    /// The first rule that `matches`, of those that begin as `path` does.
    fn first_below(&self, path: &[u8], matches: impl Fn(&Rule) -> bool) -> Option<&Rule> {
        let slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let beginnings = slashes.chain([path.len()]).map(|end| &path[..end]);
        let found = beginnings.filter_map(|beginning| self.by_beginning.get(beginning));
        let first = found.filter_map(|rules| rules.iter().find(|rule| matches(&self.all[**rule])));
        first.min().map(|rule| &self.all[*rule])
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let all: Box<[Rule]> = rules.into_iter().collect();
        let mut by_beginning = FxHashMap::<Box<[u8]>, Vec<usize>>::default();
        if all.len() > FEW {
            for (index, rule) in all.iter().enumerate() {
                by_beginning.entry(rule.beginning().into()).or_default().push(index);
            }
        }
        Self { all, by_beginning }
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use http::uri::PathAndQuery;

    use super::{FEW, Rules};
    use crate::types::policy::{Asked, Rule};
    use crate::types::target::Target;

    #[test]
    fn many_rules_are_found_as_few_are() {
        let texts = [
            "DELETE /**",
            "* /crm/*/objects/**",
            "GET /crm/v3/objects/contacts",
            "POST /crm/v3/objects/contacts/batch/**",
            "GET /CRM/v3/Objects",
            "GET /crm/v3",
            "* /",
            "PUT,PATCH /**/associations/*",
            "GET /cms/**",
            "POST /cms/**",
        ];
        let rules: Vec<Rule> = texts.iter().map(|text| Rule::parse(text).unwrap()).collect();
        let many: Rules = rules.iter().cloned().collect();
        assert!(rules.len() > FEW);
        let paths = [
            "/",
            "/crm",
            "/crm/",
            "/crm/v3",
            "/crm/v33",
            "/crm/v3/objects",
            "/CRM/v3/Objects",
            "/crm/v3/objects/contacts",
            "/crm/v3/objects/contacts/",
            "/crm/v3/objects/contacts/batch/read",
            "/crm/v3/%6Fbjects/contacts/batch",
            "/crm/v3/%256fbjects/contacts/batch",
            "/crm/v4/objects/a/b",
            "/a/associations/b",
            "/cms//pages;x",
        ];
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            for path in paths {
                let target = Target::new(path.parse::<PathAndQuery>().unwrap());
                let asked = Asked::about(&method, &target);
                let either = rules.iter().find(|rule| rule.matches_either(asked));
                assert_eq!(many.first_to_match_either(asked), either, "{method} {path}");
                let both = rules.iter().any(|rule| rule.matches_both(asked));
                assert_eq!(many.any_matches_both(asked), both, "{method} {path}");
            }
        }
    }
}
