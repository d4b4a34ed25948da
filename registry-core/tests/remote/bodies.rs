//! Bodies of manifests and blobs, and the meaning of a 404.

use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::Error;

use crate::server::{Server, reply, unknown};

fn sha256(bytes: &[u8]) -> Digest {
    Digest::hash(Algorithm::Sha256, bytes)
}

#[tokio::test]
async fn manifest_with_another_hash_is_a_mismatch() {
    let server = Server::start(|_| {
        reply(200).with("content-type", "application/vnd.oci.image.index.v1+json").body("{}")
    })
    .await;
    let client = server.client();
    let found = client.manifest("team/app", "v1").await.unwrap().unwrap();
    assert_eq!(
        (found.digest, found.media_type.as_str()),
        (sha256(b"{}"), "application/vnd.oci.image.index.v1+json")
    );
    let other = sha256(b"[]").to_string();
    let error = client.manifest("team/app", &other).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let error = client.blob("team/app", &sha256(b"[]"), 100).await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
    let accepted = server.asked()[0].header("accept").unwrap().to_owned();
    assert!(accepted.contains("image.index") && accepted.contains("manifest.list"), "{accepted}");
}

#[tokio::test]
async fn tag_with_wrong_digest_header_is_a_mismatch() {
    let lie = sha256(b"other").to_string();
    let server = Server::start(move |_| reply(200).with("docker-content-digest", &lie).body("{}")).await;
    let error = server.client().manifest("app", "v1").await.unwrap_err();
    assert!(matches!(error, Error::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn manifest_of_fifty_megabytes_is_refused() {
    let server = Server::start(|_| reply(200).body(vec![b' '; 50 << 20])).await;
    let error = server.client().manifest("app", "v1").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/manifests/v1: the answer is larger than 16777216 bytes");
}

#[tokio::test]
async fn only_a_404_of_a_registry_means_absent() {
    let server = Server::start(|asked| match (asked.method.as_str(), asked.target.as_str()) {
        (_, "/v2/app/manifests/gone") => unknown("MANIFEST_UNKNOWN"),
        ("HEAD", "/v2/app/manifests/strange") => reply(404).with("content-type", "text/html"),
        _ => reply(404).with("content-type", "text/plain").body("Not found."),
    })
    .await;
    let client = server.client();
    assert_eq!(client.manifest("app", "gone").await.unwrap(), None);
    assert_eq!(client.head_manifest("app", "gone").await.unwrap(), None);
    let error = client.manifest("app", "strange").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/manifests/strange: status 404: Not found.");
    assert!(client.head_manifest("app", "strange").await.is_err());
    assert!(client.head_blob("app", &sha256(b"x")).await.is_err());
}

#[tokio::test]
async fn head_gives_a_digest_without_a_download() {
    let digest = sha256(b"{}").to_string();
    let server = Server::start(move |_| reply(200).with("docker-content-digest", &digest)).await;
    assert_eq!(server.client().head_manifest("app", "v1").await.unwrap(), Some(sha256(b"{}")));
    assert_eq!(server.lines(), ["HEAD /v2/app/manifests/v1"]);
}

#[tokio::test]
async fn illegal_names_are_not_requested() {
    let server = Server::start(|_| reply(200)).await;
    let client = server.client();
    for (name, reference) in
        [("../x", "v1"), ("app", "../../v2/token"), ("app", "-x"), ("App/Y", "v1"), ("a?b", "v1")]
    {
        let error = client.manifest(name, reference).await.unwrap_err();
        assert!(matches!(error, Error::Name(_)), "{error}");
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn server_that_is_no_registry_is_reported_as_such() {
    let page = Server::start(|_| {
        reply(200).with("content-type", "text/html").body("<!doctype html><title>Log in</title>")
    })
    .await;
    let error = page.client().ping().await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/: status 200 without the header of a registry: this is something else");
    let error = page.client().tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: a web page came instead of JSON: a login page, or another server");
    let login = Server::start(|_| reply(302).with("location", "https://sso.example/login")).await;
    let error = login.client().ping().await.unwrap_err();
    insta::assert_snapshot!(error, @r#"GET /v2/: status 302: it leads to "https://sso.example/login", which is not followed"#);
}
