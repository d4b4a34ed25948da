//! Authorizes requests to one registry. A token is fetched once, however many requests wait for it, and again when it is
//! refused. Credentials go only to the host that they were given for, and to token services that were named.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::challenge::{Challenge, challenges};
use super::credentials::{Credentials, HostCredentials, secret_header};
use super::error::Error;
use super::exchange::{HttpRequest, HttpResponse};
use super::http::Http;

/// Most bytes of a token service's answer.
const TOKEN_MAX: usize = 64 << 10;
/// How long a token service is not asked again after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);
/// Seconds that a token lives if its service does not tell (distribution's token specification).
const DEFAULT_LIFETIME: u64 = 60;

/// How a host wants requests to be authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Unknown,
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
    /// Distinguishes this token from those fetched before and after it.
    number: u64,
}

/// The token of one scope.
#[derive(Default)]
struct TokenSlot {
    token: Option<Token>,
    /// How many tokens were fetched.
    fetched: u64,
    /// When the last attempt failed, and how: requests that waited for it fail at once instead of trying again.
    failed: Option<(Instant, Error)>,
}

/// Sends requests to one registry, with the authorization that it wants.
pub(crate) struct Session {
    http: Http,
    origin: Url,
    credentials: HostCredentials,
    scheme: RwLock<Scheme>,
    /// Whether one token serves all scopes.
    has_one_token: bool,
    slots: Mutex<HashMap<String, Arc<tokio::sync::Mutex<TokenSlot>>>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session").field("origin", &self.origin.as_str()).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Session {
    /// Authorizes requests as the challenges of the host ask.
    pub(crate) fn new(http: Http, origin: Url, credentials: HostCredentials) -> Self {
        let (scheme, slots) = (RwLock::new(Scheme::Unknown), Mutex::default());
        Self { http, origin, credentials, scheme, has_one_token: false, slots }
    }

    /// Authorizes requests with tokens of the service at `realm`, whatever address a challenge gives: a server behind a proxy
    /// gives its outer address. One token serves every scope, because Forgejo ignores the scope
    /// (`routers/api/packages/container/container.go @ v15.0.3`).
    pub(crate) fn with_tokens_of(mut self, realm: Url) -> Self {
        self.has_one_token = true;
        self.set_scheme(Scheme::Bearer { realm, service: None });
        self
    }

    pub(crate) const fn credentials(&self) -> &HostCredentials {
        &self.credentials
    }

    pub(crate) const fn http(&self) -> &Http {
        &self.http
    }

