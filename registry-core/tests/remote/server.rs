//! A server that answers each request by a function, and records the requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Response};
use axum::{Router, serve};
use registry_core::registry::{Client, Credentials, Http, Settings};
use tokio::net::TcpListener;

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Asked {
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn authorization(&self) -> Option<&str> {
        self.header("authorization")
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    delay: Duration,
}

pub fn reply(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

pub fn json(status: u16, text: &str) -> Reply {
    reply(status).with("content-type", "application/json").body(text)
}

/// A 404 in the words of the distribution specification.
pub fn unknown(code: &str) -> Reply {
    json(404, &format!(r#"{{"errors":[{{"code":"{code}","message":""}}]}}"#))
}

impl Reply {
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

pub struct Server {
    pub url: String,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&log));
        let handler = move |request: Request| {
            let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 24).await.unwrap_or_default().to_vec();
                let asked = Asked {
                    method: parts.method.to_string(),
                    target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                    headers: parts.headers,
                    body,
                };
                kept.lock().unwrap().push(asked.clone());
                let reply = answer(&asked);
                tokio::time::sleep(reply.delay).await;
                let mut response = Response::builder().status(reply.status);
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).expect("a response")
            }
        };
        tokio::spawn(async move { serve(listener, Router::new().fallback(handler)).await });
        Self { url, log }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// Method and target of every request.
    pub fn lines(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.target)).collect()
    }

    pub fn client(&self) -> Client {
        self.client_with(Credentials::Anonymous)
    }

    pub fn client_with(&self, credentials: Credentials) -> Client {
        Client::new(&http(), &self.url, credentials).expect("a client")
    }
}

/// Short waits between retries, and a long deadline.
pub fn settings() -> Settings {
    Settings {
        deadline: Duration::from_secs(5),
        backoff: Duration::from_millis(2),
        retries: 3,
        proxies: false,
        ..Settings::default()
    }
}

pub fn http() -> Http {
    Http::new(settings()).expect("a transport")
}

pub const SECRET: &str = "0123456789abcdef0123456789abcdef01234567";

pub fn user() -> Credentials {
    Credentials::User { name: "me".into(), secret: SECRET.to_owned().into() }
}
