//! An upstream behind TLS that speaks both versions of HTTP and wants to see the token.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{leave_this_thread_out, runtime};

pub const TOKEN: &str = "bench-access-token-of-the-usual-length-0123456789abcdef";
/// Bytes of an answer's body, which ends in `]}`.
pub const BODY: usize = 1536;

pub struct Upstream {
    pub url: String,
    pub ca_file: PathBuf,
    pub folder: TempDir,
}

impl Upstream {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let tls = certificates(&ca_file);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        thread::spawn(move || {
            leave_this_thread_out();
            runtime().block_on(serve(listener, TlsAcceptor::from(Arc::new(tls))));
        });
        Self { url, ca_file, folder }
    }
}

fn certificates(ca_file: &PathBuf) -> ServerConfig {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(ca_file, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

async fn serve(listener: std::net::TcpListener, tls: TlsAcceptor) {
    let listener = TcpListener::from_std(listener).unwrap();
    let body = Bytes::from(format!("{{\"results\":[\"{}\"]}}", "x".repeat(BODY - 16)));
    assert_eq!(body.len(), BODY);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (tls, body) = (tls.clone(), body.clone());
        tokio::spawn(async move {
            let stream = TokioIo::new(tls.accept(stream).await.unwrap());
            let service = service_fn(move |request| {
                let answer = answer(&request, &body);
                async move { Ok::<_, Infallible>(answer) }
            });
            // It ends with the benchmark.
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
        });
    }
}

fn answer(request: &Request<Incoming>, body: &Bytes) -> Response<Full<Bytes>> {
    let shown = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    let mut answer = Response::new(Full::new(body.clone()));
    answer.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if shown != Some(format!("Bearer {TOKEN}").as_bytes()) {
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
    }
    answer
}
