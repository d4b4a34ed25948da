//! The TLS configuration: connections trust the authorities of the system, and those of a given file.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::error::Error;

/// The TLS configuration of all connections. `authorities` is the text of a PEM file.
pub(super) fn config(authorities: Option<&[u8]>) -> Result<ClientConfig, Error> {
    let bad = |error: &dyn std::fmt::Display| Error::Authorities(error.to_string());
    let mut extra_roots = Vec::new();
    if let Some(text) = authorities {
        for certificate in CertificateDer::pem_slice_iter(text) {
            extra_roots.push(certificate.map_err(|error| bad(&error))?);
        }
        if extra_roots.is_empty() {
            return Err(Error::Authorities("the file holds no certificate in PEM form".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| bad(&error))?;
    let verifier = if extra_roots.is_empty() {
        Verifier::new(provider)
    } else {
        Verifier::new_with_extra_roots(extra_roots, provider)
    };
    let mut config = match verifier {
        Ok(verifier) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
        Err(error) if authorities.is_some() => return Err(bad(&error)),
        // A machine without any authority trusts nobody over https, but can still use http.
        Err(_) => builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
