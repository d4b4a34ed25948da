//! Connections over TLS: only certificates of trusted authorities are accepted.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use registry_core::registry::{Client, Credentials, Http, Settings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// A new certificate authority.
fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// Starts a registry over TLS with a certificate for a host; returns its port.
async fn registry(authority: &CertifiedIssuer<'static, KeyPair>, host: &str) -> u16 {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .expect("a configuration");
    let (listener, acceptor) =
        (TcpListener::bind("127.0.0.1:0").await.expect("a port"), TlsAcceptor::from(Arc::new(config)));
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else { return };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let answer = "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
                              Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

async fn ping(port: u16, authorities: Option<String>) -> Result<(), String> {
    let authorities = authorities.map(String::into_bytes);
    let settings = Settings { retries: 0, proxies: false, authorities, ..Settings::default() };
    let http = Http::new(settings).map_err(|error| error.to_string())?;
    let client = Client::new(&http, &format!("https://localhost:{port}"), Credentials::Anonymous);
    client.map_err(|error| error.to_string())?.ping().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_certificates_of_trusted_authorities_are_accepted() {
    let (ours, other) = (authority("ours"), authority("another"));
    let port = registry(&ours, "localhost").await;
    assert_eq!(ping(port, Some(ours.pem())).await, Ok(()));
    assert_eq!(ping(port, Some(format!("{}{}", other.pem(), ours.pem()))).await, Ok(()));
    for authorities in [None, Some(other.pem())] {
        let error = ping(port, authorities).await.unwrap_err();
        assert!(error.contains("invalid peer certificate: UnknownIssuer"), "{error}");
    }
}

#[tokio::test]
async fn certificate_for_another_host_is_refused() {
    let ours = authority("ours");
    let port = registry(&ours, "registry.example").await;
    let error = ping(port, Some(ours.pem())).await.unwrap_err();
    assert!(error.contains("certificate not valid for name"), "{error}");
}
