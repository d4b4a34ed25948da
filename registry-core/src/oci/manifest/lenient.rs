//! The lenient JSON reader: every field is optional, and a field of the wrong type is noted with its path and skipped. The fields
//! of a manifest are in `raw`.
//!
//! Which fields a registry checks depends on the kind of manifest, which may be known only at its end: `classify` decides which
//! faults count. As in Go's `encoding/json`, keys match in any case, and of duplicate keys the last value that is not null wins,
//! field by field.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A step from a value to one inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonStep {
    Key(&'static str),
    Index(usize),
}

/// A field of the wrong type.
#[derive(Debug)]
pub(super) struct TypeMismatch {
    pub(super) path: Vec<JsonStep>,
    pub(super) expected: &'static str,
}

/// Renders a path as a JSON pointer.
pub(super) fn pointer(path: &[JsonStep]) -> String {
    let mut text = String::new();
    for step in path {
        text.push('/');
        match step {
            JsonStep::Key(key) => text.push_str(key),
            JsonStep::Index(index) => text.push_str(&index.to_string()),
        }
    }
    text
}

/// The current path of the reader, and the faults that it has found.
#[derive(Debug, Default)]
pub(super) struct Context {
    path: Vec<JsonStep>,
    pub(super) faults: Vec<TypeMismatch>,
}

impl Context {
    fn add_fault(&mut self, expected: &'static str) {
        self.faults.push(TypeMismatch { path: self.path.clone(), expected });
    }
}

/// The JSON type that a field should have. The default of each method refuses that type.
pub(super) trait FieldShape: Sized {
    const NAME: &'static str;

    /// Merges this value over the earlier value of a duplicate key. Go decodes into the earlier value, so fields that only the
    /// earlier one has stay.
    fn merge_over(self, _: Self) -> Self {
        self
    }

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

/// Reads a value of shape `S`. Null gives `None`; a wrong type gives `None` and a fault.
pub(super) struct Seed<'c, S> {
    context: &'c mut Context,
    shape: PhantomData<S>,
}

impl<'c, S: FieldShape> Seed<'c, S> {
    pub(super) fn new(context: &'c mut Context) -> Self {
        Self { context, shape: PhantomData }
    }

    fn check<E>(self, value: Option<S>) -> Result<Option<S>, E> {
        if value.is_none() {
            self.context.add_fault(S::NAME);
        }
        Ok(value)
    }
}

impl<'de, S: FieldShape> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = Option<S>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: FieldShape> Visitor<'de> for Seed<'_, S> {
    type Value = Option<S>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(S::NAME)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        self.check(None)
    }
    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        self.check(S::integer(number))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        self.check(i64::try_from(number).ok().and_then(S::integer))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // serde_json reads `-0` as a float; to Go it is an integer.
        self.check(if number == 0.0 && number.is_sign_negative() { S::integer(0) } else { None })
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.check(S::text(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        let value = S::array(self.context, items)?;
        self.check(value)
    }
    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Self::Value, A::Error> {
        let value = S::object(self.context, fields)?;
        self.check(value)
    }
}

/// Reads a key as one of the listed names, which it matches exactly or else in any case.
struct KnownKey(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for KnownKey {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KnownKey {
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

/// Calls `read_field` for each field in `names`, and skips all others.
pub(super) fn read_fields<'de, A: MapAccess<'de>>(
    context: &mut Context,
    mut map: A,
    names: &'static [&'static str],
    mut read_field: impl FnMut(&'static str, &mut Context, &mut A) -> Result<(), A::Error>,
) -> Result<(), A::Error> {
    while let Some(name) = map.next_key_seed(KnownKey(names))? {
        if let Some(name) = name {
            context.path.push(JsonStep::Key(name));
            read_field(name, context, &mut map)?;
            context.path.pop();
        } else {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(())
}

/// Reads a value into `slot`, which null and a wrong type leave as it was.
pub(super) fn read_into<'de, S: FieldShape, A: MapAccess<'de>>(
    context: &mut Context,
    map: &mut A,
    slot: &mut Option<S>,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value_seed(Seed::<S>::new(context))? {
        *slot = Some(match slot.take() {
            Some(earlier) => value.merge_over(earlier),
            None => value,
        });
    }
    Ok(())
}

impl FieldShape for String {
    const NAME: &'static str = "a string";
    fn text(text: &str) -> Option<Self> {
        Some(text.into())
    }
}

impl FieldShape for i64 {
    const NAME: &'static str = "an integer of 64 bits";
    fn integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl<S: FieldShape> FieldShape for Vec<Option<S>> {
    const NAME: &'static str = "an array";
    fn merge_over(self, earlier: Self) -> Self {
        let mut earlier = earlier.into_iter();
        let merge_item = |item: Option<S>| match (item, earlier.next().flatten()) {
            (Some(item), Some(earlier)) => Some(item.merge_over(earlier)),
            (item, earlier) => item.or(earlier),
        };
        self.into_iter().map(merge_item).collect()
    }
    fn array<'de, A: SeqAccess<'de>>(context: &mut Context, mut items: A) -> Result<Option<Self>, A::Error> {
        let mut values = Self::new();
        loop {
            context.path.push(JsonStep::Index(values.len()));
            let item = items.next_element_seed(Seed::<S>::new(context))?;
            context.path.pop();
            let Some(item) = item else { return Ok(Some(values)) };
            values.push(item);
        }
    }
}
