//! Why a finding that something here mends stays all the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::propose::{DeletedTags, ProbablyDeleted, Scope};
use crate::audit::{Code, Finding, Repair};
use crate::cause::in_words;

in_words!(WhyLeft);

/// Why a finding stays, where more can be said than that nothing here mends it. In JSON it is its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyLeft {
    /// Only tags lead there whose manifests were probably deleted through the API.
    BelowDeleted,
    /// The manifest of the tag was probably deleted through the API.
    Deleted {
        /// Whether it could be brought back.
        is_restorable: bool,
    },
    /// Its code is none of those that were asked for.
    Only,
    /// It lies in none of the repositories that were asked for.
    Repository,
    /// No journal can tell its name.
    Name,
    /// A tag that is whole is served with what would be moved aside.
    Serves {
        /// The repository of the tag.
        repository: String,
        /// The tag.
        tag: String,
    },
    /// The other registry has something else under the digest.
    OtherSize {
        /// The other registry.
        supply: String,
        /// Bytes that it has.
        bytes: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// The other registry lacks it too.
    NotThereEither {
        /// The other registry.
        supply: String,
    },
    /// A reason of a report that was read back.
    Said(String),
}

impl fmt::Display for WhyLeft {
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

/// Why, if this is so because of what was asked for, or because the thing cannot be named. `may_fetch` says that there is
/// another registry to ask for bytes.
pub(super) fn why(
    scope: &Scope<'_>,
    finding: &Finding,
    may_fetch: bool,
    deleted: &ProbablyDeleted<'_>,
) -> Option<WhyLeft> {
    if deleted.are_all_of(finding) && scope.deleted_tags != Some(DeletedTags::Restore) {
        return Some(match finding.cause {
            None => WhyLeft::BelowDeleted,
            Some(_) => WhyLeft::Deleted { is_restorable: finding.repair.is_some() },
        });
    }
    let is_gone = matches!(finding.code, Code::TagTargetMissing | Code::ChildMissing | Code::BlobMissing);
    if finding.repair.is_none() && !(may_fetch && is_gone) {
        return None;
    }
    let is_code = scope.only.is_empty() || scope.only.contains(&finding.code);
    if !is_code {
        return Some(WhyLeft::Only);
    }
    if !scope.has(finding.code, finding.repository.as_deref()) {
        return Some(WhyLeft::Repository);
    }
    // Names are escaped when they are read.
    let is_escaped = finding.path.as_deref().is_some_and(|path| path.contains('\\'));
    let is_moved = matches!(finding.repair, Some(Repair::MoveAside | Repair::Remove));
    (is_moved && is_escaped).then_some(WhyLeft::Name)
}
