//! Turns names from disk and from manifests into text that is safe to print, without control characters and without loss. Also
//! orders text by the numbers in it.

use std::ffi::OsStr;
use std::fmt::Write as _;

/// Escapes control characters, bidirectional overrides and backslashes, which could steer a terminal or break a line.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|character| push_escaped(&mut out, character));
    out
}

/// The same as [`escape`], but keeps backslashes: a second defence at output, for text that was escaped at input.
pub fn without_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\\' { out.push('\\') } else { push_escaped(&mut out, character) }
    }
    out
}

/// The same as [`escape`] for a file name: bytes that are not UTF-8 become `\xNN`.
pub fn escape_os(name: &OsStr) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        chunk.valid().chars().for_each(|character| push_escaped(&mut out, character));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// A sort key by which numbers in a text are ordered by value, so that `v10` comes after `v9`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NaturalOrder(Vec<TextPiece>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum TextPiece {
    Text(String),
    Number(u128),
}

impl NaturalOrder {
    /// The sort key of a text.
    pub fn new(text: &str) -> Self {
        let mut pieces: Vec<TextPiece> = Vec::new();
        for character in text.chars() {
            match (character.to_digit(10), pieces.last_mut()) {
                (Some(digit), Some(TextPiece::Number(number))) => {
                    *number = number.saturating_mul(10).saturating_add(u128::from(digit));
                }
                (Some(digit), _) => pieces.push(TextPiece::Number(u128::from(digit))),
                (None, Some(TextPiece::Text(text))) => text.push(character),
                (None, _) => pieces.push(TextPiece::Text(character.to_string())),
            }
        }
        Self(pieces)
    }
}

/// Whether a character may steer a terminal, break a line, or change the direction of the text around it.
pub fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_escaped(out: &mut String, character: char) {
    if character == '\\' || is_control(character) {
        out.extend(character.escape_default());
    } else {
        out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_controls_are_escaped() {
        assert_eq!(escape("a\u{1b}[31m\nb\\"), r"a\u{1b}[31m\nb\\");
        assert_eq!(escape("x\u{202e}y ä"), r"x\u{202e}y ä");
    }

    #[cfg(unix)]
    #[test]
    fn invalid_utf8_is_kept_as_hexadecimal() {
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(escape_os(OsStr::from_bytes(b"a\xffb\n")), r"a\xffb\n");
    }
}
