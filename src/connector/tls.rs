//! Whom TLS trusts beside the machine's root certificates: for one instance, those its operator adds.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::digest::Digest;
use crate::limits::CA_CERTIFICATES_MAX;

/// Root certificates of an operator's own, as a PEM file holds them.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca {
    pem: Arc<str>,
    digest: Digest,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({})", self.digest)
    }
}

impl Ca {
    /// Certificates from the text of a PEM file.
    ///
    /// # Errors
    /// Why the text holds none that can be used.
    pub fn parse(pem: &str) -> Result<Ca, String> {
        let certificates = certificates(pem)?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| format!("a certificate in it cannot be a root: {error}"))?;
        }
        Ok(Ca {
            pem: pem.into(),
            digest: Digest::of(pem.as_bytes()),
        })
    }

    /// The text.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Tells one set of certificates from another.
    pub(super) fn digest(&self) -> Digest {
        self.digest
    }
}

/// The certificates in the text of a PEM file.
pub(super) fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = read.map_err(|error| format!("it is not PEM: {error}"))?;
    match found.len() {
        0 => Err("it holds no certificate".to_owned()),
        n if n > CA_CERTIFICATES_MAX => Err(format!("it holds more than {CA_CERTIFICATES_MAX} certificates")),
        _ => Ok(found),
    }
}
