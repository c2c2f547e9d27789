//! Calls the running proxy: finds it in the runtime folder and asks its admin API.
//!
//! On Unix by the control socket, which needs no key; elsewhere over TCP with the admin key.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;

use super::Failure;
use crate::config::{Folders, Listen};
#[cfg(not(unix))]
use crate::server::control_plane::ADMIN_KEY;
#[cfg(unix)]
use crate::server::control_plane::{CONTROL_SOCKET, socket::is_own};

/// An answer is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is no larger, in bytes.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

const LOCALHOST_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCALHOST_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A proxy that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its folder in the runtime folder, which is named for its first port.
    folder: PathBuf,
}

/// Why an answer did not come.
#[derive(Debug)]
enum Unanswered {
    /// Nobody is there.
    NotRunning,
    Failed(String),
}

/// What a folder in the runtime folder stands for.
#[derive(Debug)]
pub enum Standing {
    /// A proxy runs; its status.
    Answers(Value),
    /// Nobody answers there any more.
    Gone,
    /// Somebody is there who does not answer as a proxy; why.
    Silent(String),
}

/// The proxies that run as this user, in the order of their ports.
pub fn running(folders: &Folders) -> Vec<Running> {
    let proxies = found(folders).into_iter();
    proxies.filter(|proxy| proxy.get("status").is_ok()).collect()
}

/// The folders of proxies that run or have run, in the order of their ports.
pub fn found(folders: &Folders) -> Vec<Running> {
    let entries = folders.runtime_candidates().into_iter().filter_map(|folder| {
        Some(fs::read_dir(folder).ok()?.filter_map(Result::ok).map(|entry| entry.path()))
    });
    let mut found: Vec<PathBuf> = entries.flatten().filter(|path| path.is_dir()).collect();
    found.sort_by_key(|path| (port_of(path), path.clone()));
    found.into_iter().map(|folder| Running { folder }).collect()
}

/// The proxy that `--listen` names, else the only one.
pub fn find(folders: &Folders, listen: Option<&str>) -> Result<Running, Failure> {
    let mut all = running(folders);
    let Some(listen) = listen else {
        return match all.len() {
            0 => {
                Err(Failure::failed("no proxy of yours is running: start one with `hubspot-proxy`"))
            }
            1 => Ok(all.remove(0)),
            _ => {
                let listed: Vec<String> = all.iter().map(Running::shown).collect();
                Err(Failure::usage(format!(
                    "several proxies are running ({}): name one with --listen",
                    listed.join(", ")
                )))
            }
        };
    };
    let wanted: Listen =
        listen.parse().map_err(|error| Failure::usage(format!("--listen: {error}")))?;
    let listens = |proxy: &Running| {
        let status = proxy.get("status").unwrap_or_default();
        let shown = status["listen"].as_array().cloned().unwrap_or_default();
        shown.iter().filter_map(Value::as_str).any(|shown| is_at(shown, &wanted))
    };
    let found = all.into_iter().find(listens);
    found.ok_or_else(|| Failure::failed(format!("no proxy of yours is running at {listen}")))
}

fn port_of(folder: &Path) -> u32 {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.split('-').next().and_then(|port| port.parse().ok()).unwrap_or(u32::MAX)
}

/// Whether `shown`, an address as the proxy prints it, is the one that is wanted.
pub fn is_at(shown: &str, wanted: &Listen) -> bool {
    let at = |host: &str, port: u16| shown == format!("http://{host}:{port}");
    match wanted {
        Listen::Localhost(port) => {
            ["localhost", "127.0.0.1", "[::1]"].iter().any(|host| at(host, *port))
        }
        Listen::Address(address) => {
            let is_localhost = [LOCALHOST_V4, LOCALHOST_V6].contains(&address.ip());
            shown == format!("http://{address}") || is_localhost && at("localhost", address.port())
        }
        Listen::Unix(_) => shown == wanted.to_string(),
    }
}

impl Running {
    /// Its folder in the runtime folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it runs, and how it stands.
    pub fn standing(&self) -> Standing {
        match self.ask(Method::GET, "status") {
            Ok((StatusCode::OK, status)) => Standing::Answers(status),
            Ok((status, _)) => Standing::Silent(format!("it answered {status}")),
            Err(Unanswered::NotRunning) => Standing::Gone,
            Err(Unanswered::Failed(why)) => Standing::Silent(why),
        }
    }

