//! One certificate of SNS: whose it is, when it counts, and whether it signed something. The chain above it is not
//! walked: SNS publishes the leaf alone, so what speaks for it is the TLS connection to the host it was read from,
//! or the operator who pinned it as a file.

use ring::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::X509Certificate;

use super::message::Version;
use crate::clock::Time;

/// The object identifier of RSA keys (RFC 3279, section 2.3.1).
const RSA: &str = "1.2.840.113549.1.1.1";

/// A certificate, in what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Certificate {
    key: Vec<u8>,
    names: Vec<String>,
    from: Time,
    until: Time,
}

impl Certificate {
    /// Reads the first certificate of a PEM file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(bytes: &[u8]) -> Result<Certificate, &'static str> {
        let (_, pem) = parse_x509_pem(bytes).map_err(|_| "it is not PEM")?;
        let read = pem.parse_x509().map_err(|_| "it is not a certificate")?;
        let algorithm = &read.tbs_certificate.subject_pki.algorithm.algorithm;
        if algorithm.to_id_string() != RSA {
            return Err("its key is not an RSA key");
        }
        let ms = |seconds: i64| Time(seconds.saturating_mul(1_000));
        Ok(Certificate {
            key: read.tbs_certificate.subject_pki.subject_public_key.data.to_vec(),
            names: names(&read),
            from: ms(read.validity().not_before.timestamp()),
            until: ms(read.validity().not_after.timestamp()),
        })
    }

    /// True when it was made out to SNS: to the service as a whole, or to this host of it.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let known = ["sns.amazonaws.com", "sns.amazonaws.com.cn", host];
        self.names
            .iter()
            .any(|name| known.iter().any(|known| name.eq_ignore_ascii_case(known)))
    }

    /// True when it counts at this moment.
    pub(super) fn counts_at(&self, moment: Time) -> bool {
        self.from <= moment && moment <= self.until
    }

    /// True when its key made this signature (PKCS #1 v1.5) of this text.
    pub(super) fn signed(&self, version: Version, text: &[u8], signature: &[u8]) -> bool {
        let rule = match version {
            Version::Sha1 => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Version::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(rule, &self.key)
            .verify(text, signature)
            .is_ok()
    }
}

/// The DNS names it was made out to; the common name only where it lists none.
fn names(read: &X509Certificate<'_>) -> Vec<String> {
    use x509_parser::extensions::GeneralName;
    let listed: Vec<String> = read
        .subject_alternative_name()
        .ok()
        .flatten()
        .into_iter()
        .flat_map(|extension| extension.value.general_names.iter())
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    if !listed.is_empty() {
        return listed;
    }
    read.subject()
        .iter_common_name()
        .filter_map(|name| name.as_str().ok())
        .map(str::to_owned)
        .collect()
}
