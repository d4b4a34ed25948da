//! A HEAD says less than a GET: it has no body in which a registry could say that the object is absent, some servers do not support
//! it, and an address that is signed for GET is not valid for HEAD.

use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::{Client, Error};

use crate::server::{Asked, Reply, Server, json, reply, unknown};

const BYTES: &[u8] = b"the bytes";

fn sha256(bytes: &[u8]) -> Digest {
    Digest::hash(Algorithm::Sha256, bytes)
}

/// The answers to the three calls that begin with a HEAD; an error as text.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    tag: Result<bool, String>,
    manifest: Result<Option<Option<u64>>, String>,
    blob: Result<Option<Option<u64>>, String>,
}

impl Answers {
    fn all(is_there: Result<bool, ()>) -> Self {
        let size = BYTES.len() as u64;
        let sized = || match is_there {
            Ok(true) => Ok(Some(Some(size))),
            Ok(false) => Ok(None),
            Err(()) => Err(String::new()),
        };
        Self { tag: is_there.map_err(|()| String::new()), manifest: sized(), blob: sized() }
    }

    fn without_words(self) -> Self {
        let silent = |_| String::new();
        Self {
            tag: self.tag.map_err(silent),
            manifest: self.manifest.map_err(silent),
            blob: self.blob.map_err(silent),
        }
    }
}

async fn ask_all(client: &Client) -> Answers {
    let said = |error: Error| error.to_string();
    let digest = sha256(BYTES);
    Answers {
        tag: client.head_manifest("app", "v1").await.map(|found| found == Some(digest)).map_err(said),
        manifest: client.manifest_size("app", &digest).await.map_err(said),
        blob: client.head_blob("app", &digest).await.map_err(said),
    }
}

/// A server with one answer for every HEAD and one for every GET.
async fn server(head: Reply, get: Reply) -> Server {
    Server::start(move |asked: &Asked| if asked.method == "HEAD" { head.clone() } else { get.clone() }).await
}

fn manifest_reply() -> Reply {
    reply(200).with("content-type", "application/vnd.oci.image.manifest.v1+json").body(BYTES)
}

