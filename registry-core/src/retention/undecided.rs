//! Why the ranking does not decide about an image, which then stays whatever its age: the causes as data, and in words.

use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// Why the ranking does not decide about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Undecided {
    /// When one of its tags was pushed is not known.
    NoPushTime,
    /// It has a tag that is no version.
    NoVersion,
    /// It has a tag that is a number alone, and others are versions with dots: the two are not compared.
    NumberAmongVersions,
    /// Its version differs from that of the last image that stays in build metadata only, which orders nothing.
    EqualVersion,
    /// Neither its config nor an annotation says when it was built.
    NoDate,
    /// It is an entry of a kaniko build cache.
    KanikoCache,
}

/// How many images of a package the ranking does not decide about, for one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct UndecidedImages {
    /// Why it does not.
    pub why: Undecided,
    /// How many images that are; all of them stay.
    pub images: u64,
}

impl Undecided {
    /// The reason why an image stays; `tag` is the one that the ranking cannot use.
    pub(super) fn reason(self, tag: &str) -> Reason {
        let tag = tag.to_owned();
        match self {
            Self::NoPushTime => Reason::NoPushTime { tag },
            Self::NoVersion => Reason::NoVersion,
            Self::NumberAmongVersions => Reason::NumberAmongVersions { tag },
            Self::EqualVersion => Reason::EqualVersion,
            Self::NoDate => Reason::NoDate,
            Self::KanikoCache => Reason::KanikoCache,
        }
    }
}

impl std::fmt::Display for UndecidedImages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (noun, has, are, stay) = match self.images {
            1 => ("image", "has", "is", "stays"),
            _ => ("images", "have", "are", "stay"),
        };
        write!(f, "{} {noun} ", self.images)?;
        match self.why {
            Undecided::NoPushTime => write!(f, "{has} no push time and {stay}"),
            Undecided::NoVersion => write!(f, "{has} a tag that is no version and {stay}"),
            Undecided::NumberAmongVersions => write!(
                f,
                "{has} a number as a tag, which is not compared with the versions of other images, and {stay}"
            ),
            Undecided::EqualVersion => {
                write!(f, "{has} the version of the last that stays, but for build metadata, and {stay}")
            }
            Undecided::NoDate => write!(f, "{has} no date and {stay}"),
            Undecided::KanikoCache => write!(
                f,
                "{are} entries of a kaniko build cache and {stay}; a rule with `keep-cache = false` gives them an age"
            ),
        }
    }
}
