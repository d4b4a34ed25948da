//! Descriptors, which are the references in a manifest, and platforms, which descriptors may name.

use std::fmt;
use std::str::FromStr;

use super::{Digest, MediaType};

/// One reference of a manifest, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Declared media type; `None` when absent or empty.
    pub media_type: Option<MediaType>,
    /// Digest of the referenced bytes; `None` when the text is no digest (there is a `Problem` then).
    pub digest: Option<Digest>,
    /// Declared size in bytes, which may be negative; 0 when absent, as a server reads it.
    pub size: i64,
    /// Whether the descriptor has URLs: a client fetches the bytes from there, not from the registry.
    pub has_urls: bool,
    /// The platform of an entry of an index.
    pub platform: Option<Platform>,
    /// Whether this is a BuildKit attestation (annotation `vnd.docker.reference.type`).
    pub is_attestation: bool,
}

/// An operating system and a processor: `linux/arm64/v8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: Box<str>,
    /// Processor architecture, such as `arm64`.
    pub architecture: Box<str>,
    /// Variant of the architecture, such as `v8`; empty when there is none.
    pub variant: Box<str>,
}

impl Platform {
    /// Whether an image for `self` is one for `wanted`.
    ///
    /// A `wanted` without variant accepts every variant; `arm64` without variant and `arm64/v8` are the same.
    pub(crate) fn satisfies(&self, wanted: &Self) -> bool {
        let variant = |platform: &Self| match (&*platform.architecture, &*platform.variant) {
            ("arm64", "") => "v8".to_owned(),
            (_, variant) => variant.to_owned(),
        };
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_empty() || variant(self) == variant(wanted))
    }

    /// The platform in the configuration of an image; `None` where the operating system or the architecture is missing.
    pub fn from_config(bytes: &[u8]) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Config {
            os: Box<str>,
            architecture: Box<str>,
            #[serde(default)]
            variant: Option<Box<str>>,
        }
        let config: Config = serde_json::from_slice(bytes).ok()?;
        let variant = config.variant.unwrap_or_default();
        let platform = Self { os: config.os, architecture: config.architecture, variant };
        let is_complete = !platform.os.is_empty() && !platform.architecture.is_empty();
        is_complete.then_some(platform)
    }

    /// Whether this names no platform: it is `unknown/unknown`, as in attestations, or a part is empty.
    pub fn is_unknown(&self) -> bool {
        self.os.is_empty()
            || self.architecture.is_empty()
            || &*self.os == "unknown" && &*self.architecture == "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}/{}", self.os, self.architecture);
        if !self.variant.is_empty() {
            text.push('/');
            text.push_str(&self.variant);
        }
        out.pad(&text)
    }
}

/// A text that names no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a platform: write it as os/architecture or os/architecture/variant, such as linux/arm64")]
pub struct ParsePlatformError;

impl FromStr for Platform {
    type Err = ParsePlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        let (Some(os), Some(architecture)) = (parts.next(), parts.next()) else {
            return Err(ParsePlatformError);
        };
        let variant = parts.next();
        if os.is_empty() || architecture.is_empty() || variant == Some("") || parts.next().is_some() {
            return Err(ParsePlatformError);
        }
        Ok(Self {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.unwrap_or_default().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_config_gives_no_platform() {
        let parse = |text: &str| Platform::from_config(text.as_bytes()).map(|platform| platform.to_string());
        assert_eq!(
            parse(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#).unwrap(),
            "linux/arm64/v8"
        );
        assert_eq!(parse(r#"{"os":"linux","architecture":"arm64","variant":null}"#).unwrap(), "linux/arm64");
        for none in ["{}", r#"{"os":"","architecture":""}"#, r#"{"os":"linux","architecture":""}"#, "[]", ""]
        {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[test]
    fn wanted_platform_without_variant_matches_every_variant() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert!(platform("linux/arm64/v8").satisfies(&platform("linux/arm64")));
        assert!(platform("linux/arm64").satisfies(&platform("linux/arm64/v8")));
        assert!(platform("linux/arm/v7").satisfies(&platform("linux/arm")));
        assert!(!platform("linux/arm/v6").satisfies(&platform("linux/arm/v7")));
        assert!(!platform("windows/amd64").satisfies(&platform("linux/amd64")));
        for bad in ["", "linux", "linux/", "/amd64", "a/b/", "a/b/c/d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?} was taken");
        }
        insta::assert_snapshot!("linux".parse::<Platform>().unwrap_err(), @"not a platform: write it as os/architecture or os/architecture/variant, such as linux/arm64");
    }
}
