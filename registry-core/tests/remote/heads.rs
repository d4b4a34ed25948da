//! A HEAD says less than a GET: it has no body in which a registry could say that it is itself who has nothing, some servers
//! take none, and an address that is signed for a GET is none for a HEAD.

use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::{Client, Error};

use crate::server::{Asked, Reply, Server, json, reply, unknown};

const BYTES: &[u8] = b"the bytes";

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

/// What the three questions that begin with a HEAD are answered; an error by its first words.
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

async fn asked(client: &Client) -> Answers {
    let said = |error: Error| error.to_string();
    let digest = sha256(BYTES);
    Answers {
        tag: client.head_manifest("app", "v1").await.map(|found| found == Some(digest)).map_err(said),
        manifest: client.manifest_size("app", &digest).await.map_err(said),
        blob: client.head_blob("app", &digest).await.map_err(said),
    }
}

/// A server that answers every HEAD so, and every GET so.
async fn server(head: Reply, get: Reply) -> Server {
    Server::start(move |asked: &Asked| if asked.method == "HEAD" { head.clone() } else { get.clone() }).await
}

fn right() -> Reply {
    reply(200).with("content-type", "application/vnd.oci.image.manifest.v1+json").body(BYTES)
}

/// An error as `crane registry serve` sends it.
fn plain(code: &str) -> Reply {
    let text = format!(r#"{{"errors":[{{"code":"{code}","message":"Unknown"}}]}}"#);
    reply(404).with("content-type", "text/plain; charset=utf-8").body(text)
}

// https://github.com/merll/docker-registry-util/issues/3, and proxies that answer HEAD by themselves.
#[tokio::test]
async fn what_a_head_does_not_find_is_there_where_get_finds_it() {
    for status in [404, 405, 501] {
        let server = server(reply(status), right()).await;
        assert_eq!(asked(&server.client()).await, Answers::all(Ok(true)), "{status}");
    }
}

// https://github.com/google/go-containerregistry/issues/1579, https://github.com/distribution/distribution/issues/1911
#[tokio::test]
async fn absent_is_what_get_calls_absent_in_json_whatever_its_media_type() {
    for status in [404, 405, 501] {
        for code in ["MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NAME_UNKNOWN"] {
            for get in [unknown(code), plain(code)] {
                let server = server(reply(status), get).await;
                assert_eq!(asked(&server.client()).await, Answers::all(Ok(false)), "{status} {code}");
            }
        }
    }
}

#[tokio::test]
async fn everything_else_is_unknown_whatever_the_head_looked_like() {
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
        unknown("MANIFEST_UNKNOWN").of(400),
    ];
    for get in gets {
        // As a registry would answer a HEAD: that is not believed any more.
        let head = json(404, "").with("docker-distribution-api-version", "registry/2.0");
        let shown = format!("{get:?}");
        let server = server(head, get).await;
        assert_eq!(asked(&server.client()).await.without_words(), Answers::all(Err(())), "{shown}");
    }
}

