//! What a log comes to: who called how much, what became of credentials, and what a reviewer looks for.
//!
//! A span at the end of the log is looked at; what came before says what is usual.

use std::collections::{BTreeMap, BTreeSet};

use super::event::What;
use super::line::Line;
use crate::telemetry::template;

/// So many calls have to fail before that is told, and this part of all.
const MANY: u64 = 10;
const PART: u64 = 5;
/// More new operations of one caller are counted, not named.
const NAMED: usize = 5;

/// An account and the client key that was shown, as far as there were any.
pub type Name = (Option<String>, Option<String>);

/// What one caller has done since the span began.
#[derive(Debug, Default)]
pub struct Caller {
    pub calls: u64,
    /// Answers of 400 and above, the proxy's own included.
    pub failed: u64,
    /// Answers of the proxy's own.
    pub refused: u64,
    pub last: String,
    failures: BTreeMap<(u16, String), u64>,
    /// Operations of before.
    usual: BTreeSet<String>,
    /// Operations since then, and how often.
    now: BTreeMap<String, u64>,
}

/// How often something was, and when last.
#[derive(Debug, Default)]
pub struct Count {
    pub count: u64,
    pub last: String,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// As lines have it; what is earlier only says what is usual.
    since: String,
    pub lines: u64,
    /// Times of the first line and the last.
    pub first: String,
    pub last: String,
    pub callers: BTreeMap<Name, Caller>,
    /// By name of the event, and by whom it is about.
    pub events: BTreeMap<(String, String), Count>,
    refusals: BTreeMap<(String, String), Count>,
    refused_tokens: BTreeMap<String, Count>,
    lost: u64,
}

impl Count {
    fn add(&mut self, time: &str) {
        self.count += 1;
        if self.last.as_str() < time {
            time.clone_into(&mut self.last);
        }
    }
}

impl Summary {
    /// Of what was at `since`, in RFC 3339 as lines have it, and later.
    pub fn since(since: String) -> Self {
        Self { since, ..Self::default() }
    }

    /// Takes a line into account.
    pub fn see(&mut self, line: &Line<'_>) {
        self.lines += 1;
        if self.first.is_empty() || line.time.as_ref() < self.first.as_str() {
            self.first = line.time.to_string();
        }
        if line.time.as_ref() > self.last.as_str() {
            self.last = line.time.to_string();
        }
        let is_now = line.time.as_ref() >= self.since.as_str();
        match line.status {
            Some(status) => self.request(line, status, is_now),
            None if is_now => self.event(line),
            None => {}
        }
    }

    /// Whether there is something from before the span, to say what is usual.
    pub fn knows_what_is_usual(&self) -> bool {
        !self.first.is_empty() && self.first < self.since
    }

    fn request(&mut self, line: &Line<'_>, status: u16, is_now: bool) {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        let name = (owned(&line.account), owned(&line.key));
        let caller = self.callers.entry(name).or_default();
        let operation = operation(line);
        if !is_now {
            caller.usual.insert(operation);
            return;
        }
        let time = line.time.as_ref();
        caller.calls += 1;
        if caller.last.as_str() < time {
            time.clone_into(&mut caller.last);
        }
        if status >= 400 {
            caller.failed += 1;
            *caller.failures.entry((status, operation.clone())).or_default() += 1;
        }
        match (&line.error, &line.account) {
            (Some(error), _) => {
                caller.refused += 1;
                let why = (error.to_string(), owned(&line.detail).unwrap_or_default());
                self.refusals.entry(why).or_default().add(time);
            }
            (None, Some(account)) => {
                // What was not let in says nothing of what is called.
                *caller.now.entry(operation).or_default() += 1;
                if status == 401 {
                    self.refused_tokens.entry(account.to_string()).or_default().add(time);
                }
            }
            (None, None) => {}
        }
    }

    fn event(&mut self, line: &Line<'_>) {
        self.lost += line.lost.unwrap_or(0);
        let whom = match (&line.account, &line.key) {
            (_, Some(key)) => format!("key {key}"),
            (Some(account), None) => format!("account {account}"),
            (None, None) => String::new(),
        };
        self.events.entry((line.event.to_string(), whom)).or_default().add(&line.time);
    }

    /// What a reviewer looks for, a sentence each.
    pub fn to_look_at(&self) -> Vec<String> {
        let mut told = Vec::new();
        for (name, caller) in &self.callers {
            told.extend(caller.failing().map(|what| format!("{}: {what}", called(name))));
        }
        for (account, Count { count, last }) in &self.refused_tokens {
            told.push(format!(
                "account {account}: HubSpot refused its token (401) in {}, last at {last}: it may have been revoked",
                calls(*count)
            ));
        }
        for ((event, whom), Count { last, .. }) in &self.events {
            if event == What::NeedsLogin.name() {
                told.push(format!(
                    "{whom}: HubSpot refused its refresh token at {last}: it may have been revoked"
                ));
            }
        }
        told.extend(self.refusals.iter().filter_map(|(why, count)| refusal(why, count)));
        if self.knows_what_is_usual() {
            for (name, caller) in &self.callers {
                told.extend(caller.unusual().map(|what| format!("{}: {what}", called(name))));
            }
        }
        if self.lost > 0 {
            told.push(format!("{} lines of this log are lost", self.lost));
        }
        told
    }
}

impl Caller {
    fn failing(&self) -> Option<String> {
        if self.failed < MANY || self.failed * PART < self.calls {
            return None;
        }
        let ((status, operation), count) = self.failures.iter().max_by_key(|(_, count)| **count)?;
        Some(format!(
            "{} of {} failed, {count} of them with {status} on {operation}",
            self.failed,
            calls(self.calls)
        ))
    }

