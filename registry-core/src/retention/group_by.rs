//! Groups of tags: a regular expression whose captures say which images are ranked together, such as those of one minor
//! version, of one variant or of one branch.

use regex::{Regex, RegexBuilder};

use super::letter_case::LetterCase;

/// The longest pattern, in bytes.
const TEXT_MAX: usize = 1024;
/// The most bytes of memory that a compiled pattern may take; its cache may take as many again.
const COMPILED_MAX: usize = 1 << 20;

/// A regular expression by which the tags of a rule are grouped. Matching takes time linear in the length of a tag.
#[derive(Debug, Clone)]
pub struct GroupBy {
    text: String,
    regex: Regex,
    fold: bool,
}

/// The captures of one tag. Tags with the same captures are ranked together. A capture that took no part in the match is `None`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagGroup(Vec<Option<String>>);

/// Why a text cannot group tags.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupByError {
    /// It is too long.
    #[error("it is longer than {TEXT_MAX} bytes")]
    Long,
    /// It is no regular expression, or one that takes too much memory.
    #[error("{}", on_one_line(.0))]
    Regex(#[from] regex::Error),
    /// It captures nothing.
    #[error("it captures nothing; put what names a group in parentheses, such as ^(\\d+\\.\\d+)")]
    NoCapture,
}

/// The cause alone of a pattern's error; `regex` shows the pattern too, on several lines.
fn on_one_line(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(most) => {
            format!("it needs more than {most} bytes when it is compiled; write it with fewer repetitions")
        }
        other => {
            let text = other.to_string();
            let why = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
            format!("it is no regular expression: {}", why.unwrap_or("it cannot be parsed"))
        }
    }
}

impl GroupBy {
    /// Compiles a pattern. If the case of letters is ignored, captures that differ in case only are one group.
    ///
    /// # Errors
    /// When the text is no regular expression, captures nothing, or takes more memory than a pattern may.
    pub fn new(text: &str, case: LetterCase) -> Result<Self, GroupByError> {
        let fold = case == LetterCase::Ignored;
        if text.len() > TEXT_MAX {
            return Err(GroupByError::Long);
        }
        let regex = RegexBuilder::new(text)
            .case_insensitive(fold)
            .size_limit(COMPILED_MAX)
            .dfa_size_limit(COMPILED_MAX)
            .nest_limit(50)
            .build()?;
        if regex.captures_len() < 2 {
            return Err(GroupByError::NoCapture);
        }
        Ok(Self { text: text.to_owned(), regex, fold })
    }

    /// The group of a tag; `None` when the pattern does not match it.
    pub fn group(&self, tag: &str) -> Option<TagGroup> {
        let captures = self.regex.captures(tag)?;
        let text = |found: regex::Match<'_>| {
            if self.fold { found.as_str().to_lowercase() } else { found.as_str().to_owned() }
        };
        Some(TagGroup(captures.iter().skip(1).map(|capture| capture.map(text)).collect()))
    }

    /// A group as text for a message, such as `minor=1.2 variant=alpine`. A capture without a name shows its text alone, and one
    /// that took no part in the match shows `-`.
    pub fn group_text(&self, group: &TagGroup) -> String {
        let names = self.regex.capture_names().skip(1);
        let show_capture = |(name, text): (Option<&str>, &Option<String>)| {
            let text = text.as_deref().unwrap_or("-");
            name.map_or_else(|| text.to_owned(), |name| format!("{name}={text}"))
        };
        names.zip(&group.0).map(show_capture).collect::<Vec<_>>().join(" ")
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::{GroupBy, LetterCase};

    #[test]
    fn unusable_pattern_is_refused_with_its_cause() {
        let error = |text: &str| GroupBy::new(text, LetterCase::Exact).unwrap_err().to_string();
        insta::assert_snapshot!(error("^("), @"it is no regular expression: unclosed group");
        insta::assert_snapshot!(error(r"^\d+\.\d+"), @r"it captures nothing; put what names a group in parentheses, such as ^(\d+\.\d+)");
        insta::assert_snapshot!(error(r"^(\w{1000}){1000}"), @"it needs more than 1048576 bytes when it is compiled; write it with fewer repetitions");
        insta::assert_snapshot!(error(&format!("({})", "a".repeat(2000))), @"it is longer than 1024 bytes");
        insta::assert_snapshot!(error(r"(a)\1"), @"it is no regular expression: backreferences are not supported");
    }

    #[test]
    fn captures_of_a_tag_make_its_group() {
        let by = GroupBy::new(r"^(?P<minor>\d+\.\d+)(?:\.\d+)?(?:-(?P<variant>\w+))?$", LetterCase::Ignored)
            .unwrap();
        let shown = |tag: &str| by.group(tag).map(|group| by.group_text(&group));
        assert_eq!(shown("1.2.3").as_deref(), Some("minor=1.2 variant=-"));
        assert_eq!(shown("1.2.3-Alpine").as_deref(), Some("minor=1.2 variant=alpine"));
        assert_eq!(by.group("1.2.3-ALPINE"), by.group("1.2.9-alpine"));
        assert_ne!(by.group("1.2.3-alpine"), by.group("1.2.3"));
        assert_eq!(by.group("main"), None);
        let case = GroupBy::new("^([a-zA-Z]+)-", LetterCase::Exact).unwrap();
        assert_ne!(case.group("Main-1"), case.group("main-1"));
        assert_eq!(case.group_text(&case.group("Main-1").unwrap()), "Main");
    }
}
