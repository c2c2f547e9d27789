//! `[policy]` and `[accounts.NAME.policy]`.

use super::{ACCOUNT, Start};
use crate::types::account::AccountName;
use crate::types::policy::{Mode, Part, Policy, Rule, Rules};

fn own(start: &Start) -> Option<std::sync::Arc<Policy>> {
    let acme: AccountName = "acme".parse().unwrap();
    start.config().accounts.remove(&acme).unwrap().policy
}

fn texts(part: &Part<Rules>) -> Vec<String> {
    part.value.iter().map(Rule::to_string).collect()
}

#[test]
fn without_a_word_everything_is_allowed() {
    let start = Start::with_file(ACCOUNT);
    assert!(start.config().policy.is_open());
    assert!(own(&start).is_none());
}

#[test]
fn a_policy_is_read_from_the_file() {
    let file = format!(
        "[policy]\nmode = \"no-destructive\"\nallow = [\"GET,POST  /crm/**\"]\ndeny = [\"* /cms\", \"PUT /a\"]\n{ACCOUNT}"
    );
    let policy = Start::with_file(&file).config().policy;
    assert_eq!(policy.mode.value, Mode::NoDestructive);
    assert_eq!(texts(&policy.allow), ["GET,POST /crm/**"]);
    assert_eq!(texts(&policy.deny), ["* /cms", "PUT /a"]);
    assert_eq!((&*policy.deny.key, &*policy.deny.set_in), ("policy.deny", "proxy.toml"));
}

#[test]
fn a_policy_is_read_from_the_environment_with_commas_between_rules() {
    let policy = Start::with_file(ACCOUNT)
        .env("HUBSPOT_PROXY_POLICY__MODE", "read-only")
        .env("HUBSPOT_PROXY_POLICY__DENY", "GET /a, * /b/**")
        .config()
        .policy;
    assert_eq!(policy.mode.value, Mode::ReadOnly);
    assert_eq!(texts(&policy.deny), ["GET /a", "* /b/**"]);
    assert_eq!(&*policy.mode.set_in, "HUBSPOT_PROXY_POLICY__MODE");
}

#[test]
fn an_accounts_policy_replaces_the_other_as_a_whole_in_both_ways_to_write_it() {
    let global = "[policy]\nmode = \"read-only\"\ndeny = [\"* /cms/**\"]\n";
    for own_policy in [
        "policy = { mode = \"no-destructive\", deny = [\"GET /a\"] }\n",
        "policy.mode = \"no-destructive\"\npolicy.deny = [\"GET /a\"]\n",
        "[accounts.acme.policy]\nmode = \"no-destructive\"\ndeny = [\"GET /a\"]\n",
    ] {
        let start = Start::with_file(&format!("{global}{ACCOUNT}{own_policy}"));
        let policy = own(&start).unwrap();
        assert_eq!(policy.mode.value, Mode::NoDestructive, "{own_policy}");
        assert_eq!(texts(&policy.deny), ["GET /a"]);
        assert_eq!(&*policy.deny.key, "accounts.acme.policy.deny");
        assert_eq!(start.config().policy.mode.value, Mode::ReadOnly);
    }
    let start = Start::with_file(&format!("{global}{ACCOUNT}"))
        .env("HUBSPOT_PROXY_ACCOUNTS__ACME__POLICY__DENY", "GET /a");
    let policy = own(&start).unwrap();
    assert_eq!((policy.mode.value, texts(&policy.deny)), (Mode::ReadWrite, vec!["GET /a".into()]));
}

#[test]
fn the_sandboxs_account_has_the_policy_of_all() {
    let mut start = Start::with_file(&format!("[policy]\nmode = \"read-only\"\n{ACCOUNT}"));
    start.flags.sandbox = true;
    assert_eq!(start.config().policy.mode.value, Mode::ReadOnly);
}

#[test]
fn a_mistake_is_named_with_its_place_and_its_mend() {
    let cases = [
        (
            "[policy]\nmode = \"readonly\"",
            "line 2: `policy.mode` must be one of `read-write`, `no-destructive`, `read-only`",
        ),
        (
            "[policy]\ndeny = [\"GET /a\", \"DELTE /crm/**\"]",
            "line 2: `policy.deny`, rule 2 (`DELTE /crm/**`): methods are GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE,",
        ),
        ("[policy]\nallow = [\"/crm\"]", "rule 1 (`/crm`): a rule is a method and a path"),
        ("[policy]\nallow = \"GET /a\"", "line 2: `policy.allow` must be a list of texts"),
        ("[policy]\ndenny = []", "line 2: unknown key `policy.denny`; did you mean `policy.deny`?"),
        ("[accounts.b]\npolicy = {}", "line 2: `accounts.b.policy` is empty"),
        ("[accounts.b]\npolicy = 1", "`accounts.b.policy` is a table of keys"),
        (
            "[accounts.b.policy]\nmod = 1",
            "unknown key `accounts.b.policy.mod`; did you mean `accounts.b.policy.mode`?",
        ),
    ];
    for (text, expected) in cases {
        let error = Start::with_file(text).env("HUBSPOT_ACCESS_TOKEN", "t").error();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    let error = Start::with_file(ACCOUNT).env("HUBSPOT_PROXY_POLICY__DENY", "GET,PUT /a").error();
    assert!(error.contains("HUBSPOT_PROXY_POLICY__DENY: `policy.deny`, rule 1 (`GET`)"), "{error}");
    assert!(error.contains("in a variable a comma ends a rule"), "{error}");
    let secret = "pat-na1-11112222-aaaa-bbbb-cccc-333344445555";
    let text = format!("[policy]\ndeny = [\"{secret}\"]\n{ACCOUNT}");
    let error = Start::with_file(&text).error();
    assert!(!error.contains("1111"), "{error}");
}
