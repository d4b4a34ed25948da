//! The real server as the judge of a repair: no tag that it served whole is broken, what is mended it serves.

use std::collections::BTreeSet;
use std::process::Command;

use registry_fixtures::registry::Profile;

use crate::real_server::{Client, failing, on_random_trees};
use crate::support::{broken, report};

use super::repair;

/// Random trees.
const CASES: u64 = 200;

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn real_server_serves_repaired_tags() {
    let failures = on_random_trees(CASES, Profile::V2_8, |server, story| {
        let aged = Command::new("find")
            .arg(server.root())
            .args(["-type", "f", "-o", "-type", "d"])
            .args(["-exec", "touch", "-d", "2026-01-01", "{}", "+"])
            .status();
        assert!(aged.unwrap().success());
        let client = Client::new(server, false);
        let before: BTreeSet<String> = failing(&client).into_keys().collect();
        let folder = tempfile::tempdir().unwrap();
        let ran = repair(
            &server.root(),
            &folder.path().join("journal"),
            &["--apply", "--online", "--output", "json", "--jobs", "2"],
        );
        let told = ran.json();
        let after: BTreeSet<String> = failing(&client).into_keys().collect();
        let claimed = broken(&report(&server.root(), &[]));
        let mut failures = Vec::new();
        let worse: Vec<_> = after.difference(&before).collect();
        if !worse.is_empty() {
            failures.push(format!("{worse:?} were whole: {story}"));
        }
        if after != claimed {
            failures.push(format!("the server fails {after:?}, we say {claimed:?}: {story}"));
        }
        if u64::try_from(claimed.len())
            != Ok(told["after"]["broken_tags"].as_u64().unwrap_or(claimed.len() as u64))
        {
            failures.push(format!("the report says {}: {story}", told["after"]));
        }
        // What is left is what stays.
        let left = told["left"].as_array().unwrap().iter().filter(|left| left["severity"] == "error").count();
        let errors = report(&server.root(), &[])["summary"]["errors"].as_u64().unwrap();
        if left as u64 != errors {
            failures.push(format!("{left} errors were to stay, {errors} do: {story}"));
        }
        failures
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
}
