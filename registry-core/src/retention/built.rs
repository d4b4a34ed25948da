//! When an image was built, as its config tells.

use jiff::Timestamp;

/// The part of a config that says when the image was built.
#[derive(serde::Deserialize)]
struct Dated {
    created: Option<String>,
}

/// The date in the bytes of a config; `None` when there is none that can be read.
pub(super) fn built_at(config: &[u8]) -> Option<Timestamp> {
    serde_json::from_slice::<Dated>(config).ok()?.created?.parse().ok()
}
