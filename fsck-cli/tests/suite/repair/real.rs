//! Repairs are judged by a real server: they break no tag that it served whole, and it serves what they mend.

use std::collections::BTreeSet;
use std::process::Command;

use registry_fixtures::registry::Profile;

use crate::real_server::{Client, check_random_trees, unpullable_tags};
use crate::support::{broken_tags, scan_json};

use super::repair;

/// Random trees.
const CASES: u64 = 200;

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn real_server_serves_repaired_tags() {
    let failures = check_random_trees(CASES, Profile::V2_8, |server, story| {
        let touched = Command::new("find")
            .arg(server.root())
            .args(["-type", "f", "-o", "-type", "d"])
            .args(["-exec", "touch", "-d", "2026-01-01", "{}", "+"])
            .status();
        assert!(touched.unwrap().success());
        let client = Client::new(server, false);
        let before: BTreeSet<String> = unpullable_tags(&client).into_keys().collect();
        let folder = tempfile::tempdir().unwrap();
        let ran = repair(
            &server.root(),
            &folder.path().join("journal"),
            &["--apply", "--online", "--output", "json", "--jobs", "2"],
        );
        let repaired = ran.json();
        let after: BTreeSet<String> = unpullable_tags(&client).into_keys().collect();
        let broken = broken_tags(&scan_json(&server.root(), &[]).json());
        let mut failures = Vec::new();
        let worse: Vec<_> = after.difference(&before).collect();
        if !worse.is_empty() {
            failures.push(format!("{worse:?} were whole: {story}"));
        }
        if after != broken {
            failures.push(format!("the server fails {after:?}, the audit reports {broken:?}: {story}"));
        }
        if u64::try_from(broken.len())
            != Ok(repaired["after"]["broken_tags"].as_u64().unwrap_or(broken.len() as u64))
        {
            failures.push(format!("the report says {}: {story}", repaired["after"]));
        }
        // The errors that the report leaves are those that remain.
        let left =
            repaired["left"].as_array().unwrap().iter().filter(|left| left["severity"] == "error").count();
        let errors = scan_json(&server.root(), &[]).json()["summary"]["errors"].as_u64().unwrap();
        if left as u64 != errors {
            failures.push(format!("{left} errors were to stay, {errors} do: {story}"));
        }
        failures
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
}