    /// What messages call it.
    pub fn shown(&self) -> String {
        let name = self.folder.file_name().unwrap_or_default().to_string_lossy();
        match name.parse::<u16>() {
            Ok(port) => format!("localhost:{port}"),
            Err(_) => name.into_owned(),
        }
    }

    /// What the admin API has at `path`, such as `status`.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.answer(Method::GET, path)
    }

    /// Has the admin API do what `path` says, such as `dashboard/codes`.
    pub fn post(&self, path: &str) -> Result<Value, Failure> {
        self.answer(Method::POST, path)
    }

    fn answer(&self, method: Method, path: &str) -> Result<Value, Failure> {
        let (status, body) = self.ask(method, path).map_err(|why| match why {
            Unanswered::NotRunning => Failure::failed(format!(
                "the proxy {} has ended: start it again with `hubspot-proxy`",
                self.shown()
            )),
            Unanswered::Failed(why) => {
                Failure::failed(format!("the proxy {} does not answer: {why}", self.shown()))
            }
        })?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("it gave no reason");
        Err(Failure::failed(message.to_owned()))
    }

    fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Value), Unanswered> {
        let failed = |error: &dyn std::fmt::Display| Unanswered::Failed(error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|e| failed(&e))?;
        // A time-out is made inside the runtime.
        let asking = async { tokio::time::timeout(PATIENCE, self.exchange(method, path)).await };
        let answered = runtime.block_on(asking);
        answered.unwrap_or_else(|_| {
            Err(Unanswered::Failed(format!("no answer within {} s", PATIENCE.as_secs())))
        })
    }

    #[cfg(unix)]
    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Value), Unanswered> {
        let connecting = tokio::net::UnixStream::connect(self.folder.join(CONTROL_SOCKET));
        let stream = connecting.await.map_err(|_| Unanswered::NotRunning)?;
        // Where the folder is one that others can write to, it can be anybody's.
        if !is_own(&stream) {
            return Err(Unanswered::NotRunning);
        }
        exchange(stream, request(method, path, None)).await
    }

    #[cfg(not(unix))]
    async fn exchange(
        &self,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Value), Unanswered> {
        let key = fs::read_to_string(self.folder.join(ADMIN_KEY));
        let key = key.map_err(|_| Unanswered::NotRunning)?;
        let port = u16::try_from(port_of(&self.folder)).map_err(|_| Unanswered::NotRunning)?;
        let connecting = tokio::net::TcpStream::connect(("127.0.0.1", port));
        let stream = connecting.await.map_err(|_| Unanswered::NotRunning)?;
        exchange(stream, request(method, path, Some((port, key.trim())))).await
    }
}

fn request(
    method: Method,
    path: &str,
    key: Option<(u16, &str)>,
) -> http::Result<Request<Empty<Bytes>>> {
    let request = Request::builder().method(method).uri(format!("/_proxy/api/{path}"));
    let request = match key {
        None => request.header("host", "localhost"),
        Some((port, key)) => request
            .header("host", format!("127.0.0.1:{port}"))
            .header("authorization", format!("Bearer {key}")),
    };
    request.body(Empty::new())
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Result<Request<Empty<Bytes>>>,
) -> Result<(StatusCode, Value), Unanswered> {
    let failed = |error: &dyn std::fmt::Display| Unanswered::Failed(error.to_string());
    let request = request.map_err(|error| failed(&error))?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| failed(&error))?;
    // It ends with the answer, or with the runtime.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await;
    let body = body.map_err(|error| failed(&error))?.to_bytes();
    let body = serde_json::from_slice(&body).map_err(|error| failed(&error))?;
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::is_at;

    #[test]
    fn an_address_names_a_proxy_in_any_of_its_spellings() {
        for (shown, wanted, expected) in [
            ("http://localhost:8787", "localhost:8787", true),
            ("http://127.0.0.1:8787", "localhost:8787", true),
            ("http://127.0.0.1:8787", "127.0.0.1:8787", true),
            ("http://localhost:8787", "[::1]:8787", true),
            ("http://localhost:8787", "127.0.0.2:8787", false),
            ("http://localhost:8787", "localhost:8788", false),
            ("unix:/run/a.sock", "unix:/run/a.sock", true),
            ("unix:/run/a.sock", "unix:/run/b.sock", false),
        ] {
            assert_eq!(is_at(shown, &wanted.parse().unwrap()), expected, "{shown} {wanted}");
        }
    }
}
