//! The state that a probe leaves for the next one (schema `registry-fsck/state/1`): the bytes of manifests, which never
//! change, and when each tag was last judged and each config and layer last asked for. The existence of a manifest is not
//! remembered: every run asks for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::responses::{AnsweredManifest, Responses, TagAnswer, WhyUnknown};
use crate::audit::RegistryRole;
use crate::oci::Digest;

/// The name of this shape.
pub const SCHEMA: &str = "registry-fsck/state/1";

/// How many runs are remembered, to know how often there is one.
const RUNS: usize = 10;
/// What was not used for this long is forgotten.
const FORGET_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// After this time a registry that took no push is asked again whether it takes one.
const ASK_ROLE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What earlier runs left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProbeState {
    /// [`SCHEMA`].
    pub schema: String,
    /// The registry that was asked; what was seen of one says nothing of another.
    pub source: String,
    /// Whether it is a pull-through cache, as it was last found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RememberedRole>,
    /// The last runs, oldest first.
    #[serde(default)]
    pub runs: Vec<ProbeRun>,
    /// Manifests by digest.
    #[serde(default)]
    pub manifests: BTreeMap<Digest, RememberedManifest>,
    /// Repositories by name.
    #[serde(default)]
    pub repositories: BTreeMap<String, RememberedRepository>,
}

/// What a registry is, as its answer to an upload told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RememberedRole {
    /// Whether images are pushed there.
    pub role: RegistryRole,
    /// When that was found out.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub asked_at: Timestamp,
}

/// Which repositories a list of tags is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedRepositories {
    /// All of the registry: one that is not listed is gone.
    All,
    /// Some: one that is not listed may be there.
    Some,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ProbeRun {
    /// When it began.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub at: Timestamp,
    /// Tags that it judged.
    pub tags_checked: u64,
}

/// A manifest, read once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RememberedManifest {
    /// Media type as the server gave it.
    pub media_type: String,
    /// Its bytes, in base64.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::base64"))]
    pub data: String,
    /// When it was last met.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub met_at: Timestamp,
}

/// What is remembered of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RememberedRepository {
    /// When each tag was last judged.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, crate::schema::Instant>"))]
    pub tags: BTreeMap<String, Timestamp>,
    /// When each tag was last asked for in vain: what a run may spend did not suffice, or the registry gave no answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, crate::schema::Instant>"))]
    pub tried: BTreeMap<String, Timestamp>,
    /// When the bytes of each manifest were last read here, and right: what another repository sends proves nothing, for
    /// each has links of its own.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<Digest, crate::schema::Instant>"))]
    pub manifests: BTreeMap<Digest, Timestamp>,
    /// Configs and layers that were there.
    #[serde(default)]
    pub blobs: BTreeMap<Digest, RememberedBlob>,
}

/// A config or layer that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RememberedBlob {
    /// Its size in bytes, where the server told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// When it was last asked for.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub asked_at: Timestamp,
    /// When its bytes were last hashed, and right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub hashed_at: Option<Timestamp>,
}

/// Why a text is not the state of this registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The text is not JSON of this schema.
    #[error("it holds no state")]
    Shape(#[from] serde_json::Error),
    /// Another schema.
    #[error("its schema is {0:?}, and {SCHEMA:?} is needed")]
    Schema(String),
    /// The state of another registry.
    #[error("it is the state of {0:?}")]
    Source(String),
}

impl ProbeState {
    /// The state before the first run.
    pub fn new(source: &str) -> Self {
        let (role, runs, manifests, repositories) = Default::default();
        Self { schema: SCHEMA.into(), source: source.into(), role, runs, manifests, repositories }
    }

    /// Reads the state of the registry `source`.
    ///
    /// # Errors
    /// When the text is not a state, or that of another registry.
    pub fn read(text: &str, source: &str) -> Result<Self, StateError> {
        let state: Self = serde_json::from_str(text)?;
        if state.schema != SCHEMA {
            return Err(StateError::Schema(crate::text::escape(&state.schema)));
        }
        if state.source != source {
            return Err(StateError::Source(crate::text::escape(&state.source)));
        }
        Ok(state)
    }

    /// The role of the registry, if it need not be asked again. A registry that took a push is never a cache; one that takes
    /// none may only be read-only for maintenance.
    pub fn known_role(&self, now: Timestamp) -> Option<RegistryRole> {
        let known = self.role.as_ref()?;
        let is_recent = now.duration_since(known.asked_at) < ASK_ROLE_AFTER;
        (known.role == RegistryRole::Primary || is_recent).then_some(known.role)
    }

    /// A manifest that this repository sent since `since`; `None` if the remembered bytes do not hash to the digest.
    pub fn manifest(&self, repository: &str, digest: &Digest, since: Timestamp) -> Option<AnsweredManifest> {
        self.repositories.get(repository)?.manifests.get(digest).filter(|read_at| **read_at >= since)?;
        let remembered = self.manifests.get(digest)?;
        let bytes = STANDARD.decode(&remembered.data).ok()?;
        (Digest::hash(digest.algorithm(), &bytes) == *digest)
            .then(|| AnsweredManifest::read(&remembered.media_type, &bytes))
    }

    /// Remembers the bytes of a manifest, which a repository sent and which hash to its digest.
    pub fn note_manifest(
        &mut self,
        repository: &str,
        digest: Digest,
        media_type: &str,
        bytes: &[u8],
        now: Timestamp,
    ) {
        let (media_type, data) = (media_type.to_owned(), STANDARD.encode(bytes));
        self.manifests.insert(digest, RememberedManifest { media_type, data, met_at: now });
        self.repositories.entry(repository.to_owned()).or_default().manifests.insert(digest, now);
    }

