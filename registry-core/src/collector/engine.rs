//! The two collectors that are simulated.

/// Which collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Engine {
    /// `registry` 2.7 and 2.8: goes by `_layers`, marks one level deep.
    #[serde(rename = "2.8")]
    V2_8,
    /// `registry` 3.0 and 3.1: goes by `_manifests`, marks indexes down to their leaves, removes layer links too.
    #[serde(rename = "3")]
    V3,
}
