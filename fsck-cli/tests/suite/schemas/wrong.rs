//! What the schemas refuse: absent, unknown and null fields, values of another type or outside of their sets.

use registry_fixtures::TreeBuilder;
use registry_fixtures::registry::{Profile, Server, World};
use serde_json::{Value, json};

use super::{VALIDATORS, all_schemas, read_json, read_schema, schema_errors};
use crate::support::{OLD, damaged_tree, fsck, run};

/// One document of every schema, made by the program.
fn samples() -> Vec<(&'static str, Value)> {
    let (tree, folder) = (damaged_tree(), tempfile::tempdir().unwrap());
    let [journal, aside, state] = ["journal", "aside", "state"].map(|name| folder.path().join(name));
    let json = |subcommand: &str| {
        let mut command = fsck();
        command.args([subcommand, "--output", "json"]);
        command
    };
    let scan = run(json("scan").arg(tree.root())).json();
    // On the damaged tree a collector aborts before it deletes anything.
    let mut collectable = TreeBuilder::new();
    let index = collectable.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    collectable.break_revision_link_missing("team/app", &index.images[0].digest).age_all(OLD);
    let preview = run(json("gc-preview").arg(collectable.root())).json();
    let mut repair = json("repair");
    repair.arg(tree.root()).arg("--apply").arg("--journal").arg(&journal).arg("--quarantine").arg(&aside);
    let repair = run(&mut repair).json();
    let purge = run(json("repair").arg("--purge").arg(&aside)).json();
    let marker = read_json(&aside.join("quarantine.json"));
    let undo = run(json("undo").arg(&journal)).json();
    let mut world = World::new(Profile::V2_8);
    world.push_image("web", Some("latest"), "four");
    let server = Server::start(world);
    run(json("probe").env_clear().arg(&server.url).arg("--state").arg(&state));
    let mut samples = vec![
        ("report", scan),
        ("gc-preview", preview),
        ("repair", repair),
        ("undo", undo),
        ("purge", purge),
        ("quarantine", marker),
        ("state", read_json(&state)),
    ];
    let text = super::journals::journal_text();
    samples.extend(text.lines().map(|line| ("repair-journal", serde_json::from_str(line).unwrap())));
    samples
}

/// Collects the JSON pointers to all values of a document; of an array only the first item.
fn collect_pointers(value: &Value, pointer: &str, into: &mut Vec<String>) {
    let child = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push(child(key));
            collect_pointers(value, &child(key), into);
        }),
        Value::Array(items) => {
            items.iter().take(1).for_each(|item| collect_pointers(item, &child("0"), into));
        }
        _ => {}
    }
}

#[test]
fn every_schema_accepts_sample_and_refuses_other_version() {
    let samples = samples();
    for (name, _) in all_schemas() {
        assert!(samples.iter().any(|(sample, _)| *sample == name), "no sample of {name}");
    }
    for (name, mut document) in samples {
        assert_eq!(schema_errors(name, &document), [""; 0]);
        let place = if name == "repair-journal" { "/entry/schema" } else { "/schema" };
        let Some(schema) = document.pointer_mut(place) else { continue };
        *schema = schema.as_str().unwrap().replace("/1", "/2").into();
        assert!(!VALIDATORS[name][0].is_valid(&document), "{name}");
    }
}

#[test]
fn schemas_refuse_null_and_wrong_types() {
    for (name, document) in samples() {
        let mut pointers = Vec::new();
        collect_pointers(&document, "", &mut pointers);
        for place in pointers {
            let mut wrong = document.clone();
            let value = wrong.pointer_mut(&place).unwrap();
            let other = if value.is_string() { json!(1) } else { json!("x") };
            for replacement in [Value::Null, other] {
                *wrong.pointer_mut(&place).unwrap() = replacement;
                assert!(!VALIDATORS[name][0].is_valid(&wrong), "{name} allows {place}: {wrong:#}");
            }
        }
    }
}

#[test]
fn schemas_refuse_absent_required_fields() {
    for (name, document) in samples() {
        let required = read_schema(name)["required"].as_array().unwrap().clone();
        assert!(required.len() >= 2, "{name}");
        for field in required {
            let mut wrong = document.clone();
            wrong.as_object_mut().unwrap().remove(field.as_str().unwrap()).unwrap();
            assert!(!VALIDATORS[name][0].is_valid(&wrong), "{name} goes without {field}");
        }
    }
}

#[test]
fn closed_schemas_refuse_unknown_fields() {
    for (name, document) in samples() {
        let mut pointers = vec![String::new()];
        collect_pointers(&document, "", &mut pointers);
        for place in pointers {
            let mut wrong = document.clone();
            let Some(Value::Object(fields)) = wrong.pointer_mut(&place) else { continue };
            fields.insert("surprise!".into(), true.into());
            assert!(!schema_errors(name, &wrong).is_empty(), "{name} allows another field in {place:?}");
            // Of all documents only the state is read back, so its own schema is closed.
            assert_eq!(VALIDATORS[name][0].is_valid(&wrong), name != "state", "{name} {place}");
        }
    }
}

#[test]
fn schemas_refuse_invalid_values() {
    let samples = samples();
    for (name, place, value) in [
        ("report", "/command", json!("repair")),
        ("report", "/exit_status", json!(256)),
        ("report", "/started_at", json!("yesterday")),
        ("report", "/summary/errors", json!(-1)),
        ("report", "/findings/0/code", json!("tag-target-eaten")),
        ("report", "/findings/0/severity", json!("fatal")),
        ("report", "/sources/0/role", json!("mirror")),
        ("gc-preview", "/engine", json!("2.7")),
        ("gc-preview", "/blobs/0/digest", json!("sha256:abc")),
        ("gc-preview", "/loses/0/code", json!("child-link-eaten")),
        ("repair", "/command", json!("scan")),
        ("repair", "/steps/0/action", json!("delete")),
        ("repair", "/steps/0/outcome", json!("spared")), // and no reason
        ("undo", "/changes/0/state", json!("taken")),    // and no reason
        ("purge", "/content/bytes", json!(0.5)),
        ("quarantine", "/at", json!("2026-13-01T00:00:00Z")),
        ("state", "/manifests", json!({ "latest": {} })),
        ("repair-journal", "/chain", json!("")),
        ("repair-journal", "/entry/entry", json!("end")),
    ] {
        let (_, document) = samples.iter().find(|(sample, _)| *sample == name).unwrap();
        let mut wrong = document.clone();
        *wrong.pointer_mut(place).unwrap_or_else(|| panic!("{name} has no {place}: {document:#}")) = value;
        assert!(!VALIDATORS[name][0].is_valid(&wrong), "{name} allows {place}");
    }
}
