//! Finding codes: the names that users script against. They are unique, in kebab-case, and never renamed;
//! docs/findings.md has a heading for each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something cannot be read, or not be trusted.
    Error,
    /// Nothing is broken yet.
    Warning,
    /// Leftovers and garbage.
    Info,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $severity:ident;)+) => {
        /// What was found. The order is that in which codes explain each other: the first that fits is reported.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code in kebab-case, as reports hold it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            /// The severity, unless the finding itself sets another one.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity),+ }
            }
        }
    };
}

codes! {
    /// A tag's folder has no `current/link`.
    TagLinkMissing = "tag-link-missing", Error;
    /// A tag's link is not exactly one sha256 digest.
    TagLinkInvalid = "tag-link-invalid", Error;
    /// The tag's digest has no revision link, its bytes are present.
    TagTargetUnlinked = "tag-target-unlinked", Error;
    /// The bytes of the tag's manifest are gone.
    TagTargetMissing = "tag-target-missing", Error;
    /// A child of an index has no revision link; its bytes are here.
    ChildLinkMissing = "child-link-missing", Error;
    /// The bytes of a child of an index are gone.
    ChildMissing = "child-missing", Error;
    /// A revision link is not exactly one digest.
    RevisionLinkInvalid = "revision-link-invalid", Error;
    /// A revision link names another digest than its path.
    RevisionLinkMismatch = "revision-link-mismatch", Error;
    /// An untagged revision link without bytes.
    ManifestMissing = "manifest-missing", Warning;
    /// A manifest that the server answers an error to.
    ManifestUnreadable = "manifest-unreadable", Error;
    /// A readable manifest whose bytes do not hash to its digest.
    ManifestDigestMismatch = "manifest-digest-mismatch", Error;
    /// A repository with manifests has no `_layers` folder.
    LayersFolderMissing = "layers-folder-missing", Error;
    /// A config or layer has no layer link in its repository.
    LayerLinkMissing = "layer-link-missing", Error;
    /// A layer link is not exactly one digest.
    LayerLinkInvalid = "layer-link-invalid", Error;
    /// A layer link names another digest than its path, and is no legal alias.
    LayerLinkMismatch = "layer-link-mismatch", Error;
    /// A descriptor's digest does not parse, or its size is negative.
    DescriptorInvalid = "descriptor-invalid", Error;
    /// The bytes are right, and the descriptor's size is a lie.
    DescriptorSizeMismatch = "descriptor-size-mismatch", Error;
    /// The bytes of a config or layer are gone.
    BlobMissing = "blob-missing", Error;
    /// A file's size differs from the descriptor, and its bytes hash wrong.
    BlobSizeMismatch = "blob-size-mismatch", Error;
    /// Right size, wrong hash.
    BlobDigestMismatch = "blob-digest-mismatch", Error;
    /// Wrong bytes under a digest that nothing names yet.
    UnreferencedBlobWrong = "unreferenced-blob-wrong", Warning;
    /// Online only: served as another media type than it, or the index that names it, says.
    MediaTypeMismatch = "media-type-mismatch", Warning;
    /// Online only: an object answers 5xx on every retry while others answer.
    ServerError = "server-error", Error;
    /// A file or folder that could not be read, or a symbolic link.
    PathUnread = "path-unread", Error;
    /// `verify` only: a reference names another manifest than it should.
    ReferenceMismatch = "reference-mismatch", Error;
    /// `verify` only: an image has no referrer, such as a signature, of the kind that was required.
    ReferrerMissing = "referrer-missing", Error;
    /// An image lacks a platform that was required.
    PlatformMissing = "platform-missing", Error;
    /// A collector would abort, or delete reachable data, because of this.
    GcHazard = "gc-hazard", Warning;
    /// A referrer that only an untagged collection decides about.
    ReferrerUntagged = "referrer-untagged", Warning;
    /// A stray or misnamed entry.
    PathUnexpected = "path-unexpected", Warning;
    /// A layer link whose bytes are gone and which no manifest needs.
    LayerLinkDangling = "layer-link-dangling", Info;
    /// A layer link that no manifest of its repository needs.
    LayerLinkUnreferenced = "layer-link-unreferenced", Info;
    /// An entry of a tag's history that no longer resolves.
    TagHistoryDangling = "tag-history-dangling", Info;
    /// An upload that nobody finishes any more.
    UploadStale = "upload-stale", Info;
    /// A temporary file that its writer left.
    TempFileStale = "temp-file-stale", Info;
    /// Manifests that no tag reaches: garbage to an untagged collection.
    ManifestUntagged = "manifest-untagged", Info;
    /// Blobs that no manifest reaches: garbage to any collection.
    BlobUnreferenced = "blob-unreferenced", Info;
    /// Incomplete, young, reached by no tag: a push under way.
    InFlight = "in-flight", Info;
}

impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().find(|code| code.as_str() == text).copied().ok_or(UnknownCode)
    }
}

/// The error for a text that is not a finding code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such finding code (docs/findings.md lists them)")]
pub struct UnknownCode;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn codes_and_severities_never_change() {
        let list: Vec<_> = Code::ALL.iter().map(|code| format!("{:8}{code}", code.severity())).collect();
        insta::assert_snapshot!(list.join("\n"), @r"
        error   tag-link-missing
        error   tag-link-invalid
        error   tag-target-unlinked
        error   tag-target-missing
        error   child-link-missing
        error   child-missing
        error   revision-link-invalid
        error   revision-link-mismatch
        warning manifest-missing
        error   manifest-unreadable
        error   manifest-digest-mismatch
        error   layers-folder-missing
        error   layer-link-missing
        error   layer-link-invalid
        error   layer-link-mismatch
        error   descriptor-invalid
        error   descriptor-size-mismatch
        error   blob-missing
        error   blob-size-mismatch
        error   blob-digest-mismatch
        warning unreferenced-blob-wrong
        warning media-type-mismatch
        error   server-error
        error   path-unread
        error   reference-mismatch
        error   referrer-missing
        error   platform-missing
        warning gc-hazard
        warning referrer-untagged
        warning path-unexpected
        info    layer-link-dangling
        info    layer-link-unreferenced
        info    tag-history-dangling
        info    upload-stale
        info    temp-file-stale
        info    manifest-untagged
        info    blob-unreferenced
        info    in-flight
        ");
    }
}
