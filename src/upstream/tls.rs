//! TLS towards the upstream: which roots are trusted and which protocols are offered.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

/// Why no TLS configuration could be made.
#[derive(Debug, Error)]
pub enum TlsSetupError {
    #[error("cannot read certificates from {}: {source}; correct upstream.ca_file", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error(
        "{} holds no certificate in PEM form: correct upstream.ca_file, or put one there that begins with -----BEGIN CERTIFICATE-----",
        path.display()
    )]
    NoCertificate { path: PathBuf },
    #[error(
        "this machine has no trusted root certificates: install ca-certificates, or set SSL_CERT_FILE or upstream.ca_file"
    )]
    NoRoots,
    #[error("TLS is not available: {0}")]
    Protocol(rustls::Error),
}

/// Two configurations over the same roots and session cache: one for each HTTP version, since a
/// connection is opened for the version that is wanted.
#[derive(Clone)]
pub struct TlsConfigs {
    /// Offers `http/1.1` alone.
    pub http1: Arc<ClientConfig>,
    /// Offers `h2`, then `http/1.1`.
    pub http2: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Trusts the platform's roots (or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`) and, beside
    /// them, those in `ca_file`.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let mut config = client_config(roots(ca_file)?)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { http1: Arc::new(config), http2: Arc::new(http2) })
    }
}

/// A configuration that trusts nobody, for a client that speaks no TLS.
pub fn without_roots() -> Result<ClientConfig, TlsSetupError> {
    client_config(RootCertStore::empty())
}

/// The process's one crypto provider.
pub fn install_crypto_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn client_config(roots: RootCertStore) -> Result<ClientConfig, TlsSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Protocol)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsSetupError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let (added, _) = store.add_parsable_certificates(certificates_in(path)?);
        if added == 0 {
            return Err(TlsSetupError::NoCertificate { path: path.to_owned() });
        }
    }
    if store.is_empty() {
        return Err(TlsSetupError::NoRoots);
    }
    Ok(store)
}

/// The certificates of a PEM file.
pub fn certificates_in(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let unreadable = |source| TlsSetupError::CaFile { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(unreadable)?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.to_string())))
}
