//! Manifests and blobs: read with their digest, put, deleted. What a tag names is hashed, never believed.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc::Sender;

use super::client::{Client, Removal, SMALL, checked};
use super::error::Error;
use super::exchange::{HttpRequest, HttpResponse};
use crate::oci::manifest::Kind;
use crate::oci::{Algorithm, Digest, Manifest};

/// Most bytes of a manifest. Registries take 4 MiB, Forgejo 10 MiB.
const MANIFEST_MAX: usize = 16 << 20;
/// Hops of a blob to where it is stored.
const MAX_HOPS: usize = 3;

/// Every kind of manifest that there is; a registry that converts would otherwise answer another one.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*";

/// A manifest that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// What its bytes hash to.
    pub digest: Digest,
    /// Media type as the server gives it.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The scope of reading a repository.
pub(super) fn pull(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// The digest that an answer tells of its content.
fn told_digest(answer: &HttpResponse) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

impl Client {
    fn manifest_ask(&self, method: Method, repository: &str, reference: &str) -> Result<HttpRequest, Error> {
        let reference = checked(repository, reference)?;
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"))?;
        let mut ask = HttpRequest::new(method, url, MANIFEST_MAX);
        ask.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        Ok(ask)
    }

    fn blob_ask(
        &self,
        method: Method,
        repository: &str,
        digest: &Digest,
        most: usize,
    ) -> Result<HttpRequest, Error> {
        checked(repository, &digest.to_string())?;
        Ok(HttpRequest::new(method, self.url(&format!("/v2/{repository}/blobs/{digest}"))?, most))
    }

    async fn manifest_answer(&self, repository: &str, reference: &str) -> Result<HttpResponse, Error> {
        self.fetch(self.manifest_ask(Method::GET, repository, reference)?, repository).await
    }

    async fn head_manifest_answer(&self, repository: &str, reference: &str) -> Result<HttpResponse, Error> {
        self.head(self.manifest_ask(Method::HEAD, repository, reference)?, repository).await
    }

    /// Asks with HEAD, and with GET where that may say more. The only place that asks with HEAD: what it gives is absent
    /// only in a registry's own words.
    async fn head(&self, mut ask: HttpRequest, repository: &str) -> Result<HttpResponse, Error> {
        if !self.heads.are_refused.load(Ordering::Relaxed) {
            let answer = self.fetch(ask.clone(), repository).await?;
            if self.heads.stand_alone || !answer.says_less_than_get() {
                return Ok(answer);
            }
            if matches!(answer.status.as_u16(), 405 | 501) {
                self.heads.are_refused.store(true, Ordering::Relaxed);
            }
        }
        ask.method = Method::GET;
        self.fetch(ask, repository).await
    }

    /// Asks, and follows a redirect to where bytes are stored, without credentials. Only an https address leads on from
    /// https.
    async fn fetch(&self, mut ask: HttpRequest, repository: &str) -> Result<HttpResponse, Error> {
        let mut answer = self.session.send(ask.clone(), &pull(repository)).await?;
        for _ in 0..MAX_HOPS {
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                break;
            }
            let Some(next) = answer.header("location").and_then(|to| ask.url.join(to).ok()) else { break };
            let is_allowed =
                next.scheme() == "https" || next.scheme() == ask.url.scheme() && next.scheme() == "http";
            if !is_allowed {
                break;
            }
            ask.url = next;
            answer = self.session.http().send(&ask).await?;
            answer.is_redirected = true;
        }
        Ok(answer)
    }

    /// A manifest as it is sent, hashed by the algorithm of the digest asked for; `None` when the registry says that it is
    /// not there. Whether these are the bytes asked for is for the caller to say.
    ///
    /// # Errors
    /// When it could not be read.
    pub(crate) async fn manifest_as_sent(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Fetched>, Error> {
        let answer = self.manifest_answer(repository, reference).await?;
        if answer.is_absent() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(answer.coded());
        }
        let algorithm = reference.parse::<Digest>().map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(Some(Fetched { digest: Digest::of(algorithm, &answer.body), media_type, bytes: answer.body }))
    }

    /// A manifest by tag or by digest, whole and hashed; `None` when the registry says that it is not there.
    ///
    /// # Errors
    /// When it could not be read, or its bytes are not those asked for.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Fetched>, Error> {
        self.manifest_or(repository, reference, |_| false).await
    }

    /// The same, and of a schema 1 manifest, which 2.8 signs anew at each GET (`registry/handlers/manifests.go @ v2.8.3`), its
    /// digest as the registry tells it, with bytes that do not hash to it.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn manifest_or_schema1(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Fetched>, Error> {
        self.manifest_or(repository, reference, |bytes| Manifest::parse(bytes).kind == Kind::Schema1).await
    }

    /// A manifest; `is_signed_anew` are bytes of which the hash tells nothing.
    async fn manifest_or(
        &self,
        repository: &str,
        reference: &str,
        is_signed_anew: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Fetched>, Error> {
        let answer = self.manifest_answer(repository, reference).await?;
        if answer.is_absent() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(answer.coded());
        }
        if answer.is_page() {
            return Err(answer.page());
        }
        let told = told_digest(&answer);
        let asked = reference.parse::<Digest>().ok();
        let algorithm = asked.or(told).map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let mut digest = Digest::of(algorithm, &answer.body);
        let differs = |one: &Digest| one.algorithm() == algorithm && *one != digest;
        if let Some(expected) = [asked, told].into_iter().flatten().find(differs) {
            let is_agreed = asked.zip(told).is_none_or(|(asked, told)| asked == told);
            if !is_agreed || !is_signed_anew(&answer.body) {
                let (asked, got) = (expected.to_string(), digest.to_string());
                return Err(Error::Mismatch { what: answer.what, asked, got });
            }
            digest = expected;
        }
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(Some(Fetched { digest, media_type, bytes: answer.body }))
    }

    /// The digest that a tag or digest answers with; `None` when the registry says that it is not there. Counts as no
    /// download.
    ///
    /// # Errors
    /// When the registry gives no answer, or another digest than the one asked for.
    pub async fn head_manifest(&self, repository: &str, reference: &str) -> Result<Option<Digest>, Error> {
        let answer = self.head_manifest_answer(repository, reference).await?;
        if answer.is_absent() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(answer.coded());
        }
        // Whoever answers a digest with a login page does not say that it is there.
        if answer.is_page() {
            return Err(answer.page());
        }
        match (reference.parse::<Digest>().ok(), told_digest(&answer)) {
            (Some(asked), Some(told)) if asked.algorithm() == told.algorithm() && asked != told => {
                let (asked, got) = (asked.to_string(), told.to_string());
                Err(Error::Mismatch { what: answer.what, asked, got })
            }
            (Some(asked), _) => Ok(Some(asked)),
            (None, Some(told)) => Ok(Some(told)),
            // A registry that does not tell: its bytes do.
            (None, None) if answer.method == Method::GET => {
                Ok(Some(Digest::of(Algorithm::Sha256, &answer.body)))
            }
            (None, None) => Ok(self.manifest(repository, reference).await?.map(|found| found.digest)),
        }
    }

    /// Whether a manifest is there, and its size in bytes where the registry tells. Counts as no download.
    ///
    /// # Errors
    /// When the registry gives no answer, or another digest than the one asked for.
    pub async fn manifest_size(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Option<u64>>, Error> {
        let answer = self.head_manifest_answer(repository, &digest.to_string()).await?;
        if answer.is_absent() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(answer.coded());
        }
        match told_digest(&answer) {
            Some(told) if told.algorithm() == digest.algorithm() && told != *digest => {
                let (asked, got) = (digest.to_string(), told.to_string());
                Err(Error::Mismatch { what: answer.what, asked, got })
            }
            _ if answer.method == Method::GET => Ok(Some(Some(answer.body.len() as u64))),
            _ => Ok(Some(answer.told_size())),
        }
    }

    /// Whether a config or layer is there, and its size in bytes where the registry tells.
    ///
    /// # Errors
    /// When the registry gives no answer.
    pub async fn head_blob(&self, repository: &str, digest: &Digest) -> Result<Option<Option<u64>>, Error> {
        let ask = self.blob_ask(Method::HEAD, repository, digest, SMALL)?;
        // Asked with GET, its headers tell as much, and its body is not read.
        let answer = self.head(HttpRequest { headers_only: true, ..ask }, repository).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.told_size())),
            _ if answer.is_absent() => Ok(None),
            _ => Err(answer.coded()),
        }
    }

    /// Whether a config or layer of `size` bytes is there down to its last byte, and its size in bytes as its storage tells,
    /// where that is told. For servers that answer HEAD from a database. Where a server takes no ranges its answer is that
    /// to a HEAD.
    ///
    /// # Errors
    /// When the registry gives no answer.
    pub async fn last_byte(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Option<u64>>, Error> {
        let Some(last) = size.checked_sub(1) else { return self.head_blob(repository, digest).await };
        let mut ask = self.blob_ask(Method::GET, repository, digest, SMALL)?;
        ask.headers_only = true;
        if let Ok(range) = HeaderValue::from_str(&format!("bytes={last}-{last}")) {
            ask.headers.insert(RANGE, range);
        }
        let answer = self.fetch(ask.clone(), repository).await?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT => Ok(Some(answer.told_whole())),
            StatusCode::OK => Ok(Some(answer.told_size())),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let whole = match answer.told_whole() {
                    Some(whole) => Some(whole),
                    None => {
                        ask.headers.remove(RANGE);
                        let answer = self.fetch(ask, repository).await?;
                        answer.told_size().filter(|_| answer.status == StatusCode::OK)
                    }
                };
                // A storage that has the byte and does not give it says nothing.
                whole
                    .filter(|whole| *whole < size)
                    .map_or_else(|| Err(answer.coded()), |whole| Ok(Some(Some(whole))))
            }
            _ if answer.is_absent() => Ok(None),
            _ => Err(answer.coded()),
        }
    }

    /// What the bytes of a config or layer hash to, and how many there are; `None` when the registry says that it is not
    /// there. The bytes pass by and are not kept. When the registry tells more than `most` bytes they are not read, and
    /// there is no hash.
    ///
    /// # Errors
    /// When they could not be read to their end, or are more than `most` and that was not told before.
    pub(crate) async fn hash_blob(
        &self,
        repository: &str,
        digest: &Digest,
        most: usize,
    ) -> Result<Option<(Option<Digest>, u64)>, Error> {
        let ask = self.blob_ask(Method::GET, repository, digest, most)?;
        let ask = HttpRequest { hash: Some(digest.algorithm()), ..ask };
        let answer = self.fetch(ask, repository).await?;
        match answer.hashed {
            Some((digest, size)) => Ok(Some((Some(digest), size))),
            None if answer.status == StatusCode::OK => {
                answer.told_size().map_or_else(|| Err(answer.coded()), |size| Ok(Some((None, size))))
            }
            None if answer.is_absent() => Ok(None),
            None => Err(answer.coded()),
        }
    }

    /// Sends the bytes of a config or layer on, piece by piece, and tells what they hash to and how many there are; `None` when
    /// the registry says that it is not there. Asked once only: what was sent on cannot be taken back.
    ///
    /// # Errors
    /// When they could not be read to their end.
    pub(crate) async fn stream_blob(
        &self,
        repository: &str,
        digest: &Digest,
        sink: Sender<Bytes>,
    ) -> Result<Option<(Digest, u64)>, Error> {
        let ask = self.blob_ask(Method::GET, repository, digest, usize::MAX)?;
        let ask = HttpRequest { hash: Some(digest.algorithm()), repeat: false, sink: Some(sink), ..ask };
        let answer = self.fetch(ask, repository).await?;
        match answer.hashed {
            Some(hashed) => Ok(Some(hashed)),
            None if answer.is_absent() => Ok(None),
            None => Err(answer.coded()),
        }
    }

    /// A small blob, such as a config, whole and hashed.
    ///
    /// # Errors
    /// When it could not be read, is larger than `most` bytes, or its bytes are not those asked for.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        most: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let answer = self.fetch(self.blob_ask(Method::GET, repository, digest, most)?, repository).await?;
        if answer.is_absent() {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(answer.coded());
        }
        let got = Digest::of(digest.algorithm(), &answer.body);
        if got != *digest {
            let (asked, got) = (digest.to_string(), got.to_string());
            return Err(Error::Mismatch { what: answer.what, asked, got });
        }
        Ok(Some(answer.body))
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows whether it was.
    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let reference = checked(repository, reference)?;
        let mut ask = HttpRequest::new(
            Method::PUT,
            self.url(&format!("/v2/{repository}/manifests/{reference}"))?,
            SMALL,
        );
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| Error::Name(media_type.escape_debug().to_string()))?;
        ask.headers.insert(CONTENT_TYPE, media_type);
        ask.body = Some(Bytes::copy_from_slice(bytes));
        // By digest the same bytes arrive twice at worst; a tag may have moved in between.
        ask.repeat = reference.contains(':');
        let answer = self.session.send(ask, &format!("repository:{repository}:pull,push")).await?;
        match answer.status.is_success() {
            true if answer.is_page() => Err(answer.page()),
            true => Ok(()),
            false => Err(answer.coded()),
        }
    }

    /// Deletes a manifest by tag or by digest. By digest a server takes every tag of it.
    ///
    /// # Errors
    /// When it was refused, or nobody knows whether it was done.
    pub(crate) async fn delete_manifest(&self, repository: &str, reference: &str) -> Result<Removal, Error> {
        self.removal(repository, reference, false).await
    }

    /// Deletes a digest of which nothing has the bytes, and says what became of that. Harmless to repeat.
    ///
    /// # Errors
    /// As [`Client::delete_manifest`].
    pub(crate) async fn delete_absent(&self, repository: &str, digest: &Digest) -> Result<Removal, Error> {
        self.removal(repository, &digest.to_string(), true).await
    }

    async fn removal(&self, repository: &str, reference: &str, repeat: bool) -> Result<Removal, Error> {
        let answer = self.deletion(repository, checked(repository, reference)?, repeat).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(Removal::Deleted),
            404 if answer.is_absent() => Ok(Removal::NotThere),
            405 => Ok(Removal::Unsupported),
            // 2.8 parses the reference as a digest (`registry/handlers/manifests.go @ v2.8.2`).
            400 if !reference.contains(':') => Ok(Removal::Unsupported),
            _ => Err(answer.coded()),
        }
    }

    async fn deletion(&self, repository: &str, reference: &str, repeat: bool) -> Result<HttpResponse, Error> {
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"))?;
        let ask = HttpRequest { repeat, ..HttpRequest::new(Method::DELETE, url, SMALL) };
        self.session.send(ask, &format!("repository:{repository}:delete,pull")).await
    }

    /// Asks whether deletion is allowed, by deleting a reference that can be no manifest's: `-` begins no tag. Harmless to
    /// repeat.
    pub(crate) async fn delete_nothing(&self, repository: &str) -> Result<HttpResponse, Error> {
        self.deletion(repository, "-preflight", true).await
    }
}
