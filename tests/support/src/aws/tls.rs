//! A certificate authority made for one server, and the server's certificate.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tempfile::NamedTempFile;

/// What clients must trust, in a file of its own; removed with this value.
#[derive(Debug)]
pub struct Authority {
    pem: NamedTempFile,
}

impl Authority {
    /// Makes the authority and a certificate for 127.0.0.1 and localhost.
    pub fn new() -> io::Result<(Self, Arc<ServerConfig>)> {
        let (pem, config) = made().map_err(io::Error::other)?;
        let mut file = tempfile::Builder::new().prefix("stand-in-").suffix(".pem").tempfile()?;
        file.write_all(pem.as_bytes())?;
        file.flush()?;
        Ok((Self { pem: file }, Arc::new(config)))
    }

    /// The authority's certificate, as PEM.
    pub fn path(&self) -> &Path {
        self.pem.path()
    }
}

fn made() -> Result<(String, ServerConfig), Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "stand-in for AWS, test authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority_key = KeyPair::generate()?;
    let pem = authority.self_signed(&authority_key)?.pem();

    let mut server = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])?;
    server.distinguished_name.push(DnType::CommonName, "stand-in for AWS");
    server.use_authority_key_identifier_extension = true;
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &Issuer::new(authority, authority_key))?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(server_key.serialize_der())?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    Ok((pem, config))
}
