//! Requests for manifests and blobs: reading, hashing, putting, deleting. What a tag names is hashed, never trusted.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};
use tokio::sync::mpsc::Sender;

use super::client::{Client, Removal, SMALL_ANSWER, check_reference};
use super::error::Error;
use super::exchange::{HttpRequest, HttpResponse};
use crate::oci::manifest::Kind;
use crate::oci::{Algorithm, Digest, Manifest};

/// How many bytes a manifest may have. Registries take 4 MiB, Forgejo 10 MiB.
const MANIFEST_MAX: usize = 16 << 20;
/// How many redirects lead to where a blob is stored.
const MAX_HOPS: usize = 3;

/// All kinds of manifests: a registry that converts manifests would otherwise send another one.
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.v1+json, */*";

/// A manifest as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The hash of its bytes.
    pub digest: Digest,
    /// Media type as the server gives it.
    pub media_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The token scope for reading a repository.
pub(super) fn pull_scope(repository: &str) -> String {
    format!("repository:{repository}:pull")
}

/// The digest in the header of an answer.
fn declared_digest(answer: &HttpResponse) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

impl Client {
    fn manifest_request(
        &self,
        method: Method,
        repository: &str,
        reference: &str,
    ) -> Result<HttpRequest, Error> {
        let reference = check_reference(repository, reference)?;
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"))?;
        let mut request = HttpRequest::new(method, url, MANIFEST_MAX);
        request.headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        Ok(request)
    }

    fn blob_request(
        &self,
        method: Method,
        repository: &str,
        digest: &Digest,
        max_bytes: usize,
    ) -> Result<HttpRequest, Error> {
        check_reference(repository, &digest.to_string())?;
        Ok(HttpRequest::new(method, self.url(&format!("/v2/{repository}/blobs/{digest}"))?, max_bytes))
    }

    async fn get_manifest(&self, repository: &str, reference: &str) -> Result<HttpResponse, Error> {
        self.fetch(self.manifest_request(Method::GET, repository, reference)?, repository).await
    }

    async fn get_head(&self, repository: &str, reference: &str) -> Result<HttpResponse, Error> {
        self.send_head(self.manifest_request(Method::HEAD, repository, reference)?, repository).await
    }

    /// Sends a HEAD, and a GET if that may tell more. Every HEAD is sent here, so that an object is absent only in a
    /// registry's own words.
    async fn send_head(&self, mut request: HttpRequest, repository: &str) -> Result<HttpResponse, Error> {
        if !self.heads.is_refused.load(Ordering::Relaxed) {
            let answer = self.fetch(request.clone(), repository).await?;
            if self.heads.is_final || !answer.says_less_than_get() {
                return Ok(answer);
            }
            if matches!(answer.status.as_u16(), 405 | 501) {
                self.heads.is_refused.store(true, Ordering::Relaxed);
            }
        }
        request.method = Method::GET;
        self.fetch(request, repository).await
    }

    /// Sends a request, and follows redirects to where bytes are stored, without credentials. From an https address only
    /// redirects to https are followed.
    async fn fetch(&self, mut request: HttpRequest, repository: &str) -> Result<HttpResponse, Error> {
        let mut answer = self.session.send(request.clone(), &pull_scope(repository)).await?;
        for _ in 0..MAX_HOPS {
            if !answer.status.is_redirection() || answer.status == StatusCode::NOT_MODIFIED {
                break;
            }
            let Some(next) = answer.header("location").and_then(|to| request.url.join(to).ok()) else {
                break;
            };
            let is_allowed =
                next.scheme() == "https" || next.scheme() == request.url.scheme() && next.scheme() == "http";
            if !is_allowed {
                break;
            }
            request.url = next;
            answer = self.session.http().send(&request).await?;
            answer.is_redirected = true;
        }
        Ok(answer)
    }

    /// A manifest as it is sent, hashed by the algorithm of the digest asked for; `None` if the registry does not have it. The
    /// caller must check whether these are the bytes asked for.
    ///
    /// # Errors
    /// When it could not be read.
    pub(crate) async fn manifest_as_sent(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Fetched>, Error> {
        let Some(answer) = self.get_manifest(repository, reference).await?.found()? else { return Ok(None) };
        let algorithm = reference.parse::<Digest>().map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(Some(Fetched { digest: Digest::hash(algorithm, &answer.body), media_type, bytes: answer.body }))
    }

    /// A manifest by tag or digest, complete and hashed; `None` if the registry does not have it.
    ///
    /// # Errors
    /// When it could not be read, or its bytes are not those asked for.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Fetched>, Error> {
        self.hashed_manifest(repository, reference, |_| false).await
    }

    /// As [`Client::manifest`]; but a schema 1 manifest, which 2.8 signs anew at each GET (`registry/handlers/manifests.go @
    /// v2.8.3`), comes with the digest that the registry gives it, to which its bytes do not hash.
    ///
    /// # Errors
    /// As [`Client::manifest`].
    pub async fn manifest_or_schema1(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Fetched>, Error> {
        self.hashed_manifest(repository, reference, |bytes| Manifest::parse(bytes).kind == Kind::Schema1)
            .await
    }

    /// A manifest. `is_signed_anew` tells of bytes whether the registry signs them at each GET, so that their hash may differ.
    async fn hashed_manifest(
        &self,
        repository: &str,
        reference: &str,
        is_signed_anew: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Fetched>, Error> {
        let Some(answer) = self.get_manifest(repository, reference).await?.found()? else { return Ok(None) };
        if answer.is_page() {
            return Err(answer.page_error());
        }
        let declared = declared_digest(&answer);
        let asked = reference.parse::<Digest>().ok();
        let algorithm = asked.or(declared).map_or(Algorithm::Sha256, |digest| digest.algorithm());
        let mut digest = Digest::hash(algorithm, &answer.body);
        let differs = |one: &Digest| one.algorithm() == algorithm && *one != digest;
        if let Some(expected) = [asked, declared].into_iter().flatten().find(differs) {
            let is_agreed = asked.zip(declared).is_none_or(|(asked, declared)| asked == declared);
            if !is_agreed || !is_signed_anew(&answer.body) {
                let (asked, got) = (expected.to_string(), digest.to_string());
                return Err(Error::Mismatch { what: answer.what, asked, got });
            }
            digest = expected;
        }
        let media_type = answer.header("content-type").unwrap_or_default().to_owned();
        Ok(Some(Fetched { digest, media_type, bytes: answer.body }))
    }

    /// The digest of a manifest by tag or digest; `None` if the registry does not have it. Does not count as a download.
    ///
    /// # Errors
    /// When the registry gives no answer, or another digest than the one asked for.
    pub async fn head_manifest(&self, repository: &str, reference: &str) -> Result<Option<Digest>, Error> {
        let Some(answer) = self.get_head(repository, reference).await?.found()? else { return Ok(None) };
        // A login page does not tell that the manifest exists.
        if answer.is_page() {
            return Err(answer.page_error());
        }
        match (reference.parse::<Digest>().ok(), declared_digest(&answer)) {
            (Some(asked), Some(declared))
                if asked.algorithm() == declared.algorithm() && asked != declared =>
            {
                let (asked, got) = (asked.to_string(), declared.to_string());
                Err(Error::Mismatch { what: answer.what, asked, got })
            }
            (Some(asked), _) => Ok(Some(asked)),
            (None, Some(declared)) => Ok(Some(declared)),
            // Without the header the bytes are hashed.
            (None, None) if answer.method == Method::GET => {
                Ok(Some(Digest::hash(Algorithm::Sha256, &answer.body)))
            }
            (None, None) => Ok(self.manifest(repository, reference).await?.map(|found| found.digest)),
        }
    }

    /// Whether a manifest exists, and its size in bytes if the registry gives it. Does not count as a download.
    ///
    /// # Errors
    /// When the registry gives no answer, or another digest than the one asked for.
    pub async fn manifest_size(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<Option<u64>>, Error> {
        let Some(answer) = self.get_head(repository, &digest.to_string()).await?.found()? else {
            return Ok(None);
        };
        match declared_digest(&answer) {
            Some(declared) if declared.algorithm() == digest.algorithm() && declared != *digest => {
                let (asked, got) = (digest.to_string(), declared.to_string());
                Err(Error::Mismatch { what: answer.what, asked, got })
            }
            _ if answer.method == Method::GET => Ok(Some(Some(answer.body.len() as u64))),
            _ => Ok(Some(answer.declared_size())),
        }
    }

    /// Whether a config or layer exists, and its size in bytes if the registry gives it.
    ///
    /// # Errors
    /// When the registry gives no answer.
    pub async fn head_blob(&self, repository: &str, digest: &Digest) -> Result<Option<Option<u64>>, Error> {
        let request = self.blob_request(Method::HEAD, repository, digest, SMALL_ANSWER)?;
        // If this becomes a GET, the headers suffice, and the body is not read.
        let answer =
            self.send_head(HttpRequest { headers_only: true, ..request }, repository).await?.found()?;
        Ok(answer.map(|answer| answer.declared_size()))
    }

    /// Whether a config or layer of `size` bytes is stored down to its last byte, and its size in bytes by its storage if that
    /// is given. For servers that answer HEAD from a database. A server without range requests answers as to a HEAD.
    ///
    /// # Errors
    /// When the registry gives no answer.
    pub async fn stored_size_by_last_byte(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<Option<Option<u64>>, Error> {
        let Some(last) = size.checked_sub(1) else { return self.head_blob(repository, digest).await };
        let mut request = self.blob_request(Method::GET, repository, digest, SMALL_ANSWER)?;
        request.headers_only = true;
        if let Ok(range) = HeaderValue::from_str(&format!("bytes={last}-{last}")) {
            request.headers.insert(RANGE, range);
        }
        let answer = self.fetch(request.clone(), repository).await?;
        match answer.status {
            StatusCode::PARTIAL_CONTENT => Ok(Some(answer.declared_whole_size())),
            StatusCode::OK => Ok(Some(answer.declared_size())),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                let whole = match answer.declared_whole_size() {
                    Some(whole) => Some(whole),
                    None => {
                        request.headers.remove(RANGE);
                        let answer = self.fetch(request, repository).await?;
                        answer.declared_size().filter(|_| answer.status == StatusCode::OK)
                    }
                };
                // A storage that has the byte and does not send it tells nothing.
                whole
                    .filter(|whole| *whole < size)
                    .map_or_else(|| Err(answer.registry_error()), |whole| Ok(Some(Some(whole))))
            }
            _ if answer.is_absent() => Ok(None),
            _ => Err(answer.registry_error()),
        }
    }

    /// The hash and number of the bytes of a config or layer; `None` if the registry does not have it. The bytes are not kept.
    /// If the registry declares more than `max_bytes` bytes they are not read, and there is no hash.
    ///
    /// # Errors
    /// When they could not be read to their end, or are more than `max_bytes` although fewer or none were declared.
    pub(crate) async fn hash_blob(
        &self,
        repository: &str,
        digest: &Digest,
        max_bytes: usize,
    ) -> Result<Option<(Option<Digest>, u64)>, Error> {
        let request = self.blob_request(Method::GET, repository, digest, max_bytes)?;
        let request = HttpRequest { hash: Some(digest.algorithm()), ..request };
        let answer = self.fetch(request, repository).await?;
        match answer.hashed {
            Some((digest, size)) => Ok(Some((Some(digest), size))),
            None if answer.status == StatusCode::OK => answer
                .declared_size()
                .map_or_else(|| Err(answer.registry_error()), |size| Ok(Some((None, size)))),
            None if answer.is_absent() => Ok(None),
            None => Err(answer.registry_error()),
        }
    }

    /// Sends the bytes of a config or layer to `sink`, and returns their hash and number; `None` if the registry does not have
    /// it. The request is not repeated, because bytes that are in the sink cannot be taken back.
    ///
    /// # Errors
    /// When they could not be read to their end.
    pub(crate) async fn stream_blob(
        &self,
        repository: &str,
        digest: &Digest,
        sink: Sender<Bytes>,
    ) -> Result<Option<(Digest, u64)>, Error> {
        let request = self.blob_request(Method::GET, repository, digest, usize::MAX)?;
        let request =
            HttpRequest { hash: Some(digest.algorithm()), may_repeat: false, sink: Some(sink), ..request };
        let answer = self.fetch(request, repository).await?;
        match answer.hashed {
            Some(hashed) => Ok(Some(hashed)),
            None if answer.is_absent() => Ok(None),
            None => Err(answer.registry_error()),
        }
    }

    /// A small blob, such as a config, complete and hashed.
    ///
    /// # Errors
    /// When it could not be read, is larger than `max_bytes` bytes, or its bytes are not those asked for.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &Digest,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, Error> {
        let request = self.blob_request(Method::GET, repository, digest, max_bytes)?;
        let Some(answer) = self.fetch(request, repository).await?.found()? else { return Ok(None) };
        let got = Digest::hash(digest.algorithm(), &answer.body);
        if got != *digest {
            let (asked, got) = (digest.to_string(), got.to_string());
            return Err(Error::Mismatch { what: answer.what, asked, got });
        }
        Ok(Some(answer.body))
    }

    /// Puts a manifest under a tag or its digest.
    ///
    /// # Errors
    /// When it was not accepted, or that is not known.
    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let reference = check_reference(repository, reference)?;
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"))?;
        let mut request = HttpRequest::new(Method::PUT, url, SMALL_ANSWER);
        let media_type = HeaderValue::from_str(media_type)
            .map_err(|_| Error::Name(media_type.escape_debug().to_string()))?;
        request.headers.insert(CONTENT_TYPE, media_type);
        request.body = Some(Bytes::copy_from_slice(bytes));
        // By digest a repetition sends the same bytes again; a tag may have been moved in between.
        request.may_repeat = reference.contains(':');
        let answer = self.session.send(request, &format!("repository:{repository}:pull,push")).await?;
        match answer.status.is_success() {
            true if answer.is_page() => Err(answer.page_error()),
            true => Ok(()),
            false => Err(answer.registry_error()),
        }
    }

    /// Deletes a manifest by tag or digest. By digest a server deletes every tag of it, too.
    ///
    /// # Errors
    /// When it was refused, or its outcome is not known.
    pub(crate) async fn delete_manifest(&self, repository: &str, reference: &str) -> Result<Removal, Error> {
        self.delete(repository, reference, false).await
    }

    /// Deletes a digest whose bytes nothing has. This is harmless to repeat.
    ///
    /// # Errors
    /// As [`Client::delete_manifest`].
    pub(crate) async fn delete_absent(&self, repository: &str, digest: &Digest) -> Result<Removal, Error> {
        self.delete(repository, &digest.to_string(), true).await
    }

    async fn delete(&self, repository: &str, reference: &str, may_repeat: bool) -> Result<Removal, Error> {
        let answer =
            self.send_delete(repository, check_reference(repository, reference)?, may_repeat).await?;
        match answer.status.as_u16() {
            200 | 202 | 204 => Ok(Removal::Deleted),
            404 if answer.is_absent() => Ok(Removal::NotThere),
            405 => Ok(Removal::Unsupported),
            // 2.8 parses the reference as a digest (`registry/handlers/manifests.go @ v2.8.2`).
            400 if !reference.contains(':') => Ok(Removal::Unsupported),
            _ => Err(answer.registry_error()),
        }
    }

    async fn send_delete(
        &self,
        repository: &str,
        reference: &str,
        may_repeat: bool,
    ) -> Result<HttpResponse, Error> {
        let url = self.url(&format!("/v2/{repository}/manifests/{reference}"))?;
        let request = HttpRequest { may_repeat, ..HttpRequest::new(Method::DELETE, url, SMALL_ANSWER) };
        self.session.send(request, &format!("repository:{repository}:delete,pull")).await
    }

    /// Asks whether deletion is allowed, by deleting a reference that no manifest can have: no tag begins with `-`. This is
    /// harmless to repeat.
    pub(crate) async fn probe_deletion(&self, repository: &str) -> Result<HttpResponse, Error> {
        self.send_delete(repository, "-preflight", true).await
    }
}
