//! Links of HubSpot to itself, made links to the proxy, so that a client which follows one does not
//! leave the proxy and with it the token (`upstream.rewrite_links`).
//!
//! Touched are `Location` and the paging links of a JSON answer, and nothing else: what looks like
//! a link inside a record is the user's data. An answer in which nothing is to be changed passes
//! byte for byte.

mod page;

use std::io::Read;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, Entry,
    HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;

use crate::pipeline::forward::peeked::Peeked;
use crate::pipeline::{Answer, authorize};
use crate::upstream::answer::AnswerBody;

/// The largest body that is held to be looked at, in bytes, as it comes and decoded. HubSpot's
/// pages have a few hundred KiB; what is larger passes unchanged.
const LARGEST: usize = 8 * 1024 * 1024;
/// An answer that has not ended by then is a stream, and passes unchanged.
const LONGEST: Duration = Duration::from_secs(60);

const API_HOSTS: [&str; 2] = ["api.hubapi.com", "api.hubspot.com"];

/// Checksums of a body that is no longer what it was.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];

/// Where the links of one answer are to point.
pub struct Links {
    /// The proxy's origin as the client addressed it, with the request's `/@NAME`.
    base: String,
    /// The request was for a head alone.
    only_head: bool,
}

impl Links {
    /// For the answer to the request of this head.
    pub fn of(head: &Parts) -> Self {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = || head.uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(authority).unwrap_or_default();
        // Behind the client's key, which no link may hold.
        let mut parts = head.uri.path().split('/').skip(1).skip_while(|p| p.starts_with("@key:"));
        let name = parts.next().filter(|part| part.starts_with('@')).unwrap_or_default();
        let slash = if name.is_empty() { "" } else { "/" };
        Self { base: format!("http://{host}{slash}{name}"), only_head: head.method == Method::HEAD }
    }

    /// The answer with its links rewritten.
    pub(in crate::pipeline) async fn rewrite(self, answer: Answer) -> Answer {
        match answer {
            Answer::Upstream(mut answer, note) => {
                self.rewrite_location(answer.headers_mut());
                if self.only_head || !may_be_page(&answer) {
                    return Answer::Upstream(answer, note);
                }
                Answer::Peeked(self.rewrite_page(answer).await, note)
            }
            Answer::Peeked(mut answer, note) => {
                self.rewrite_location(answer.headers_mut());
                Answer::Peeked(answer, note)
            }
            own @ (Answer::Own(_) | Answer::Page(_) | Answer::Admin(_)) => own,
        }
    }

    fn rewrite_location(&self, headers: &mut HeaderMap) {
        let Entry::Occupied(mut locations) = headers.entry(LOCATION) else { return };
        for location in locations.iter_mut() {
            let moved = location.to_str().ok().and_then(|url| self.moved(url));
            if let Some(moved) = moved.and_then(|moved| HeaderValue::try_from(moved).ok()) {
                *location = moved;
            }
        }
    }

    async fn rewrite_page(&self, answer: Response<AnswerBody>) -> Response<Peeked> {
        let (mut head, body) = answer.into_parts();
        let mut body = Peeked::begin(body);
        body.read_for(LONGEST, LARGEST).await;
        let decoded = body.whole().and_then(|whole| decoded(&head.headers, whole));
        let page = decoded.and_then(|text| page::with_links(&text, |url| self.moved(url)));
        if let Some(page) = page {
            let length = page.len();
            let has_trailers = body.replace_data(page.into());
            describe_anew(&mut head.headers, (!has_trailers).then_some(length));
        }
        Response::from_parts(head, body)
    }

    /// Where a link to the API is to point; `None` for any other.
    fn moved(&self, url: &str) -> Option<String> {
        let (scheme, rest) = url.split_once("://")?;
        let default_port = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => ":443",
            scheme if scheme.eq_ignore_ascii_case("http") => ":80",
            _ => return None,
        };
        let end_of_authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end_of_authority);
        let host = authority.strip_suffix(default_port).unwrap_or(authority);
        // What names an account is for the client to say, not for the upstream.
        let names_account = rest.trim_start_matches('/').starts_with('@');
        let is_api = API_HOSTS.iter().any(|api| host.eq_ignore_ascii_case(api));
        // HubSpot repeats in a link what it was asked with, and an account's key may be among that.
        (is_api && !names_account)
            .then(|| [self.base.as_str(), &authorize::without_credentials(rest)].concat())
    }
}

/// Has the upstream answer in a coding that can be read here; of those that the client takes.
pub fn ask_for_readable(headers: &mut HeaderMap) {
    if !headers.contains_key(ACCEPT_ENCODING) {
        return;
    }
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let takes_gzip = values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        let name = name.trim();
        (name == "*" || name.eq_ignore_ascii_case("gzip")) && weight != Some(0.0)
    });
    let readable = HeaderValue::from_static(if takes_gzip { "gzip" } else { "identity" });
    headers.insert(ACCEPT_ENCODING, readable);
}

/// A whole JSON answer that is not known to be too large.
fn may_be_page(answer: &Response<AnswerBody>) -> bool {
    let status = answer.status();
    let whole = status.is_success()
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT);
    let size = answer.body().size_hint();
    let fits = !answer.body().is_end_stream() && size.lower() <= LARGEST as u64;
    whole && fits && is_json(answer.headers())
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The text of a body; `None` where its coding is not known here or its text is too large.
fn decoded(headers: &HeaderMap, body: Vec<u8>) -> Option<String> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let coding = codings.next().map_or(&b"identity"[..], |coding| coding.as_bytes());
    if codings.next().is_some() {
        return None;
    }
    let bytes = match coding.to_ascii_lowercase().as_slice() {
        b"identity" => body,
        b"gzip" | b"x-gzip" => {
            let mut bytes = Vec::new();
            let bound = LARGEST as u64 + 1;
            MultiGzDecoder::new(body.as_slice()).take(bound).read_to_end(&mut bytes).ok()?;
            bytes
        }
        _ => return None,
    };
    if bytes.len() > LARGEST {
        return None;
    }
    String::from_utf8(bytes).ok()
}

/// Makes the head say what is true of a body that has been changed; `length` if it is to be said.
fn describe_anew(headers: &mut HeaderMap, length: Option<usize>) {
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    for digest in &DIGESTS {
        headers.remove(digest);
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    // The same meaning, but no longer the same bytes (RFC 9110, section 8.8.1).
    if let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) {
        let weak = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat());
        if let Ok(weak) = weak {
            headers.insert(ETAG, weak);
        }
    }
}

#[cfg(test)]
mod tests;
