//! What each core sees of its requests, and how the control plane asks it.
//!
//! A core writes into memory of its own, without a lock. Whoever wants to know sends it a question,
//! which it answers between two requests; so no reader ever makes a request wait.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::{mpsc, oneshot};

use super::audit::{Audit, Requests};
use super::recent::Recent;
use super::record::Record;
use super::traffic::Traffic;

/// What one core has seen.
pub struct Observer {
    pub recent: RefCell<Recent>,
    pub traffic: Traffic,
    /// `None` where there is no audit log.
    audit: Option<Requests>,
}

type Question = Box<dyn FnOnce(&Observer) + Send>;

/// Answers one core's questions.
pub struct Questions(mpsc::UnboundedReceiver<Question>);

/// All cores, to be asked.
#[derive(Clone, Default)]
pub struct Cores(Vec<mpsc::UnboundedSender<Question>>);

impl Observer {
    /// That of one of `cores` cores, which tells `audit` as well.
    pub fn of_one_core_among(cores: usize, audit: &Audit) -> Rc<Self> {
        let recent = RefCell::new(Recent::of_one_core_among(cores));
        Rc::new(Self { recent, traffic: Traffic::default(), audit: audit.requests() })
    }

    /// A record for a request that begins.
    pub fn blank(&self) -> Box<Record> {
        self.recent.borrow_mut().blank()
    }

    /// Counts and remembers a request that has ended.
    pub fn ended(&self, record: Box<Record>) {
        self.traffic.count(&record);
        if let Some(audit) = &self.audit {
            audit.note(&record);
        }
        self.recent.borrow_mut().remember(record);
    }
}

impl Cores {
    /// Those of a server with so many cores, and what each of them has to [`Questions::answer`].
    pub fn new(cores: usize) -> (Self, Vec<Questions>) {
        let (senders, receivers) = (0..cores)
            .map(|_| mpsc::unbounded_channel())
            .map(|(sender, receiver)| (sender, Questions(receiver)))
            .unzip();
        (Self(senders), receivers)
    }

    /// Asks every core and waits for all answers; a core that has ended gives none.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Observer) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let ask = |core: &mpsc::UnboundedSender<Question>| {
            let (answer, answered) = oneshot::channel();
            let question = question.clone();
            let asking: Question = Box::new(move |observer| {
                // Who asked may have gone.
                let _ = answer.send(question(observer));
            });
            core.send(asking).ok().map(|()| answered)
        };
        let asked: Vec<_> = self.0.iter().filter_map(ask).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for answered in asked {
            answers.extend(answered.await.ok());
        }
        answers
    }
}

impl Questions {
    /// Answers from what `observer` has seen, until nobody is left to ask.
    pub async fn answer(mut self, observer: Rc<Observer>) {
        while let Some(question) = self.0.recv().await {
            question(&observer);
        }
    }
}
