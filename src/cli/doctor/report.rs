//! The findings as they are printed: lines for people, or JSON.

use serde_json::{Value, json};

use super::checks::Examined;
use super::finding::{Finding, Outcome};
use crate::cli::print::{self, Colour};

/// How many findings ended how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub ok: usize,
    pub skipped: usize,
    pub warnings: usize,
    pub failed: usize,
}

impl Counts {
    pub fn of(examined: &[Examined]) -> Self {
        let mut counts = Self::default();
        for (_, finding) in examined.iter().flat_map(|section| &section.findings) {
            *match finding.outcome {
                Outcome::Ok => &mut counts.ok,
                Outcome::Skipped => &mut counts.skipped,
                Outcome::Warning => &mut counts.warnings,
                Outcome::Failed => &mut counts.failed,
            } += 1;
        }
        counts
    }
}

/// Prints the findings for a person.
pub fn lines(examined: &[Examined]) {
    for Examined { title, findings } in examined {
        print::line(title);
        for (check, finding) in findings {
            line(check.id, finding);
            if let Some(mend) = &finding.mend {
                print::line(format!("           mend: {}", in_one_line(mend)));
            }
        }
        print::line("");
    }
    let Counts { ok, skipped, warnings, failed } = Counts::of(examined);
    print::line(format!("{ok} ok, {warnings} warnings, {failed} failed, {skipped} skipped"));
    let findings = examined.iter().flat_map(|section| &section.findings);
    let fixable = findings.filter(|(_, finding)| finding.fix.is_some()).count();
    if fixable > 0 {
        print::line(format!("`hubspot-proxy doctor --fix` mends {fixable} of them."));
    }
}

fn line(id: &str, finding: &Finding) {
    let colour = match finding.outcome {
        Outcome::Ok => Colour::Green,
        Outcome::Skipped => Colour::Grey,
        Outcome::Warning => Colour::Yellow,
        Outcome::Failed => Colour::Red,
    };
    let name = match &finding.account {
        Some(account) => format!("{id} ({account})"),
        None => id.to_owned(),
    };
    let word = format!("  {:<7}", finding.outcome.name());
    print::marked(colour, &word, format!("  {name:<20}  {}", in_one_line(&finding.seen)));
}

/// A message of others can have several.
fn in_one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// Prints the findings for a program.
pub fn as_json(examined: &[Examined], fixed: &[String]) {
    let Counts { ok, skipped, warnings, failed } = Counts::of(examined);
    let of_section = |section: &Examined| {
        let title = section.title;
        let shown = section.findings.iter().map(move |(check, finding)| {
            json!({
                "section": title,
                "check": check.id,
                "about": check.about,
                "account": finding.account.as_ref().map(|account| account.as_str()),
                "outcome": finding.outcome.name(),
                "seen": finding.seen,
                "mend": finding.mend,
                "fixable": finding.fix.is_some(),
            })
        });
        shown.collect::<Vec<Value>>()
    };
    let findings: Vec<Value> = examined.iter().flat_map(of_section).collect();
    print::line(format!(
        "{:#}",
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "healthy": failed == 0,
            "counts": { "ok": ok, "skipped": skipped, "warning": warnings, "failed": failed },
            "findings": findings,
            "fixed": fixed,
        })
    ));
}
