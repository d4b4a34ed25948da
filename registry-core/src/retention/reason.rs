//! Why a row stays or goes: as data, for other code, and in words, for people. A plan has both. Users script against the
//! codes: they are unique, kebab-case and never renamed; docs/retention.md has a table of them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::follow::FollowedSubject;
use super::package::Loss;
use crate::oci::Digest;

/// Why a row stays or goes. `Display` puts it into words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "code", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// A pattern of tags to keep matches the tag.
    KeepPattern {
        /// The tag.
        tag: String,
        /// The pattern.
        pattern: String,
    },
    /// The tag spells `cache`.
    BuildCacheTag {
        /// The tag.
        tag: String,
    },
    /// The config of the image has the media type of a build cache.
    BuildCache,
    /// The media type of the manifest is not known, so nobody knows what it needs.
    UnknownMediaType,
    /// The server signs the manifest anew at each answer (schema 1).
    SignedAnew,
    /// The image, an image in it, or an index that names it runs somewhere.
    InUse,
    /// An undo put it back.
    Restored {
        /// When.
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
        at: Timestamp,
    },
    /// It was pushed within the time in which everything stays.
    YoungerThanKeepWithin {
        /// The tag, where a rule decides by it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tag: Option<String>,
        /// The rule; absent for that of all tags.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<RuleName>,
    },
    /// Nobody knows when the tag was pushed.
    NoPushTime {
        /// The tag.
        tag: String,
    },
    /// The image has a tag that is no version.
    NoVersion,
    /// The tag is a number alone, and others are versions with dots.
    NumberAmongVersions {
        /// The tag.
        tag: String,
    },
    /// Only build metadata tells its version from that of the last image that stays.
    EqualVersion,
    /// Nobody knows when the image was built.
    NoDate,
    /// It is an entry of a kaniko build cache.
    KanikoCache,
    /// No rule matches the tag.
    NoRule {
        /// The tag.
        tag: String,
    },
    /// It is among the newest.
    Newest {
        /// Its place, from 1.
        rank: u64,
        /// How many stay by rank.
        keep_last: u32,
        /// The rule; absent for that of all tags.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<RuleName>,
    },
    /// It is not among the newest.
    BeyondNewest {
        /// Its place, from 1.
        rank: u64,
        /// How many stay by rank.
        keep_last: u32,
        /// The rule; absent for that of all tags.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        rule: Option<RuleName>,
    },
    /// An image that stays names it.
    ChildOf {
        /// The image.
        parent: ImageTags,
    },
    /// It is the manifest of an image that stays, listed under its digest.
    ManifestOf {
        /// The image.
        image: ImageTags,
    },
    /// It is part of an image that goes; the row stays for the server's own collector.
    LeftToCollector {
        /// Whether it is the manifest of the image or a child of it.
        part: ImagePart,
        /// The image.
        image: ImageTags,
    },
    /// It is part of an image that goes, and its link goes with the image unless something that stays needs it.
    GoesWithImage {
        /// Whether it is the manifest of the image or a child of it.
        part: ImagePart,
        /// The image.
        image: ImageTags,
    },
    /// No rule matches any tag of the image that names it.
    ChildWithoutRule {
        /// The image.
        parent: ImageTags,
    },
    /// The image that names it goes, and it lies below all that stay by rank.
    ChildBelowRanked {
        /// The image.
        parent: ImageTags,
    },
    /// The image that names it goes, and it does not lie below all that stay by rank.
    ChildAmongRanked {
        /// The image.
        parent: ImageTags,
    },
    /// A manifest in it is not there. It stays or goes for the reasons beside this one.
    Broken {
        /// The manifest that is not there.
        digest: Digest,
        /// What is lost of it.
        lost: Loss,
    },
    /// A manifest in it is not there, and it lies below all that stay by rank.
    BrokenBelowRanked {
        /// The manifest that is not there.
        digest: Digest,
        /// What is lost of it.
        lost: Loss,
    },
    /// A manifest in it is not there, and fewer whole images than asked for are newer.
    BrokenAmongRanked {
        /// The manifest that is not there.
        digest: Digest,
        /// What is lost of it.
        lost: Loss,
    },
    /// Its manifest has a `subject`, which stays.
    RefersTo {
        /// The subject.
        subject: Digest,
    },
    /// The tag is named after a digest; what becomes of that decides.
    Follows(FollowedSubject),
    /// An index that no tag reaches names the manifest, which has no other row.
    OnlyRowOfChild,
    /// It would go, and a guard refused what was decided about the package.
    SparedByGuard,
    /// The package was not decided about.
    PackageSkipped,
    /// Nobody knows what the tag names.
    UnknownDigest,
    /// The digest that the row is named after cannot be read.
    UnreadableDigest,
    /// Nothing that stays reaches the manifest, and it is older than the grace.
    Unreached,
    /// The manifest is listed and not there.
    ListedAndAbsent,
    /// No tag reaches the manifest.
    Untagged,
}

/// What a row is of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ImagePart {
    /// The manifest that the tags of the image name.
    Manifest,
    /// A manifest that the image names, at whatever depth.
    Child,
}

/// Tags of an image, to name it by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ImageTags {
    /// The newest three at most, newest first.
    pub tags: Vec<String>,
    /// How many more it has.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: u64,
}

