//! The transport: one connection pool, a gate per host, a deadline and a cap on every answer, retries of what is safe to
//! repeat. Knows nothing of registries and holds no credentials.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, redirect};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::error::{Error, is_passing, quote};
use super::gate::Gate;
use super::secret;
use super::settings::{Sent, Settings};
use super::tls;
use crate::oci::{Algorithm, Digest, Hasher};

/// Longest wait that a server may ask for; one that asks for more is not waited for.
const MAX_WAIT: Duration = Duration::from_secs(300);
/// Bytes in a second below which a body of any size does not come any more, but drips.
const SLOWEST: u64 = 10 << 10;

/// The transport, shared by everything that asks.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: reqwest::Client,
    settings: Settings,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    sent: AtomicU64,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Most bytes of the answer.
    pub(crate) most: usize,
    /// Whether it may be sent again when nobody knows what became of it.
    pub(crate) repeat: bool,
    /// With this the body of a 200 is hashed as it comes instead of kept. The deadline is one for each piece, and a body
    /// whose length is told and above `most` is not read at all.
    pub(crate) hash: Option<Algorithm>,
    /// Where the pieces of a hashed body go; whoever gives one does not want the request repeated.
    pub(crate) sink: Option<Sender<Bytes>>,
}

impl Ask {
    /// A request without a body that is safe to repeat.
    pub(crate) fn new(method: Method, url: Url, most: usize) -> Self {
        let repeat = matches!(method, Method::GET | Method::HEAD);
        Self { method, url, headers: HeaderMap::new(), body: None, most, repeat, hash: None, sink: None }
    }

    /// Method and path, for messages.
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.method, crate::text::without_controls(self.url.path()))
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) what: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// What the body hashes to, and its size in bytes, where it was hashed instead of kept.
    pub(crate) hashed: Option<(Digest, u64)>,
    /// What it was asked with, so that no message spells it.
    authorization: Option<HeaderValue>,
}

impl Answer {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether this is a web page: a login in front of the server, or another one.
    pub(crate) fn is_page(&self) -> bool {
        self.header("content-type")
            .is_some_and(|given| given.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }

    /// A web page where something else was asked for, as an error.
    pub(crate) fn page(&self) -> Error {
        let why = "a web page came instead: a login page, or another server".into();
        Error::Malformed { what: self.what.clone(), why }
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.header("content-type").is_some_and(|given| given.to_ascii_lowercase().contains("json"))
    }

    /// The body as a value.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = secret::out_of(&self.body, self.authorization.as_ref());
            let start = quote(&text.chars().take(60).collect::<String>());
            let why = if start.trim_start().starts_with('<') {
                "a web page came instead of JSON: a login page, or another server".to_owned()
            } else {
                format!("not the JSON of this API ({error}); it begins with {start:?}")
            };
            Error::Malformed { what: self.what.clone(), why }
        })
    }

    /// A status that says nothing about the thing asked for, as an error.
    pub(crate) fn error(&self) -> Error {
        let (what, status) = (self.what.clone(), self.status.as_u16());
        if matches!(status, 401 | 403) {
            let why = "these credentials do not suffice, or none were given".into();
            return Error::Refused { what, status, why };
        }
        let mut message = quote(&String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]));
        if self.status.is_redirection() {
            let to = self.header("location").map(quote).unwrap_or_default();
            message = format!("it leads to {to:?}, which is not followed");
        } else if message.starts_with('<') {
            message = "with a web page".into();
        } else if let Some(wait) = self.wait().filter(|wait| *wait > MAX_WAIT) {
            message = format!("it asks to wait {} s", wait.as_secs());
        }
        Error::Status { what, status, message }
    }

    /// How long the server asks to wait.
    fn wait(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        let seconds = until.as_second() - jiff::Timestamp::now().as_second();
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    const fn is_passing(&self) -> bool {
        is_passing(self.status.as_u16())
    }
}

