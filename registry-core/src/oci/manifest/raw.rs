//! A manifest as written: the fields of any kind of manifest, read by `lenient`, judged by `classify`.

use serde::de::MapAccess;

use super::super::{Digest, MediaType, Platform};
use super::lenient::{Context, FieldShape, Seed, fields, take};

/// Annotations: strings by name, of which one matters here.
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

/// A platform; `features` is a field of it only in an index.
#[derive(Debug, Default)]
pub(super) struct RawPlatform {
    pub(super) platform: Platform,
}

impl FieldShape for RawPlatform {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let (mut os, mut architecture, mut variant) = (None::<String>, None::<String>, None::<String>);
        let names = &["architecture", "os", "os.version", "os.features", "variant", "features"];
        fields(context, map, names, |name, context, map| match name {
            "os" => take(context, map, &mut os),
            "architecture" => take(context, map, &mut architecture),
            "variant" => take(context, map, &mut variant),
            "os.version" => take(context, map, &mut None::<String>),
            _ => take(context, map, &mut None::<Vec<Option<String>>>),
        })?;
        let text = |value: Option<String>| value.unwrap_or_default().into_boxed_str();
        let platform = Platform { os: text(os), architecture: text(architecture), variant: text(variant) };
        Ok(Some(Self { platform }))
    }
}

/// What a descriptor gives as its digest: one, or the text that is none.
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
    fn over(self, earlier: Self) -> Self {
        let urls = match (self.urls, earlier.urls) {
            (Some(urls), Some(earlier)) => Some(urls.over(earlier)),
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
        fields(context, map, names, |name, context, map| match name {
            "mediaType" => take(context, map, &mut raw.media_type),
            "size" => take(context, map, &mut raw.size),
            "digest" => take(context, map, &mut raw.digest),
            "urls" => take(context, map, &mut raw.urls),
            "annotations" => take(context, map, &mut raw.annotations),
            _ => take(context, map, &mut raw.platform),
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
    fn over(self, earlier: Self) -> Self {
        Self { blob_sum: self.blob_sum.or(earlier.blob_sum) }
    }
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let mut blob_sum = None;
        fields(context, map, &["blobSum"], |_, context, map| take(context, map, &mut blob_sum))?;
        Ok(Some(Self { blob_sum }))
    }
}

/// An entry of schema 1's `history`, of which only the type matters.
#[derive(Debug)]
pub(super) struct History;

impl FieldShape for History {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        fields(context, map, &["v1Compatibility"], |_, context, map| {
            take(context, map, &mut None::<String>)
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
        let mut all = Self::default();
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
        fields(context, map, names, |name, context, map| match name {
            "schemaVersion" => take(context, map, &mut all.schema_version),
            "mediaType" => take(context, map, &mut all.media_type),
            "config" => take(context, map, &mut all.config),
            "layers" => take(context, map, &mut all.layers),
            "manifests" => take(context, map, &mut all.manifests),
            "blobs" => take(context, map, &mut all.blobs),
            "subject" => take(context, map, &mut all.subject),
            "fsLayers" => take(context, map, &mut all.fs_layers),
            "annotations" => take(context, map, &mut None::<Annotations>),
            "history" => take(context, map, &mut None::<Vec<Option<History>>>),
            _ => take(context, map, &mut None::<String>),
        })?;
        Ok(Some(all))
    }
}
