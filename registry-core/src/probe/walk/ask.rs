//! One question each, and what its answer means.

use std::sync::Arc;

use super::{Depth, Walk};
use crate::graph::Content;
use crate::oci::manifest::Kind;
use crate::oci::{Digest, Platform};
use crate::probe::seen::{BlobAnswer, ManifestAnswer, SeenManifest, TagAnswer, Trouble};
use crate::registry::Error;

/// Most bytes of a config that is read for its platform.
const CONFIG_MAX: usize = 8 << 20;

/// The media type and bytes of a manifest that was read now, and is what was asked for.
pub(super) type Read = Option<(String, Vec<u8>)>;

impl Walk<'_> {
    pub(super) async fn ask_tag(&self, repository: &str, tag: &str) -> TagAnswer {
        if !self.budget.take() {
            return TagAnswer::Unknown(Trouble::NotAsked);
        }
        match self.client.head_manifest(repository, tag).await {
            Ok(Some(head)) => TagAnswer::Names(head),
            Ok(None) => TagAnswer::Absent,
            Err(error) => TagAnswer::Unknown(trouble(&error)),
        }
    }

    /// Asks for a manifest: with HEAD where its bytes are remembered, never with a condition, for 2.8 answers 304 without
    /// looking whether it is there.
    pub(super) async fn ask_manifest(&self, repository: &str, digest: &Digest) -> (ManifestAnswer, Read) {
        if !self.budget.take() {
            return (ManifestAnswer::Unknown(Trouble::NotAsked), None);
        }
        let reference = digest.to_string();
        let since = self.options.now.checked_sub(self.options.recheck_after);
        let remembered = since.ok().and_then(|since| self.state.manifest(digest, since));
        if let Some(seen) = remembered.filter(|_| self.options.depth < Depth::Content) {
            let answer = match self.client.head_manifest(repository, &reference).await {
                Ok(Some(_)) => ManifestAnswer::Present(Arc::new(seen)),
                Ok(None) => ManifestAnswer::Absent,
                Err(error) => refused(&error),
            };
            return (answer, None);
        }
        match self.client.manifest_as_sent(repository, &reference).await {
            Ok(None) => (ManifestAnswer::Absent, None),
            Err(error) => (refused(&error), None),
            Ok(Some(sent)) => {
                let seen = SeenManifest::read(&sent.media_type, &sent.bytes);
                // Schema 1 is signed anew at each GET, so its bytes tell nothing.
                if sent.digest != *digest && seen.manifest.kind != Kind::Schema1 {
                    return (ManifestAnswer::WrongBytes(sent.digest), None);
                }
                let read = (sent.digest == *digest).then_some((sent.media_type, sent.bytes));
                (ManifestAnswer::Present(Arc::new(seen)), read)
            }
        }
    }

    pub(super) async fn ask_blob(&self, repository: &str, digest: &Digest) -> BlobAnswer {
        if !self.budget.take() {
            return BlobAnswer::Unknown(Trouble::NotAsked);
        }
        let answer = if self.options.depth == Depth::Content {
            let hashed = self.client.hash_blob(repository, digest).await;
            hashed.map(|found| {
                found.map(|(found, size)| {
                    let content = if found == *digest { Content::Right } else { Content::Wrong };
                    (Some(size), content)
                })
            })
        } else {
            let head = self.client.head_blob(repository, digest).await;
            head.map(|found| found.map(|size| (size, Content::Unhashed)))
        };
        match answer {
            Ok(Some((size, content))) => BlobAnswer::Present { size, content },
            Ok(None) => BlobAnswer::Absent,
            Err(error) => BlobAnswer::Unknown(trouble(&error)),
        }
    }

    /// The platform that a config names; `None` when it could not be read.
    pub(super) async fn ask_platform(&self, repository: &str, config: &Digest) -> Option<Option<Platform>> {
        #[derive(serde::Deserialize)]
        struct Config {
            os: Option<Box<str>>,
            architecture: Option<Box<str>>,
            variant: Option<Box<str>>,
        }
        if !self.budget.take() {
            return None;
        }
        let bytes = self.client.blob(repository, config, CONFIG_MAX).await.ok()??;
        let Ok(config) = serde_json::from_slice::<Config>(&bytes) else { return Some(None) };
        let (Some(os), Some(architecture)) = (config.os, config.architecture) else { return Some(None) };
        Some(Some(Platform { os, architecture, variant: config.variant.unwrap_or_default() }))
    }
}

/// What a registry that sends another digest than the one asked for means, and every other error.
fn refused(error: &Error) -> ManifestAnswer {
    match error {
        Error::Mismatch { got, .. } => match got.parse() {
            Ok(got) => ManifestAnswer::WrongBytes(got),
            Err(_) => ManifestAnswer::Unknown(trouble(error)),
        },
        _ => ManifestAnswer::Unknown(trouble(error)),
    }
}

/// What an error says of the thing asked for.
pub(super) fn trouble(error: &Error) -> Trouble {
    match error {
        Error::Status { status, .. } if *status >= 500 => Trouble::Server(*status),
        Error::Refused { status, .. } => Trouble::Forbidden(*status),
        Error::Unreachable { .. } | Error::Deadline { .. } => Trouble::Silent(error.to_string()),
        _ => Trouble::Odd(error.to_string()),
    }
}
