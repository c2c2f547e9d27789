//! Files: kept in memory in blocks, given back byte for byte.
//!
//! HubSpot's `url` of a file points to a content host. Here it is `/files/v3/files/{id}/download`
//! at the host that was asked, so that it works through a proxy as well and needs a token; a
//! signed link is `/sandbox/files/{id}` and needs none.

pub(super) mod upload;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_DISPOSITION;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::Sandbox;
use super::answer::{Answer, Problem, Reply};
use super::bodies::Blocks;
use super::exchange::{Call, nothing_here};
use super::path::Pairs;
use super::time::iso;
use crate::types::clock::WallTime;

const FIRST_ID: u64 = 50_001;
/// Life of a signed link that does not say otherwise, and the longest.
const SIGNED_FOR: u64 = 3600;
const SIGNED_AT_MOST: u64 = 86_400;

pub(super) struct Files {
    files: BTreeMap<u64, File>,
    next_id: u64,
    /// What links are signed with.
    key: u64,
}

impl Default for Files {
    fn default() -> Self {
        Self { files: BTreeMap::new(), next_id: FIRST_ID, key: fastrand::u64(..) }
    }
}

pub(super) struct File {
    name: String,
    folder: String,
    access: String,
    content_type: String,
    blocks: Vec<Bytes>,
    size: u64,
    created: WallTime,
    updated: WallTime,
}

impl File {
    fn view(&self, id: u64, host: &str) -> Value {
        let (name, extension) = self.name.rsplit_once('.').unwrap_or((&self.name, ""));
        let url = format!("http://{host}/files/v3/files/{id}/download");
        json!({
            "id": id.to_string(),
            "name": name,
            "extension": extension,
            "path": format!("{}/{}", self.folder.trim_end_matches('/'), self.name),
            "type": media_group(&self.content_type),
            "size": self.size,
            "access": self.access,
            "url": url,
            "defaultHostingUrl": url,
            "isUsableInContent": true,
            "archived": false,
            "createdAt": iso(self.created),
            "updatedAt": iso(self.updated),
        })
    }

    fn download(&self) -> Reply {
        let plain = |c: &char| !c.is_control() && !matches!(c, '"' | '\\') && c.is_ascii();
        let name: String = self.name.chars().filter(plain).collect();
        Reply::stream(Body::new(Blocks::of(self.blocks.clone())), &self.content_type)
            .with(CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""))
    }
}

fn media_group(content_type: &str) -> &'static str {
    match content_type.split('/').next().unwrap_or_default() {
        "image" => "IMG",
        "video" => "MOVIE",
        "audio" => "AUDIO",
        "text" => "DOCUMENT",
        _ => "OTHER",
    }
}

/// Whether the request brings a file: its body is then read in a stream.
pub(super) fn is_upload(method: &Method, segments: &[&str]) -> bool {
    match segments {
        ["files", "files"] => method == Method::POST,
        ["files", "files", _] => method == Method::PUT,
        _ => false,
    }
}

