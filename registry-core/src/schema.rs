//! JSON schemas of documents, and of values that documents hold as text. The types themselves derive the rest.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::oci::Digest;

/// The schema of a document, for docs/schemas. Absent fields are left out and never null, so the schema does not allow null.
pub fn document_schema<T: JsonSchema>(id: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(no_null));
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = id.into();
    if let Some(property) = schema.pointer_mut("/properties/schema") {
        *property = json!({ "const": id });
    }
    schema
}

/// Removes null from what a schema allows.
fn no_null(schema: &mut Schema) {
    let null = json!("null");
    if schema.get("default") == Some(&Value::Null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| *kind != null);
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|schema| schema.get("type") != Some(&null));
        if let [Value::Object(only)] = &any[..] {
            let only = only.clone();
            schema.remove("anyOf");
            only.into_iter().for_each(|(key, value)| {
                schema.insert(key, value);
            });
        }
    }
}

/// A point in time (RFC 3339, UTC).
pub(crate) fn instant(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// [`instant`] as a type, for the values of maps.
#[derive(Debug)]
pub(crate) struct Instant;

impl JsonSchema for Instant {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        instant(generator)
    }
}

/// A day (RFC 3339).
pub(crate) fn date(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date" })
}

/// Bytes in base64 with padding.
pub(crate) fn base64(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "contentEncoding": "base64" })
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What a content hashes to.",
            "type": "string",
            "pattern": "^(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$"
        })
    }
}
