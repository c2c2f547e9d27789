//! Uploads: a multipart body (RFC 7578) read as it arrives into blocks of one size.
//!
//! The blocks are never copied again: a file costs its own size, however large it is.

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Request, StatusCode};
use serde_json::Value;

use super::super::Sandbox;
use super::super::answer::{Answer, Problem, Reply};
use super::File;

const BLOCK: usize = 1024 * 1024;
/// All files together may hold this much.
const LARGEST_STORE: u64 = 4 * 1024 * 1024 * 1024;
/// A part that is no file is at most this long.
const LONGEST_FIELD: usize = 64 * 1024;

/// What the parts said.
#[derive(Default)]
struct Form {
    file: Option<(Vec<Bytes>, u64)>,
    own_name: Option<String>,
    content_type: Option<String>,
    name: Option<String>,
    folder: Option<String>,
    access: Option<String>,
}

/// Takes in a new file, or the new content of the file `replaced`.
pub(in crate::sandbox) async fn receive(
    sandbox: &Sandbox,
    headers: HeaderMap,
    host: &str,
    replaced: Option<String>,
    body: Body,
) -> Answer {
    let room = {
        let files = sandbox.files.lock();
        if let Some(id) = &replaced {
            files.find(id)?;
        }
        LARGEST_STORE.saturating_sub(files.files.values().map(|file| file.size).sum())
    };
    let form = read(headers, body, room).await?;
    let Some((blocks, size)) = form.file else {
        return Err(Problem::invalid("An upload needs a part named file."));
    };
    let now = sandbox.clock.now();
    let mut files = sandbox.files.lock();
    if let Some(id) = &replaced {
        // It may have been deleted while the body arrived.
        let number = files.find(id)?.0;
        let file = files.files.get_mut(&number).ok_or_else(|| super::missing(id))?;
        (file.blocks, file.size, file.updated) = (blocks, size, now);
        file.content_type = form.content_type.unwrap_or_else(|| file.content_type.clone());
        file.access = form.access.unwrap_or_else(|| file.access.clone());
        return Ok(Reply::json(file.view(number, host)));
    }
    let Some(folder) = form.folder else {
        return Err(Problem::invalid("An upload needs a folderPath or a folderId."));
    };
    let Some(access) = form.access else {
        return Err(Problem::invalid("An upload needs options with an access."));
    };
    let own_name = form.own_name.unwrap_or_else(|| "file".to_owned());
    let name = match (form.name, own_name.rsplit_once('.')) {
        (None, _) => own_name,
        (Some(name), Some((_, extension))) if !name.contains('.') => format!("{name}.{extension}"),
        (Some(name), _) => name,
    };
    let file = File {
        name,
        folder,
        access,
        content_type: form.content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        blocks,
        size,
        created: now,
        updated: now,
    };
    let id = files.next_id;
    files.next_id += 1;
    let view = file.view(id, host);
    files.files.insert(id, file);
    Ok(Reply::created(view))
}

async fn read(headers: HeaderMap, body: Body, room: u64) -> Result<Form, Problem> {
    let mut request = Request::new(body);
    if let Some(content_type) = headers.get(CONTENT_TYPE) {
        request.headers_mut().insert(CONTENT_TYPE, content_type.clone());
    }
    DefaultBodyLimit::disable().apply(&mut request);
    let parts = Multipart::from_request(request, &()).await;
    let mut parts = parts.map_err(|_| {
        Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "VALIDATION_ERROR",
            "An upload is multipart/form-data with a boundary.",
        )
    })?;
    let mut form = Form::default();
    while let Some(part) = parts.next_field().await.map_err(broken)? {
        let name = part.name().unwrap_or_default().to_owned();
        if name == "file" {
            form.own_name = part.file_name().map(str::to_owned);
            form.content_type = part.content_type().map(str::to_owned);
            form.file = Some(blocks(part, room).await?);
            continue;
        }
        let text = text(part).await?;
        match name.as_str() {
            "fileName" => form.name = Some(text),
            "folderPath" => form.folder = Some(format!("/{}", text.trim_matches('/'))),
            "folderId" => form.folder = form.folder.or(Some(format!("/folder-{text}"))),
            "options" => {
                let options: Value = serde_json::from_str(&text)
                    .map_err(|_| Problem::invalid("The options must be JSON."))?;
                form.access = options.get("access").and_then(Value::as_str).map(str::to_owned);
            }
            _ => {}
        }
    }
    Ok(form)
}

async fn blocks(mut part: Field<'_>, room: u64) -> Result<(Vec<Bytes>, u64), Problem> {
    let (mut blocks, mut size) = (Vec::new(), 0);
    let mut block = BytesMut::new();
    while let Some(mut piece) = part.chunk().await.map_err(broken)? {
        size += piece.len() as u64;
        if size > room {
            return Err(too_large());
        }
        while !piece.is_empty() {
            if block.capacity() == 0 {
                block.reserve(BLOCK);
            }
            let fits = piece.len().min(BLOCK - block.len());
            block.extend_from_slice(&piece.split_to(fits));
            if block.len() == BLOCK {
                blocks.push(std::mem::take(&mut block).freeze());
            }
        }
    }
    if !block.is_empty() {
        // The last block keeps only what it needs.
        blocks.push(Bytes::copy_from_slice(&block));
    }
    Ok((blocks, size))
}

async fn text(mut part: Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(piece) = part.chunk().await.map_err(broken)? {
        text.extend_from_slice(&piece);
        if text.len() > LONGEST_FIELD {
            return Err(too_large());
        }
    }
    String::from_utf8(text).map_err(|_| Problem::invalid("A part of the upload is not UTF-8."))
}

fn broken(_: MultipartError) -> Problem {
    Problem::invalid("The upload is not well-formed, or ended early.")
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "VALIDATION_ERROR", "The upload is too large.")
}
