//! This version says what it does not do, and does not do it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;

/// Runs in a folder of its own, without the environment of whoever runs the tests.
fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::cargo_bin("registry-retention").expect("the binary");
    command.env_clear().envs(environment.iter().copied()).current_dir(folder).args(arguments);
    command.output().expect("an exit")
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("an empty folder");
    folder
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_says_that_it_does_nothing_yet() {
    let output =
        run(&folder("says"), &["--forgejo", "https://forge.example", "--owner", "team", "--apply"], &[]);
    insta::assert_snapshot!(stderr(&output), @"registry-retention 0.1.0: run is not there yet: this version parses its command line only; it does not list, plan or delete anything");
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(2), true));
}

#[test]
fn it_refuses_what_makes_no_sense() {
    let folder = folder("refuses");
    let first_line = |arguments: &[&str], environment: &[(&str, &str)]| {
        let output = run(&folder, arguments, environment);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        stderr(&output).lines().next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(first_line(&["--keep-last", "0"], &[]), @"error: invalid value '0' for '--keep-last <N>': 0 is not in 1..=4294967295");
    insta::assert_snapshot!(first_line(&[], &[("KEEP_LAST_N", "ten")]), @"error: invalid value 'ten' for '--keep-last <N>': invalid digit found in string");
    insta::assert_snapshot!(first_line(&["--max-delete-percent", "101"], &[]), @"error: invalid value '101' for '--max-delete-percent <P>': 101 is not in 0..=100");
    insta::assert_snapshot!(first_line(&["--inventory", "x.json", "--apply"], &[]), @"error: unexpected argument '--inventory' found");
    insta::assert_snapshot!(first_line(&["--keep-last", "3", "plan"], &[]), @"error: the subcommand 'plan' cannot be used with '--keep-last <N>'");
    insta::assert_snapshot!(first_line(&["delete"], &[]), @"error: unrecognized subcommand 'delete'");
}

#[test]
fn no_arguments_touch_anything() {
    let folder = folder("touches");
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    server.set_nonblocking(true).expect("a listener that does not wait");
    let url = format!("http://{}", server.local_addr().expect("an address"));
    let sources = [
        vec!["--forgejo", &url, "--owner", "a", "--owner", "b", "--save-inventory", "inventory.json"],
        vec!["--registry", &url, "--cache-dir", "cache", "--push-times", "times.json"],
        vec!["--layout", "."],
        vec![],
    ];
    let policy = [
        "--keep-last",
        "3",
        "--keep-tag",
        "v*",
        "--no-keep-latest",
        "--no-keep-cache",
        "--keep-within",
        "30d",
        "--in-use",
        "in-use.txt",
        "--package",
        "app",
        "--rank-by",
        "semver",
        "--untagged",
        "prune",
        "--orphan-signatures",
        "prune",
        "--grace",
        "1h",
        "--max-delete",
        "100",
        "--max-delete-percent",
        "100",
        "--allow-empty",
        "--assume-lost",
        "app:v1",
        "--config",
        "retention.toml",
    ];
    let effects = ["--preflight", "off", "--journal", "run.journal", "--undo-window"];
    let answer = ["--detailed-exitcode", "--fail-on", "broken"];
    let environment = [
        ("FORGEJO_HOST", &*url),
        ("FORGEJO_OWNER", "team"),
        ("FORGEJO_USER", "robot"),
        ("FORGEJO_TOKEN", "secret"),
        ("KEEP_LAST_N", "1"),
        ("DRY_RUN", "false"),
    ];
    let mut lines: Vec<Vec<&str>> = vec![
        [&["apply", "plan.json"][..], &effects].concat(),
        vec!["undo", "run.journal", "--push-times", "times.json"],
        vec!["plan", "--plan-file", "plan.json", "--inventory", "inventory.json"],
        vec!["explain", "app:v1", "--inventory", "inventory.json"],
    ];
    for source in &sources {
        let run = [source, &policy[..], &effects, &answer, &["--apply"]].concat();
        lines.push([&["run"][..], &run].concat());
        lines.push(run);
        lines.push([&["plan", "--plan-file", "plan.json"][..], source, &policy, &answer].concat());
        lines.push([&["explain", "app@sha256:00"][..], source, &policy].concat());
    }
    for environment in [&[][..], &environment] {
        for line in &lines {
            let output = run(&folder, line, environment);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{line:?}");
            assert!(said.contains("it does not list, plan or delete anything"), "{line:?}: {said}");
            assert!(!said.contains("secret") && output.stdout.is_empty(), "{line:?}");
        }
    }
    assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0, "a file was written");
    let call = server.accept().expect_err("nobody called");
    assert_eq!(call.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn help_names_verbs_and_environment_and_exits_0() {
    let output = run(&folder("help"), &["--help"], &[]);
    let help = String::from_utf8_lossy(&output.stdout);
    for word in ["run", "plan", "apply", "explain", "undo", "FORGEJO_TOKEN_FILE", "DRY_RUN", "KEEP_LAST_N"] {
        assert!(help.contains(word), "{word}");
    }
    assert_eq!(output.status.code(), Some(0));
}
