//! Whether the times of a tree's links are those of its pushes. A push writes the revision link, then the entry of the tag's
//! history, then the tag's `current/link`, all three anew even where they exist (`registry/storage/linkedblobstore.go`,
//! `registry/storage/tagstore.go @ v2.8.3`; 3.1.1 does the same). A copy that keeps no times (`cp -r`, `kubectl cp`, a bucket
//! that was synchronised) writes the files in an order of its own, and links that are long apart.

#[cfg(feature = "storage")]
use jiff::SignedDuration;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The longest time between the links that one push writes. A push of another tag writes a revision link anew, so that it
/// may be younger than a tag; it is never so much older.
#[cfg(feature = "storage")]
const ONE_PUSH: SignedDuration = SignedDuration::from_secs(60);

/// Signs that tags of a package have the times of a copy (`cp -r`, `kubectl cp`, a bucket that was synchronised), not those of
/// their pushes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CopiedTimes {
    /// The last time that the copy is seen to have written: of tags that are not younger the time of the push is not known.
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
    /// When the tag was pushed. `None` when no push wrote its link: it has no entry in its history, or an entry that was
    /// written long before (a tag that was restored, or set by hand).
    pub(super) fn pushed(&self) -> Option<Timestamp> {
        let history = self.history?;
        (self.current.duration_since(history) <= ONE_PUSH).then_some(self.current)
    }

    /// Of the tags of one repository: the signs of a copy.
    pub(super) fn copied<'t>(tags: impl IntoIterator<Item = &'t Self>) -> Option<CopiedTimes> {
        let mut found: Option<CopiedTimes> = None;
        for tag in tags {
            // What no push wrote says nothing of the others.
            let (Some(current), Some(history)) = (tag.pushed(), tag.history) else { continue };
            let is_older = history > current;
            let is_younger = tag.revision.is_some_and(|revision| current.duration_since(revision) > ONE_PUSH);
            if is_older || is_younger {
                let until = current.max(history);
                let found = found.get_or_insert(CopiedTimes {
                    until,
                    older_than_history: 0,
                    younger_than_revision: 0,
                });
                found.until = found.until.max(until);
                found.older_than_history += u64::from(is_older);
                found.younger_than_revision += u64::from(is_younger);
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
    fn what_a_push_writes_and_what_it_does_not() {
        // A push; one after which another tag of the same manifest was pushed; a tag without a revision link.
        for tag in
            [times(100, Some(100), Some(99)), times(100, Some(99), Some(5_000)), times(100, Some(100), None)]
        {
            assert_eq!((tag.pushed(), LinkTimes::copied([&tag])), (Some(at(100)), None));
        }
        // Restored, or set by hand.
        for tag in [times(1_000, Some(100), Some(100)), times(1_000, None, Some(100))] {
            assert_eq!((tag.pushed(), LinkTimes::copied([&tag])), (None, None));
        }
        let copied = [
            times(200, Some(201), Some(199)),
            times(300, Some(300), Some(150)),
            times(100, Some(100), Some(100)),
        ];
        let signs = CopiedTimes { until: at(300), older_than_history: 1, younger_than_revision: 1 };
        assert_eq!(LinkTimes::copied(&copied), Some(signs));
    }
}