/// A rule, to name it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RuleName {
    /// Its place among the rules, from 1.
    pub number: u64,
    /// Its pattern of tags.
    pub tags: String,
    /// The group of tags, where the rule has groups.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
pub(super) const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Writes ` of rule 1 (v*)`, and nothing for the rule of all tags.
pub(super) struct OfRule<'r>(pub(super) &'r Option<RuleName>);

impl fmt::Display for OfRule<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(RuleName { number, tags, group }) = self.0 else { return Ok(()) };
        write!(out, " of rule {number} ({tags})")?;
        group.as_ref().map_or(Ok(()), |group| write!(out, ", group {group}"))
    }
}

impl fmt::Display for ImageTags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.tags.join(", "))?;
        if self.more > 0 { write!(out, " and {} more", self.more) } else { Ok(()) }
    }
}

impl fmt::Display for ImagePart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Manifest => "the manifest of",
            Self::Child => "child of",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeepPattern { tag, pattern } => write!(out, "tag {tag} matches keep pattern {pattern}"),
            Self::BuildCacheTag { tag } => write!(out, "tag {tag} names a build cache"),
            Self::BuildCache => write!(out, "it is a build cache"),
            Self::UnknownMediaType => {
                write!(out, "its media type is not known, so what it needs is not known")
            }
            Self::SignedAnew => write!(
                out,
                "schema 1, which this server signs anew at each answer, so that its bytes cannot be checked"
            ),
            Self::InUse => write!(out, "in use"),
            Self::Restored { at } => write!(out, "restored: an undo put it back at {at}"),
            Self::YoungerThanKeepWithin { tag: None, rule } => {
                write!(out, "younger than keep-within{}", OfRule(rule))
            }
            Self::YoungerThanKeepWithin { tag: Some(tag), rule } => {
                write!(out, "tag {tag} is younger than keep-within{}", OfRule(rule))
            }
            Self::NoPushTime { tag } => write!(out, "when tag {tag} was pushed is not known"),
            Self::NoVersion => write!(out, "it has a tag that is no version"),
            Self::NumberAmongVersions { tag } => {
                write!(out, "tag {tag} is a number alone, which is not compared with versions")
            }
            Self::EqualVersion => {
                write!(out, "its version is that of the last image that stays, but for build metadata")
            }
            Self::NoDate => write!(out, "when it was built is not known"),
            Self::KanikoCache => write!(out, "it is an entry of a kaniko build cache"),
            Self::NoRule { tag } => write!(out, "no rule matches tag {tag}"),
            Self::Newest { rank, keep_last, rule } => {
                write!(out, "newest {rank} of {keep_last}{}", OfRule(rule))
            }
            Self::BeyondNewest { rank, keep_last, rule } => {
                write!(out, "rank {rank}, beyond newest {keep_last}{}", OfRule(rule))
            }
            Self::ChildOf { parent } => write!(out, "{} {parent}", ImagePart::Child),
            Self::ManifestOf { image } => write!(out, "{} {image}", ImagePart::Manifest),
            Self::LeftToCollector { part, image } => {
                write!(out, "{part} {image}, which goes; left to the server's collector")
            }
            Self::GoesWithImage { part, image } => write!(
                out,
                "{part} {image}, which goes; its link goes too, unless something that stays needs it"
            ),
            Self::ChildWithoutRule { parent } => write!(out, "child of {parent}, of which no rule matches"),
            Self::ChildBelowRanked { parent } => {
                write!(out, "child of {parent}, which goes; below all that stay by rank")
            }
            Self::ChildAmongRanked { parent } => {
                write!(out, "child of {parent}, which goes; not below all that stay by rank")
            }
            Self::Broken { .. } | Self::BrokenBelowRanked { .. } | Self::BrokenAmongRanked { .. } => {
                write!(out, "broken: {}", self.broken_text().unwrap_or_default())
            }
            Self::RefersTo { subject } => write!(out, "refers to {subject}, which stays"),
            Self::Follows(followed) => followed.fmt(out),
            Self::OnlyRowOfChild => write!(out, "the only row of a manifest that an untagged index names"),
            Self::SparedByGuard => write!(out, "spared: a guard refused this package"),
            Self::PackageSkipped => write!(out, "the package is skipped"),
            Self::UnknownDigest => write!(out, "its digest is not known"),
            Self::UnreadableDigest => write!(out, "its digest cannot be read"),
            Self::Unreached => write!(out, "no root reaches it, and it is older than the grace"),
            Self::ListedAndAbsent => write!(out, "listed, and its manifest answers 404"),
            Self::Untagged => write!(out, "no tag reaches it"),
        }
    }
}

impl Reason {
    /// For a broken image, what it lacks, and whether it ranks below all images that stay by rank.
    pub fn broken_text(&self) -> Option<String> {
        match self {
            Self::Broken { digest, lost } => Some(format!("{digest} {lost}")),
            Self::BrokenBelowRanked { digest, lost } => {
                Some(format!("{digest} {lost}; below all that stay by rank"))
            }
            Self::BrokenAmongRanked { digest, lost } => {
                Some(format!("{digest} {lost}; stays until as many whole images as asked for are newer"))
            }
            _ => None,
        }
    }
}