    fn unusual(&self) -> Option<String> {
        if self.usual.is_empty() {
            return (!self.now.is_empty())
                .then(|| format!("{}, and none before", calls(self.now.values().sum())));
        }
        let new: Vec<_> = self.now.iter().filter(|(what, _)| !self.usual.contains(*what)).collect();
        let named = new.iter().take(NAMED).map(|(what, count)| format!("{what} ({count})"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match new.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!new.is_empty()).then(|| format!("outside its usual paths: {named}{more}"))
    }
}

/// Who it is, as a sentence begins with it.
pub fn called((account, key): &Name) -> String {
    let account = account.as_ref().map(|name| format!("account {name}"));
    let key = key.as_ref().map(|name| format!("key {name}"));
    let both: Vec<String> = [account, key].into_iter().flatten().collect();
    if both.is_empty() { "no account".to_owned() } else { both.join(", ") }
}

fn refusal((error, detail): &(String, String), Count { count, last }: &Count) -> Option<String> {
    let what = match error.as_str() {
        "client-key-invalid" => format!("with a client key that is not valid, since {detail}"),
        "client-key-required" => "without a client key".to_owned(),
        "admin-key-required" => "for the admin API without its key".to_owned(),
        "policy-denied" => "that the policy denies".to_owned(),
        "credential-path-blocked" => "for tokens or other credentials".to_owned(),
        "user-not-allowed" => "of another user of the machine".to_owned(),
        "host-not-allowed" | "origin-not-allowed" => {
            "of a web page, or under another name".to_owned()
        }
        "bad-request-target" => "with a path that looks like an attack".to_owned(),
        _ => return None,
    };
    Some(format!("{} refused, last at {last}: {what} ({error})", calls(*count)))
}

fn calls(count: u64) -> String {
    if count == 1 { "1 call".to_owned() } else { format!("{count} calls") }
}

fn operation(line: &Line<'_>) -> String {
    let mut operation = line.method.as_deref().unwrap_or("-").to_owned();
    operation.push(' ');
    let mut path = String::new();
    template::write(line.path.as_deref().unwrap_or_default(), &mut path);
    operation + &path
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use crate::telemetry::audit::line::Line;

    const BEFORE: &str = "2026-11-24T10:00:00.000Z";
    const NOW: &str = "2026-11-25T10:00:00.000Z";

    fn call(time: &'static str, key: &'static str, path: &str, status: u16) -> Line<'static> {
        Line {
            time: time.into(),
            event: "request".into(),
            account: Some("acme".into()),
            key: Some(key.into()),
            method: Some("GET".into()),
            path: Some(path.to_owned().into()),
            status: Some(status),
            ..Line::default()
        }
    }

    fn refused(error: &'static str, detail: Option<&'static str>) -> Line<'static> {
        let call = call(NOW, "ci", "/crm/v3/objects/contacts", 403);
        Line { error: Some(error.into()), detail: detail.map(Into::into), ..call }
    }

    fn told(lines: &[Line<'_>]) -> String {
        let mut summary = Summary::since("2026-11-25T00:00:00.000Z".to_owned());
        lines.iter().for_each(|line| summary.see(line));
        summary.to_look_at().join("\n")
    }

    #[test]
    fn what_a_reviewer_looks_for_is_told() {
        let contact = |id: u32| format!("/crm/v3/objects/contacts/{id}");
        let usual = [call(BEFORE, "ci", &contact(1), 200), call(NOW, "ci", &contact(2), 200)];
        assert_eq!(told(&usual), "");

        let failing: Vec<_> = (0..30).map(|id| call(NOW, "ci", &contact(id), 404)).collect();
        assert_eq!(told(&failing[..9]), "");
        let expected = "account acme, key ci: 30 of 30 calls failed, 30 of them with 404 on GET /crm/v3/objects/contacts/{id}";
        assert_eq!(told(&failing), expected);

        let elsewhere = call(NOW, "ci", "/crm/v3/owners", 200);
        let elsewhere = told(&[&usual[..], &[elsewhere.clone(), elsewhere]].concat());
        let expected = "account acme, key ci: outside its usual paths: GET /crm/v3/owners (2)";
        assert_eq!(elsewhere, expected);
        let newcomer = told(&[&usual[..], &[call(NOW, "new", &contact(1), 200)]].concat());
        assert_eq!(newcomer, "account acme, key new: 1 call, and none before");

        assert!(told(&[call(NOW, "ci", "/a", 401)]).contains("refused its token (401) in 1 call"));
        let needs_login = Line {
            time: NOW.into(),
            event: "needs-login".into(),
            account: Some("acme".into()),
            ..Line::default()
        };
        assert!(told(&[needs_login]).contains("account acme: HubSpot refused its refresh token"));
        let lost =
            Line { time: NOW.into(), event: "lost".into(), lost: Some(3), ..Line::default() };
        assert_eq!(told(&[lost]), "3 lines of this log are lost");
    }

    #[test]
    fn what_was_refused_at_the_gate_is_told_by_its_cause() {
        let cases = [
            (
                refused("client-key-invalid", Some("it has been revoked")),
                "since it has been revoked (client-key-invalid)",
            ),
            (refused("policy-denied", None), ": that the policy denies (policy-denied)"),
            (refused("credential-path-blocked", None), ": for tokens or other credentials"),
            (refused("user-not-allowed", None), "another user"),
            (refused("origin-not-allowed", None), "of a web page"),
        ];
        for (line, expected) in cases {
            let told = told(&[line]);
            assert!(
                told.contains(expected)
                    && told.contains(&format!("1 call refused, last at {NOW}: ")),
                "{told}"
            );
        }
        assert_eq!(told(&[refused("upstream-timeout", None)]), "");
    }
}
