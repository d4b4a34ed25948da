//! Why a finding that something here mends stays all the same.

use super::propose::{Deleted, DeletedTags, Scope};
use crate::audit::{Code, Finding, Repair};

/// Why, if this is so because of what was asked for, or because the thing cannot be named. `may_fetch` says that there is
/// another registry to ask for bytes.
pub(super) fn why(
    scope: &Scope<'_>,
    finding: &Finding,
    may_fetch: bool,
    deleted: &Deleted<'_>,
) -> Option<String> {
    if deleted.are_all_of(finding) && scope.deleted_tags != Some(DeletedTags::Restore) {
        let why = if finding.cause.is_none() {
            "only tags lead there whose manifests were probably deleted"
        } else if finding.repair.is_some() {
            "--restore-deleted-tags brings it back, --drop-deleted-tags moves the tag aside"
        } else {
            "--drop-deleted-tags moves the tag aside"
        };
        return Some(why.into());
    }
    let is_gone = matches!(finding.code, Code::TagTargetMissing | Code::ChildMissing | Code::BlobMissing);
    if finding.repair.is_none() && !(may_fetch && is_gone) {
        return None;
    }
    let is_code = scope.only.is_empty() || scope.only.contains(&finding.code);
    if !is_code {
        return Some("left out by --only".into());
    }
    if !scope.has(finding.code, finding.repository.as_deref()) {
        return Some("left out by --repository".into());
    }
    // Names are escaped when they are read.
    let is_escaped = finding.path.as_deref().is_some_and(|path| path.contains('\\'));
    let is_moved = matches!(finding.repair, Some(Repair::MoveAside | Repair::Remove));
    (is_moved && is_escaped).then(|| {
        "its name has control characters, a backslash, or is no UTF-8, so no journal can tell it: move it by hand".into()
    })
}