impl Http {
    /// Makes a transport.
    ///
    /// # Errors
    /// When the certificate authorities cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(settings.authorities.as_deref())?)
            .redirect(redirect::Policy::none())
            .user_agent(settings.user_agent.clone())
            .connect_timeout(settings.deadline.min(Duration::from_secs(20)));
        if !settings.proxies {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Error::Authorities(causes(&error)))?;
        let (gates, sent) = (Mutex::new(HashMap::new()), AtomicU64::new(0));
        Ok(Self { inner: Arc::new(Inner { client, settings, gates, sent }) })
    }

    /// Requests sent so far, repeated ones included.
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }

    /// Most requests under way at once, for each host.
    pub fn in_flight(&self) -> usize {
        self.inner.settings.in_flight
    }

    /// How many requests may still be sent; `None` without a limit.
    pub fn left(&self) -> Option<u64> {
        let settings = &self.inner.settings;
        if settings.until.is_some_and(|until| Instant::now() >= until) {
            return Some(0);
        }
        settings.most.map(|most| most.saturating_sub(self.sent()))
    }

    /// Whether a limit on requests or time was set.
    pub fn is_bounded(&self) -> bool {
        self.inner.settings.most.is_some() || self.inner.settings.until.is_some()
    }

    fn gate(&self, url: &Url) -> Arc<Gate> {
        let host = url.origin().ascii_serialization();
        let mut gates = self.inner.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(self.inner.settings.in_flight));
        Arc::clone(gates.entry(host).or_insert_with(new))
    }

    /// Sends a request, and again while that is safe and may help, within what the run may spend.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, Error> {
        let Some(until) = self.inner.settings.until else { return self.send_until_answered(ask).await };
        if Instant::now() >= until {
            return Err(Error::Spent { what: ask.what() });
        }
        timeout_at(until, self.send_until_answered(ask))
            .await
            .map_err(|_| Error::Spent { what: ask.what() })?
    }

    async fn send_until_answered(&self, ask: &Ask) -> Result<Answer, Error> {
        let gate = self.gate(&ask.url);
        let mut attempt = 0;
        loop {
            let outcome = gate.pass(self.once(ask)).await;
            let wait = match &outcome {
                Ok(answer) if answer.is_passing() => answer.wait(),
                Err(error) if error.is_transient() => None,
                _ => return outcome,
            };
            if let Some(wait) = wait.filter(|wait| *wait <= MAX_WAIT) {
                gate.close(wait);
            }
            if !ask.repeat || attempt >= self.inner.settings.retries || wait.is_some_and(|one| one > MAX_WAIT)
            {
                return outcome;
            }
            self.pause(attempt).await;
            attempt += 1;
        }
    }

    /// Puts a text at an address, such as metrics to a Pushgateway.
    ///
    /// # Errors
    /// When the address cannot be used, or what is there does not take it.
    pub async fn put_text(&self, address: &str, media_type: &'static str, text: String) -> Result<(), Error> {
        let mut ask = Ask::new(Method::PUT, super::client::origin(address)?, 64 << 10);
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        (ask.body, ask.repeat) = (Some(text.into()), true);
        let answer = self.send(&ask).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.error()) }
    }

    /// Waits before a repetition: longer each time, and not together with others.
    pub(crate) async fn pause(&self, attempt: u32) {
        let full =
            self.inner.settings.backoff.saturating_mul(1 << attempt.min(6)).min(Duration::from_secs(10));
        let random = RandomState::new().build_hasher().finish();
        sleep(full.mul_f64(0.5 + (random % 1000) as f64 / 2000.0)).await;
    }

    /// How often a request is repeated at most.
    pub(crate) fn retries(&self) -> u32 {
        self.inner.settings.retries
    }

    async fn once(&self, ask: &Ask) -> Result<Answer, Error> {
        let most = self.inner.settings.most.unwrap_or(u64::MAX);
        let one_more = |sent: u64| (sent < most).then_some(sent + 1);
        if self.inner.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err(Error::Spent { what: ask.what() });
        }
        let start = Instant::now();
        let deadline = self.inner.settings.deadline;
        let outcome = if ask.hash.is_some() {
            self.read(ask).await
        } else {
            in_time(deadline, ask, self.read(ask)).await
        };
        if let Some(observer) = &self.inner.settings.observer {
            let target = &ask.url[url::Position::BeforeHost..url::Position::AfterQuery];
            let status = outcome.as_ref().ok().map(|answer| answer.status.as_u16());
            observer(&Sent { method: ask.method.as_str(), target, status, took: start.elapsed() });
        }
        outcome
    }

    async fn read(&self, ask: &Ask) -> Result<Answer, Error> {
        let lost = |error: reqwest::Error| Error::Unreachable {
            what: ask.what(),
            why: causes(&error.without_url()),
        };
        let mut request =
            self.inner.client.request(ask.method.clone(), ask.url.clone()).headers(ask.headers.clone());
        if let Some(body) = &ask.body {
            request = request.body(body.clone());
        }
        let deadline = self.inner.settings.deadline;
        let sent = async { request.send().await.map_err(lost) };
        let mut response = in_time(deadline, ask, sent).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let authorization = ask.headers.get(AUTHORIZATION).cloned();
        let answer = |body, hashed| Answer { what: ask.what(), status, headers, body, hashed, authorization };
        if let Some(algorithm) = ask.hash.filter(|_| status == StatusCode::OK) {
            if response.content_length().is_some_and(|told| told > ask.most as u64) {
                return Ok(answer(Vec::new(), None));
            }
            let (start, mut hasher, mut bytes) = (Instant::now(), Hasher::new(algorithm), 0_u64);
            let mut next = async || response.chunk().await.map_err(lost);
            while let Some(chunk) = in_time(deadline, ask, next()).await? {
                hasher.update(&chunk);
                bytes += chunk.len() as u64;
                if let Some(sink) = &ask.sink
                    && sink.send(chunk).await.is_err()
                {
                    return Err(Error::Unreachable {
                        what: ask.what(),
                        why: "nobody takes the bytes any more".into(),
                    });
                }
                if bytes > ask.most as u64 {
                    return Err(Error::TooLarge { what: ask.what(), limit: ask.most });
                }
                if start.elapsed() > deadline + Duration::from_secs(bytes / SLOWEST) {
                    return Err(Error::Deadline { what: ask.what(), seconds: start.elapsed().as_secs() });
                }
            }
            let hashed = Some((hasher.finish(), bytes));
            return Ok(answer(Vec::new(), hashed));
        }
        let mut body = Vec::new();
        if response.content_length().is_some_and(|told| told > ask.most as u64) {
            return Err(Error::TooLarge { what: ask.what(), limit: ask.most });
        }
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ask.most {
                return Err(Error::TooLarge { what: ask.what(), limit: ask.most });
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = answer(body, None);
        if !status.is_success() {
            answer.body =
                secret::out_of(&answer.body, answer.authorization.as_ref()).into_owned().into_bytes();
        }
        Ok(answer)
    }
}

/// What comes of a request within its deadline.
async fn in_time<T>(
    deadline: Duration,
    ask: &Ask,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Error::Deadline { what: ask.what(), seconds: deadline.as_secs() };
    timeout(deadline, work).await.map_err(late)?
}

/// An error with all its causes on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    quote(&text)
}
