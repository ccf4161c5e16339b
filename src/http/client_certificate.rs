//! The certificates of a TLS server's clients.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

/// Why no client could be verified.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClientAuthority {
    /// The authorities are not PEM.
    #[error("the file is not a list of certificates in PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// There is no authority.
    #[error("the file contains no certificate")]
    Empty,
    /// A certificate cannot be an authority.
    #[error("a certificate in the file cannot be used as an authority: {0}")]
    Certificate(Error),
    /// The verifier cannot be built.
    #[error("the certificates in the file cannot be used: {0}")]
    Verifier(rustls::server::VerifierBuilderError),
}

/// Which clients a server accepts.
#[derive(Clone)]
pub struct ClientVerification {
    verifier: Arc<dyn ClientCertVerifier>,
    refused: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for ClientVerification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerification").finish_non_exhaustive()
    }
}

impl ClientVerification {
    /// Accepts clients with a certificate for client authentication that one of these authorities (PEM) has signed, if
    /// `accepts` is true for that certificate (DER). Calls `refused` for each other client.
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn new(
        authorities: &str,
        accepts: impl Fn(&[u8]) -> bool + Send + Sync + 'static,
        refused: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, InvalidClientAuthority> {
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            let authority = authority.map_err(InvalidClientAuthority::Pem)?;
            roots.add(authority).map_err(InvalidClientAuthority::Certificate)?;
        }
        if roots.is_empty() {
            return Err(InvalidClientAuthority::Empty);
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let signed = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(InvalidClientAuthority::Verifier)?;
        let verifier = Arc::new(AcceptedClients { signed, accepts: Box::new(accepts) });
        Ok(Self { verifier, refused: Arc::new(refused) })
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Reports a failed handshake, if its client was refused.
    pub(super) fn report(&self, error: &io::Error) {
        let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
        if matches!(error, Some(Error::NoCertificatesPresented | Error::InvalidCertificate(_))) {
            (self.refused)();
        }
    }
}

/// Whether a verified certificate (DER) is accepted.
type AcceptsCertificate = dyn Fn(&[u8]) -> bool + Send + Sync;

/// The clients with a signed certificate that are accepted.
struct AcceptedClients {
    signed: Arc<dyn ClientCertVerifier>,
    accepts: Box<AcceptsCertificate>,
}

impl fmt::Debug for AcceptedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedClients").field("signed", &self.signed).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for AcceptedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.signed.verify_client_cert(end_entity, intermediates, now)?;
        if (self.accepts)(end_entity) {
            Ok(verified)
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
