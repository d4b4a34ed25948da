//! Why a row to delete stays, and why a run stops: as data, and in words. JSON has the words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cause::text_conversions;
use crate::oci::Digest;
#[cfg(feature = "storage")]
use crate::repair::{WhyFailed, WhyRefused, WhySkipped, WhyStopped};
use crate::text::escape;

text_conversions!(WhyNotDeleted, WhyWorse, WhyUnread, WhyHalted);

/// Why a row to delete stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyNotDeleted {
    /// The run ended before it.
    RunStopped,
    /// The run ended before its package.
    StoppedBefore,
    /// The run was asked to stop.
    Asked,
    /// The run on a tree was interrupted.
    Interrupted,
    /// Its package could not be listed again, and why.
    Unlisted(String),
    /// Its package could not be read again, and why.
    Unread(String),
    /// Its package changed since it was planned.
    Drifted(PackageDrift),
    /// There is no safe order of deletions for it.
    NoOrder,
    /// The journal could not be written.
    NoJournal,
    /// The images could not be held for an undo, and why.
    NotHeld(String),
    /// This row needs it, and stays.
    NeededBy(String),
    /// It belongs to this row, which stays.
    BelongsTo(String),
    /// Something that stays needs it now.
    Needed,
    /// Its subject in another package is still there.
    SubjectThere {
        /// The subject.
        digest: Digest,
        /// The other package.
        package: String,
    },
    /// It is unknown whether its subject in another package is gone.
    SubjectUnknown {
        /// The subject.
        digest: Digest,
        /// The other package.
        package: String,
        /// What happened.
        why: String,
    },
    /// This row of its image was pushed again.
    Repushed(String),
    /// This row of its image names another manifest.
    Renamed(String),
    /// A row of its image could not be read again.
    RowUnread {
        /// The row.
        version: String,
        /// What happened.
        why: String,
    },
    /// A row of its image could not be deleted.
    NotDeleted {
        /// The row.
        version: String,
        /// What the server answered.
        why: String,
    },
    /// The server's answer to its deletion.
    Answer(String),
    /// On a tree: its package could not be read again after the tags were moved.
    AfterTags(WhyUnread),
    /// It was not tried.
    NotTried,
    /// On a tree: it is not what was planned any more.
    #[cfg(feature = "storage")]
    Spared(WhySkipped),
    /// On a tree: it could not be moved.
    #[cfg(feature = "storage")]
    Failed(WhyFailed),
    /// On a tree: the run stopped at it.
    Halted(WhyHalted),
    /// The words of a cause that was read from JSON.
    Said(String),
}

impl fmt::Display for WhyNotDeleted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunStopped => out.write_str("the run stopped"),
            Self::StoppedBefore => out.write_str("the run stopped before this package"),
            Self::Asked => out.write_str("it was asked to stop"),
            Self::Interrupted => out.write_str("it was interrupted"),
            Self::Unlisted(why) => write!(out, "the package could not be listed again: {why}"),
            Self::Unread(why) => write!(out, "the package could not be read again: {why}"),
            Self::Drifted(drift) => drift.fmt(out),
            Self::NoOrder => out.write_str("no safe order was found"),
            Self::NoJournal => out.write_str("the journal could not be written"),
            Self::NotHeld(why) => write!(out, "what goes could not be held for an undo: {why}"),
            Self::NeededBy(version) => write!(out, "{version} stays, which needs it"),
            Self::BelongsTo(version) => write!(out, "{version} stays, which this belongs to"),
            Self::Needed => out.write_str("something that stays needs it now"),
            Self::SubjectThere { digest, package } => write!(out, "{digest} is still there in {package}"),
            Self::SubjectUnknown { digest, package, why } => {
                write!(out, "whether {digest} is gone from {package} is not known: {why}")
            }
            Self::Repushed(version) => write!(out, "{version} was pushed again since it was planned"),
            Self::Renamed(version) => write!(out, "{version} names another manifest now"),
            Self::RowUnread { version, why } => write!(out, "{version} could not be read again: {why}"),
            Self::NotDeleted { version, why } => write!(out, "{version} could not be deleted: {why}"),
            Self::Answer(why) => out.write_str(why),
            Self::AfterTags(why) => why.fmt(out),
            Self::NotTried => out.write_str("it was not tried"),
            #[cfg(feature = "storage")]
            Self::Spared(why) => why.fmt(out),
            #[cfg(feature = "storage")]
            Self::Failed(why) => why.fmt(out),
            Self::Halted(why) => why.fmt(out),
            Self::Said(words) => out.write_str(words),
        }
    }
}

