//! Tests of the JSON schemas in docs/schemas/: they are generated from the Rust types, and what the programs write and read is
//! valid. `UPDATE_SCHEMAS=1 cargo test -p registry-retention schemas` regenerates them.

use std::path::{Path, PathBuf};

use registry_core::retention as core;
use registry_core::schema::document_schema as schema_of;
use registry_fixtures::schemas::{assert_schemas_match_files, schema_path};
use serde_json::{Value, json};

use crate::config;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All schemas, by the name of their files.
fn generate_schemas() -> Vec<(&'static str, Value)> {
    let mut configuration = schema_of::<config::Config>("retention.toml, version 1");
    configuration["properties"]["version"] = json!({ "const": config::VERSION });
    let mut journal = schema_of::<core::DeletionEntry>("registry-retention/journal/1");
    journal["description"] = "One line of a journal (JSON Lines).".into();
    vec![
        ("config", configuration),
        ("plan", schema_of::<core::Plan>(core::SCHEMA)),
        ("inventory", schema_of::<core::Record>(core::INVENTORY_SCHEMA)),
        ("journal", journal),
        ("apply-result", schema_of::<core::ApplyResult>(core::APPLIED_SCHEMA)),
        ("push-times", schema_of::<core::PushTimes>(core::PUSH_TIMES_SCHEMA)),
    ]
}

#[test]
fn schemas_match_rust_types() {
    assert_schemas_match_files(&generate_schemas());
}

