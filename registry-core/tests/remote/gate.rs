//! The transport: retries, concurrency and deadlines.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use registry_core::registry::{Client, Credentials, Error, Http, Settings};

use crate::server::{Server, json, reply, settings};

fn tags() -> crate::server::Reply {
    json(200, r#"{"name":"app","tags":["v1"]}"#)
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let count = AtomicU32::new(0);
    let statuses = [500, 502, 503, 200];
    let server = Server::start(move |_| match statuses[count.fetch_add(1, Ordering::SeqCst) as usize] {
        200 => tags(),
        status => reply(status),
    })
    .await;
    assert_eq!(server.client().tags("app").await.unwrap().unwrap(), ["v1"]);
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn persistent_error_is_reported() {
    let server = Server::start(|_| reply(503).body("<html>sorry")).await;
    let error = server.client().tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: status 503: with a web page");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn retry_after_of_one_request_holds_for_all() {
    let start = Instant::now();
    let count = AtomicU32::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => reply(429).with("retry-after", "1"),
        _ => {
            assert!(start.elapsed() >= Duration::from_millis(900), "asked while the host was closed");
            tags()
        }
    })
    .await;
    let client = server.client();
    let first = client.tags("app");
    let others = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        join_all((0..4).map(|_| client.tags("app"))).await
    };
    let (first, others) = tokio::join!(first, others);
    assert!(first.is_ok() && others.iter().all(Result::is_ok));
}

#[tokio::test]
async fn retry_after_that_is_too_long_is_an_error() {
    let server = Server::start(|_| reply(429).with("retry-after", "86400")).await;
    let error = server.client().tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: status 429: it asks to wait 86400 s");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn requests_in_flight_are_limited() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (seen, highest) = (Arc::clone(&now), Arc::clone(&most));
    let observer = Arc::new(move |_: &registry_core::registry::SentRequest<'_>| {
        seen.fetch_sub(1, Ordering::SeqCst);
    });
    let server = Server::start(move |_| {
        highest.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tags().after(Duration::from_millis(10))
    })
    .await;
    let http = Http::new(Settings { in_flight: 3, observer: Some(observer), ..settings() }).unwrap();
    let client = Client::new(&http, &server.url, Credentials::Anonymous).unwrap();
    assert!(join_all((0..40).map(|_| client.tags("app"))).await.iter().all(Result::is_ok));
    assert!((2..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
    assert_eq!(http.requests_sent(), 40);
}

// A dead server was sent 1,578 requests in 120 s.
#[tokio::test]
async fn run_gives_up_on_a_server_that_stopped_answering() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => tags(),
        _ => reply(502),
    })
    .await;
    // A retry comes at least a millisecond later.
    let give_up_after = Some(Duration::from_millis(1));
    let http = Http::new(Settings { give_up_after, ..settings() }).unwrap();
    let client = Client::new(&http, &server.url, Credentials::Anonymous).unwrap();
    assert!(client.tags("app").await.is_ok() && http.gave_up().is_none());
    let errors = join_all((0..40).map(|_| client.tags("app"))).await;
    assert!(errors.iter().all(|answer| matches!(answer, Err(Error::GaveUp { .. } | Error::Status { .. }))));
    assert!(http.gave_up().is_some());
    let asked = server.asked().len();
    assert!(asked < 80, "{asked} requests");
    let error = client.tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: not asked any more: no request succeeded for 0 s");
    assert_eq!(server.asked().len(), asked);
}

#[tokio::test]
async fn gateway_errors_are_retried() {
    for status in [408, 499, 520, 521, 522, 523, 524] {
        let count = AtomicU32::new(0);
        let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
            0 => reply(status),
            _ => tags(),
        })
        .await;
        assert!(server.client().tags("app").await.is_ok(), "{status}");
    }
}

/// A socket that answers every connection with these bytes and then closes it or waits.
fn serve_raw(answer: &'static [u8], wait: Duration) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(answer);
                std::thread::sleep(wait);
            });
        }
    });
    url
}

#[tokio::test]
async fn truncated_answer_is_an_error() {
    let url = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"tags\":[]}", Duration::ZERO);
    let http = Http::new(settings()).unwrap();
    let error = Client::new(&http, &url, Credentials::Anonymous).unwrap().tags("app").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(http.requests_sent(), 4);
}

#[tokio::test]
async fn incomplete_answer_at_the_deadline_is_an_error() {
    let url = serve_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", Duration::from_secs(20));
    let http = Http::new(Settings { deadline: Duration::from_secs(1), retries: 0, ..settings() }).unwrap();
    let error = Client::new(&http, &url, Credentials::Anonymous).unwrap().tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: no complete answer within 1 s");
}

#[tokio::test]
async fn refused_connection_is_reported() {
    let http = Http::new(Settings { retries: 0, ..settings() }).unwrap();
    let error =
        Client::new(&http, "http://127.0.0.1:1", Credentials::Anonymous).unwrap().ping().await.unwrap_err();
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[test]
fn file_without_certificate_is_refused() {
    let refused =
        |text: &str| Http::new(Settings { authorities: Some(text.into()), ..settings() }).unwrap_err();
    insta::assert_snapshot!(refused("hello"), @"certificate authorities cannot be used: the file holds no certificate in PEM form");
}