// https://github.com/goharbor/harbor/issues/18461
#[tokio::test]
async fn harbor_has_words_of_its_own_for_what_is_not_there() {
    for message in ["artifact library/app:v1 not found", "blob sha256:e343 not found"] {
        let get = json(404, &format!(r#"{{"errors":[{{"code":"NOT_FOUND","message":"{message}"}}]}}"#));
        let server = server(json(404, ""), get).await;
        assert_eq!(asked(&server.client()).await, Answers::all(Ok(false)));
    }
}

#[tokio::test]
async fn an_address_signed_for_get_is_none_for_head() {
    let store = server(reply(403).with("content-type", "application/xml"), right()).await;
    let to = format!("{}/signed?for=GET", store.url);
    let registry = Server::start(move |_| reply(307).with("location", &to)).await;
    assert_eq!(asked(&registry.client()).await, Answers::all(Ok(true)));
    // Refused without a redirect it is the registry that refuses, and GET would be refused as well.
    let closed = server(reply(403), right()).await;
    assert_eq!(asked(&closed.client()).await.without_words(), Answers::all(Err(())));
    assert!(closed.lines().iter().all(|line| line.starts_with("HEAD ")), "{:?}", closed.lines());
}

#[tokio::test]
async fn of_a_blob_only_the_headers_are_read() {
    let large = reply(200).body(vec![7; 50 << 20]);
    let server = server(reply(405), large).await;
    let found = server.client().head_blob("app", &sha256(BYTES)).await;
    // Far more than is ever kept of such an answer: it would be an error if it were read.
    assert_eq!(found, Ok(Some(Some(50 << 20))));
}

#[tokio::test]
async fn a_head_that_is_answered_costs_one_request_and_only_what_is_absent_one_more() {
    let digest = sha256(BYTES).to_string();
    let tell = digest.clone();
    let server = Server::start(move |asked| match asked.method.as_str() {
        _ if asked.target.ends_with("gone") => unknown("MANIFEST_UNKNOWN"),
        "HEAD" => reply(200).with("docker-content-digest", &tell),
        _ => right(),
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
async fn a_server_that_takes_no_head_is_asked_with_get_from_then_on() {
    let server = server(reply(405), right()).await;
    let client = server.client();
    for _ in 0..3 {
        assert!(client.head_manifest("app", "v1").await.unwrap().is_some());
    }
    let heads = server.lines().iter().filter(|line| line.starts_with("HEAD ")).count();
    assert_eq!((heads, server.lines().len()), (1, 4));
}

#[tokio::test]
async fn a_cache_is_not_made_to_fetch_what_a_head_did_not_find() {
    let of_registry = reply(404).with("docker-distribution-api-version", "registry/2.0");
    for (head, expected) in
        [(of_registry, Ok(false)), (json(404, ""), Ok(false)), (reply(404), Err(())), (reply(405), Err(()))]
    {
        let server = server(head, right()).await;
        assert_eq!(asked(&server.client().of_cache()).await.without_words(), Answers::all(expected));
        assert!(server.lines().iter().all(|line| line.starts_with("HEAD ")), "{:?}", server.lines());
    }
}

/// How a storage answers that has so many bytes.
fn stored(bytes: usize, asked: &Asked) -> Reply {
    let from: usize =
        asked.header("range").and_then(|text| text.split(['=', '-']).nth(1)?.parse().ok()).unwrap();
    let content = vec![7; bytes];
    match content.get(from..=from) {
        Some(part) => reply(206).with("content-range", &format!("bytes {from}-{from}/{bytes}")).body(part),
        None => reply(416).with("content-range", &format!("bytes */{bytes}")).body("no such range"),
    }
}

#[tokio::test]
async fn the_last_byte_tells_the_size_that_a_storage_has() {
    let digest = sha256(BYTES);
    for (bytes, size) in [(9, 9_u64), (4, 9), (20, 9), (1, 2)] {
        let server = Server::start(move |asked| stored(bytes, asked)).await;
        let found = server.client().last_byte("app", &digest, size).await;
        assert_eq!(found, Ok(Some(Some(bytes as u64))), "{size} of {bytes}");
        assert_eq!(server.asked()[0].header("range"), Some(format!("bytes={0}-{0}", size - 1).as_str()));
    }
    // Whoever takes no ranges tells the size, and its body is not read.
    let whole = Server::start(|_| reply(200).body(vec![7; 50 << 20])).await;
    assert_eq!(whole.client().last_byte("app", &digest, 50 << 20).await, Ok(Some(Some(50 << 20))));
    // A storage that refuses the range without a size is asked for the headers of the whole.
    let silent = Server::start(|asked| match asked.header("range") {
        Some(_) => reply(416),
        None => reply(200).body("12345"),
    })
    .await;
    assert_eq!(silent.client().last_byte("app", &digest, 9).await, Ok(Some(Some(5))));
    assert!(
        silent.client().last_byte("app", &digest, 5).await.is_err(),
        "it has the byte and does not give it"
    );
    let absent = Server::start(|_| unknown("BLOB_UNKNOWN")).await;
    assert_eq!(absent.client().last_byte("app", &digest, 9).await, Ok(None));
    let stranger = Server::start(|_| reply(404)).await;
    assert!(stranger.client().last_byte("app", &digest, 9).await.is_err());
}