    /// Remembers which tags a run judged, and which it asked for in vain.
    pub fn note_tags(&mut self, seen: &Responses, judged: &HashSet<(String, String)>, now: Timestamp) {
        for (name, repository) in &seen.repositories {
            for (tag, answer) in &repository.tags {
                let is_judged = judged.contains(&(name.clone(), tag.clone()));
                let is_asked =
                    !matches!(answer, TagAnswer::Unknown(WhyUnknown::NotAsked | WhyUnknown::GaveUp));
                if !is_judged && !is_asked {
                    continue;
                }
                let known = self.repositories.entry(name.clone()).or_default();
                let times = if is_judged { &mut known.tags } else { &mut known.tried };
                times.insert(tag.clone(), now);
            }
        }
    }

    /// Ends a run: remembers it, and forgets what was not used for long, and tags and repositories that no longer exist.
    /// `tags` holds the tags of each repository whose list was read; `listed` tells whether these are all repositories.
    pub fn finish_run(
        &mut self,
        run: ProbeRun,
        tags: &BTreeMap<String, Vec<String>>,
        listed: ListedRepositories,
    ) {
        let now = run.at;
        self.runs.push(run);
        let surplus = self.runs.len().saturating_sub(RUNS);
        self.runs.drain(..surplus);
        let is_recent = |at: Timestamp| now.duration_since(at) < FORGET_AFTER;
        self.manifests.retain(|_, manifest| is_recent(manifest.met_at));
        if listed == ListedRepositories::All {
            self.repositories.retain(|name, _| tags.contains_key(name));
        }
        for (name, repository) in &mut self.repositories {
            repository.blobs.retain(|_, blob| is_recent(blob.asked_at));
            repository.manifests.retain(|digest, at| is_recent(*at) && self.manifests.contains_key(digest));
            if let Some(tags) = tags.get(name) {
                let tags: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
                repository.tags.retain(|tag, _| tags.contains(tag.as_str()));
                repository.tried.retain(|tag, _| tags.contains(tag.as_str()));
            }
        }
    }

    /// Median of the seconds between the last runs; `None` before the second run.
    pub fn seconds_between_runs(&self) -> Option<i64> {
        let mut gaps: Vec<i64> =
            self.runs.windows(2).map(|two| two[1].at.as_second() - two[0].at.as_second()).collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn state_of_another_registry_or_schema_is_refused() {
        let error = |text: &str| ProbeState::read(text, "https://a.example").unwrap_err().to_string();
        insta::assert_snapshot!(error("{}"), @"it holds no state");
        insta::assert_snapshot!(error(r#"{"schema":"registry-fsck/state/2","source":""}"#), @r#"its schema is "registry-fsck/state/2", and "registry-fsck/state/1" is needed"#);
        let other = serde_json::to_string(&ProbeState::new("https://b.example")).unwrap();
        insta::assert_snapshot!(error(&other), @r#"it is the state of "https://b.example""#);
    }

    #[test]
    fn remembered_bytes_that_do_not_hash_to_their_digest_are_not_used() {
        let mut state = ProbeState::new("x");
        let digest = Digest::hash(Algorithm::Sha256, b"{}");
        state.note_manifest("app", digest, "application/json", b"{}", at(100));
        assert!(state.manifest("app", &digest, at(100)).is_some());
        assert!(state.manifest("app", &digest, at(101)).is_none(), "read too long ago");
        assert!(state.manifest("web", &digest, at(100)).is_none(), "read in another repository");
        state.note_manifest("app", digest, "application/json", b"{ }", at(100));
        assert!(state.manifest("app", &digest, at(100)).is_none());
    }

    #[test]
    fn deleted_and_long_unused_entries_are_forgotten() {
        let mut state = ProbeState::new("x");
        let digest = Digest::hash(Algorithm::Sha256, b"{}");
        state.note_manifest("a", digest, "application/json", b"{}", at(0));
        for name in ["a", "b"] {
            let tags = [("t1".to_owned(), at(0)), ("t2".to_owned(), at(0))].into();
            let blob = RememberedBlob { size: None, asked_at: at(0), hashed_at: None };
            state.repositories.insert(
                name.into(),
                RememberedRepository { tags, blobs: [(digest, blob)].into(), ..Default::default() },
            );
        }
        let listed = BTreeMap::from([("a".to_owned(), vec!["t2".to_owned()])]);
        state.finish_run(ProbeRun { at: at(40 * 86400), tags_checked: 1 }, &listed, ListedRepositories::All);
        assert_eq!(state.repositories.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(state.repositories["a"].tags.keys().collect::<Vec<_>>(), ["t2"]);
        assert!(state.repositories["a"].blobs.is_empty() && state.manifests.is_empty());
    }

    #[test]
    fn only_a_registry_that_took_no_push_is_asked_again() {
        let mut state = ProbeState::new("x");
        assert_eq!(state.known_role(at(0)), None);
        state.role = Some(RememberedRole { role: RegistryRole::Cache, asked_at: at(0) });
        assert_eq!(
            (state.known_role(at(3600)), state.known_role(at(86400))),
            (Some(RegistryRole::Cache), None)
        );
        state.role = Some(RememberedRole { role: RegistryRole::Primary, asked_at: at(0) });
        assert_eq!(state.known_role(at(1_000_000_000)), Some(RegistryRole::Primary));
    }

    #[test]
    fn pace_is_the_median_of_the_last_gaps() {
        let mut state = ProbeState::new("x");
        assert_eq!(state.seconds_between_runs(), None);
        for second in [0, 900, 1800, 9000] {
            state.finish_run(
                ProbeRun { at: at(second), tags_checked: 1 },
                &BTreeMap::new(),
                ListedRepositories::Some,
            );
        }
        assert_eq!(state.seconds_between_runs(), Some(900));
    }
}
