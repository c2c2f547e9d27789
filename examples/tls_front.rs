//! Puts TLS in front of a plain TCP server, so that a test can have an `https://` upstream.
//!
//!     cargo run --example tls_front -- --to 127.0.0.1:8788 --ca-out ca.pem
//!
//! It makes a certificate authority of its own, writes that authority's certificate to `--ca-out`,
//! and prints its `https://` address. It offers `h2` and `http/1.1` and copies bytes both ways, so
//! what is behind it has to speak both on one port. Each connection is a line on standard output,
//! which lets a test see the protocol that was agreed upon.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Puts TLS in front of a plain TCP server.
#[derive(Parser)]
struct Args {
    /// Where the plain server listens
    #[arg(long, value_name = "IP:PORT")]
    to: SocketAddr,
    /// File that gets the certificate to trust
    #[arg(long, value_name = "FILE")]
    ca_out: PathBuf,
    /// Port to listen on at 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(args))
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let (config, authority) = server_config()?;
    // Whoever reads the address may connect at once, so the file has to be there before it.
    std::fs::write(&args.ca_out, authority)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    println!("tls_front: https://localhost:{}", listener.local_addr()?.port());

    let acceptor = TlsAcceptor::from(Arc::new(config));
    loop {
        let (client, _) = listener.accept().await?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(client, acceptor, args.to).await {
                eprintln!("tls_front: {error}");
            }
        });
    }
}

async fn serve(
    client: TcpStream,
    acceptor: TlsAcceptor,
    to: SocketAddr,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    client.set_nodelay(true)?;
    let mut client = timeout(HANDSHAKE_LIMIT, acceptor.accept(client)).await??;
    let protocol = client.get_ref().1.alpn_protocol().unwrap_or(b"none");
    println!("connection: {}", String::from_utf8_lossy(protocol));

    let mut server = TcpStream::connect(to).await?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The server's side of TLS, and the certificate that a client has to trust, in PEM form.
fn server_config() -> Result<(ServerConfig, String), Box<dyn Error>> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "tls_front test authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let certificate = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    let private_key = PrivateKeyDer::try_from(key.serialize_der())?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private_key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((config, authority.pem()))
}
