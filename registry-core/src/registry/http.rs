//! The transport: one connection pool, a gate per host, a deadline and a cap on every answer, retries of what is safe to
//! repeat. Knows nothing of registries and holds no credentials.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, redirect};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use super::address::origin;
use super::breaker::{Breaker, GaveUp, Sign};
use super::error::{Error, quote};
use super::exchange::{HttpRequest, HttpResponse, MAX_WAIT};
use super::gate::Gate;
use super::secret;
use super::settings::{Sent, Settings};
use super::tls;
use crate::Stop;
use crate::oci::Hasher;

/// Bytes in a second below which a body of any size does not come any more, but drips.
const SLOWEST: u64 = 10 << 10;

/// The transport, shared by everything that asks.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<HttpState>,
}

#[derive(Debug)]
struct HttpState {
    client: reqwest::Client,
    settings: Settings,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    sent: AtomicU64,
    breaker: Breaker,
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
        let breaker = Breaker::new(settings.give_up_after);
        Ok(Self { inner: Arc::new(HttpState { client, settings, gates, sent, breaker }) })
    }

    /// Whether the run gave up, because nothing succeeded for as long as [`Settings::give_up_after`].
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.inner.breaker.gave_up()
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
        if settings.stop.as_ref().is_some_and(Stop::is_stopped) {
            return Some(0);
        }
        if settings.until.is_some_and(|until| Instant::now() >= until) {
            return Some(0);
        }
        settings.most.map(|most| most.saturating_sub(self.sent()))
    }

    /// Whether credentials may go to this address of a token service, wherever the registry is.
    pub(super) fn may_give_credentials(&self, address: &Url) -> bool {
        self.inner.settings.token_services.iter().any(|service| service.is_at(address))
    }

    /// Whether a limit on requests or time was set.
    pub(crate) fn is_bounded(&self) -> bool {
        self.inner.settings.most.is_some() || self.inner.settings.until.is_some() || self.left() == Some(0)
    }

    fn gate(&self, url: &Url) -> Arc<Gate> {
        let host = url.origin().ascii_serialization();
        let mut gates = self.inner.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(self.inner.settings.in_flight));
        Arc::clone(gates.entry(host).or_insert_with(new))
    }

    /// Sends a request, and again while that is safe and may help, until the run is asked to stop.
    pub(crate) async fn send(&self, ask: &HttpRequest) -> Result<HttpResponse, Error> {
        let Some(stop) = &self.inner.settings.stop else { return self.send_within(ask).await };
        let sent = stop.unless_stopped(Box::pin(self.send_within(ask))).await;
        sent.unwrap_or_else(|| Err(Error::Spent { what: ask.method_and_path() }))
    }

    /// Sends a request within what the run may spend.
    async fn send_within(&self, ask: &HttpRequest) -> Result<HttpResponse, Error> {
        let Some(until) = self.inner.settings.until else { return self.send_until_answered(ask).await };
        if Instant::now() >= until {
            return Err(Error::Spent { what: ask.method_and_path() });
        }
        timeout_at(until, self.send_until_answered(ask))
            .await
            .map_err(|_| Error::Spent { what: ask.method_and_path() })?
    }

    async fn send_until_answered(&self, ask: &HttpRequest) -> Result<HttpResponse, Error> {
        let gate = self.gate(&ask.url);
        let mut attempt = 0;
        loop {
            let outcome = gate.pass(self.once(ask)).await;
            if let Some(sign) = Sign::from_outcome(&outcome) {
                self.inner.breaker.note(sign, Instant::now());
            }
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
        self.send_text(Method::PUT, address, media_type, text).await
    }

    /// The same with POST.
    ///
    /// # Errors
    /// As [`put_text`](Self::put_text).
    pub async fn post_text(
        &self,
        address: &str,
        media_type: &'static str,
        text: String,
    ) -> Result<(), Error> {
        self.send_text(Method::POST, address, media_type, text).await
    }

    async fn send_text(
        &self,
        method: Method,
        address: &str,
        media_type: &'static str,
        text: String,
    ) -> Result<(), Error> {
        let mut ask = HttpRequest::new(method, origin(address)?, 64 << 10);
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

    async fn once(&self, ask: &HttpRequest) -> Result<HttpResponse, Error> {
        if let Some(GaveUp { seconds, .. }) = self.gave_up() {
            return Err(Error::GaveUp { what: ask.method_and_path(), seconds });
        }
        let most = self.inner.settings.most.unwrap_or(u64::MAX);
        let one_more = |sent: u64| (sent < most).then_some(sent + 1);
        if self.inner.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err(Error::Spent { what: ask.method_and_path() });
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

    async fn read(&self, ask: &HttpRequest) -> Result<HttpResponse, Error> {
        let lost = |error: reqwest::Error| Error::Unreachable {
            what: ask.method_and_path(),
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
        let authorization = ask.secret.clone().or_else(|| ask.headers.get(AUTHORIZATION).cloned());
        let answer = |body, hashed| HttpResponse {
            what: ask.method_and_path(),
            method: ask.method.clone(),
            status,
            headers,
            body,
            hashed,
            is_redirected: false,
            authorization,
        };
        if ask.headers_only && status == StatusCode::OK {
            return Ok(answer(Vec::new(), None));
        }
        if let Some(algorithm) = ask.hash.filter(|_| status == StatusCode::OK) {
            if response.content_length().is_some_and(|told| told > ask.most as u64) {
                return Ok(answer(Vec::new(), None));
            }
            let (start, mut hasher, mut bytes) = (Instant::now(), Hasher::new(algorithm), 0_u64);
            let mut next = async || response.chunk().await.map_err(lost);
            while let Some(chunk) = in_time(deadline, ask, next()).await? {
                // A body may take longer than everything else is given.
                self.inner.breaker.note(Sign::Answers, Instant::now());
                hasher.update(&chunk);
                bytes += chunk.len() as u64;
                if let Some(sink) = &ask.sink
                    && sink.send(chunk).await.is_err()
                {
                    return Err(Error::Unreachable {
                        what: ask.method_and_path(),
                        why: "nobody takes the bytes any more".into(),
                    });
                }
                if bytes > ask.most as u64 {
                    return Err(Error::TooLarge { what: ask.method_and_path(), limit: ask.most });
                }
                if start.elapsed() > deadline + Duration::from_secs(bytes / SLOWEST) {
                    return Err(Error::Deadline {
                        what: ask.method_and_path(),
                        seconds: start.elapsed().as_secs(),
                    });
                }
            }
            let hashed = Some((hasher.finish(), bytes));
            return Ok(answer(Vec::new(), hashed));
        }
        let mut body = Vec::new();
        if response.content_length().is_some_and(|told| told > ask.most as u64) {
            return Err(Error::TooLarge { what: ask.method_and_path(), limit: ask.most });
        }
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ask.most {
                return Err(Error::TooLarge { what: ask.method_and_path(), limit: ask.most });
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
    ask: &HttpRequest,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Error::Deadline { what: ask.method_and_path(), seconds: deadline.as_secs() };
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
