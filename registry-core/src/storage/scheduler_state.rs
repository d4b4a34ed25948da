//! Checks the `scheduler-state.json` of a pull-through cache. A server decodes it at its start with Go's JSON decoder into a map
//! of entries, and does not start when that fails (`readState` in `registry/proxy/scheduler/scheduler.go @ v2.8.3`, the same at
//! v3.1.1). No other file of a tree keeps a server from starting.

use jiff::Timestamp;
use serde_json::Value;

use crate::graph::SchedulerFault;

/// The name of the file in the rootdirectory.
pub(crate) const FILE_NAME: &str = "scheduler-state.json";

/// The content of the file when nothing is to expire.
pub(crate) const EMPTY_STATE: &[u8] = b"{}";

/// Most bytes that are read: 64 MiB, some 300,000 entries. A larger file is not checked.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// Why a server does not start with these bytes, if it does not.
pub(crate) fn find_fault(bytes: &[u8]) -> Option<SchedulerFault> {
    if bytes.is_empty() {
        return Some(SchedulerFault::Empty);
    }
    let Ok(state) = serde_json::from_str::<Value>(&String::from_utf8_lossy(bytes)) else {
        return Some(SchedulerFault::NoJson);
    };
    let entries = match state {
        Value::Null => return None,
        Value::Object(entries) => entries,
        _ => return Some(SchedulerFault::NoObject),
    };
    let is_bad = |entry: &Value| match entry {
        Value::Object(fields) => !fields.iter().all(|(name, value)| is_readable(name, value)),
        _ => true,
    };
    entries.values().any(is_bad).then_some(SchedulerFault::BadEntry)
}

/// Whether a field of an entry has the type that Go's decoder expects. Go matches names of fields in any case, and takes null for
/// every type.
fn is_readable(name: &str, value: &Value) -> bool {
    match (name.to_ascii_lowercase().as_str(), value) {
        (_, Value::Null) => true,
        ("key", value) => value.is_string(),
        ("expirydata", Value::String(text)) => {
            let is_plain = text.as_bytes().get(10) == Some(&b'T') && !text.ends_with('z');
            is_plain && text.parse::<Timestamp>().is_ok()
        }
        ("expirydata", _) => false,
        ("entrytype", value) => value.is_i64(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed with docker-registry 2.8.2 and registry 3.1.1: both start with the first texts, and panic at the others.
    #[test]
    fn fault_agrees_with_what_real_servers_start_with() {
        let entry = |entry: &str| format!(r#"{{"app@sha256:aa":{entry}}}"#);
        let starts = [
            "{}".to_owned(),
            "{}\n".into(),
            "null".into(),
            entry("{}"),
            entry(r#"{"Key":"a","ExpiryData":"2030-01-01T00:00:00Z","EntryType":0}"#),
            entry(r#"{"Key":"bad key","ExpiryData":"2020-01-01T00:00:00.5+02:00","EntryType":9,"X":[]}"#),
            entry(r#"{"Key":"a","ExpiryData":null,"EntryType":0}"#),
        ];
        for text in starts {
            assert_eq!(find_fault(text.as_bytes()), None, "{text}");
        }
        use SchedulerFault::{BadEntry, Empty, NoJson, NoObject};
        let stops = [
            (String::new(), Empty),
            ("x".into(), NoJson),
            ("{} x".into(), NoJson),
            ("\u{feff}{}".into(), NoJson),
            ("\0\0\0\0".into(), NoJson),
            (r#"{"a":{"Key":"a"#.into(), NoJson),
            ("[]".into(), NoObject),
            (entry("null"), BadEntry),
            (entry("[]"), BadEntry),
            (r#"{"a":{},"a":null}"#.into(), BadEntry),
            (entry(r#"{"Key":1}"#), BadEntry),
            (entry(r#"{"expirydata":"x"}"#), BadEntry),
            (entry(r#"{"ExpiryData":1}"#), BadEntry),
            (entry(r#"{"ExpiryData":"2030-01-01 00:00:00Z"}"#), BadEntry),
            (entry(r#"{"ExpiryData":"2030-01-01t00:00:00z"}"#), BadEntry),
            (entry(r#"{"EntryType":"0"}"#), BadEntry),
            (entry(r#"{"EntryType":1.5}"#), BadEntry),
            (entry(r#"{"EntryType":1e3}"#), BadEntry),
        ];
        for (text, expected) in stops {
            assert_eq!(find_fault(text.as_bytes()), Some(expected), "{text}");
        }
    }
}
