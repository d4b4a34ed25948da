//! Tokens and credentials: fetched once, renewed when refused, never on another host's desk.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use registry_core::registry::{Client, Credentials, Error};

use crate::server::{Asked, Reply, SECRET, Server, http, json, reply, user};

fn wants_bearer(asked: &Asked, realm: &str) -> Reply {
    assert_ne!(asked.authorization(), Some("Bearer old-enough-to-be-known"));
    json(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":""}]}"#)
        .with("www-authenticate", &format!(r#"Bearer realm="{realm}",service="registry""#))
}

fn tags() -> Reply {
    json(200, r#"{"name":"app","tags":["v1"]}"#)
}

#[tokio::test]
async fn one_token_serves_all_who_wait_for_it() {
    let server = Server::start(|asked| match asked.target.split('?').next() {
        Some("/token") => {
            assert!(asked.authorization().is_some_and(|given| given.starts_with("Basic ")));
            json(200, r#"{"token":"first","expires_in":300}"#).after(std::time::Duration::from_millis(30))
        }
        _ if asked.authorization() == Some("Bearer first") => tags(),
        _ => wants_bearer(asked, "/token"),
    })
    .await;
    let client = server.client_of(user());
    for answer in join_all((0..32).map(|_| client.tags("app"))).await {
        assert_eq!(answer.unwrap().unwrap(), ["v1"]);
    }
    let fetched: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("GET /token")).collect();
    assert_eq!(fetched, ["GET /token?service=registry&scope=repository%3Aapp%3Apull"]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let count = AtomicU32::new(0);
    let server = Server::start(move |asked| match asked.target.split('?').next() {
        Some("/token") => {
            let number = count.fetch_add(1, Ordering::SeqCst);
            json(200, &format!(r#"{{"access_token":"number-{number}"}}"#))
        }
        _ if asked.authorization() == Some("Bearer number-1") => tags(),
        _ => wants_bearer(asked, "/token"),
    })
    .await;
    let client = server.client();
    assert_eq!(client.tags("app").await.unwrap().unwrap(), ["v1"]);
    assert_eq!(client.tags("app").await.unwrap().unwrap(), ["v1"]);
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("GET /token")).count(), 2);
}

#[tokio::test]
async fn credentials_that_do_not_suffice_end_in_a_refusal() {
    let server = Server::start(|asked| match asked.target.split('?').next() {
        Some("/token") => json(200, r#"{"token":"t"}"#),
        _ => wants_bearer(asked, "/token"),
    })
    .await;
    let error = server.client_of(user()).tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: refused with status 401: these credentials do not suffice, or none were given");
    assert!(server.lines().len() < 8, "{:?}", server.lines());
}

#[tokio::test]
async fn basic_is_given_where_it_is_wanted() {
    let server = Server::start(|asked| match asked.authorization() {
        None => reply(401).with("www-authenticate", r#"Basic realm="registry""#),
        Some(given) => {
            assert!(given.starts_with("Basic "));
            tags()
        }
    })
    .await;
    assert!(server.client_of(user()).tags("app").await.unwrap().is_some());
    let error = server.client().tags("app").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }));
}

#[tokio::test]
async fn credentials_do_not_go_to_a_token_service_elsewhere() {
    let elsewhere = Server::start(|_| json(200, r#"{"token":"t"}"#)).await;
    let realm = format!("{}/token", elsewhere.url);
    let server = Server::start(move |asked| match asked.authorization() {
        None => wants_bearer(asked, &realm),
        Some(_) => tags(),
    })
    .await;
    let error = server.client_of(user()).tags("app").await.unwrap_err().to_string();
    assert!(error.contains("another host; credentials do not go there"), "{error}");
    assert!(elsewhere.asked().is_empty());
    // Without credentials there is nothing to lose.
    assert!(server.client().tags("app").await.unwrap().is_some());
    assert!(elsewhere.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn credentials_stay_home_when_bytes_are_stored_elsewhere() {
    let store = Server::start(|_| {
        reply(200).with("content-type", "application/vnd.oci.image.index.v1+json").body("{}")
    })
    .await;
    let to = format!("{}/bytes", store.url);
    let server = Server::start(move |asked| match asked.authorization() {
        None => reply(401).with("www-authenticate", "Basic"),
        Some(_) => reply(307).with("location", &to),
    })
    .await;
    let found = server.client_of(user()).manifest("app", "v1").await.unwrap().unwrap();
    assert_eq!(found.bytes, b"{}");
    assert!(store.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn no_error_and_no_debug_text_spells_the_secret() {
    let server =
        Server::start(|asked| reply(401).body(format!("no such token {SECRET} {:?}", asked.authorization())))
            .await;
    let client = server.client_of(user());
    let error = client.manifest("app", "v1").await.unwrap_err();
    let address = server.url.replace("http://", &format!("http://me:{SECRET}@"));
    let refused = Client::new(&http(), &address, Credentials::Anonymous).unwrap_err();
    for text in
        [format!("{error} {error:?}"), format!("{client:?} {:?}", user()), format!("{refused} {refused:?}")]
    {
        assert!(!text.contains(SECRET), "{text}");
    }
    assert!(
        refused.to_string().contains("it holds credentials; give them apart from the address"),
        "{refused}"
    );
}

#[test]
fn credentials_over_http_earn_a_warning_unless_they_stay_on_this_machine() {
    let warning = |address: &str, credentials| Client::new(&http(), address, credentials).unwrap().warning();
    insta::assert_snapshot!(warning("http://registry.svc:5000", user()).unwrap(), @"credentials go to registry.svc:5000 unencrypted; use https where the path is not yours alone");
    assert_eq!(warning("http://registry.svc:5000", Credentials::Anonymous), None);
    assert_eq!(warning("http://127.0.0.1:5000", user()), None);
    assert_eq!(warning("https://registry.example", user()), None);
}
