//! The last requests of one core, for `explain`: a bounded memory, in which failures last longer than
//! successes.

use std::collections::VecDeque;
use std::time::Instant;

use super::record::Record;
use crate::types::request_id::RequestId;

/// Successes that all cores together remember, and failures, which are rarer and of more use. Every
/// request writes over the oldest record: more of them would not stay in a core's cache.
const ALL_CORES_KEEP: usize = 256;
const ALL_CORES_KEEP_FAILED: usize = 512;
/// What each core remembers at least, however many there are.
const EACH_KEEPS: usize = 64;

/// Which of the requests are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one that has this id, here or at HubSpot, whose error bodies show theirs.
    Id(RequestId),
    Failed,
    All,
}

/// The last requests.
#[derive(Debug)]
pub struct Recent {
    succeeded: VecDeque<Box<Record>>,
    failed: VecDeque<Box<Record>>,
    /// Records of requests that are no longer remembered, to be used again. They stay in their boxes,
    /// in which they go from list to list.
    #[allow(clippy::vec_box)]
    blank: Vec<Box<Record>>,
    keeps: usize,
    keeps_failed: usize,
}

impl Recent {
    /// The memory of one of `cores` cores.
    pub fn of_one_core_among(cores: usize) -> Self {
        let share = |all: usize| (all / cores.max(1)).max(EACH_KEEPS);
        Self {
            succeeded: VecDeque::new(),
            failed: VecDeque::new(),
            blank: Vec::new(),
            keeps: share(ALL_CORES_KEEP),
            keeps_failed: share(ALL_CORES_KEEP_FAILED),
        }
    }

    /// A record to write a request into.
    pub fn blank(&mut self) -> Box<Record> {
        self.blank.pop().unwrap_or_else(|| Box::new(Record::blank()))
    }

    /// Remembers a request that has ended.
    pub fn remember(&mut self, record: Box<Record>) {
        let (kind, most) = match record.has_failed() {
            true => (&mut self.failed, self.keeps_failed),
            false => (&mut self.succeeded, self.keeps),
        };
        if kind.len() >= most {
            self.blank.extend(kind.pop_front());
        }
        kind.push_back(record);
    }

    /// Of those that have ended after `when`, the latest `most` that succeeded and as many that failed.
    pub fn ended_after(&self, when: Instant, most: usize) -> Vec<&Record> {
        let is_later = |record: &&Record| record.began + record.ended > when;
        // They stand in the order in which they ended.
        let latest = |kind| {
            let newest_first = VecDeque::iter(kind).rev().map(Box::as_ref);
            newest_first.take_while(is_later).take(most)
        };
        latest(&self.failed).chain(latest(&self.succeeded)).collect()
    }

    /// The latest `most` of the requests that are meant, the latest first.
    pub fn find(&self, which: Which, most: usize) -> Vec<&Record> {
        let succeeded = self.succeeded.iter().filter(|_| which != Which::Failed);
        let all = self.failed.iter().chain(succeeded).map(AsRef::as_ref);
        let mut found: Vec<&Record> = all
            .filter(|record| match which {
                Which::Id(id) => record.id == id || record.correlation_id() == Some(id.as_str()),
                Which::Failed | Which::All => true,
            })
            .collect();
        found.sort_unstable_by_key(|record| std::cmp::Reverse(record.began + record.ended));
        found.truncate(most);
        found
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{EACH_KEEPS, Recent, Which};
    use crate::types::request_id::RequestIds;

    fn head(method: &str, path: &str) -> http::request::Parts {
        http::Request::builder().method(method).uri(path).body(()).unwrap().into_parts().0
    }

    fn served(recent: &mut Recent, ids: &RequestIds, path: &str, status: StatusCode) {
        let mut record = recent.blank();
        record.begin(ids.next(), &head("GET", path));
        record.status = status;
        record.ended = record.elapsed();
        recent.remember(record);
    }

    #[test]
    fn a_failure_is_remembered_beyond_many_successes() {
        let (mut recent, ids) = (Recent::of_one_core_among(1000), RequestIds::new());
        served(&mut recent, &ids, "/failed", StatusCode::FORBIDDEN);
        for count in 0..3 * EACH_KEEPS {
            served(&mut recent, &ids, &format!("/{count}"), StatusCode::OK);
        }
        let last = recent.find(Which::All, 2);
        assert_eq!(last[0].path(), format!("/{}", 3 * EACH_KEEPS - 1));
        assert_eq!(last[1].path(), format!("/{}", 3 * EACH_KEEPS - 2));
        let failed = recent.find(Which::Failed, 9);
        assert_eq!(failed.len(), 1);
        let id = failed[0].id;
        assert_eq!(recent.find(Which::Id(id), 9)[0].path(), "/failed");
        assert_eq!(recent.find(Which::All, usize::MAX).len(), EACH_KEEPS + 1);
    }

    #[test]
    fn a_record_that_is_used_again_knows_nothing_of_the_request_before() {
        let (mut recent, ids) = (Recent::of_one_core_among(1000), RequestIds::new());
        for _ in 0..=EACH_KEEPS {
            served(&mut recent, &ids, "/a/very/long/path", StatusCode::NOT_FOUND);
        }
        let mut used = recent.blank();
        used.begin(ids.next(), &head("POST", "/b"));
        assert_eq!((used.path().as_str(), used.status, used.bytes), ("/b", StatusCode::OK, 0));
        assert!(used.excerpt().is_empty() && used.account.is_none());
    }
}
