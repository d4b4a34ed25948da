//! Standard error: its log and progress lines, and a run whose standard error is closed.

use std::process::Stdio;

use registry_fixtures::program::ProgramOutput;
use serde_json::Value;

use crate::support::{BOTH, Job, incident};

#[test]
fn json_log_has_one_object_per_line() {
    let job = Job::new("log-json", incident(BOTH[1]));
    let ran = job.run(&["-v", "--log-format", "json", "--package", "a\u{202e}*", "--max-delete", "0"]);
    let lines: Vec<Value> =
        ran.err.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let messages = |level: &str| {
        let found = lines.iter().filter(|line| line["level"] == level);
        found.map(|line| line["fields"]["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(messages("INFO").iter().any(|text| text.ends_with("requests were made")), "{}", ran.err);
    assert_eq!(messages("WARN"), ["no package matches \"a\\u{202e}*\""]);
    assert!(lines.iter().all(|line| line["timestamp"].is_string()), "{}", ran.err);
}

#[test]
fn progress_option_prints_progress_lines() {
    let job = Job::new("progress", incident(BOTH[1]));
    for verb in [&["plan"][..], &["--apply", "--journal", "journal"]] {
        let ran = job.run(&[verb, &["--progress", "always"]].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.err.lines().all(|line| line.starts_with("asking: ")), "{}", ran.err);
        assert!(ran.err.lines().count() >= 1, "{ran:?}");
    }
    assert_eq!(job.run(&["plan"]).err, "");
}

/// Each line of standard error was written with a macro that panics.
#[test]
fn bug_closed_standard_error_does_not_panic() {
    let job = Job::new("closed", incident(BOTH[1]));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = job.command(&["plan", "-v", "--package", "nothing*"]);
    let ran = ProgramOutput::from(command.stderr(Stdio::from(writer)).output().unwrap());
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("packages=0"), "{ran:?}");
}
