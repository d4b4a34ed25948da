//! The transport: a connection pool, a gate per host, a deadline and a size limit for every answer, and repetitions of
//! requests that are safe to repeat. It knows nothing of registries and holds no credentials.

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
use super::breaker::{Breaker, GaveUp, Health};
use super::error::{Error, quote};
use super::exchange::{HttpRequest, HttpResponse, MAX_WAIT};
use super::gate::Gate;
use super::secret;
use super::settings::{SentRequest, Settings};
use super::tls;
use crate::Stop;
use crate::oci::Hasher;

/// A hashed body may take one deadline, and beyond that as long as it needs at this rate.
const MIN_BYTES_PER_SECOND: u64 = 10 << 10;

/// The transport, shared by all clients of a run.
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

    /// Why the run gave up, if no request succeeded for as long as [`Settings::give_up_after`].
    pub fn gave_up(&self) -> Option<GaveUp> {
        self.inner.breaker.gave_up()
    }

    /// Requests sent so far, repeated ones included.
    pub fn requests_sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }

    /// How many requests may be under way at once, for each host.
    pub fn in_flight(&self) -> usize {
        self.inner.settings.in_flight
    }

    /// How many requests may still be sent; `None` without a limit.
    pub fn remaining_requests(&self) -> Option<u64> {
        let settings = &self.inner.settings;
        let is_stopped = settings.stop.as_ref().is_some_and(Stop::is_stopped);
        if is_stopped || settings.until.is_some_and(|until| Instant::now() >= until) {
            return Some(0);
        }
        settings.max_requests.map(|most| most.saturating_sub(self.requests_sent()))
    }

    /// Whether credentials for any registry may go to this address, because it is that of a named token service.
    pub(super) fn may_give_credentials(&self, address: &Url) -> bool {
        self.inner.settings.token_services.iter().any(|service| service.is_at(address))
    }

    /// Whether a limit on requests or time was set.
    pub(crate) fn has_budget(&self) -> bool {
        self.inner.settings.max_requests.is_some()
            || self.inner.settings.until.is_some()
            || self.remaining_requests() == Some(0)
    }

    fn gate(&self, url: &Url) -> Arc<Gate> {
        let host = url.origin().ascii_serialization();
        let mut gates = self.inner.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Gate::new(self.inner.settings.in_flight));
        Arc::clone(gates.entry(host).or_insert_with(new))
    }

    /// Sends a request, and repeats it while that is safe and may help, until the run is asked to stop.
    pub(crate) async fn send(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let Some(stop) = &self.inner.settings.stop else { return self.send_within(request).await };
        let sent = stop.unless_stopped(Box::pin(self.send_within(request))).await;
        sent.unwrap_or_else(|| Err(Error::Spent { what: request.method_and_path() }))
    }

    /// Sends a request as [`Self::send_until_answered`] does, until the time of the run is spent.
    async fn send_within(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let Some(until) = self.inner.settings.until else { return self.send_until_answered(request).await };
        if Instant::now() >= until {
            return Err(Error::Spent { what: request.method_and_path() });
        }
        timeout_at(until, self.send_until_answered(request))
            .await
            .map_err(|_| Error::Spent { what: request.method_and_path() })?
    }

    /// Sends a request, and repeats it after errors that may pass, if it may be repeated.
    async fn send_until_answered(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let gate = self.gate(&request.url);
        let mut attempt = 0;
        loop {
            let outcome = gate.pass(self.send_once(request)).await;
            if let Some(health) = Health::from_outcome(&outcome) {
                self.inner.breaker.note(health, Instant::now());
            }
            let wait = match &outcome {
                Ok(answer) if answer.is_passing() => answer.retry_after(),
                Err(error) if error.is_transient() => None,
                _ => return outcome,
            };
            if let Some(wait) = wait.filter(|wait| *wait <= MAX_WAIT) {
                gate.close(wait);
            }
            if !request.may_repeat
                || attempt >= self.inner.settings.retries
                || wait.is_some_and(|wait| wait > MAX_WAIT)
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
        let mut request = HttpRequest::new(method, origin(address)?, 64 << 10);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        (request.body, request.may_repeat) = (Some(text.into()), true);
        let answer = self.send(&request).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.error()) }
    }

    /// Waits before a repetition: longer each time, and for a random part of that, to spread repetitions.
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

    /// Sends a request once, if the run may still send one, and calls the observer.
    async fn send_once(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        if let Some(GaveUp { seconds, .. }) = self.gave_up() {
            return Err(Error::GaveUp { what: request.method_and_path(), seconds });
        }
        let most = self.inner.settings.max_requests.unwrap_or(u64::MAX);
        let one_more = |sent: u64| (sent < most).then_some(sent + 1);
        if self.inner.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_err() {
            return Err(Error::Spent { what: request.method_and_path() });
        }
        let start = Instant::now();
        let deadline = self.inner.settings.deadline;
        let outcome = if request.hash.is_some() {
            self.exchange(request).await
        } else {
            within_deadline(deadline, request, self.exchange(request)).await
        };
        if let Some(observer) = &self.inner.settings.observer {
            let target = &request.url[url::Position::BeforeHost..url::Position::AfterQuery];
            let status = outcome.as_ref().ok().map(|answer| answer.status.as_u16());
            observer(&SentRequest { method: request.method.as_str(), target, status, took: start.elapsed() });
        }
        outcome
    }

    /// Sends a request and reads the answer.
    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, Error> {
        let lost = |error: reqwest::Error| Error::Unreachable {
            what: request.method_and_path(),
            why: causes(&error.without_url()),
        };
        let (method, url) = (request.method.clone(), request.url.clone());
        let mut builder = self.inner.client.request(method, url).headers(request.headers.clone());
        if let Some(body) = &request.body {
            builder = builder.body(body.clone());
        }
        let deadline = self.inner.settings.deadline;
        let sent = async { builder.send().await.map_err(lost) };
        let mut response = within_deadline(deadline, request, sent).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let authorization = request.secret.clone().or_else(|| request.headers.get(AUTHORIZATION).cloned());
        let answer = |body, hashed| HttpResponse {
            what: request.method_and_path(),
            method: request.method.clone(),
            status,
            headers,
            body,
            hashed,
            is_redirected: false,
            authorization,
        };
        if request.headers_only && status == StatusCode::OK {
            return Ok(answer(Vec::new(), None));
        }
        if let Some(algorithm) = request.hash.filter(|_| status == StatusCode::OK) {
            if response.content_length().is_some_and(|length| length > request.max_bytes as u64) {
                return Ok(answer(Vec::new(), None));
            }
            let (start, mut hasher, mut bytes) = (Instant::now(), Hasher::new(algorithm), 0_u64);
            let mut next = async || response.chunk().await.map_err(lost);
            while let Some(chunk) = within_deadline(deadline, request, next()).await? {
                // A body may take longer than `give_up_after`.
                self.inner.breaker.note(Health::Answers, Instant::now());
                hasher.update(&chunk);
                bytes += chunk.len() as u64;
                if let Some(sink) = &request.sink
                    && sink.send(chunk).await.is_err()
                {
                    return Err(Error::Unreachable {
                        what: request.method_and_path(),
                        why: "nobody takes the bytes any more".into(),
                    });
                }
                if bytes > request.max_bytes as u64 {
                    return Err(Error::TooLarge {
                        what: request.method_and_path(),
                        limit: request.max_bytes,
                    });
                }
                if start.elapsed() > deadline + Duration::from_secs(bytes / MIN_BYTES_PER_SECOND) {
                    return Err(Error::Deadline {
                        what: request.method_and_path(),
                        seconds: start.elapsed().as_secs(),
                    });
                }
            }
            let hashed = Some((hasher.finish(), bytes));
            return Ok(answer(Vec::new(), hashed));
        }
        let mut body = Vec::new();
        if response.content_length().is_some_and(|length| length > request.max_bytes as u64) {
            return Err(Error::TooLarge { what: request.method_and_path(), limit: request.max_bytes });
        }
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > request.max_bytes {
                return Err(Error::TooLarge { what: request.method_and_path(), limit: request.max_bytes });
            }
            body.extend_from_slice(&chunk);
        }
        let mut answer = answer(body, None);
        if !status.is_success() {
            answer.body =
                secret::redact(&answer.body, answer.authorization.as_ref()).into_owned().into_bytes();
        }
        Ok(answer)
    }
}

/// Awaits a step of a request until its deadline.
async fn within_deadline<T>(
    deadline: Duration,
    request: &HttpRequest,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let late = |_| Error::Deadline { what: request.method_and_path(), seconds: deadline.as_secs() };
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
