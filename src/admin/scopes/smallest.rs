//! The smallest set of scopes with which each of many operations is allowed.

use std::collections::BTreeSet;

/// Groups of scopes, of which any one is enough; of a group all scopes are needed.
pub type Groups = Vec<Vec<String>>;

/// Steps of the search, for it is one that can take for ever; what was found by then is returned, without
/// what it could do without.
const MOST_STEPS: u32 = 50_000;

/// What a scope costs. The number of scopes counts first, then what is not granted yet, then what opens
/// more than its neighbours do.
pub type Cost<'a> = &'a dyn Fn(&str) -> u64;

/// The cheapest set that holds, for each of `needs`, `base` and one of its groups.
pub fn set(needs: &[Groups], base: &[&str], cost: Cost) -> BTreeSet<String> {
    let base: BTreeSet<&str> = base.iter().copied().collect();
    let mut open: Vec<&Groups> =
        needs.iter().filter(|groups| !groups.is_empty() && !is_met(groups, &base)).collect();
    // What leaves no choice comes first.
    open.sort_by_key(|groups| groups.len());
    open.dedup();
    let mut search = Search { needs: &open, cost, best: None, steps: 0 };
    search.go(base.clone(), 0);
    let (best, _) = search.best.unwrap_or_default();
    let mut set: BTreeSet<&str> = best;
    let all: Vec<&str> = set.iter().copied().collect();
    for scope in all.into_iter().filter(|scope| !base.contains(scope)) {
        let mut less = set.clone();
        less.remove(scope);
        if open.iter().all(|groups| is_met(groups, &less)) {
            set = less;
        }
    }
    set.into_iter().map(str::to_owned).collect()
}

/// Whether `set` holds one of the groups.
pub fn is_met(groups: &Groups, set: &BTreeSet<&str>) -> bool {
    groups.iter().any(|group| group.iter().all(|scope| set.contains(scope.as_str())))
}

struct Search<'a> {
    needs: &'a [&'a Groups],
    cost: Cost<'a>,
    best: Option<(BTreeSet<&'a str>, u64)>,
    steps: u32,
}

impl<'a> Search<'a> {
    /// Meets the needs that `set`, which costs `spent` more than the base, does not meet yet.
    fn go(&mut self, set: BTreeSet<&'a str>, spent: u64) {
        let is_worse = self.best.as_ref().is_some_and(|(_, best)| *best <= spent);
        if is_worse || (self.steps >= MOST_STEPS && self.best.is_some()) {
            return;
        }
        self.steps += 1;
        let Some(need) = self.needs.iter().find(|groups| !is_met(groups, &set)) else {
            self.best = Some((set, spent));
            return;
        };
        let mut ways: Vec<(u64, BTreeSet<&'a str>)> = need
            .iter()
            .map(|group| {
                let new = group.iter().map(String::as_str).filter(|scope| !set.contains(scope));
                let new: BTreeSet<&str> = new.collect();
                let more = new.iter().map(|scope| (self.cost)(scope)).sum();
                (more, set.union(&new).copied().collect())
            })
            .collect();
        ways.sort_by_key(|(more, _)| *more);
        for (more, set) in ways {
            self.go(set, spent + more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, proptest};

    use super::{Groups, is_met, set};

    fn groups(text: &str) -> Groups {
        text.split('|').map(|group| group.split('+').map(str::to_owned).collect()).collect()
    }

    fn found(needs: &[&str], base: &[&str]) -> String {
        let needs: Vec<Groups> = needs.iter().map(|need| groups(need)).collect();
        let cost = |scope: &str| 1000 + u64::from(scope.ends_with("wide"));
        set(&needs, base, &cost).into_iter().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_scope_that_serves_several_operations_is_taken_before_several() {
        for (needs, base, expected) in [
            (vec![], vec![], ""),
            (vec!["a"], vec!["oauth"], "a oauth"),
            (vec!["a|x", "b|x", "c|x"], vec![], "x"),
            (vec!["a|x", "b|x", "a"], vec![], "a b"),
            (vec!["a+b|c"], vec![], "c"),
            (vec!["a+b|c", "a", "b"], vec![], "a b"),
            (vec!["oauth|a"], vec!["oauth"], "oauth"),
            (vec!["a.wide|b"], vec![], "b"),
            // Where the next cheapest step leads astray.
            (vec!["a|b", "a|c", "b|d", "c|d"], vec![], "a d"),
        ] {
            assert_eq!(found(&needs, &base), expected, "{needs:?}");
        }
    }

    #[test]
    fn a_search_without_end_is_ended_with_a_set_that_serves() {
        let needs: Vec<Groups> = (0..40)
            .map(|n| (0..8).map(|k| vec![format!("s{}", (n * 7 + k * k * 13) % 60)]).collect())
            .collect();
        let set = set(&needs, &[], &|_| 1000);
        let held: BTreeSet<&str> = set.iter().map(String::as_str).collect();
        assert!(needs.iter().all(|need| is_met(need, &held)));
    }

    proptest! {
        #[test]
        fn each_need_is_met_and_nothing_can_be_left_out(
            needs in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(0..9u8, 1..3), 1..4), 0..7),
            with_base in any::<bool>(),
        ) {
            let needs: Vec<Groups> = needs
                .iter()
                .map(|need| need.iter().map(|g| g.iter().map(|s| format!("s{s}")).collect()).collect())
                .collect();
            let base: &[&str] = if with_base { &["s0"] } else { &[] };
            let set = set(&needs, base, &|_| 1000);
            let held: BTreeSet<&str> = set.iter().map(String::as_str).collect();
            assert!(needs.iter().all(|need| is_met(need, &held)));
            // No set with fewer serves: there are 512 of them.
            let names: Vec<String> = (0..9).map(|n| format!("s{n}")).collect();
            for bits in 0..512u32 {
                let mut other: BTreeSet<&str> = base.iter().copied().collect();
                let taken = (0..9).filter(|n| bits >> n & 1 == 1).map(|n| names[n].as_str());
                other.extend(taken);
                let serves = needs.iter().all(|need| is_met(need, &other));
                assert!(!serves || other.len() >= held.len(), "{other:?} serves, not {held:?}");
            }
        }
    }
}