fn errors(name: &str, value: &Value) -> Vec<String> {
    let schema = serde_json::from_str(&std::fs::read_to_string(schema_path(name)).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn recorded_inventories_and_their_plans_are_valid() {
    for release in ["v11", "v15"] {
        let path = root().join(format!("fixtures/inventories/forgejo-{release}.json"));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(errors("inventory", &serde_json::from_str(&text).unwrap()), [""; 0]);
        let record = core::Record::read(&text).unwrap();
        let rules = vec![core::Rule {
            package: core::Pattern::new("*", core::LetterCase::Ignored).unwrap(),
            tags: core::Pattern::new("v*", core::LetterCase::Ignored).unwrap(),
            group_by: Some(core::GroupBy::new(r"^v(\d+)", core::LetterCase::Ignored).unwrap()),
            keep_last: 2,
            keep_within: Some(3600),
            keep_cache: Some(false),
        }];
        let narrow = core::Policy {
            rules,
            untagged: core::UnneededAction::Prune,
            max_delete: Some(9),
            ..core::Policy::default()
        };
        for policy in [core::Policy::keep_last(3).unwrap(), narrow] {
            let plan =
                core::plan(record.source.clone(), record.packages(), &policy, record.recorded_at, "0.1.0");
            assert_eq!(errors("plan", &serde_json::to_value(&plan).unwrap()), [""; 0]);
        }
    }
}

#[test]
fn journals_and_results_are_valid() {
    let digest = registry_core::oci::Digest::hash(registry_core::oci::Algorithm::Sha256, b"{}");
    let at: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (package, version) = ("team/app".to_owned(), "v1".to_owned());
    let source = core::Source {
        kind: core::SourceKind::Forgejo,
        url: "https://git.example.org/".into(),
        owner: Some("team".into()),
        version: None,
    };
    let schema = core::JOURNAL_SCHEMA.to_owned();
    let content = core::RecordedManifest::present("application/vnd.oci.image.index.v1+json", b"{}");
    let entries = [
        core::DeletionEntry::Begin { schema, source, plan_digest: digest.to_string(), at },
        core::DeletionEntry::Manifest { package: package.clone(), digest, content },
        core::DeletionEntry::Deleting {
            package: package.clone(),
            version: version.clone(),
            id: Some(41),
            digest,
            created_at: Some(at),
        },
        core::DeletionEntry::Done {
            package: package.clone(),
            version: version.clone(),
            outcome: core::RowOutcome::Deleted,
        },
    ];
    for entry in entries {
        assert_eq!(errors("journal", &serde_json::to_value(entry).unwrap()), [""; 0]);
    }
    let row = core::AppliedRow {
        package: package.clone(),
        version: version.clone(),
        outcome: core::RowOutcome::Spared,
        reason: Some("it moved".to_owned().into()),
    };
    let stopped = Some(core::Stopped::Worse("v2 is broken".to_owned().into()));
    let applied = core::ApplyResult {
        schema: core::APPLIED_SCHEMA.into(),
        plan_digest: digest.to_string(),
        rows: vec![row],
        stopped,
    };
    assert_eq!(errors("apply-result", &serde_json::to_value(applied).unwrap()), [""; 0]);
    let time = core::PushTime {
        owner: Some("team".into()),
        package,
        version,
        digest,
        created_at: Some(at),
        first_id: Some(3),
        id: Some(41),
        restored_at: Some(at),
    };
    let times = core::PushTimes { schema: core::PUSH_TIMES_SCHEMA.into(), times: vec![time] };
    assert_eq!(errors("push-times", &serde_json::to_value(times).unwrap()), [""; 0]);
    // Earlier versions wrote files without the newer fields.
    let old = json!({ "package": "team/app", "version": "v1", "digest": digest, "created_at": at });
    let old = json!({ "schema": core::PUSH_TIMES_SCHEMA, "times": [old] });
    assert_eq!(errors("push-times", &old), [""; 0]);
    core::PushTimes::read(&old.to_string()).unwrap();
}

/// The codes of a type in the schema of the plan.
fn codes(name: &str) -> Vec<String> {
    let schema = schema_of::<core::Plan>(core::SCHEMA);
    let variants = schema["$defs"][name]["oneOf"].as_array().unwrap();
    let code = |variant: &Value| variant["properties"]["code"]["const"].as_str().unwrap().to_owned();
    variants.iter().map(code).collect()
}

/// The codes in the first column of the table of docs/retention.md with this heading.
fn documented_codes(heading: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/retention.md")).unwrap();
    let (_, after) = page.split_once(&format!("| code | {heading} |\n")).expect(heading);
    let rows = after.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn every_reason_is_documented() {
    let sorted = |mut codes: Vec<String>| {
        codes.sort();
        codes
    };
    let reasons = codes("Reason");
    assert_eq!(sorted(reasons), sorted(documented_codes("why a row stays or goes")));
    let packages = codes("Skip").into_iter().chain(codes("Refusal")).collect();
    assert_eq!(sorted(packages), sorted(documented_codes("why nothing goes in a package")));
}

/// The example configuration in docs/retention.md.
fn documented_configuration() -> String {
    let page = std::fs::read_to_string(root().join("docs/retention.md")).unwrap();
    let (_, after) = page.split_once("```toml\n").expect("an example of the configuration");
    after.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn documented_configuration_is_valid_and_readable() {
    let text = documented_configuration();
    config::Config::parse(&text).unwrap();
    let value: Value = toml::from_str(&text).unwrap();
    assert_eq!(errors("config", &value), [""; 0]);
}

#[test]
fn schemas_refuse_other_documents() {
    assert!(!errors("plan", &json!({ "schema": "registry-retention/plan/2" })).is_empty());
    assert!(!errors("config", &json!({ "version": 1, "keep_last": 3 })).is_empty());
    assert!(!errors("config", &json!({ "keep-last": 3 })).is_empty());
}

#[test]
fn schema_has_every_known_key() {
    let schema = schema_of::<config::Config>("");
    let keys = |pointer: &str| {
        let keys = schema.pointer(pointer).and_then(Value::as_object).expect("properties");
        keys.keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    let set =
        |list: &[&str]| list.iter().map(|key| (*key).to_owned()).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys("/properties"), set(config::KEYS));
    assert_eq!(keys("/$defs/RuleConfig/properties"), set(config::RULE_KEYS));
}
