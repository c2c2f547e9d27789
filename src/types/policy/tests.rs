use http::Method;
use http::uri::PathAndQuery;
use proptest::prelude::*;

use super::{Asked, Rule, RuleError};
use crate::types::path;
use crate::types::target::Target;

fn rule(text: &str) -> Rule {
    Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Whether a rule denies, and whether it allows.
fn hits(rule: &Rule, method: &str, path: &str) -> (bool, bool) {
    let target = Target::new(path.parse::<PathAndQuery>().unwrap());
    let asked = Asked::about(&method.parse::<Method>().unwrap(), &target);
    (rule.matches_either(asked), rule.matches_both(asked))
}

#[test]
fn rules_match_by_segment() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("GET /", &["/", "//"], &["/a", "/a/"]),
        ("GET /**", &["/", "/a", "/a/b"], &[]),
        ("GET /crm", &["/crm"], &["/", "/crmx", "/crm/a", "/cr"]),
        ("GET /crm/**", &["/crm", "/crm/a", "/crm/a/b/c"], &["/", "/crmx", "/x/crm", "/crmx/a"]),
        ("GET /crm/*", &["/crm/a"], &["/crm", "/crm/a/b", "/crmx/a"]),
        ("GET /*", &["/a"], &["/", "/a/b"]),
        ("GET /*/**", &["/a", "/a/b/c"], &["/"]),
        ("GET /**/*", &["/a", "/a/b/c"], &["/"]),
        ("GET /a/**/z", &["/a/z", "/a/b/z", "/a/b/z/z", "/a/z/b/z"], &["/a", "/z", "/a/z/b"]),
        ("GET /**/z", &["/z", "/a/z"], &["/", "/z/a"]),
        ("GET /**/m/**", &["/m", "/a/m", "/m/b", "/a/b/m/c/d"], &["/", "/a", "/mm"]),
        ("GET /**/a/*/c", &["/a/b/c", "/a/a/c", "/a/b/a/b/c"], &["/a/c", "/a/b/c/d"]),
        ("GET /a/*/**/d", &["/a/b/d", "/a/b/c/d"], &["/a/d", "/a/b"]),
        ("GET /a/**/**/b", &["/a/b", "/a/x/b", "/a/x/y/b"], &["/a", "/b"]),
    ];
    for (text, fitting, others) in cases {
        for path in *fitting {
            assert!(hits(&rule(text), "GET", path).0, "{text} on {path}");
        }
        for path in *others {
            assert_eq!(hits(&rule(text), "GET", path), (false, false), "{text} on {path}");
        }
    }
}

#[test]
fn a_rule_that_denies_hits_in_any_spelling_and_one_that_allows_means_what_it_says() {
    // Denies, allows.
    let cases = [
        ("DELETE /crm/v3/**", "DELETE", "/crm/v3/x", (true, true)),
        ("DELETE /crm/v3/**", "DELETE", "/CRM/v3/x", (true, false)),
        ("DELETE /crm/v3/**", "DELETE", "/crm/v3/X", (true, true)),
        ("DELETE /crm/v3/**", "DELETE", "/crm//v3/x", (true, false)),
        ("DELETE /crm/v3/**", "DELETE", "/crm;a=b/v3/x", (true, false)),
        ("DELETE /crm/v3/**", "DELETE", "/%63rm/v3/x", (true, false)),
        ("DELETE /crm/v3/**", "DELETE", "/crm%2Fv3/x", (true, false)),
        ("DELETE /crm/v3/**", "DELETE", "/crm/v3/a%2Fb", (true, true)),
        ("DELETE /crm/v3/*", "DELETE", "/crm/v3/a%2Fb", (true, false)),
        ("DELETE /crm/v3/*/b", "DELETE", "/crm/v3/a%2Fb", (true, false)),
        ("DELETE /crm/v3/x", "DELETE", "/crm/v3/x/", (true, false)),
        ("DELETE /crm/v3/x", "DELETE", "/crm/v3/x?y=/z", (true, true)),
        ("DELETE /crm/v3/x", "DELETE", "/crm/v3/x%3By", (true, false)),
        ("DELETE /crm/v3/x", "DELETE", "/crm/v3/x%2525", (false, false)),
        ("DELETE /crm/v3/p1_Car/**", "DELETE", "/crm/v3/p1_Car/7", (true, true)),
        ("DELETE /crm/v3/p1_Car/**", "DELETE", "/crm/v3/p1_car/7", (true, false)),
        ("DELETE /crm", "delete", "/crm", (true, false)),
        ("GET /crm", "HEAD", "/crm", (true, true)),
        ("HEAD /crm", "GET", "/crm", (false, false)),
        ("POST,PATCH /crm", "PATCH", "/crm", (true, true)),
        ("POST,PATCH /crm", "PUT", "/crm", (false, false)),
        ("* /crm", "BREW", "/crm", (true, true)),
        ("POST /crm", "BREW", "/crm", (false, false)),
        ("POST   /crm", "POST", "/crm", (true, true)),
    ];
    for (text, method, path, expected) in cases {
        assert_eq!(hits(&rule(text), method, path), expected, "{text} on {method} {path}");
    }
}

