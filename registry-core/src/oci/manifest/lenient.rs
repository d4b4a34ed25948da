//! The lenient reader: every field optional, every wrong type noted with its place, nothing given up.
//!
//! Which fields a registry checks depends on the kind of manifest, which may only be known at its end: `classify`
//! sorts the faults out. Keys match in any case, the last non-null duplicate wins, as in Go's `encoding/json`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::{Digest, MediaType, Platform};

/// A step from a value to one inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Key(&'static str),
    Index(usize),
}

/// A field of the wrong type.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Vec<Step>,
    pub(super) expected: &'static str,
}

/// Renders a path as a JSON pointer.
pub(super) fn pointer(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        text.push('/');
        match step {
            Step::Key(key) => text.push_str(key),
            Step::Index(index) => text.push_str(&index.to_string()),
        }
    }
    text
}

/// Where the reader is, and what it has found wrong.
#[derive(Debug, Default)]
pub(super) struct Context {
    path: Vec<Step>,
    pub(super) faults: Vec<Fault>,
}

impl Context {
    fn fault(&mut self, expected: &'static str) {
        self.faults.push(Fault { path: self.path.clone(), expected });
    }
}

/// A shape that a field should have. A method left out is a shape refused.
pub(super) trait Shape: Sized {
    const NAME: &'static str;

    fn text(_: &str) -> Option<Self> {
        None
    }
    fn integer(_: i64) -> Option<Self> {
        None
    }
    fn array<'de, A: SeqAccess<'de>>(_: &mut Context, mut items: A) -> Result<Option<Self>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn object<'de, A: MapAccess<'de>>(_: &mut Context, mut fields: A) -> Result<Option<Self>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// Reads a value of shape `S`; null and wrong types give `None`, the latter with a fault.
pub(super) struct Seed<'c, S> {
    context: &'c mut Context,
    shape: PhantomData<S>,
}

impl<'c, S: Shape> Seed<'c, S> {
    pub(super) fn new(context: &'c mut Context) -> Self {
        Self { context, shape: PhantomData }
    }

    fn judge<E>(self, value: Option<S>) -> Result<Option<S>, E> {
        if value.is_none() {
            self.context.fault(S::NAME);
        }
        Ok(value)
    }
}

impl<'de, S: Shape> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = Option<S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape> Visitor<'de> for Seed<'_, S> {
    type Value = Option<S>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(S::NAME)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.judge(None)
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        self.judge(S::integer(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        self.judge(i64::try_from(number).ok().and_then(S::integer))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // `-0` arrives here, and is an integer to Go.
        self.judge(if number == 0.0 && number.is_sign_negative() { S::integer(0) } else { None })
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.judge(S::text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let value = S::array(self.context, items)?;
        self.judge(value)
    }
    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        let value = S::object(self.context, fields)?;
        self.judge(value)
    }
}

/// A key, if it is one of the listed names: exactly, else in any case.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        let exact = self.0.iter().find(|name| **name == key);
        Ok(exact.or_else(|| self.0.iter().find(|name| folds_to(key, name))).copied())
    }
}

/// Whether a key equals a name in Go's case folding, where U+017F is an s and U+212A a k.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17F}' => 's',
        '\u{212A}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.len() >= name.len() && key.chars().map(fold).eq(name.chars().map(fold))
}

/// Reads the fields named in `names` with `field`, skips all others.
fn fields<'de, A: MapAccess<'de>>(
    context: &mut Context,
    mut map: A,
    names: &'static [&'static str],
    mut field: impl FnMut(&'static str, &mut Context, &mut A) -> Result<(), A::Error>,
) -> Result<(), A::Error> {
    while let Some(name) = map.next_key_seed(Name(names))? {
        if let Some(name) = name {
            context.path.push(Step::Key(name));
            field(name, context, &mut map)?;
            context.path.pop();
        } else {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(())
}

/// Reads a value into `slot`, which null and a wrong type leave as it was.
fn take<'de, S: Shape, A: MapAccess<'de>>(
    context: &mut Context,
    map: &mut A,
    slot: &mut Option<S>,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Seed::<S>::new(context))? {
        *slot = Some(value);
    }
    Ok(())
}

impl Shape for String {
    const NAME: &'static str = "a string";
    fn text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl Shape for i64 {
    const NAME: &'static str = "an integer of 64 bits";
    fn integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl<S: Shape> Shape for Vec<Option<S>> {
    const NAME: &'static str = "an array";
    fn array<'de, A: SeqAccess<'de>>(context: &mut Context, mut items: A) -> Result<Option<Self>, A::Error> {
        let mut values = Self::new();
        loop {
            context.path.push(Step::Index(values.len()));
            let item = items.next_element_seed(Seed::<S>::new(context))?;
            context.path.pop();
            let Some(item) = item else { return Ok(Some(values)) };
            values.push(item);
        }
    }
}

/// Annotations: strings by name, of which one matters here.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    pub(super) is_attestation: bool,
}

impl Shape for Annotations {
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

impl Shape for RawPlatform {
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

impl Shape for RawDigest {
    const NAME: &'static str = "a string";
    fn text(text: &str) -> Option<Self> {
        Some(Self(text.parse().map_err(|_| text.chars().take(100).collect())))
    }
}

impl Shape for MediaType {
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

impl Shape for RawDescriptor {
    const NAME: &'static str = "an object";
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

impl Shape for FsLayer {
    const NAME: &'static str = "an object";
    fn object<'de, A: MapAccess<'de>>(context: &mut Context, map: A) -> Result<Option<Self>, A::Error> {
        let mut blob_sum = None;
        fields(context, map, &["blobSum"], |_, context, map| take(context, map, &mut blob_sum))?;
        Ok(Some(Self { blob_sum }))
    }
}

/// An entry of schema 1's `history`, of which only the type matters.
#[derive(Debug)]
pub(super) struct History;

impl Shape for History {
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

impl Shape for Envelope {
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
