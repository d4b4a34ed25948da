//! Why a finding stays although a repair for it exists.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::propose::{DeletedTags, ProbablyDeleted, Scope};
use crate::audit::{Code, Finding, Repair};
use crate::cause::text_conversions;

text_conversions!(WhyRemaining);

/// Why a finding stays although a repair for it exists. In JSON it is its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyRemaining {
    /// Every tag that leads to it has a manifest that was probably deleted through the API.
    BelowDeleted,
    /// The manifest of the tag was probably deleted through the API.
    Deleted {
        /// Whether the manifest could be brought back.
        is_restorable: bool,
    },
    /// Its code was not asked for.
    Only,
    /// Its repository was not asked for.
    Repository,
    /// The journal cannot hold its name.
    Name,
    /// A whole tag needs what would be moved aside.
    Serves {
        /// The repository of the tag.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// The other registry has bytes of another size under the digest.
    OtherSize {
        /// The other registry.
        supply: String,
        /// The size there.
        bytes: u64,
        /// The size that is needed.
        needed: u64,
    },
    /// The other registry lacks it too.
    NotThereEither {
        /// The other registry.
        supply: String,
    },
    /// A reason read from a report.
    Said(String),
}

impl fmt::Display for WhyRemaining {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowDeleted => out.write_str("only tags lead there whose manifests were probably deleted"),
            Self::Deleted { is_restorable: true } => {
                out.write_str("it can be brought back, or its tag moved aside, where that is asked for")
            }
            Self::Deleted { is_restorable: false } => {
                out.write_str("its tag can be moved aside, where that is asked for")
            }
            Self::Only => out.write_str("its code was not asked for"),
            Self::Repository => out.write_str("its repository was not asked for"),
            Self::Name => out.write_str(
                "its name has control characters, a backslash, or is no UTF-8, so no journal can tell it: move it by hand",
            ),
            Self::Serves { repository, tag } => {
                write!(out, "{repository}:{tag} is served as a whole only with what is filed there now")
            }
            Self::OtherSize { supply, bytes, needed } => {
                write!(out, "{supply} has {bytes} bytes under that digest, {needed} are needed")
            }
            Self::NotThereEither { supply } => write!(out, "{supply} does not have it either"),
            Self::Said(why) => out.write_str(why),
        }
    }
}

/// Why a finding stays because of the scope, or because its name cannot be written to the journal. `may_fetch` tells that there
/// is another registry to fetch from.
pub(super) fn why_left(
    scope: &Scope<'_>,
    finding: &Finding,
    may_fetch: bool,
    deleted: &ProbablyDeleted<'_>,
) -> Option<WhyRemaining> {
    if deleted.include_all_tags_of(finding) && scope.deleted_tags != Some(DeletedTags::Restore) {
        return Some(match finding.cause {
            None => WhyRemaining::BelowDeleted,
            Some(_) => WhyRemaining::Deleted { is_restorable: finding.repair.is_some() },
        });
    }
    let is_missing = matches!(finding.code, Code::TagTargetMissing | Code::ChildMissing | Code::BlobMissing);
    if finding.repair.is_none() && !(may_fetch && is_missing) {
        return None;
    }
    if !scope.includes_code(finding.code) {
        return Some(WhyRemaining::Only);
    }
    if !scope.includes(finding.code, finding.repository.as_deref()) {
        return Some(WhyRemaining::Repository);
    }
    // Names with control characters were escaped when they were read.
    let is_escaped = finding.path.as_deref().is_some_and(|path| path.contains('\\'));
    let is_moved = matches!(finding.repair, Some(Repair::MoveAside | Repair::Remove));
    (is_moved && is_escaped).then_some(WhyRemaining::Name)
}
