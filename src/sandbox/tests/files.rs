//! Uploads and downloads.

use axum::body::Body;
use serde_json::Value;

use super::super::demo;
use super::{Bench, Got, request, text};

fn multipart(content: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    body.extend_from_slice(
        b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
          Content-Type: image/png\r\n\r\n",
    );
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--edge--\r\n");
    body
}

async fn upload(bench: &Bench, method: &str, path: &str, body: Vec<u8>) -> Got {
    let request = request(method, path)
        .header("authorization", format!("Bearer {}", demo::ACCESS_TOKEN))
        .header("content-type", "multipart/form-data; boundary=edge")
        .body(Body::from(body));
    bench.send(request.unwrap()).await
}

const FIELDS: [(&str, &str); 3] =
    [("folderPath", "/docs"), ("fileName", "report"), ("options", "{\"access\":\"PRIVATE\"}")];

#[tokio::test]
async fn a_file_comes_back_byte_for_byte() {
    let bench = Bench::new();
    // Just beyond two blocks, and with what looks like a boundary in it.
    let mut content: Vec<u8> = (0..2 * 1024 * 1024 + 17).map(|i| (i % 253) as u8).collect();
    content.extend_from_slice(b"\r\n--edg\r\n");
    let made = upload(&bench, "POST", "/files/v3/files", multipart(&content, &FIELDS)).await;
    let file = made.json();
    assert_eq!(made.code(), 201, "{}", made.text());
    assert_eq!(file["path"], "/docs/report.bin");
    assert_eq!(file["size"], content.len());
    assert_eq!(file["type"], "IMG");
    let id = text(&file, "id");

    let url = text(&file, "url");
    let path = url.strip_prefix("http://localhost:8788").unwrap();
    let got = bench.call("GET", path, Value::Null).await;
    assert_eq!(got.bytes, content);
    assert_eq!(got.header("content-type"), "image/png");
    assert_eq!(bench.call_as("", "GET", path, Value::Null).await.code(), 401);

    let signed = bench.get(&format!("/files/2026-03/files/{id}/signed-url")).await;
    let link = text(&signed, "url");
    let link = link.strip_prefix("http://localhost:8788").unwrap();
    assert_eq!(bench.call_as("", "GET", link, Value::Null).await.bytes, content);
    bench.clock.pass(std::time::Duration::from_secs(3601));
    assert_eq!(bench.call_as("", "GET", link, Value::Null).await.code(), 403);
}

#[tokio::test]
async fn files_are_found_replaced_renamed_and_deleted() {
    let bench = Bench::new();
    let made = upload(&bench, "POST", "/files/v3/files", multipart(b"one", &FIELDS)).await;
    let path = format!("/files/v3/files/{}", text(&made.json(), "id"));
    let found = bench.get("/files/v3/files/search?name=REP").await;
    assert_eq!(found["results"][0]["name"], "report");
    let stat = bench.get("/files/v3/files/stat/docs%2Freport.bin").await;
    assert_eq!(stat["file"]["size"], 3);
    assert_eq!(upload(&bench, "PUT", &path, multipart(b"second", &[])).await.json()["size"], 6);
    let renamed = bench.call("PATCH", &path, serde_json::json!({ "name": "final" })).await;
    assert_eq!(renamed.json()["path"], "/docs/final.bin");
    assert_eq!(bench.call("DELETE", &path, Value::Null).await.code(), 204);
    assert_eq!(bench.call("GET", &path, Value::Null).await.code(), 404);
}

#[tokio::test]
async fn an_upload_that_lacks_something_is_refused() {
    let bench = Bench::new();
    for missing in [0, 2] {
        let mut fields = FIELDS.to_vec();
        fields.remove(missing);
        let got = upload(&bench, "POST", "/files/v3/files", multipart(b"x", &fields)).await;
        assert_eq!(got.code(), 400, "{}", FIELDS[missing].0);
    }
    let mut cut = multipart(b"content", &FIELDS);
    cut.truncate(cut.len() - 20);
    assert_eq!(upload(&bench, "POST", "/files/v3/files", cut).await.code(), 400);
    let json = bench.call("POST", "/files/v3/files", serde_json::json!({})).await;
    assert_eq!(json.code(), 415);
}
