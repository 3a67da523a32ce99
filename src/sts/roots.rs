//! A bundle of certificates that somebody named instead of the system's.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::StsError;

/// Reads a PEM file and proves that each certificate can be used: the HTTP client panics on one that cannot.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StsError> {
    let refused = |reason: String| StsError::CaBundle { path: path.into(), reason };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if store.is_empty() { Err(refused("it holds no certificate".into())) } else { Ok(pem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_used_is_an_error_and_not_a_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for content in ["", "no certificate", broken, "-----BEGIN CERTIFICATE-----\n&\n"] {
            std::fs::write(&path, content).unwrap();
            let refused = read(&path).unwrap_err().to_string();
            assert!(refused.contains("bundle.pem"), "{refused}");
        }
    }
}
