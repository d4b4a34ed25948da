//! Tokens and credentials: fetched once, renewed when refused, never sent to another host.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use registry_core::registry::{Client, Credentials, Error, HostCredentials, Http, Settings};

use crate::server::{Asked, Reply, SECRET, Server, http, json, reply, settings, user};

fn wants_bearer(asked: &Asked, realm: &str) -> Reply {
    assert_ne!(asked.authorization(), Some("Bearer old-enough-to-be-known"));
    json(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":""}]}"#)
        .with("www-authenticate", &format!(r#"Bearer realm="{realm}",service="registry""#))
}

fn tags() -> Reply {
    json(200, r#"{"name":"app","tags":["v1"]}"#)
}

#[tokio::test]
async fn one_token_serves_all_waiting_requests() {
    let server = Server::start(|asked| match asked.target.split('?').next() {
        Some("/token") => {
            assert!(asked.authorization().is_some_and(|given| given.starts_with("Basic ")));
            json(200, r#"{"token":"first","expires_in":300}"#).after(std::time::Duration::from_millis(30))
        }
        _ if asked.authorization() == Some("Bearer first") => tags(),
        _ => wants_bearer(asked, "/token"),
    })
    .await;
    let client = server.client_with(user());
    for answer in join_all((0..32).map(|_| client.tags("app"))).await {
        assert_eq!(answer.unwrap().unwrap(), ["v1"]);
    }
    let fetched: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("GET /token")).collect();
    assert_eq!(fetched, ["GET /token?service=registry&scope=repository%3Aapp%3Apull"]);
}

#[tokio::test]
async fn refused_token_is_renewed_once() {
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
async fn insufficient_credentials_end_in_a_refusal() {
    let server = Server::start(|asked| match asked.target.split('?').next() {
        Some("/token") => json(200, r#"{"token":"t"}"#),
        _ => wants_bearer(asked, "/token"),
    })
    .await;
    let error = server.client_with(user()).tags("app").await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /v2/app/tags/list: refused with status 401: these credentials do not suffice, or none were given");
    assert!(server.lines().len() < 8, "{:?}", server.lines());
}

#[tokio::test]
async fn basic_credentials_are_sent_on_request() {
    let server = Server::start(|asked| match asked.authorization() {
        None => reply(401).with("www-authenticate", r#"Basic realm="registry""#),
        Some(given) => {
            assert!(given.starts_with("Basic "));
            tags()
        }
    })
    .await;
    assert!(server.client_with(user()).tags("app").await.unwrap().is_some());
    let error = server.client().tags("app").await.unwrap_err();
    assert!(matches!(error, Error::Refused { status: 401, .. }));
}

#[tokio::test]
async fn credentials_are_not_sent_to_a_token_service_on_another_host() {
    let elsewhere = Server::start(|_| json(200, r#"{"token":"t"}"#)).await;
    let realm = format!("{}/token", elsewhere.url);
    let server = Server::start(move |asked| match asked.authorization() {
        None => wants_bearer(asked, &realm),
        Some(_) => tags(),
    })
    .await;
    let error = server.client_with(user()).tags("app").await.unwrap_err().to_string();
    let named =
        format!(" is {}, another host; credentials do not go there unless it is named", elsewhere.url);
    assert!(error.ends_with(&named), "{error}");
    assert!(elsewhere.asked().is_empty());
    // Without credentials the token service is asked.
    assert!(server.client().tags("app").await.unwrap().is_some());
    assert!(elsewhere.asked().iter().all(|asked| asked.authorization().is_none()));
}

/// A registry that accepts the tokens of this token service.
async fn registry_with_token_service(service: &Server) -> Server {
    let realm = format!("{}/jwt/auth", service.url);
    Server::start(move |asked| match asked.authorization() {
        Some("Bearer good") => tags(),
        _ => wants_bearer(asked, &realm),
    })
    .await
}

/// A client that may send its credentials to this token service.
fn client_trusting(server: &Server, service: &str, credentials: impl Into<HostCredentials>) -> Client {
    let token_services = vec![service.parse().unwrap()];
    let http = Http::new(Settings { token_services, ..settings() }).unwrap();
    Client::new(&http, &server.url, credentials).unwrap()
}

// GitLab and Docker Hub have their token services on other hosts: https://github.com/docker/sbx-releases/issues/535,
// https://github.com/portainer/portainer/issues/2956, https://github.com/mkuchin/docker-registry-web/issues/95
#[tokio::test]
async fn credentials_are_sent_only_to_a_named_token_service() {
    let service = Server::start(|asked| match asked.authorization() {
        Some(given) if given.starts_with("Basic ") => json(200, r#"{"token":"good","expires_in":300}"#),
        _ => json(200, r#"{"token":"bad"}"#),
    })
    .await;
    let server = registry_with_token_service(&service).await;
    let client = client_trusting(&server, &format!("{}/another/path", service.url), user());
    assert_eq!(client.tags("app").await.unwrap().unwrap(), ["v1"]);
    assert!(service.asked()[0].target.starts_with("/jwt/auth?service=registry&scope=repository"));
    // The registry itself gets tokens only.
    let sent = server.asked().into_iter().filter_map(|asked| asked.authorization().map(str::to_owned));
    assert!(sent.into_iter().all(|given| given == "Bearer good"));
    let other = Server::start(|_| reply(500)).await;
    let error = client_trusting(&server, &other.url, user()).tags("app").await.unwrap_err();
    assert!(matches!(error, Error::TokenService { .. }), "{error}");
    let count = service.asked().len();
    assert_eq!(count, 1, "another port of the same host is another service");
}

#[tokio::test]
async fn token_service_learned_anonymously_gets_no_credentials() {
    let elsewhere = Server::start(|_| json(200, r#"{"token":"good"}"#)).await;
    let server = registry_with_token_service(&elsewhere).await;
    let credentials = HostCredentials::default().with_repository("team", user());
    let client = Client::new(&http(), &server.url, credentials).unwrap();
    assert!(client.tags("app").await.unwrap().is_some());
    let error = client.tags("team/app").await.unwrap_err();
    assert!(matches!(error, Error::TokenService { .. }), "{error}");
    assert!(elsewhere.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn identity_token_is_exchanged_and_never_shown() {
    let service = Server::start(|asked| {
        assert_eq!((asked.method.as_str(), asked.authorization()), ("POST", None));
        assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
        let wanted = format!(
            "service=registry&scope=repository%3Aapp%3Apull&grant_type=refresh_token&client_id=registry-core&\
             refresh_token={SECRET}"
        );
        assert_eq!(String::from_utf8_lossy(&asked.body), wanted);
        json(200, r#"{"access_token":"good","refresh_token":"another"}"#)
    })
    .await;
    let server = registry_with_token_service(&service).await;
    let identity = || Credentials::Identity { token: SECRET.to_owned().into() };
    let client = client_trusting(&server, &service.url, identity());
    assert_eq!(client.tags("app").await.unwrap().unwrap(), ["v1"]);
    // A token service that repeats the token in its answer.
    for status in [400, 401, 500, 200] {
        let echo = Server::start(move |asked| reply(status).body(asked.body.clone())).await;
        let server = registry_with_token_service(&echo).await;
        let error = client_trusting(&server, &echo.url, identity()).tags("app").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    }
    // An identity token cannot be sent with HTTP Basic.
    let basic = Server::start(|_| reply(401).with("www-authenticate", r#"Basic realm="registry""#)).await;
    assert!(basic.client_with(identity()).tags("app").await.is_err());
    assert!(basic.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn credentials_of_a_namespace_are_sent_only_for_its_repositories() {
    let server = Server::start(|asked| {
        let given = asked.authorization().is_some();
        match asked.target.starts_with("/v2/team/") {
            true if given => tags(),
            true => reply(401).with("www-authenticate", r#"Basic realm="registry""#),
            false => {
                assert!(!given, "{asked:?}");
                if asked.target == "/v2/" {
                    reply(401).with("www-authenticate", r#"Basic realm="registry""#)
                } else {
                    tags()
                }
            }
        }
    })
    .await;
    let credentials = HostCredentials::default().with_repository("team", user());
    let client = Client::new(&http(), &server.url, credentials).unwrap();
    client.ping().await.unwrap();
    for repository in ["app", "team/app", "teams/app", "team/app"] {
        assert!(client.tags(repository).await.unwrap().is_some(), "{repository}");
    }
    let basic = server.asked().iter().filter(|asked| asked.authorization().is_some()).count();
    assert_eq!(basic, 2);
}

#[tokio::test]
async fn credentials_are_not_sent_after_a_redirect_to_another_host() {
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
    let found = server.client_with(user()).manifest("app", "v1").await.unwrap().unwrap();
    assert_eq!(found.bytes, b"{}");
    assert!(store.asked().iter().all(|asked| asked.authorization().is_none()));
}

#[tokio::test]
async fn errors_and_debug_texts_never_show_the_secret() {
    let server =
        Server::start(|asked| reply(401).body(format!("no such token {SECRET} {:?}", asked.authorization())))
            .await;
    let client = server.client_with(user());
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
fn credentials_over_plain_http_to_another_machine_are_warned_of() {
    let warning = |address: &str, credentials| Client::new(&http(), address, credentials).unwrap().warning();
    insta::assert_snapshot!(warning("http://registry.svc:5000", user()).unwrap(), @"credentials go to registry.svc:5000 unencrypted; use https where the path is not yours alone");
    assert_eq!(warning("http://registry.svc:5000", Credentials::Anonymous), None);
    assert_eq!(warning("http://127.0.0.1:5000", user()), None);
    assert_eq!(warning("https://registry.example", user()), None);
}
