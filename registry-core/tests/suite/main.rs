//! Tests of the scan and the audit of a tree, in one binary.

mod damage;
mod embedding;
mod garbage;
mod hazards;
mod leftovers;
mod planned;
mod roles;
mod second_look;
mod support;
mod unread;
mod unread_parts;
mod walk;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The path and text of every file below a folder.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"));
    files.map(|entry| (entry.path().to_path_buf(), std::fs::read_to_string(entry.path()).unwrap())).collect()
}

fn suite_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite")
}

#[test]
fn every_test_file_is_a_module() {
    for (path, _) in texts(&suite_folder()) {
        let file = if path.ends_with("mod.rs") { path.parent().unwrap() } else { &path };
        let (name, folder) = (file.file_stem().unwrap().to_str().unwrap(), file.parent().unwrap());
        let above = folder.join(if folder == suite_folder() { "main.rs" } else { "mod.rs" });
        let is_run = std::fs::read_to_string(above).unwrap().contains(&format!("mod {name};"));
        assert!(name == "main" || is_run, "{} is not run", path.display());
    }
}

#[test]
fn every_damage_of_the_fixtures_is_tested() {
    let suite: String = texts(&suite_folder()).into_iter().map(|(_, text)| text).collect();
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
fn every_finding_code_is_tested() {
    use registry_core::audit::Code;

    let suite: String = texts(&suite_folder()).into_iter().map(|(_, text)| text).collect();
    let is_tested = |code: &Code| {
        ["error", "warning", "info"].iter().any(|severity| suite.contains(&format!("{severity} {code} ")))
    };
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !is_tested(code)).collect();
    // Codes that only a live registry or a comparison with a reference yields.
    let online = [Code::MediaTypeMismatch, Code::ServerError, Code::ReferenceMismatch, Code::ReferrerMissing];
    assert_eq!(missing, online.iter().collect::<Vec<_>>());
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts =
        [crates.join("tests/probe"), crates.join("../fsck-cli/tests/online")].map(|folder| texts(&folder));
    let probe: String = texts.into_iter().flatten().map(|(_, text)| text).collect();
    let is_probed =
        |code: &&Code| probe.contains(&format!("{code} ")) || probe.contains(&format!("[{code}]"));
    assert_eq!(online.iter().filter(|code| !is_probed(code)).collect::<Vec<_>>(), Vec::<&Code>::new());
}
