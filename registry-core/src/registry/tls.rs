//! Whom an https connection trusts: what the system trusts, and a file of certificate authorities beside it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::error::Error;

/// The configuration of all connections. `authorities` is the text of a PEM file.
pub(super) fn config(authorities: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Authorities(error.to_string());
    let mut more = Vec::new();
    if let Some(text) = authorities {
        for certificate in CertificateDer::pem_slice_iter(text) {
            more.push(certificate.map_err(|error| bad(&error))?);
        }
        if more.is_empty() {
            return Err(Error::Authorities("the file holds no certificate in PEM form".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let verifier = if more.is_empty() {
        Verifier::new(provider)
    } else {
        Verifier::new_with_extra_roots(more, provider)
    };
    let mut config = match verifier {
        Ok(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Err(error) if authorities.is_some() => return Err(bad(&error)),
        // A machine without any authority can still ask over http; over https it trusts nobody.
        Err(_) => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
