//! A 401: whether the token is to blame, and then one replay with another token.
//!
//! The answer is read as far as it takes to see whose fault it is. If the request is not sent
//! again, or that changes nothing, the client gets that answer as it was, and a word on why.

use http::{Response, StatusCode};

use super::peeked::Peeked;
use crate::credential::{NoReplacement, Unavailable};
use crate::pipeline::serving::Served;
use crate::pipeline::{Answer, Pipeline, authorize, forward};
use crate::telemetry::REPLAYED;
use crate::types::refusal::Refusal;
use crate::upstream::Sent;
use crate::upstream::again::Again;
use crate::upstream::answer::AnswerBody;

/// What became of a request whose token may have been refused: the value that
/// `X-HubSpot-Proxy` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The answer is that of the second attempt.
    Done,
    /// More of the body had gone by than was kept.
    BodyTooLarge,
    /// The token had been fetched only now.
    TokenJustFetched,
    /// Forced refreshes pause, since they have been in vain.
    RefreshPaused,
    /// The token endpoint does not give another.
    TokenUnavailable,
}

impl Replay {
    /// What is added to `X-HubSpot-Proxy`.
    pub fn note(self) -> &'static str {
        match self {
            Self::Done => REPLAYED,
            Self::BodyTooLarge => "; not-replayed=body-too-large",
            Self::TokenJustFetched => "; not-replayed=token-just-fetched",
            Self::RefreshPaused => "; not-replayed=refresh-paused",
            Self::TokenUnavailable => "; not-replayed=token-unavailable",
        }
    }
}

/// Sends the request again with a newer token, where there is one, or passes the 401 on.
/// `generation` is that of the token which was refused.
pub async fn settle(
    pipeline: &Pipeline,
    served: &Served,
    generation: u64,
    answer: Response<AnswerBody>,
    again: Again,
    safe: bool,
) -> Result<Answer, Refusal> {
    // What the client still sends belongs to the attempt that is to come, if there is one.
    let held = again.progress().hold();
    let answer = Peeked::read(answer).await;
    if !answer.body().blames_token() {
        held.release();
        return Ok(Answer::Peeked(answer, None));
    }
    if !again.progress().can_rewind() {
        held.release();
        return Ok(Answer::Peeked(answer, Some(Replay::BodyTooLarge)));
    }
    let account = served.account();
    let forced = match account.credential.replacement(generation).await {
        Ok(replacement) => replacement.forced,
        Err(why) => {
            held.release();
            let why = passed_on(why).map_err(|why| authorize::refusal(&account.name, why))?;
            return Ok(Answer::Peeked(answer, Some(why)));
        }
    };
    let (Some(token), Some(mut outgoing)) = (served.token().1, again.outgoing()) else {
        return Ok(Answer::Peeked(answer, Some(Replay::TokenUnavailable)));
    };
    held.forget();
    // The first attempt has lost the body: its connection closes, its stream is reset.
    drop(answer);
    token.put_on(&mut outgoing.head.headers);
    let sent = pipeline.upstream.send(outgoing, false).await;
    let Sent { answer, .. } = sent
        .and_then(forward::check_status)
        .map_err(|failure| forward::refusal(failure, safe, served.settings().max_body_size))?;
    match answer.status() {
        StatusCode::UNAUTHORIZED if forced => account.credential.refused_again(),
        StatusCode::UNAUTHORIZED => {}
        _ => account.credential.accepted(),
    }
    Ok(Answer::Upstream(answer, Some(Replay::Done)))
}

/// Whether the 401 is passed on, or the client is told what only a person can mend.
fn passed_on(why: NoReplacement) -> Result<Replay, Unavailable> {
    match why {
        NoReplacement::JustFetched => Ok(Replay::TokenJustFetched),
        NoReplacement::Paused => Ok(Replay::RefreshPaused),
        NoReplacement::Unavailable(Unavailable::Trouble(..)) => Ok(Replay::TokenUnavailable),
        NoReplacement::Unavailable(why) => Err(why),
    }
}
