//! Parses bytes to an envelope as Go's JSON decoder does, which decides what a registry serves.
//!
//! Go replaces invalid UTF-8 and lone surrogates by U+FFFD, and refuses more than 10,000 levels. `serde_json` refuses invalid
//! UTF-8 and lone surrogates, and does not count the levels of skipped values.

use std::borrow::Cow;

use super::lenient::{Context, Seed, TypeMismatch};
use super::raw::Envelope;
use serde::de::DeserializeSeed as _;

/// Deepest nesting that Go's `encoding/json` accepts.
const MAX_DEPTH: usize = 10_000;

/// Reads the envelope and the faults of single fields. `Err` says why a registry cannot read the bytes as JSON.
pub(super) fn read(bytes: &[u8]) -> Result<(Envelope, Vec<TypeMismatch>), String> {
    if depth(bytes) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    let text = std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    decode(&text).or_else(|error| match without_lone_surrogates(&text) {
        Cow::Owned(replaced) => decode(&replaced).map_err(|_| error),
        Cow::Borrowed(_) => Err(error),
    })
}

fn decode(text: &str) -> Result<(Envelope, Vec<TypeMismatch>), String> {
    let mut context = Context::default();
    let mut decoder = serde_json::Deserializer::from_str(text);
    let envelope = Seed::<Envelope>::new(&mut context)
        .deserialize(&mut decoder)
        .and_then(|envelope| decoder.end().map(|()| envelope))
        .map_err(|error| format!("not JSON: line {}, column {}", error.line(), error.column()))?;
    Ok((envelope.unwrap_or_default(), context.faults))
}

/// The deepest nesting of arrays and objects outside strings.
fn depth(bytes: &[u8]) -> usize {
    if bytes.len() <= MAX_DEPTH {
        return 0;
    }
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Replaces every `\uD800` to `\uDFFF` that is not half of a pair by `\uFFFD`.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let escape = text.get(at..at + 6)?;
        u16::from_str_radix(escape.strip_prefix("\\u")?, 16).ok()
    };
    let (mut replaced, mut copied, mut at) = (String::new(), 0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match unit(at) {
            Some(0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0xD800..=0xDFFF) => {
                replaced.push_str(&text[copied..at]);
                replaced.push_str("\\uFFFD");
                at += 6;
                copied = at;
            }
            _ => at += 2,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    replaced.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(replaced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lone_surrogates_are_replaced() {
        assert_eq!(without_lone_surrogates(r#""\ud800""#), r#""\uFFFD""#);
        assert_eq!(without_lone_surrogates(r#""\ud83d\ude00""#), r#""\ud83d\ude00""#);
        assert_eq!(without_lone_surrogates(r#""\\ud800""#), r#""\\ud800""#);
        assert_eq!(without_lone_surrogates(r#""\ud800\ud800x"#), r#""\uFFFD\uFFFDx"#);
        assert_eq!(without_lone_surrogates("\"\\"), "\"\\");
    }
}
