//! Where commands find the running proxy: its runtime folder, with the admin key and the control
//! socket in it.
//!
//! Both are for this user alone and are gone when the process ends as it should; what a killed one
//! has left is replaced by the next.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::admin::access::AdminKey;
use crate::admin::api::Api;
use crate::store::private;

/// The file that holds the admin key.
pub const ADMIN_KEY: &str = "admin.key";
/// The socket that needs no key.
pub const CONTROL_SOCKET: &str = "control.sock";

/// What this process has put into the runtime folder. It is removed with this.
pub struct RuntimeFolder {
    folder: PathBuf,
    #[cfg(unix)]
    socket: Option<super::listener::socket_file::SocketFile>,
}

impl RuntimeFolder {
    /// Makes `NAME/admin.key` and, on Unix, `NAME/control.sock` in `runtime`.
    pub fn create(runtime: &Path, name: &str, key: &AdminKey) -> io::Result<Self> {
        let folder = runtime.join(name);
        private::create_folder(&folder)?;
        if let Some(objection) = private::objection(&folder)? {
            return Err(io::Error::other(objection));
        }
        // The socket first: while another process answers at it, the key beside it is that one's.
        #[cfg(unix)]
        let socket = {
            let path = folder.join(CONTROL_SOCKET);
            Some(super::listener::socket_file::open(&path).map_err(io::Error::other)?)
        };
        write_key(&folder, key)?;
        Ok(Self {
            folder,
            #[cfg(unix)]
            socket,
        })
    }
}

/// Answers at the control socket of `folder` for as long as the runtime, inside which this is called,
/// lives.
#[cfg(unix)]
pub fn start(folder: &RuntimeFolder, api: Api) -> io::Result<()> {
    if let Some(socket) = &folder.socket {
        let listener = tokio::net::UnixListener::from_std(socket.socket.try_clone()?)?;
        tokio::spawn(socket::serve(listener, api));
    }
    Ok(())
}

/// There is no such socket here: the admin API is at the proxy's own addresses alone.
#[cfg(not(unix))]
pub fn start(_: &RuntimeFolder, _: Api) -> io::Result<()> {
    Ok(())
}

fn write_key(folder: &Path, key: &AdminKey) -> io::Result<()> {
    let path = folder.join(ADMIN_KEY);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private::create_file(&path)?;
    writeln!(file, "{}", key.secret().expose())
}

impl Drop for RuntimeFolder {
    fn drop(&mut self) {
        // Whatever cannot be removed is replaced by the next start.
        let _ = fs::remove_file(self.folder.join(ADMIN_KEY));
        #[cfg(unix)]
        drop(self.socket.take());
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(unix)]
pub mod socket {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioIo, TokioTimer};
    use tokio::net::{UnixListener, UnixStream};
    use tokio::sync::Semaphore;
    use tracing::{debug, warn};

    use crate::admin::api::Api;

    /// After an accept that failed for want of something, such as file descriptors.
    const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

    /// So many connections at a time; what comes beyond is closed at once.
    const MOST_CONNECTIONS: usize = 64;
    /// A head is waited for no longer, nor is the next request.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
    /// Bytes of a head.
    const LARGEST_HEAD: usize = 64 * 1024;

    /// Answers at the control socket until it is dropped. Who can open the socket is this user, or root.
    pub async fn serve(listener: UnixListener, api: Api) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            match listener.accept().await {
                Ok((stream, _)) if is_own(&stream) => {
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                    let api = api.clone();
                    tokio::spawn(async move {
                        connection(stream, api).await;
                        drop(place);
                    });
                }
                Ok(_) => warn!("refused another user at the control socket"),
                Err(error) => {
                    warn!("cannot accept at the control socket: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whether this user, or root, is at the other end. The folder's mode keeps others out already.
    pub fn is_own(stream: &UnixStream) -> bool {
        let own = rustix::process::geteuid().as_raw();
        stream.peer_cred().is_ok_and(|peer| [0, own].contains(&peer.uid()))
    }

    async fn connection(stream: UnixStream, api: Api) {
        let service = service_fn(move |request: http::Request<Incoming>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request.map(Body::new)).await) }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .await;
        if let Err(error) = served {
            debug!("a connection at the control socket ended: {error}");
        }
    }
}
