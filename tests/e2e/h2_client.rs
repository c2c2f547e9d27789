//! A client that speaks HTTP/2 in clear text, by prior knowledge.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;

use crate::waiting::PATIENCE;

/// A whole answer; `body` is an error when it broke off.
#[derive(Debug)]
pub struct H2Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Vec<u8>, h2::Error>,
    pub trailers: Option<HeaderMap>,
}

impl H2Answer {
    pub fn refusal(&self) -> Option<&str> {
        self.headers.get("x-hubspot-proxy-error").map(|code| code.to_str().unwrap())
    }
}

/// A connection, driven by a task of its own on the current runtime.
pub async fn connect(port: u16) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // Until the proxy has said how many streams it takes (RFC 9113, section 6.5.2 recommends 100).
    let mut builder = h2::client::Builder::new();
    // The `h2` crate takes many small frames that wait to be read for an attack; how many is told by
    // the connection's window.
    builder.initial_connection_window_size(16 * 1024 * 1024);
    builder.initial_max_send_streams(100);
    let (sender, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(async move {
        // A failure reaches each request by itself.
        let _ = connection.await;
    });
    sender.ready().await.unwrap()
}

/// A request for `target` at the proxy's own name.
pub fn request(method: &str, port: u16, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("http://localhost:{port}{target}"))
}

/// Sends one request with `body` and reads the answer to its end, or to where it breaks off.
pub async fn send(
    sender: &SendRequest<Bytes>,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<H2Answer, h2::Error> {
    let exchange = async {
        let mut sender = sender.clone().ready().await?;
        let (answer, mut stream) = sender.send_request(request, body.is_none())?;
        if let Some(body) = body {
            stream.send_data(body, true)?;
        }
        let answer = answer.await?;
        let (head, mut incoming) = answer.into_parts();
        let mut collected = Ok(Vec::new());
        while let Some(part) = incoming.data().await {
            match (part, &mut collected) {
                (Ok(part), Ok(all)) => {
                    incoming.flow_control().release_capacity(part.len())?;
                    all.extend_from_slice(&part);
                }
                (Err(error), _) => {
                    collected = Err(error);
                    break;
                }
                _ => {}
            }
        }
        let trailers = match &collected {
            Ok(_) => incoming.trailers().await?,
            Err(_) => None,
        };
        Ok(H2Answer { status: head.status, headers: head.headers, body: collected, trailers })
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("an answer in time")
}

/// Runs `work` on a small runtime of its own.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(3 * PATIENCE, work).await.expect("in time") })
}
