//! A certificate of SNS, and the signatures that it verifies. The only file that names the X.509
//! parser.
//!
//! Invariant: the chain of a certificate is not verified. A certificate is trusted because it was
//! fetched over TLS from a host of SNS.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use webpki::EndEntityCert;

use crate::crypto::signatures::{is_rsa_sha1, is_rsa_sha256};

/// A certificate that SNS signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// Parses the PEM form.
    #[must_use]
    pub fn parse(pem: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(pem).ok()?;
        EndEntityCert::try_from(&certificate)
            .is_ok()
            .then_some(Self(certificate))
    }

    /// Whether `signature` is its signature over `text`.
    pub fn has_signed(&self, version: SignatureVersion, text: &[u8], signature: &[u8]) -> bool {
        EndEntityCert::try_from(&self.0).is_ok_and(|certificate| {
            certificate
                .verify_signature(&version, text, signature)
                .is_ok()
        })
    }
}

/// `SignatureVersion` of an envelope: RSASSA-PKCS1-v1_5 with one of two hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignatureVersion {
    /// Version 1, the default of a topic.
    Sha1,
    /// Version 2.
    Sha256,
}

impl SignatureVerificationAlgorithm for SignatureVersion {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        /// `sha1WithRSAEncryption`, RFC 3279.
        const RSA_PKCS1_SHA1: &[u8] = &[
            0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
        ];
        match self {
            Self::Sha1 => AlgorithmIdentifier::from_slice(RSA_PKCS1_SHA1),
            Self::Sha256 => alg_id::RSA_PKCS1_SHA256,
        }
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_valid = match self {
            Self::Sha1 => is_rsa_sha1(public_key, message, signature),
            Self::Sha256 => is_rsa_sha256(public_key, message, signature),
        };
        if is_valid {
            Ok(())
        } else {
            Err(InvalidSignature)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::CERTIFICATE;
    use super::*;

    #[test]
    fn other_documents_are_not_certificates() {
        let cut = CERTIFICATE.replace("MIICsTCC", "MIICsTCB");
        for pem in [
            "",
            "<html>",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &cut,
        ] {
            assert!(Certificate::parse(pem.as_bytes()).is_none(), "{pem}");
        }
        let key = CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY");
        assert!(Certificate::parse(key.as_bytes()).is_none());
    }
}
