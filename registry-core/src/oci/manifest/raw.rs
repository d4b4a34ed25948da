//! A manifest as written: the fields of every kind of manifest. `lenient` reads them, `classify` checks them.

use serde::de::MapAccess;

use super::super::{Digest, MediaType, Platform};
use super::lenient::{Context, FieldShape, Seed, read_fields, read_into};

/// Annotations, of which only one is kept.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) is_attestation: bool,
}

impl FieldShape for Annotations {
    const NAME: &'static str = "an object of strings";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, mut map: A) -> Result<Option<Self>, A::Error> {
        let mut annotations = Self::default();
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let value = map.next_value_seed(Seed::<String>::new(context))?;
            annotations.is_attestation |=
                key == "vnd.docker.reference.type" && value.as_deref() == Some("attestation-manifest");
        }
        Ok(Some(annotations))
    }
}

/// A platform. Only in an index a registry reads its `features`.
#[derive(Debug, Default)]
pub(super) struct RawPlatform {
    pub(super) platform: Platform,
}

impl FieldShape for RawPlatform {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let (mut os, mut architecture, mut variant) = (None::<String>, None::<String>, None::<String>);
        let names = &["architecture", "os", "os.version", "os.features", "variant", "features"];
        read_fields(context, map, names, |name, context, map| match name {
            "os" => read_into(context, map, &mut os),
            "architecture" => read_into(context, map, &mut architecture),
            "variant" => read_into(context, map, &mut variant),
            "os.version" => read_into(context, map, &mut None::<String>),
            _ => read_into(context, map, &mut None::<Vec<Option<String>>>),
        })?;
        let text = |value: Option<String>| value.unwrap_or_default().into_boxed_str();
        let platform = Platform { os: text(os), architecture: text(architecture), variant: text(variant) };
        Ok(Some(Self { platform }))
    }
}

/// The digest of a descriptor, or the start of a text that is no digest.
#[derive(Debug)]
pub(super) struct RawDigest(pub(super) Result<Digest, String>);

impl FieldShape for RawDigest {
    const NAME: &'static str = "a string";
    fn text(text: &str) -> Option<Self> {
        Some(Self(text.parse().map_err(|_| text.chars().take(100).collect())))
    }
}

impl FieldShape for MediaType {
    const NAME: &'static str = "a string";
    fn text(text: &str) -> Option<Self> {
        Some(Self::new(text))
    }
}

/// A descriptor as written.
#[derive(Debug, Default)]
pub(super) struct RawDescriptor {
    pub(super) media_type: Option<MediaType>,
    pub(super) digest: Option<RawDigest>,
    pub(super) size: Option<i64>,
    urls: Option<Vec<Option<String>>>,
    annotations: Option<Annotations>,
    platform: Option<RawPlatform>,
}

impl RawDescriptor {
    pub(super) fn has_urls(&self) -> bool {
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }
    pub(super) fn is_attestation(&self) -> bool {
        self.annotations.as_ref().is_some_and(|annotations| annotations.is_attestation)
    }
    pub(super) fn platform(&mut self) -> Option<Platform> {
        self.platform.take().map(|raw| raw.platform)
    }
}

impl FieldShape for RawDescriptor {
    const NAME: &'static str = "an object";
    fn merge_over(self, earlier: Self) -> Self {
        let urls = match (self.urls, earlier.urls) {
            (Some(urls), Some(earlier)) => Some(urls.merge_over(earlier)),
            (urls, earlier) => urls.or(earlier),
        };
        Self {
            media_type: self.media_type.or(earlier.media_type),
            digest: self.digest.or(earlier.digest),
            size: self.size.or(earlier.size),
            urls,
            annotations: self.annotations.or(earlier.annotations),
            platform: self.platform.or(earlier.platform),
        }
    }
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let mut raw = Self::default();
        let names = &["mediaType", "size", "digest", "urls", "annotations", "platform"];
        read_fields(context, map, names, |name, context, map| match name {
            "mediaType" => read_into(context, map, &mut raw.media_type),
            "size" => read_into(context, map, &mut raw.size),
            "digest" => read_into(context, map, &mut raw.digest),
            "urls" => read_into(context, map, &mut raw.urls),
            "annotations" => read_into(context, map, &mut raw.annotations),
            _ => read_into(context, map, &mut raw.platform),
        })?;
        Ok(Some(raw))
    }
}

/// An entry of schema 1's `fsLayers`.
#[derive(Debug)]
pub(super) struct FsLayer {
    pub(super) blob_sum: Option<RawDigest>,
}

impl FieldShape for FsLayer {
    const NAME: &'static str = "an object";
    fn merge_over(self, earlier: Self) -> Self {
        Self { blob_sum: self.blob_sum.or(earlier.blob_sum) }
    }
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let mut blob_sum = None;
        read_fields(context, map, &["blobSum"], |_, context, map| read_into(context, map, &mut blob_sum))?;
        Ok(Some(Self { blob_sum }))
    }
}

/// An entry of schema 1's `history`; only the types of its fields are checked.
#[derive(Debug)]
pub(super) struct History;

impl FieldShape for History {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        read_fields(context, map, &["v1Compatibility"], |_, context, map| {
            read_into(context, map, &mut None::<String>)
        })?;
        Ok(Some(Self))
    }
}

/// All fields that any kind of manifest has.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    pub(super) schema_version: Option<i64>,
    media_type: Option<MediaType>,
    pub(super) config: Option<RawDescriptor>,
    pub(super) layers: Option<Vec<Option<RawDescriptor>>>,
    pub(super) manifests: Option<Vec<Option<RawDescriptor>>>,
    pub(super) blobs: Option<Vec<Option<RawDescriptor>>>,
    pub(super) fs_layers: Option<Vec<Option<FsLayer>>>,
    pub(super) subject: Option<RawDescriptor>,
}

impl Envelope {
    /// The media type, if there is one.
    pub(super) fn media_type(&self) -> Option<MediaType> {
        self.media_type.clone().filter(|media_type| !media_type.as_str().is_empty())
    }
}

impl FieldShape for Envelope {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let mut envelope = Self::default();
        let names = &[
            "schemaVersion",
            "mediaType",
            "config",
            "layers",
            "manifests",
            "annotations",
            "subject",
            "blobs",
            "fsLayers",
            "history",
            "name",
            "tag",
            "architecture",
        ];
        read_fields(context, map, names, |name, context, map| match name {
            "schemaVersion" => read_into(context, map, &mut envelope.schema_version),
            "mediaType" => read_into(context, map, &mut envelope.media_type),
            "config" => read_into(context, map, &mut envelope.config),
            "layers" => read_into(context, map, &mut envelope.layers),
            "manifests" => read_into(context, map, &mut envelope.manifests),
            "blobs" => read_into(context, map, &mut envelope.blobs),
            "subject" => read_into(context, map, &mut envelope.subject),
            "fsLayers" => read_into(context, map, &mut envelope.fs_layers),
            "annotations" => read_into(context, map, &mut None::<Annotations>),
            "history" => read_into(context, map, &mut None::<Vec<Option<History>>>),
            _ => read_into(context, map, &mut None::<String>),
        })?;
        Ok(Some(envelope))
    }
}
