//! Tests of the scan of a tree and of the audit of what it found, in one binary.

mod damage_blobs;
mod damage_folders;
mod damage_layers;
mod damage_manifests;
mod damage_tags;
mod embedding;
mod garbage;
mod hazards;
mod leftovers;
mod roles;
mod second_look;
mod support;
mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The text of every file of a folder.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    entries.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    for (name, _) in texts(&here()).into_iter().filter(|(name, _)| name.ends_with(".rs")) {
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name} is not run");
    }
}

#[test]
fn every_damage_of_the_fixtures_is_shown() {
    let suite: String = texts(&here()).into_iter().map(|(_, text)| text).collect();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/src/breaks");
    let mut missing = BTreeSet::new();
    for (_, text) in texts(&fixtures) {
        for rest in text.split("pub fn break_").skip(1) {
            let name = rest.split('(').next().unwrap();
            if !suite.contains(&format!(".break_{name}(")) {
                missing.insert(name.to_owned());
            }
        }
    }
    assert_eq!(missing, BTreeSet::new(), "no test does this damage");
}

#[test]
fn every_code_that_a_tree_can_earn_is_shown() {
    let suite: String = texts(&here()).into_iter().map(|(_, text)| text).collect();
    let shown = |code: &registry_core::audit::Code| {
        ["error", "warning", "info"].iter().any(|severity| suite.contains(&format!("{severity} {code} ")))
    };
    let missing: Vec<_> = registry_core::audit::Code::ALL.iter().filter(|code| !shown(code)).collect();
    // The only one that a tree on disk cannot earn.
    assert_eq!(missing, [&registry_core::audit::Code::ServerError]);
}