pub(super) fn route(sandbox: &Sandbox, call: &Call, segments: &[&str]) -> Answer {
    let mut files = sandbox.files.lock();
    match (call.method.as_str(), segments) {
        ("GET", ["files", "files", "search"]) => Ok(Reply::json(files.search(call))),
        ("GET", ["files", "files", "stat", path @ ..]) => {
            let path = format!("/{}", path.join("/"));
            let found = files.files.iter().find(|(_, file)| {
                path == format!("{}/{}", file.folder.trim_end_matches('/'), file.name)
            });
            let (id, file) = found.ok_or_else(|| missing(&path))?;
            Ok(Reply::json(json!({ "file": file.view(*id, &call.host) })))
        }
        ("GET", ["files", "files", id]) => {
            let (number, file) = files.find(id)?;
            Ok(Reply::json(file.view(number, &call.host)))
        }
        ("GET", ["files", "files", id, "download"]) => Ok(files.find(id)?.1.download()),
        ("GET", ["files", "files", id, "signed-url"]) => {
            let (number, file) = files.find(id)?;
            let (name, extension) = file.name.rsplit_once('.').unwrap_or((&file.name, ""));
            let seconds = call.query.number("expirationSeconds", SIGNED_FOR).min(SIGNED_AT_MOST);
            let expires = call.now.after(Duration::from_secs(seconds));
            let signature = files.signature(number, expires);
            let host = &call.host;
            let query = format!("expires={}&signature={signature:016x}", expires.0);
            Ok(Reply::json(json!({
                "url": format!("http://{host}/sandbox/files/{number}?{query}"),
                "expiresAt": iso(expires),
                "name": name,
                "extension": extension,
                "type": media_group(&file.content_type),
                "size": file.size,
            })))
        }
        ("PATCH", ["files", "files", id]) => {
            let number = files.find(id)?.0;
            let body = call.json()?;
            let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
            let file = files.files.get_mut(&number).ok_or_else(|| missing(id))?;
            file.updated = call.now;
            file.access = text("access").unwrap_or_else(|| file.access.clone());
            file.folder = text("parentFolderPath").unwrap_or_else(|| file.folder.clone());
            if let Some(name) = text("name") {
                let extension = file.name.rsplit_once('.').map(|(_, extension)| extension);
                file.name = match extension {
                    Some(extension) => format!("{name}.{extension}"),
                    None => name,
                };
            }
            Ok(Reply::json(file.view(number, &call.host)))
        }
        ("DELETE", ["files", "files", id] | ["files", "files", id, "gdpr-delete"]) => {
            let number = files.find(id)?.0;
            files.files.remove(&number);
            Ok(Reply::no_content())
        }
        _ => Err(nothing_here(call)),
    }
}

/// A file by its signed link.
pub(super) fn signed_download(sandbox: &Sandbox, id: &str, query: &Pairs) -> Answer {
    let files = sandbox.files.lock();
    let (number, file) = files.find(id)?;
    let expires = WallTime(query.number("expires", 0));
    let signature = format!("{:016x}", files.signature(number, expires));
    if query.get("signature") != Some(signature.as_str()) || expires <= sandbox.clock.now() {
        let message = "The link is not signed, or has expired.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "INVALID_SIGNATURE", message));
    }
    Ok(file.download())
}

fn missing(id: &str) -> Problem {
    Problem::missing(format!("There is no file {id}."))
}

impl Files {
    fn find(&self, id: &str) -> Result<(u64, &File), Problem> {
        let number = id.parse().unwrap_or_default();
        self.files.get(&number).map(|file| (number, file)).ok_or_else(|| missing(id))
    }

    fn search(&self, call: &Call) -> Value {
        let limit = usize::try_from(call.query.number("limit", 20)).unwrap_or(20).clamp(1, 100);
        let after = call.query.number("after", 0);
        let name = call.query.get("name").unwrap_or_default().to_lowercase();
        let mut found = self.files.range(after.saturating_add(1)..);
        let mut found = found.by_ref().filter(|(_, file)| file.name.to_lowercase().contains(&name));
        let page: Vec<(&u64, &File)> = found.by_ref().take(limit).collect();
        let more = found.next().is_some();
        let results: Vec<Value> =
            page.iter().map(|(id, file)| file.view(**id, &call.host)).collect();
        let mut body = json!({ "results": results });
        if let (true, Some((id, _))) = (more, page.last()) {
            body["paging"] = json!({ "next": { "after": id.to_string() } });
        }
        body
    }

    /// Ties a link to a file and a time: no defence, only what a link of this kind looks like.
    fn signature(&self, id: u64, expires: WallTime) -> u64 {
        let text = format!("{}:{id}:{}", self.key, expires.0);
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let start = digest.as_ref().first_chunk().copied().unwrap_or_default();
        u64::from_be_bytes(start)
    }
}