/// How a package changed since it was planned, so that nothing may be deleted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackageDrift {
    /// A row is new, and its manifest cannot be read.
    Unreadable {
        /// The row.
        version: String,
    },
    /// A row names another manifest than in the plan.
    OtherDigest {
        /// The row.
        version: String,
        /// The manifest that it names.
        now: Digest,
        /// The manifest in the plan, if it was known.
        planned: Option<Digest>,
    },
    /// A row is new and needs a manifest that is to be deleted.
    Needs {
        /// The row.
        version: String,
        /// The manifest that it needs.
        needed: Digest,
    },
    /// A tag that was to stay is gone.
    Gone {
        /// The tag.
        version: String,
    },
    /// A tag that was to stay and was whole is not any more.
    Broken {
        /// The tag.
        version: String,
        /// The manifest that is gone.
        part: Digest,
    },
}

impl fmt::Display for PackageDrift {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { version } => write!(out, "{version} is new and cannot be read"),
            Self::OtherDigest { version, now, planned } => {
                let was = planned.map_or_else(|| "something unknown".to_owned(), |digest| digest.to_string());
                write!(out, "{version} names {now}, and the plan has {was}")
            }
            Self::Needs { version, needed } => write!(out, "{version} is new and needs {needed}"),
            Self::Gone { version } => {
                write!(out, "{} was to stay and is gone since it was planned", escape(version))
            }
            Self::Broken { version, part } => {
                write!(out, "{} was whole when it was planned, and {part} is gone since", escape(version))
            }
        }
    }
}

/// How a kept image got worse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyWorse {
    /// A tag that was whole is gone.
    Gone {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
    },
    /// A tag that was whole is listed and does not answer.
    NoAnswer {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
    },
    /// A tag that was whole is not any more.
    Broken {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
        /// The manifest that does not answer.
        part: Digest,
    },
    /// A tag was pushed during the run, and needs a manifest that was deleted.
    Pushed {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
        /// The deleted manifest.
        lost: Digest,
    },
    /// On a tree: a tag needs something whose link was moved aside.
    Unlinked {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
        /// The digest of the link.
        lost: Digest,
    },
    /// The words of a cause that was read from JSON.
    Said(String),
}

impl fmt::Display for WhyWorse {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone { package, tag } => {
                write!(out, "{package}:{} was whole before this run and is gone now", escape(tag))
            }
            Self::NoAnswer { package, tag } => write!(
                out,
                "{package}:{} was whole before this run and is listed and does not answer now",
                escape(tag)
            ),
            Self::Broken { package, tag, part } => write!(
                out,
                "{package}:{} was whole before this run and is not now: {part} does not answer",
                escape(tag)
            ),
            Self::Pushed { package, tag, lost } => write!(
                out,
                "{package}:{} was pushed during this run and needs {lost}, which went; push it again",
                escape(tag)
            ),
            Self::Unlinked { package, tag, lost } => write!(
                out,
                "{package}:{} needs {lost}, whose link was moved aside: undo this run by its journal",
                escape(tag)
            ),
            Self::Said(words) => out.write_str(words),
        }
    }
}

/// What could not be read again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyUnread {
    /// A tag that was whole before the run.
    Tag {
        /// Its package.
        package: String,
        /// The tag.
        tag: String,
        /// What happened.
        why: String,
    },
    /// The kept images of a package.
    Kept {
        /// The package.
        package: String,
        /// What happened.
        why: String,
    },
    /// On a tree: a package, after its tags and before its links were moved.
    AfterTags {
        /// The package.
        package: String,
        /// What happened.
        why: String,
    },
    /// The words of a cause that was read from JSON.
    Said(String),
}

impl fmt::Display for WhyUnread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { package, tag, why } => write!(
                out,
                "{package}:{} was whole before this run and could not be looked at again: {why}",
                escape(tag)
            ),
            Self::Kept { package, why } => {
                write!(out, "{package}: what is kept could not be looked at again: {why}")
            }
            Self::AfterTags { package, why } => {
                write!(out, "{package}: it could not be read again after its tags went: {why}")
            }
            Self::Said(words) => out.write_str(words),
        }
    }
}

/// Why a run on a tree halted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum WhyHalted {
    /// A step stopped the run.
    #[cfg(feature = "storage")]
    Stopped(WhyStopped),
    /// Something is in the way of a step.
    #[cfg(feature = "storage")]
    Refused(WhyRefused),
    /// The tree cannot be changed at all, and why.
    NoAccess(String),
    /// The words of a cause that was read from JSON.
    Said(String),
}

impl fmt::Display for WhyHalted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "storage")]
            Self::Stopped(why) => why.fmt(out),
            #[cfg(feature = "storage")]
            Self::Refused(why) => why.fmt(out),
            Self::NoAccess(why) | Self::Said(why) => out.write_str(why),
        }
    }
}
