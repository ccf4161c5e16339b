//! Trusted authorities, and why a handshake failed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::error::{SetupError, TlsFailure};

/// TLS that trusts the system's authorities and those of a file.
pub(super) fn connector(authorities: Option<&Path>) -> Result<TlsConnector, SetupError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "reading the system's certificate authorities");
    }
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = authorities {
        add_file(&mut roots, path)?;
    }
    if roots.is_empty() {
        tracing::warn!("no certificate authority is trusted, so https callbacks will fail");
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), SetupError> {
    let pem = std::fs::read(path)
        .map_err(|source| SetupError::ReadAuthorities { path: path.to_owned(), source })?;
    let invalid = |detail: String| SetupError::InvalidAuthorities { path: path.to_owned(), detail };
    let mut is_empty = true;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
        is_empty = false;
    }
    match is_empty {
        true => Err(invalid("it has no section CERTIFICATE".into())),
        false => Ok(()),
    }
}

/// Why a handshake failed.
pub(super) fn failure(error: &io::Error) -> TlsFailure {
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    match error {
        Some(rustls::Error::InvalidCertificate(invalid)) => match invalid {
            CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                TlsFailure::NotYetValid
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                TlsFailure::WrongName
            }
            _ => TlsFailure::InvalidCertificate,
        },
        Some(rustls::Error::AlertReceived(_)) => TlsFailure::RefusedByServer,
        Some(rustls::Error::InvalidMessage(_)) => TlsFailure::NoTls,
        Some(_) => TlsFailure::Incompatible,
        None => TlsFailure::Interrupted,
    }
}