#[test]
fn a_rule_that_cannot_mean_what_it_says_is_refused() {
    let cases = [
        ("", RuleError::Form),
        ("GET", RuleError::Form),
        ("/crm", RuleError::Form),
        ("GET /a b", RuleError::Form),
        ("get /crm", RuleError::Method),
        ("DELTE /crm", RuleError::Method),
        ("GET, /crm", RuleError::Method),
        ("GET,* /crm", RuleError::Method),
        ("GET crm", RuleError::NoSlash),
        ("GET *", RuleError::NoSlash),
        ("GET https://api.hubapi.com/crm", RuleError::NoSlash),
        ("GET /crm?limit=1", RuleError::Character),
        ("GET /a%2Fb", RuleError::Character),
        ("GET /a;b", RuleError::Character),
        ("GET /a\\b", RuleError::Character),
        ("GET /ü", RuleError::Character),
        ("GET /crm*", RuleError::PartOfSegment),
        ("GET /crm/***", RuleError::PartOfSegment),
        ("GET /crm/../x", RuleError::Dots),
        ("GET /./x", RuleError::Dots),
        ("GET /crm/", RuleError::Slash),
        ("GET //crm", RuleError::TwoSlashes),
        ("GET /crm//x", RuleError::TwoSlashes),
        ("GET //", RuleError::TwoSlashes),
        ("GET /@acme/crm", RuleError::Account),
        ("GET /_proxy/health", RuleError::Local),
    ];
    for (text, error) in cases {
        assert_eq!(Rule::parse(text), Err(error), "{text}");
    }
    assert_eq!(rule(" GET,HEAD \t /crm/** ").to_string(), "GET,HEAD /crm/**");
}

/// What a rule's path means, said as plainly as it can be.
fn model(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern, path) {
        ([], path) => path.is_empty(),
        (["**", rest @ ..], path) => (0..=path.len()).any(|skip| model(rest, &path[skip..])),
        (["*", rest @ ..], [_, path @ ..]) => model(rest, path),
        ([word, rest @ ..], [segment, path @ ..]) => word == segment && model(rest, path),
        (_, []) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_parser_or_a_match_panic(text in "\\PC{0,40}", path in "/[ -~]{0,40}") {
        let _ = Rule::parse(&text);
        let _ = Rule::parse(&format!("GET {path}"));
        for rule in ["GET /**/a/**", "* /a/*/b", "GET /"].map(rule) {
            if let Ok(sent) = path.parse::<PathAndQuery>() {
                let target = Target::new(sent);
                let asked = Asked::about(&Method::GET, &target);
                prop_assert!(rule.matches_either(asked) || !rule.matches_both(asked));
            }
        }
    }

    #[test]
    fn matching_is_what_its_words_say(
        pattern in proptest::collection::vec("a|b|\\*|\\*\\*", 1..6),
        path in proptest::collection::vec("a|b|c", 1..7),
    ) {
        let parsed = rule(&format!("GET /{}", pattern.join("/")));
        let pattern: Vec<&str> = pattern.iter().map(String::as_str).collect();
        let segments: Vec<&str> = path.iter().map(String::as_str).collect();
        let expected = model(&pattern, &segments);
        let found = hits(&parsed, "GET", &format!("/{}", path.join("/")));
        prop_assert_eq!(found, (expected, expected));
    }

    #[test]
    fn a_spelling_with_the_same_decoded_form_never_slips_past_a_rule_that_denies(
        path in "/[abC]{1,3}(/[abC]{1,3}){0,3}",
        spelling in proptest::collection::vec(0..6_u8, 1..24),
    ) {
        let mut spelled = String::new();
        for (c, how) in path.chars().zip(spelling.iter().cycle()) {
            match (c, how) {
                ('/', 0) if !spelled.is_empty() => spelled.push_str("//"),
                ('/', 1) if !spelled.is_empty() => spelled.push_str(";x=1/"),
                ('/', 2) if !spelled.is_empty() => spelled.push_str("%2f"),
                (c, 3) if c != '/' => spelled.push_str(&format!("%{:02X}", u32::from(c))),
                (c, 4) => spelled.push(c.to_ascii_uppercase()),
                (c, _) => spelled.push(c),
            }
        }
        prop_assume!(path::check(&spelled).is_ok());
        prop_assert!(hits(&rule(&format!("GET {path}")), "GET", &spelled).0, "{spelled}");
    }
}
