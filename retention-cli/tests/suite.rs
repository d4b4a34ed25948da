//! The program without a server: plans of recorded inventories, and usage.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use registry_fixtures::program::ProgramOutput;

/// Runs in a folder, without the environment of the user who runs the tests.
fn run(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> ProgramOutput {
    let mut command = Command::cargo_bin("registry-retention").expect("the binary");
    command.env_clear().envs(environment.iter().copied()).current_dir(folder).args(arguments);
    ProgramOutput::from(command.output().expect("an exit"))
}

fn empty_folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("an empty folder");
    folder
}

#[test]
fn invalid_usage_exits_2() {
    let folder = empty_folder("refuses");
    let first_line = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = run(&folder, arguments, environment);
        assert_eq!(ran.status, 2, "{arguments:?}");
        ran.err.lines().next().unwrap_or_default().to_owned()
    };
    insta::assert_snapshot!(first_line(&["--keep-last", "0"], &[]), @"error: invalid value '0' for '--keep-last <N>': write a number from 1 on; KEEP_LAST_N in the environment means the same");
    insta::assert_snapshot!(first_line(&[], &[("KEEP_LAST_N", "ten")]), @"error: invalid value 'ten' for '--keep-last <N>': write a number from 1 on; KEEP_LAST_N in the environment means the same");
    insta::assert_snapshot!(first_line(&["--max-delete-percent", "101"], &[]), @"error: invalid value '101' for '--max-delete-percent <P>': 101 is not in 0..=100");
    insta::assert_snapshot!(first_line(&["--inventory", "x.json", "--apply"], &[]), @"error: unexpected argument '--inventory' found");
    insta::assert_snapshot!(first_line(&["--keep-last", "3", "plan"], &[]), @"error: the subcommand 'plan' cannot be used with '--keep-last <N>'");
    insta::assert_snapshot!(first_line(&["delete"], &[]), @"error: unrecognized subcommand 'delete'");
}

#[test]
fn help_lists_subcommands_and_variables() {
    let help = run(&empty_folder("help"), &["--help"], &[]);
    assert_eq!(help.status, 0);
    for word in ["run", "plan", "apply", "explain", "undo", "FORGEJO_TOKEN_FILE", "DRY_RUN", "KEEP_LAST_N"] {
        assert!(help.out.contains(word), "{word}");
    }
}

/// The inventory of a Forgejo 15.
const INVENTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/inventories/forgejo-v15.json");

/// The output of a subcommand for the inventory at a fixed time, and the exit status.
fn output(verb: &str, arguments: &[&str]) -> String {
    let mut all = vec![verb, "--inventory", INVENTORY];
    if verb == "plan" {
        all.extend(["--at", "2026-11-24T12:00:00Z"]);
    }
    all.extend(arguments);
    run(Path::new(env!("CARGO_TARGET_TMPDIR")), &all, &[]).as_text()
}

