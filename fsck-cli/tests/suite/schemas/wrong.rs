//! What the schemas refuse: fields that are absent, null, of another kind, or that nobody knows.

use registry_fixtures::TreeBuilder;
use registry_fixtures::registry::{Profile, Server, World};
use serde_json::{Value, json};

use super::{VALIDATORS, all, errors, kept, read};
use crate::support::{OLD, fsck, ruin, run};

/// One document of every schema, made by the program.
fn samples() -> Vec<(&'static str, Value)> {
    let (tree, folder) = (ruin(), tempfile::tempdir().unwrap());
    let [journal, aside, state] = ["journal", "aside", "state"].map(|name| folder.path().join(name));
    let json = |command: &str| {
        let mut run = fsck();
        run.args([command, "--output", "json"]);
        run
    };
    let scan = run(json("scan").arg(tree.root())).json();
    // What stops a collector in the ruin hides what it would delete.
    let mut losing = TreeBuilder::new();
    let index = losing.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    losing.break_revision_link_missing("team/app", &index.images[0].digest).age_all(OLD);
    let preview = run(json("gc-preview").arg(losing.root())).json();
    let mut repair = json("repair");
    repair.arg(tree.root()).arg("--apply").arg("--journal").arg(&journal).arg("--quarantine").arg(&aside);
    let repair = run(&mut repair).json();
    let purge = run(json("repair").arg("--purge").arg(&aside)).json();
    let marker = read(&aside.join("quarantine.json"));
    let undo = run(json("undo").arg(&journal)).json();
    let mut world = World::new(Profile::V2_8);
    world.push_image("web", Some("latest"), "four");
    let server = Server::start(world);
    run(json("probe").env_clear().arg(&server.url).arg("--state").arg(&state));
    let mut all = vec![
        ("report", scan),
        ("gc-preview", preview),
        ("repair", repair),
        ("undo", undo),
        ("purge", purge),
        ("quarantine", marker),
        ("state", read(&state)),
    ];
    let text = super::journals::text();
    all.extend(text.lines().map(|line| ("repair-journal", serde_json::from_str(line).unwrap())));
    all
}

/// The places of all values of a document, as JSON pointers; of a list the first entry only.
fn places(value: &Value, place: &str, into: &mut Vec<String>) {
    let step = |key: &str| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            into.push(step(key));
            places(value, &step(key), into);
        }),
        Value::Array(items) => items.iter().take(1).for_each(|item| places(item, &step("0"), into)),
        _ => {}
    }
}

#[test]
fn every_schema_accepts_sample_and_refuses_other_version() {
    let samples = samples();
    for (name, _) in all() {
        assert!(samples.iter().any(|(sample, _)| *sample == name), "no sample of {name}");
    }
    for (name, mut document) in samples {
        assert_eq!(errors(name, &document), [""; 0]);
        let place = if name == "repair-journal" { "/entry/schema" } else { "/schema" };
        let Some(schema) = document.pointer_mut(place) else { continue };
        *schema = schema.as_str().unwrap().replace("/1", "/2").into();
        assert!(!VALIDATORS[name][0].is_valid(&document), "{name}");
    }
}

#[test]
fn schemas_refuse_null_and_wrong_types() {
    for (name, document) in samples() {
        let mut all = Vec::new();
        places(&document, "", &mut all);
        for place in all {
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
        let required = kept(name)["required"].as_array().unwrap().clone();
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
        let mut all = vec![String::new()];
        places(&document, "", &mut all);
        for place in all {
            let mut wrong = document.clone();
            let Some(Value::Object(fields)) = wrong.pointer_mut(&place) else { continue };
            fields.insert("surprise!".into(), true.into());
            assert!(!errors(name, &wrong).is_empty(), "{name} allows another field in {place:?}");
            // A state is read back, and refuses what it does not know itself.
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
