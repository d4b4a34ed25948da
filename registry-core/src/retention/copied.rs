//! Whether the times of a tree's links are those of its pushes, or those of a copy of the tree.
//!
//! A push writes the revision link, then the entry of the tag's history, then the tag's `current/link`, all three anew even
//! where they exist (`registry/storage/linkedblobstore.go`, `registry/storage/tagstore.go @ v2.8.3`; 3.1.1 does the same). A
//! copy that keeps no times (`cp -r`, `kubectl cp`, a bucket that was synchronised) writes the files in another order, and the
//! links of one push long apart.

#[cfg(feature = "storage")]
use jiff::SignedDuration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest time between the links that one push writes. A revision link may be younger than a tag, because a push of another
/// tag writes it anew; it is never older than the tag by more than this.
#[cfg(feature = "storage")]
const ONE_PUSH: SignedDuration = SignedDuration::from_secs(60);

/// Signs that tags of a package have the times of a copy (`cp -r`, `kubectl cp`, a bucket that was synchronised), not those of
/// their pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CopiedTimes {
    /// The last time at which the copy is known to have written. The push times of tags that are not younger are unknown.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub until: Timestamp,
    /// Tags whose link is older than its entry in their history.
    pub older_than_history: u64,
    /// Tags whose link is over 60 seconds younger than the revision link of their manifest.
    pub younger_than_revision: u64,
}

/// When the links behind one tag were written.
#[cfg(feature = "storage")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkTimes {
    /// `current/link`.
    pub(super) current: Timestamp,
    /// The entry of the tag's history for the same manifest.
    pub(super) history: Option<Timestamp>,
    /// The revision link of that manifest.
    pub(super) revision: Option<Timestamp>,
}

#[cfg(feature = "storage")]
impl LinkTimes {
    /// When the tag was pushed. `None` when no push wrote its link: the history has no entry for it, or one that was written long
    /// before (the tag was restored, or set by hand).
    pub(super) fn push_time(&self) -> Option<Timestamp> {
        let history = self.history?;
        (self.current.duration_since(history) <= ONE_PUSH).then_some(self.current)
    }

    /// The signs of a copy among the tags of one repository.
    pub(super) fn find_copy_signs<'t>(tags: impl IntoIterator<Item = &'t Self>) -> Option<CopiedTimes> {
        let mut found: Option<CopiedTimes> = None;
        for tag in tags {
            // A link that no push wrote tells nothing about the other links.
            let (Some(current), Some(history)) = (tag.push_time(), tag.history) else { continue };
            let is_older = history > current;
            let is_younger = tag.revision.is_some_and(|revision| current.duration_since(revision) > ONE_PUSH);
            if is_older || is_younger {
                let until = current.max(history);
                let none = CopiedTimes { until, older_than_history: 0, younger_than_revision: 0 };
                let signs = found.get_or_insert(none);
                signs.until = signs.until.max(until);
                signs.older_than_history += u64::from(is_older);
                signs.younger_than_revision += u64::from(is_younger);
            }
        }
        found
    }
}

#[cfg(all(test, feature = "storage"))]
mod tests {
    use super::{CopiedTimes, LinkTimes};
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn times(current: i64, history: Option<i64>, revision: Option<i64>) -> LinkTimes {
        LinkTimes { current: at(current), history: history.map(at), revision: revision.map(at) }
    }

    #[test]
    fn links_far_apart_show_a_copy_or_a_tag_that_no_push_wrote() {
        // A push; one after which another tag of the same manifest was pushed; a tag without a revision link.
        for tag in
            [times(100, Some(100), Some(99)), times(100, Some(99), Some(5_000)), times(100, Some(100), None)]
        {
            assert_eq!((tag.push_time(), LinkTimes::find_copy_signs([&tag])), (Some(at(100)), None));
        }
        // Restored, or set by hand.
        for tag in [times(1_000, Some(100), Some(100)), times(1_000, None, Some(100))] {
            assert_eq!((tag.push_time(), LinkTimes::find_copy_signs([&tag])), (None, None));
        }
        let copied = [
            times(200, Some(201), Some(199)),
            times(300, Some(300), Some(150)),
            times(100, Some(100), Some(100)),
        ];
        let signs = CopiedTimes { until: at(300), older_than_history: 1, younger_than_revision: 1 };
        assert_eq!(LinkTimes::find_copy_signs(&copied), Some(signs));
    }
}
