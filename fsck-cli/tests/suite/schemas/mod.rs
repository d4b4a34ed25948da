//! The JSON schemas in docs/schemas/ of what this program writes: generated from the shapes themselves, and held against
//! what it prints and leaves. `UPDATE_SCHEMAS=1 cargo test -p registry-fsck schemas` writes them anew.

mod journals;
mod repairs;
mod servers;
mod trees;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use registry_core::schema::document;
use registry_core::{audit, collector, probe, repair, tree_writer};
use registry_fixtures::random::random_tree;
use registry_fixtures::schemas::{hold_schemas, schema_path};
use registry_fixtures::{TreeBuilder, trees as real};
use serde_json::{Value, json};

use crate::support::{OLD, ruin};

/// Every schema, by the name of its file. journal.schema.json is that of registry-retention.
fn all() -> Vec<(&'static str, Value)> {
    let mut journal = document::<repair::JournalLine<'_>>(repair::JOURNAL_SCHEMA);
    journal["description"] = "One line of a journal (JSON Lines).".into();
    let begin =
        journal.pointer_mut("/$defs/Entry/oneOf/0/properties/schema").expect("the first line's schema");
    *begin = json!({ "const": repair::JOURNAL_SCHEMA });
    vec![
        ("report", document::<audit::Report>(audit::SCHEMA)),
        ("gc-preview", document::<collector::ForecastReport>(collector::SCHEMA)),
        ("repair", document::<repair::RepairReport>(repair::SCHEMA)),
        ("undo", document::<repair::UndoReport>(repair::UNDO_SCHEMA)),
        ("purge", document::<repair::PurgeReport>(repair::PURGE_SCHEMA)),
        ("repair-journal", journal),
        ("quarantine", document::<tree_writer::Marker>(tree_writer::QUARANTINE_SCHEMA)),
        ("state", document::<probe::ProbeState>(probe::STATE_SCHEMA)),
    ]
}

#[test]
fn schema_files_match_types() {
    hold_schemas(&all());
}

/// The schema as it is kept; and the same where no field may be there that it does not name. Users may meet fields of a later
/// version, this one may write none that they cannot look up.
static VALIDATORS: LazyLock<BTreeMap<&str, [Validator; 2]>> = LazyLock::new(|| {
    let compiled = |schema: &Value| {
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(schema).unwrap()
    };
    let both = |name| {
        let kept = kept(name);
        let mut closed = kept.clone();
        close(&mut closed, true);
        [compiled(&kept), compiled(&closed)]
    };
    all().into_iter().map(|(name, _)| (name, both(name))).collect()
});

fn kept(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(schema_path(name)).unwrap()).unwrap()
}

/// Refuses fields that a schema does not name, in every object. Where a schema is put together of alternatives, the whole is
/// closed and not its parts, which do not know each other's fields.
fn close(schema: &mut Value, is_whole: bool) {
    let Some(schema) = schema.as_object_mut() else { return };
    for (key, value) in schema.iter_mut() {
        match (key.as_str(), value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(parts)) => {
                parts.values_mut().for_each(|part| close(part, true));
            }
            ("items" | "additionalProperties", part) => close(part, true),
            ("oneOf" | "anyOf" | "allOf", Value::Array(parts)) => {
                parts.iter_mut().for_each(|part| close(part, false));
            }
            _ => {}
        }
    }
    if is_whole && !schema.contains_key("additionalProperties") && !schema.contains_key("$ref") {
        schema.insert("unevaluatedProperties".into(), false.into());
    }
}

/// What is wrong with a document, by the closed schema.
fn errors(name: &str, document: &Value) -> Vec<String> {
    let told = VALIDATORS[name][1].iter_errors(document);
    told.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Holds documents against a schema, and remembers which of its fields they had.
#[derive(Debug)]
struct Checked {
    name: &'static str,
    met: BTreeSet<String>,
}

impl Checked {
    fn new(name: &'static str) -> Self {
        Self { name, met: BTreeSet::new() }
    }

    /// A document that must be valid; it comes back.
    fn valid(&mut self, document: Value) -> Value {
        let told = errors(self.name, &document);
        assert!(told.is_empty(), "{}: {told:#?}\n{document:#}", self.name);
        assert!(
            VALIDATORS[self.name][0].is_valid(&document),
            "the kept schema is stricter than the closed one"
        );
        keys(&document, &mut self.met);
        document
    }

    /// Fields of the schema that no document had, by their names.
    fn unmet(&self) -> Vec<String> {
        let mut named = BTreeSet::new();
        properties(&kept(self.name), &mut named);
        named.difference(&self.met).cloned().collect()
    }
}

/// The keys of all objects in a document.
fn keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            keys(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

/// The fields that a schema names.
fn properties(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(parts) => {
            for (key, part) in parts {
                match part {
                    Value::Object(fields) if key == "properties" => {
                        into.extend(fields.keys().cloned());
                        fields.values().for_each(|field| properties(field, into));
                    }
                    _ => properties(part, into),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| properties(part, into)),
        _ => {}
    }
}

/// A file of JSON.
fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Trees to run over: one of almost everything, those of real servers, and random ones.
fn trees() -> Vec<(String, TreeBuilder)> {
    let mut all = vec![("ruin".to_owned(), ruin())];
    all.extend(real::NAMES.map(|name| (name.to_owned(), filled(real::unpack(name).path()))));
    all.push(("carried".to_owned(), filled(&real::carried())));
    for seed in 0..12 {
        let (mut tree, _) = random_tree(seed);
        tree.age_all(OLD);
        all.push((format!("random {seed}"), tree));
    }
    all
}

/// A tree that may be written to, from one that may not.
fn filled(from: &Path) -> TreeBuilder {
    let tree = TreeBuilder::new();
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(tree.root()).status().unwrap();
    assert!(status.success(), "{}", from.display());
    tree
}
