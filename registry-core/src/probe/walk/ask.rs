//! Asks for one tag, manifest, blob or config, and turns the client's result into an answer.

use std::sync::Arc;

use super::{Depth, ProbeWalk};
use crate::graph::Content;
use crate::oci::manifest::Kind;
use crate::oci::{Digest, Platform};
use crate::probe::responses::{AnsweredManifest, BlobAnswer, ManifestAnswer, TagAnswer, WhyUnknown};
use crate::registry::Error;

/// Most bytes of a config that is read for its platform.
const CONFIG_MAX: usize = 8 << 20;

/// By how many bytes a config or layer may exceed the size in its manifest and still be read.
const SURPLUS: u64 = 64 << 20;

/// The media type and bytes of a manifest, if they were read now and hash to the digest asked for.
pub(super) type FetchedManifest = Option<(String, Vec<u8>)>;

impl ProbeWalk<'_> {
    pub(super) async fn ask_tag(&self, repository: &str, tag: &str) -> TagAnswer {
        match self.client.head_manifest(repository, tag).await {
            Ok(Some(head)) => TagAnswer::Names(head),
            Ok(None) => TagAnswer::Absent,
            Err(error) => TagAnswer::Unknown(trouble_from(&error)),
        }
    }

    /// Asks for a manifest, with HEAD if its bytes are remembered. Never with `If-None-Match`: 2.8 answers that with 304
    /// without looking whether the manifest exists.
    pub(super) async fn ask_manifest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> (ManifestAnswer, FetchedManifest) {
        let reference = digest.to_string();
        let since = self.options.now.checked_sub(self.options.recheck_after);
        let remembered = since.ok().and_then(|since| self.state.manifest(repository, digest, since));
        if let Some(seen) = remembered.filter(|_| self.options.depth < Depth::Content) {
            match self.client.manifest_size(repository, digest).await {
                // Another size than that of the remembered bytes: the manifest is read again.
                Ok(Some(Some(size))) if size != seen.bytes => {}
                Ok(Some(_)) => return (ManifestAnswer::Present(Arc::new(seen)), None),
                Ok(None) => return (ManifestAnswer::Absent, None),
                Err(error) => return (manifest_answer_from(&error), None),
            }
        }
        match self.client.manifest_as_sent(repository, &reference).await {
            Ok(None) => (ManifestAnswer::Absent, None),
            Err(error) => (manifest_answer_from(&error), None),
            Ok(Some(sent)) => {
                let seen = AnsweredManifest::read(&sent.media_type, &sent.bytes);
                // Schema 1 is signed anew at each GET, so its hash tells nothing.
                if sent.digest != *digest && seen.manifest.kind != Kind::Schema1 {
                    return (ManifestAnswer::WrongBytes(sent.digest), None);
                }
                let read = (sent.digest == *digest).then_some((sent.media_type, sent.bytes));
                (ManifestAnswer::Present(Arc::new(seen)), read)
            }
        }
    }

    /// Asks for a config or layer to which manifests give `size` bytes.
    pub(super) async fn ask_blob(&self, repository: &str, digest: &Digest, size: u64) -> BlobAnswer {
        let answer = if self.options.depth == Depth::Content {
            let most = usize::try_from(size.saturating_add(SURPLUS)).unwrap_or(usize::MAX);
            let hashed = self.client.hash_blob(repository, digest, most).await;
            hashed.map(|found| {
                found.map(|(found, size)| {
                    let content = match found {
                        Some(found) if found == *digest => Content::Right,
                        Some(_) => Content::Wrong,
                        None => Content::Unhashed,
                    };
                    (Some(size), content)
                })
            })
        } else {
            let size = if self.options.last_byte {
                self.client.stored_size_by_last_byte(repository, digest, size).await
            } else {
                self.client.head_blob(repository, digest).await
            };
            size.map(|found| found.map(|size| (size, Content::Unhashed)))
        };
        match answer {
            Ok(Some((size, content))) => BlobAnswer::Present { size, content },
            Ok(None) => BlobAnswer::Absent,
            Err(error) => BlobAnswer::Unknown(trouble_from(&error)),
        }
    }

    /// Reads a config for its platform, which also tells whether it exists. The platform is `None` when the config could not
    /// be read, and `Some(None)` when it names none.
    pub(super) async fn ask_config(
        &self,
        repository: &str,
        config: &Digest,
        size: u64,
    ) -> (BlobAnswer, Option<Option<Platform>>) {
        match self.client.blob(repository, config, CONFIG_MAX).await {
            Ok(Some(bytes)) => {
                // The client has hashed it, but a walk that hashes nothing else does not count that.
                let is_hashing = self.options.depth == Depth::Content;
                let content = if is_hashing { Content::Right } else { Content::Unhashed };
                let size = Some(bytes.len() as u64);
                (BlobAnswer::Present { size, content }, Some(Platform::from_config(&bytes)))
            }
            Ok(None) => (BlobAnswer::Absent, None),
            Err(Error::Mismatch { .. }) => {
                let answer = match self.ask_blob(repository, config, size).await {
                    // It was read, and did not hash to its digest.
                    BlobAnswer::Present { size, .. } => BlobAnswer::Present { size, content: Content::Wrong },
                    answer => answer,
                };
                (answer, None)
            }
            // A config this large is not read, so that its platform stays unknown.
            Err(Error::TooLarge { .. }) => (self.ask_blob(repository, config, size).await, None),
            Err(error) => (BlobAnswer::Unknown(trouble_from(&error)), None),
        }
    }
}

/// The answer that an error stands for: wrong bytes when the registry names another digest than the one asked for.
fn manifest_answer_from(error: &Error) -> ManifestAnswer {
    match error {
        Error::Mismatch { got, .. } => match got.parse() {
            Ok(got) => ManifestAnswer::WrongBytes(got),
            Err(_) => ManifestAnswer::Unknown(trouble_from(error)),
        },
        _ => ManifestAnswer::Unknown(trouble_from(error)),
    }
}

/// Why an error leaves it open whether the object exists.
pub(super) fn trouble_from(error: &Error) -> WhyUnknown {
    match error {
        Error::Spent { .. } => WhyUnknown::NotAsked,
        Error::GaveUp { .. } => WhyUnknown::GaveUp,
        Error::Status { status, .. } if *status >= 500 => WhyUnknown::Server(*status),
        Error::Refused { status, .. } => WhyUnknown::Forbidden(*status),
        Error::Unreachable { .. } | Error::Deadline { .. } => WhyUnknown::Silent(error.to_string()),
        _ => WhyUnknown::Odd(error.to_string()),
    }
}
