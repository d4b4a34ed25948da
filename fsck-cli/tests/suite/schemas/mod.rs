//! The JSON schemas in docs/schemas/ of what this program writes. They are generated from the types, and what the program prints
//! and leaves behind is validated by them. `UPDATE_SCHEMAS=1 cargo test -p registry-fsck schemas` writes the schema files.

mod journals;
mod repairs;
mod servers;
mod trees;
mod wrong;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::{Draft, Validator};
use registry_core::schema::document_schema;
use registry_core::{audit, collector, probe, repair, tree_writer};
use registry_fixtures::random::random_tree;
use registry_fixtures::schemas::{assert_schemas_match_files, schema_path};
use registry_fixtures::{TreeBuilder, trees as real};
use serde_json::{Value, json};

use crate::support::{OLD, copy_content, damaged_tree};

/// All schemas by the names of their files. journal.schema.json belongs to registry-retention.
fn all_schemas() -> Vec<(&'static str, Value)> {
    let mut journal = document_schema::<repair::JournalLine<'_>>(repair::JOURNAL_SCHEMA);
    journal["description"] = "One line of a journal (JSON Lines).".into();
    let begin =
        journal.pointer_mut("/$defs/RepairEntry/oneOf/0/properties/schema").expect("the first line's schema");
    *begin = json!({ "const": repair::JOURNAL_SCHEMA });
    vec![
        ("report", document_schema::<audit::Report>(audit::SCHEMA)),
        ("gc-preview", document_schema::<collector::ForecastReport>(collector::SCHEMA)),
        ("repair", document_schema::<repair::RepairReport>(repair::SCHEMA)),
        ("undo", document_schema::<repair::UndoReport>(repair::UNDO_SCHEMA)),
        ("purge", document_schema::<repair::PurgeReport>(repair::PURGE_SCHEMA)),
        ("repair-journal", journal),
        ("quarantine", document_schema::<tree_writer::Marker>(tree_writer::QUARANTINE_SCHEMA)),
        ("state", document_schema::<probe::ProbeState>(probe::STATE_SCHEMA)),
    ]
}

#[test]
fn schema_files_match_types() {
    assert_schemas_match_files(&all_schemas());
}

/// Each schema as its file has it, and closed: a closed schema refuses fields that it does not name. Users may meet fields of a
/// later version, but this version must write only documented fields.
static VALIDATORS: LazyLock<BTreeMap<&str, [Validator; 2]>> = LazyLock::new(|| {
    let compile = |schema: &Value| {
        let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
        options.build(schema).unwrap()
    };
    let open_and_closed = |name| {
        let schema = read_schema(name);
        let mut closed = schema.clone();
        close(&mut closed, true);
        [compile(&schema), compile(&closed)]
    };
    all_schemas().into_iter().map(|(name, _)| (name, open_and_closed(name))).collect()
});

fn read_schema(name: &str) -> Value {
    read_json(&schema_path(name))
}

/// Makes a schema refuse fields that it does not name, in every object. Of a schema with alternatives the whole is closed and not
/// its parts, because a part does not name the fields of the others.
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

/// The errors that the closed schema finds in a document.
fn schema_errors(name: &str, document: &Value) -> Vec<String> {
    let errors = VALIDATORS[name][1].iter_errors(document);
    errors.map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// Validates documents by a schema, and collects the fields that they have.
#[derive(Debug)]
struct SchemaCheck {
    name: &'static str,
    seen_fields: BTreeSet<String>,
}

impl SchemaCheck {
    fn new(name: &'static str) -> Self {
        Self { name, seen_fields: BTreeSet::new() }
    }

    /// Fails the test when a document is not valid; returns it.
    fn check(&mut self, document: Value) -> Value {
        let errors = schema_errors(self.name, &document);
        assert!(errors.is_empty(), "{}: {errors:#?}\n{document:#}", self.name);
        assert!(VALIDATORS[self.name][0].is_valid(&document), "the schema is stricter than the closed one");
        collect_keys(&document, &mut self.seen_fields);
        document
    }

    /// Fails the test when no document had one of these fields.
    fn assert_seen(&self, fields: &[&str]) {
        for field in fields {
            assert!(self.seen_fields.contains(*field), "no document has {field}");
        }
    }

    /// The fields of the schema that no document had.
    fn unseen_fields(&self) -> Vec<String> {
        let mut fields = BTreeSet::new();
        collect_properties(&read_schema(self.name), &mut fields);
        fields.difference(&self.seen_fields).cloned().collect()
    }
}

/// Collects the keys of all objects in a document.
fn collect_keys(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            collect_keys(value, into);
        }),
        Value::Array(items) => items.iter().for_each(|item| collect_keys(item, into)),
        _ => {}
    }
}

/// Collects the fields that a schema names.
fn collect_properties(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(parts) => {
            for (key, part) in parts {
                match part {
                    Value::Object(fields) if key == "properties" => {
                        into.extend(fields.keys().cloned());
                        fields.values().for_each(|field| collect_properties(field, into));
                    }
                    _ => collect_properties(part, into),
                }
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect_properties(part, into)),
        _ => {}
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Trees to run on: a damaged one, those of real servers, and random ones.
fn all_trees() -> Vec<(String, TreeBuilder)> {
    let mut all = vec![("damaged".to_owned(), damaged_tree())];
    all.extend(real::NAMES.map(|name| (name.to_owned(), writable_copy(real::unpack(name).path()))));
    all.push(("carried".to_owned(), writable_copy(&real::real_tree_with_lost_children())));
    for seed in 0..12 {
        let (mut tree, _) = random_tree(seed);
        tree.age_all(OLD);
        all.push((format!("random {seed}"), tree));
    }
    all
}

fn writable_copy(from: &Path) -> TreeBuilder {
    let tree = TreeBuilder::new();
    copy_content(from, tree.root());
    tree
}
