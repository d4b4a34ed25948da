//! What several tests need: the program, its JSON report.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

/// The program, ready for arguments.
pub fn fsck() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-fsck"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs `scan` with some options.
pub fn scan(root: &Path, options: &[&str]) -> Output {
    fsck().arg("scan").args(options).arg(root).output().unwrap()
}

/// Runs `scan --output json` and reads the report.
pub fn report(root: &Path, options: &[&str]) -> serde_json::Value {
    let output = scan(root, &[options, &["--output", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr))
    })
}

/// The broken tags of a report, as `repository:tag`.
pub fn broken(report: &serde_json::Value) -> BTreeSet<String> {
    let name = |tag: &serde_json::Value| {
        format!("{}:{}", tag["repository"].as_str().unwrap(), tag["tag"].as_str().unwrap())
    };
    report["broken_tags"].as_array().unwrap().iter().map(name).collect()
}
