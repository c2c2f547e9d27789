//! An answer of which the beginning has been read, and which can still be passed on unchanged.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::Response;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use serde::Deserialize;

use crate::upstream::answer::{AnswerBody, BrokenOff};

/// How much of a 401's body is read before it is passed on, in bytes, and how long that may take.
const MAX_READ: usize = 16 * 1024;
const LONGEST_READ: Duration = Duration::from_secs(2);
/// How much of it is looked at once decoded, in bytes.
const MAX_DECODED: u64 = 64 * 1024;

/// A body of which the first frames have been read.
pub struct Peeked {
    read: VecDeque<Result<Frame<Bytes>, BrokenOff>>,
    /// What has not been read; `None` when that is nothing.
    rest: Option<AnswerBody>,
    size: SizeHint,
    blames_token: bool,
}

/// The member of HubSpot's error envelope that says whose fault it is.
#[derive(Deserialize)]
struct Envelope {
    category: Option<String>,
}

impl Peeked {
    /// A body of which nothing has been read yet.
    pub fn begin(body: AnswerBody) -> Self {
        Self {
            size: body.size_hint(),
            read: VecDeque::new(),
            rest: Some(body),
            blames_token: false,
        }
    }

    /// Reads the beginning of a 401.
    pub async fn read(answer: Response<AnswerBody>) -> Response<Self> {
        let (head, body) = answer.into_parts();
        let mut peeked = Self::begin(body);
        peeked.read_for(LONGEST_READ, MAX_READ).await;
        peeked.blames_token = peeked.is_token_to_blame(&head.headers);
        Response::from_parts(head, peeked)
    }

    /// Whether the answer says that the token is expired or invalid, or does not say what is wrong.
    pub fn blames_token(&self) -> bool {
        self.blames_token
    }

    /// Reads until the end, until more than `bound` bytes are held, or for as long as `longest`.
    pub async fn read_for(&mut self, longest: Duration, bound: usize) {
        // What has been read by the end of the time is kept.
        let _ = tokio::time::timeout(longest, self.read_on(bound)).await;
    }

    /// All data, if the body has been read to its end.
    pub fn whole(&self) -> Option<Vec<u8>> {
        let is_whole = self.rest.is_none() && self.read.iter().all(Result::is_ok);
        is_whole.then(|| self.data())
    }

    /// Puts `data` in the place of all that has been read of a body, and of its announced size; says
    /// whether trailers follow.
    pub fn replace_data(&mut self, data: Bytes) -> bool {
        self.read.retain(|frame| frame.as_ref().is_ok_and(Frame::is_trailers));
        let has_trailers = !self.read.is_empty();
        self.size = match has_trailers {
            true => SizeHint::default(),
            false => SizeHint::with_exact(data.len() as u64),
        };
        self.read.push_front(Ok(Frame::data(data)));
        has_trailers
    }

    fn data(&self) -> Vec<u8> {
        let frames = self.read.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        frames.fold(Vec::new(), |mut all, data| {
            all.extend_from_slice(data);
            all
        })
    }

    async fn read_on(&mut self, bound: usize) {
        let mut length = 0;
        while let Some(rest) = &mut self.rest {
            let Some(frame) = poll_fn(|cx| Pin::new(&mut *rest).poll_frame(cx)).await else {
                self.rest = None;
                return;
            };
            length += frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            let is_last = frame.is_err();
            self.read.push_back(frame);
            if is_last {
                self.rest = None;
            }
            if length > bound {
                return;
            }
        }
    }

    fn is_token_to_blame(&self, headers: &HeaderMap) -> bool {
        let raw = self.data();
        let text = match headers.get(CONTENT_ENCODING).map(|coding| coding.as_bytes()) {
            None | Some(b"identity") => Some(raw),
            Some(b"gzip" | b"x-gzip") => unzipped(&raw),
            Some(_) => None,
        };
        let envelope = text.and_then(|text| serde_json::from_slice::<Envelope>(&text).ok());
        match envelope.and_then(|envelope| envelope.category) {
            None => true,
            Some(category) => {
                matches!(category.as_str(), "EXPIRED_AUTHENTICATION" | "INVALID_AUTHENTICATION")
            }
        }
    }
}

fn unzipped(raw: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    GzDecoder::new(raw).take(MAX_DECODED).read_to_end(&mut text).ok()?;
    Some(text)
}

impl Body for Peeked {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if let Some(frame) = this.read.pop_front() {
            return Poll::Ready(Some(frame));
        }
        match &mut this.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    /// As the answer had it: asked for once, before anything is read from here.
    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