    fn scheme(&self) -> Scheme {
        self.scheme.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_scheme(&self, scheme: Scheme) {
        *self.scheme.write().unwrap_or_else(PoisonError::into_inner) = scheme;
    }

    /// Sends a request to the registry. After a 401 it is repeated, once the scheme is learned or with a new token.
    pub(crate) async fn send(&self, mut request: HttpRequest, scope: &str) -> Result<HttpResponse, Error> {
        let credentials = self.credentials.for_repository(repository_of(scope));
        let scope = if self.has_one_token { "" } else { scope };
        let mut is_refreshed = false;
        // One attempt to learn the scheme, one with a token that may be stale, one with a new token.
        for _ in 0..3 {
            let scheme = self.scheme();
            let mut number = None;
            let header = match &scheme {
                Scheme::Unknown => None,
                Scheme::Basic => credentials.basic(),
                Scheme::Bearer { realm, service } => {
                    let token = self.token(realm, service.as_deref(), scope, credentials).await?;
                    number = Some(token.number);
                    Some(token.header)
                }
            };
            request.headers.remove(AUTHORIZATION);
            if let Some(header) = header {
                request.headers.insert(AUTHORIZATION, header);
            }
            let answer = self.http.send(&request).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
            match number {
                Some(number) if !std::mem::replace(&mut is_refreshed, true) => {
                    self.forget_token(scope, number).await;
                }
                Some(_) => return Ok(answer),
                None if scheme == Scheme::Unknown && self.learn_scheme(&answer, credentials)? => {}
                None => return Ok(answer),
            }
        }
        Err(Error::Malformed {
            what: request.method_and_path(),
            why: "it asks for credentials without end".into(),
        })
    }

    /// Learns the scheme from a challenge; false if these credentials can meet none of the challenges.
    fn learn_scheme(&self, answer: &HttpResponse, credentials: &Credentials) -> Result<bool, Error> {
        let offered = challenges(&answer.headers);
        let bearer = offered.iter().find_map(|challenge| match challenge {
            Challenge::Bearer { realm, service } => Some((realm, service)),
            Challenge::Basic => None,
        });
        if let Some((realm, service)) = bearer {
            let bad = |why: String| Error::Malformed { what: answer.what.clone(), why };
            let realm =
                self.origin.join(realm).map_err(|_| bad("its token service has no address".into()))?;
            self.set_scheme(Scheme::Bearer { realm, service: service.clone() });
            return Ok(true);
        }
        let wants_basic = offered.contains(&Challenge::Basic) && credentials.basic().is_some();
        if wants_basic {
            self.set_scheme(Scheme::Basic);
        }
        Ok(wants_basic)
    }

    fn token_slot(&self, scope: &str) -> Arc<tokio::sync::Mutex<TokenSlot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(scope.to_owned()).or_default())
    }

    /// Forgets a token that was refused.
    async fn forget_token(&self, scope: &str, number: u64) {
        let slot = self.token_slot(scope);
        let mut slot = slot.lock().await;
        // Another request may have fetched a new token meanwhile.
        if slot.token.as_ref().is_some_and(|token| token.number == number) {
            slot.token = None;
        }
    }

    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
        credentials: &Credentials,
    ) -> Result<Token, Error> {
        let slot = self.token_slot(scope);
        // The lock is held during the fetch, so that other requests wait for the token.
        let mut slot = slot.lock().await;
        if let Some(token) = slot.token.as_ref().filter(|token| token.until > Instant::now()) {
            return Ok(token.clone());
        }
        if let Some((at, error)) = &slot.failed
            && at.elapsed() < FAILURE_PAUSE
        {
            return Err(error.clone());
        }
        let fetched = self.fetch_token(realm, service, scope, credentials).await;
        slot.failed = fetched.as_ref().err().map(|error| (Instant::now(), error.clone()));
        let (header, life) = fetched?;
        slot.fetched += 1;
        let token = Token { header, until: Instant::now() + life, number: slot.fetched };
        slot.token = Some(token.clone());
        Ok(token)
    }

    /// Fetches a token; returns its header and lifetime. Only here credentials go to another address than the registry's.
    async fn fetch_token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: &str,
        credentials: &Credentials,
    ) -> Result<(HeaderValue, Duration), Error> {
        let is_trusted = realm.origin() == self.origin.origin() || self.http.may_give_credentials(realm);
        if credentials.are_given() && !is_trusted {
            let registry = self.origin.origin().ascii_serialization();
            return Err(Error::TokenService { registry, service: realm.origin().ascii_serialization() });
        }
        let mut parameters: Vec<(&str, &str)> =
            service.map(|service| ("service", service)).into_iter().collect();
        if !scope.is_empty() {
            parameters.push(("scope", scope));
        }
        let mut url = realm.clone();
        let mut request = if let Credentials::Identity { token } = credentials {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(parameters).extend_pairs([
                ("grant_type", "refresh_token"),
                ("client_id", "registry-core"),
                ("refresh_token", token.expose_secret()),
            ]);
            let mut request = HttpRequest::new(Method::POST, url, TOKEN_MAX);
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers.insert(CONTENT_TYPE, form_type);
            // A repetition is harmless: the service gives another token.
            (request.body, request.may_repeat) = (Some(form.finish().into()), true);
            request.secret = secret_header(&format!("Bearer {}", token.expose_secret()));
            request
        } else {
            url.query_pairs_mut().extend_pairs(parameters);
            if url.query() == Some("") {
                url.set_query(None);
            }
            HttpRequest::new(Method::GET, url, TOKEN_MAX)
        };
        if let Some(header) = credentials.basic() {
            request.headers.insert(AUTHORIZATION, header);
        }
        let answer = self.http.send(&request).await?;
        if answer.status != 200 {
            return Err(answer.error());
        }
        let granted: TokenAnswer = answer.json()?;
        let bad = |why: &str| Error::Malformed { what: answer.what.clone(), why: why.into() };
        let text = granted.token.or(granted.access_token);
        let text = text.ok_or_else(|| bad("the token service answers no token"))?;
        let header = secret_header(&format!("Bearer {text}"))
            .ok_or_else(|| bad("the token service answers what is no token"))?;
        let expires = granted.expires_in.unwrap_or_else(|| token_lifetime(&text)).min(24 * 3600);
        // A tenth less, so that the token does not expire on its way.
        Ok((header, Duration::from_secs(expires.saturating_sub(expires / 10).max(1))))
    }
}

/// The repository of a scope such as `repository:team/app:pull`.
fn repository_of(scope: &str) -> Option<&str> {
    Some(scope.strip_prefix("repository:")?.rsplit_once(':')?.0)
}

/// Seconds that a token lives by its payload, else by default. Forgejo tells the lifetime only in the payload.
fn token_lifetime(token: &str) -> u64 {
    #[derive(Deserialize)]
    struct Payload {
        exp: i64,
    }
    let payload = || -> Option<Payload> {
        let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        serde_json::from_slice(&text).ok()
    };
    let left = |payload: Payload| payload.exp.saturating_sub(jiff::Timestamp::now().as_second());
    payload().map(left).and_then(|left| u64::try_from(left).ok()).unwrap_or(DEFAULT_LIFETIME)
}
