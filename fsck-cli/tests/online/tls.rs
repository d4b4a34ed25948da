//! https: which certificates are trusted, and how an untrusted one is reported.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;

use registry_fixtures::registry::Server;
use rustls::pki_types::PrivateKeyDer;

use crate::support::{fsck, host, images, registry};

/// Serves a registry over https, with a certificate for these years; returns `host:port` and the certificate.
fn serve_https(server: Server, years: (i32, i32)) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let certificate = parameters.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut bytes = [0; 8192];
            // A client that does not trust the certificate closes the connection here.
            let Ok(read) = stream.read(&mut bytes) else { continue };
            let request =
                String::from_utf8_lossy(&bytes[..read]).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
            let mut inner = std::net::TcpStream::connect(host(&server)).unwrap();
            inner.write_all(request.as_bytes()).unwrap();
            let mut answer = Vec::new();
            let _ = inner.read_to_end(&mut answer);
            let _ = stream.write_all(&answer);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (address, certificate.pem())
}

fn pem_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn authority_from_ca_file_is_trusted() {
    let (address, certificate) = serve_https(registry(images), (2020, 2999));
    let (file, image) = (pem_file(&certificate), format!("https://{address}/team/app:v1"));
    let ran = fsck(&["verify", &image, "--retries", "0", "--ca-file", file.path().to_str().unwrap()]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let ran = fsck(&["verify", &image, "--retries", "0"]);
    assert_eq!(ran.status, 8);
    assert!(ran.out.contains("no answer") && ran.out.contains("UnknownIssuer"), "{}", ran.out);
}

#[test]
fn expired_certificate_exits_8_and_is_named() {
    let (address, certificate) = serve_https(registry(images), (2020, 2021));
    let file = pem_file(&certificate);
    let url = format!("https://{address}");
    let ran = fsck(&["probe", &url, "--retries", "0", "--ca-file", file.path().to_str().unwrap()]);
    assert_eq!(ran.status, 8);
    assert!(ran.out.contains("no answer") && ran.out.contains("certificate expired"), "{}", ran.out);
}

#[test]
fn ca_file_without_certificates_exits_16() {
    let file = pem_file("-----BEGIN NOTHING-----\n");
    let ran = fsck(&["probe", "https://registry.invalid", "--ca-file", file.path().to_str().unwrap()]);
    assert_eq!(ran.status, 16);
    assert!(ran.err.contains("certificate authorities cannot be used"), "{}", ran.err);
}