#[test]
fn plan_is_printed_as_text() {
    insta::assert_snapshot!(output("plan", &[]), @"
    api: 10 images kept, 2 images to go, 0 rows left as they are
      delete v2, 15 h old: rank 11, beyond newest 10 (final)
      delete v1, 15 h old: rank 12, beyond newest 10 (final)
    kms-website: 10 images kept, 2 images to go, 48 rows left as they are
      delete da2beec7, 15 h old: rank 11, beyond newest 10
      delete 25a99140, 15 h old: rank 12, beyond newest 10
    team/app: 3 images kept, 0 images to go, 8 rows left as they are
    tools: 6 images kept, 0 images to go, 0 rows left as they are
    10.92 KiB are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=4 images_kept=29 images_deleted=4 versions_deleted=4 left=56 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=11181
    exit 0
    ");
    insta::assert_snapshot!(output("plan", &["-v", "--package", "tools", "--keep-last", "1"]), @"
    tools: 3 images kept, 3 images to go, 0 rows left as they are
      delete 1.0, 15 h old: rank 2, beyond newest 1 (final)
      delete 1.0-arm64, 15 h old: child of 1.0, which goes; below all that stay by rank (final)
      delete 1.0-amd64, 15 h old: child of 1.0, which goes; below all that stay by rank (final)
      keep   2.0-arm64, 2.0-amd64: child of 2.0
      keep   2.0: newest 1 of 1
    1.77 KiB are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=3 images_deleted=3 versions_deleted=3 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=1815
    exit 0
    ");
    insta::assert_snapshot!(output("plan", &["--quiet", "--detailed-exitcode"]), @"
    registry-retention plan: packages=4 images_kept=29 images_deleted=4 versions_deleted=4 left=56 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=11181
    exit 3
    ");
}

#[test]
fn guards_and_unmatched_patterns_are_reported() {
    insta::assert_snapshot!(output("plan", &["--quiet", "--max-delete", "3"]), @"
    registry-retention plan: packages=4 images_kept=33 images_deleted=0 versions_deleted=0 left=60 broken=0 skipped_packages=0 refused_packages=2 reclaimable_bytes=0
    error: package viktor/api is refused: 4 images would go in this run, more than 3; --max-delete says how many may go
    error: package viktor/kms-website is refused: 4 images would go in this run, more than 3; --max-delete says how many may go
    exit 7
    ");
    insta::assert_snapshot!(output("plan", &["--quiet", "--keep-tag", "nix*", "--package", "nix"]), @r#"
    registry-retention plan: packages=0 images_kept=0 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no package matches "nix"
    warning: no tag matches the keep pattern "nix*"
    exit 0
    "#);
    insta::assert_snapshot!(output("plan", &["--assume-lost", "api"]), @r#"
    error: --assume-lost "api" names no tag; write it as PACKAGE:TAG
    exit 2
    "#);
    insta::assert_snapshot!(output("plan", &["--keep-tag", "{a"]), @r#"
    error: "{a" is no pattern: error parsing glob '{a': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    exit 2
    "#);
}

#[test]
fn json_plan_equals_plan_file() {
    let folder = empty_folder("kept");
    let file = folder.join("plan.json");
    let arguments =
        ["plan", "--inventory", INVENTORY, "--output", "json", "--plan-file", file.to_str().unwrap()];
    let ran = run(&folder, &arguments, &[]);
    assert_eq!(ran.status, 0);
    let printed = ran.json();
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(printed["schema"], "registry-retention/plan/1");
}

#[test]
fn explain_names_chain_of_reasons() {
    insta::assert_snapshot!(output("explain", &["tools:1.0-amd64"]), @"
    tools:1.0-amd64 is kept: child of 1.0
      manifest sha256:28cf9a2ec7cf34da953e0074b8e1ba1e9fb1786fbc85f8478b0d93785348d83e
      named by index sha256:89b0d6a16cb9c70fc7fc9f0bb1e1cec91ab1e266977e56a54ce87fc6adcf041e: 1.0 (kept: newest 2 of 10)
    exit 0
    ");
    insta::assert_snapshot!(output("explain", &["api:v1"]), @"
    api:v1 goes: rank 12, beyond newest 10
      manifest sha256:55c2abff5ce8666654af8e0b91c538505414af77ab5ccfbb1ea067a3c55b29cd
    exit 0
    ");
    insta::assert_snapshot!(output("explain", &["api:v99"]), @r#"
    error: nothing is called "api:v99"; package api has tags such as v9, v1, v2, v3, v4
    exit 2
    "#);
}

#[test]
fn invalid_inventories_are_refused() {
    let folder = empty_folder("refused");
    let refusal = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        let ran = run(&folder, &["plan", "--inventory", name], &[]);
        assert_eq!(ran.status, 2);
        ran.err
    };
    insta::assert_snapshot!(refusal("empty", ""), @"error: cannot use the inventory empty: it is no inventory: EOF while parsing a value at line 1 column 0");
    insta::assert_snapshot!(refusal("other", "{\"schema\": \"x\"}"), @r#"error: cannot use the inventory other: its schema is "x", and "registry-retention/inventory/1" is needed"#);
    insta::assert_snapshot!(refusal("cut", "{\"schema\": \"registry-retention/inventory/1\""), @"error: cannot use the inventory cut: it is no inventory: EOF while parsing an object at line 1 column 43");
    let ran = run(&folder, &["plan", "--inventory", "missing"], &[]);
    insta::assert_snapshot!(ran.err, @"error: cannot use the inventory missing: cannot open missing: No such file or directory (os error 2)");
}

#[test]
fn keep_last_option_overrides_environment_which_overrides_config() {
    let arguments = ["plan", "--quiet", "--inventory", INVENTORY, "--package", "api"];
    let kept = |environment: &[(&str, &str)], more: &[&str]| {
        let ran = run(&empty_folder("old"), &[&arguments[..], more].concat(), environment);
        ran.out.split_whitespace().find(|word| word.starts_with("images_kept=")).unwrap().to_owned()
    };
    assert_eq!(kept(&[("KEEP_LAST_N", "3")], &[]), "images_kept=3");
    assert_eq!(kept(&[("KEEP_LAST_N", "3")], &["--keep-last", "4"]), "images_kept=4");
    std::fs::write(empty_folder("file").join("retention.toml"), "version = 1\nkeep-last = 5\n").unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("file/retention.toml");
    assert_eq!(kept(&[], &["--config", file.to_str().unwrap()]), "images_kept=5");
    assert_eq!(kept(&[("KEEP_LAST_N", "3")], &["--config", file.to_str().unwrap()]), "images_kept=3");
}