/// An error as `crane registry serve` sends it.
fn plain(code: &str) -> Reply {
    let text = format!(r#"{{"errors":[{{"code":"{code}","message":"Unknown"}}]}}"#);
    reply(404).with("content-type", "text/plain; charset=utf-8").body(text)
}

// https://github.com/merll/docker-registry-util/issues/3, and proxies that answer HEAD by themselves.
#[tokio::test]
async fn object_that_head_misses_is_present_if_get_finds_it() {
    for status in [404, 405, 501] {
        let server = server(reply(status), manifest_reply()).await;
        assert_eq!(ask_all(&server.client()).await, Answers::all(Ok(true)), "{status}");
    }
}

// https://github.com/google/go-containerregistry/issues/1579, https://github.com/distribution/distribution/issues/1911
#[tokio::test]
async fn get_with_json_error_means_absent_whatever_its_media_type() {
    for status in [404, 405, 501] {
        for code in ["MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"] {
            for get in [unknown(code), plain(code)] {
                let server = server(reply(status), get).await;
                assert_eq!(ask_all(&server.client()).await, Answers::all(Ok(false)), "{status} {code}");
            }
        }
    }
}

#[tokio::test]
async fn every_other_answer_to_get_is_unknown_whatever_head_answered() {
    let words = |code: &str, message: &str| {
        json(404, &format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#))
    };
    let gets = [
        reply(404),
        reply(404).with("content-type", "text/html").body("<html>not here</html>"),
        reply(404).with("docker-distribution-api-version", "registry/2.0"),
        json(404, "{}"),
        words("MANIFEST_BLOB_UNKNOWN", ""),
        words("NOT_FOUND", "route not found"),
        words("UNKNOWN", "blob sha256:0 not found"),
        reply(405),
        reply(410),
        reply(403),
        unknown("MANIFEST_UNKNOWN").with_status(400),
    ];
    for get in gets {
        // The HEAD is answered as by a registry, which is not believed.
        let head = json(404, "").with("docker-distribution-api-version", "registry/2.0");
        let shown = format!("{get:?}");
        let server = server(head, get).await;
        assert_eq!(ask_all(&server.client()).await.without_words(), Answers::all(Err(())), "{shown}");
    }
}

// https://github.com/goharbor/harbor/issues/18461
#[tokio::test]
async fn not_found_messages_of_harbor_mean_absent() {
    for message in ["artifact library/app:v1 not found", "blob sha256:e343 not found"] {
        let get = json(404, &format!(r#"{{"errors":[{{"code":"NOT_FOUND","message":"{message}"}}]}}"#));
        let server = server(json(404, ""), get).await;
        assert_eq!(ask_all(&server.client()).await, Answers::all(Ok(false)));
    }
}

#[tokio::test]
async fn address_signed_for_get_is_retried_with_get() {
    let store = server(reply(403).with("content-type", "application/xml"), manifest_reply()).await;
    let to = format!("{}/signed?for=GET", store.url);
    let registry = Server::start(move |_| reply(307).with("location", &to)).await;
    assert_eq!(ask_all(&registry.client()).await, Answers::all(Ok(true)));
    // A refusal without a redirect comes from the registry, which would refuse GET as well.
    let closed = server(reply(403), manifest_reply()).await;
    assert_eq!(ask_all(&closed.client()).await.without_words(), Answers::all(Err(())));
    assert!(closed.lines().iter().all(|line| line.starts_with("HEAD ")), "{:?}", closed.lines());
}

#[tokio::test]
async fn size_of_a_blob_is_read_from_headers_only() {
    let large = reply(200).body(vec![7; 50 << 20]);
    let server = server(reply(405), large).await;
    let found = server.client().head_blob("app", &sha256(BYTES)).await;
    // Reading so large an answer would be an error, so it was not read.
    assert_eq!(found, Ok(Some(Some(50 << 20))));
}

#[tokio::test]
async fn head_is_repeated_as_get_only_for_absent_objects() {
    let digest = sha256(BYTES).to_string();
    let tell = digest.clone();
    let server = Server::start(move |asked| match asked.method.as_str() {
        _ if asked.target.ends_with("gone") => unknown("MANIFEST_UNKNOWN"),
        "HEAD" => reply(200).with("docker-content-digest", &tell),
        _ => manifest_reply(),
    })
    .await;
    let client = server.client();
    assert_eq!(client.head_manifest("app", "v1").await.unwrap(), Some(sha256(BYTES)));
    assert_eq!(client.head_manifest("app", "gone").await.unwrap(), None);
    assert_eq!(
        server.lines(),
        ["HEAD /v2/app/manifests/v1", "HEAD /v2/app/manifests/gone", "GET /v2/app/manifests/gone"]
    );
}

#[tokio::test]
async fn server_without_head_is_asked_with_get_from_then_on() {
    let server = server(reply(405), manifest_reply()).await;
    let client = server.client();
    for _ in 0..3 {
        assert!(client.head_manifest("app", "v1").await.unwrap().is_some());
    }
    let heads = server.lines().iter().filter(|line| line.starts_with("HEAD ")).count();
    assert_eq!((heads, server.lines().len()), (1, 4));
}

#[tokio::test]
async fn cache_is_never_asked_with_get_after_a_head() {
    let of_registry = reply(404).with("docker-distribution-api-version", "registry/2.0");
    for (head, expected) in
        [(of_registry, Ok(false)), (json(404, ""), Ok(false)), (reply(404), Err(())), (reply(405), Err(()))]
    {
        let server = server(head, manifest_reply()).await;
        assert_eq!(ask_all(&server.client().for_cache()).await.without_words(), Answers::all(expected));
        assert!(server.lines().iter().all(|line| line.starts_with("HEAD ")), "{:?}", server.lines());
    }
}

/// The answer to a range request of a storage that has so many bytes.
fn range_reply(bytes: usize, asked: &Asked) -> Reply {
    let from: usize =
        asked.header("range").and_then(|text| text.split(['=', '-']).nth(1)?.parse().ok()).unwrap();
    let content = vec![7; bytes];
    match content.get(from..=from) {
        Some(part) => reply(206).with("content-range", &format!("bytes {from}-{from}/{bytes}")).body(part),
        None => reply(416).with("content-range", &format!("bytes */{bytes}")).body("no such range"),
    }
}

#[tokio::test]
async fn request_for_the_last_byte_reveals_the_stored_size() {
    let digest = sha256(BYTES);
    for (bytes, size) in [(9, 9_u64), (4, 9), (20, 9), (1, 2)] {
        let server = Server::start(move |asked| range_reply(bytes, asked)).await;
        let found = server.client().stored_size_by_last_byte("app", &digest, size).await;
        assert_eq!(found, Ok(Some(Some(bytes as u64))), "{size} of {bytes}");
        assert_eq!(server.asked()[0].header("range"), Some(format!("bytes={0}-{0}", size - 1).as_str()));
    }
    // A server without ranges gives the size, and its body is not read.
    let whole = Server::start(|_| reply(200).body(vec![7; 50 << 20])).await;
    assert_eq!(
        whole.client().stored_size_by_last_byte("app", &digest, 50 << 20).await,
        Ok(Some(Some(50 << 20)))
    );
    // If a storage refuses the range without giving a size, the headers of the whole blob are read.
    let silent = Server::start(|asked| match asked.header("range") {
        Some(_) => reply(416),
        None => reply(200).body("12345"),
    })
    .await;
    assert_eq!(silent.client().stored_size_by_last_byte("app", &digest, 9).await, Ok(Some(Some(5))));
    assert!(
        silent.client().stored_size_by_last_byte("app", &digest, 5).await.is_err(),
        "it has the byte and does not give it"
    );
    let absent = Server::start(|_| unknown("BLOB_UNKNOWN")).await;
    assert_eq!(absent.client().stored_size_by_last_byte("app", &digest, 9).await, Ok(None));
    let stranger = Server::start(|_| reply(404)).await;
    assert!(stranger.client().stored_size_by_last_byte("app", &digest, 9).await.is_err());
}
