//! Invalid options and variables, and output that cannot be written.

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

#[test]
fn invalid_options_are_refused_without_changes() {
    let job = Job::new("nonsense", incident(BOTH[1]));
    let output = |arguments: &[&str], environment: &[(&str, &str)]| {
        job.run_without_effect(&[&["--apply"], arguments].concat(), environment)
    };
    for value in ["yes", "TRUE", "no", "2", "on", "\u{1b}[31mtrue"] {
        let refusal = output(&[], &[("DRY_RUN", value)]);
        assert!(refusal.starts_with("error: DRY_RUN is ") && refusal.ends_with("exit 2"), "{refusal}");
    }
    assert_output_snapshot!(output(&[], &[("DRY_RUN", "\u{1b}[31mtrue")]), @r#"
    error: DRY_RUN is "\u{1b}[31mtrue"; write true or 1, false or 0
    exit 2
    "#);
    assert_output_snapshot!(job.run_without_effect(&["apply", "plan.json"], &[("DRY_RUN", "maybe")]), @"
    error: cannot open plan.json: No such file or directory (os error 2)
    exit 2
    ");
    assert_output_snapshot!(output(&["--layout", "."], &[]), @"
    error: no registry in .: looked for docker/registry/v2, for blobs and repositories, and in folders up to 4 levels below for docker/registry/v2
    exit 2
    ");
    assert_output_snapshot!(output(&["--in-use", "nowhere"], &[]), @"
    error: cannot read nowhere: No such file or directory (os error 2)
    exit 2
    ");
    // An absent file of push times is accepted, an invalid one refused.
    std::fs::write(job.folder.join("nothing"), "").unwrap();
    assert_output_snapshot!(output(&["--push-times", "nothing"], &[]), @"
    error: cannot use the push times nothing: it holds no push times: EOF while parsing a value at line 1 column 0
    exit 2
    ");
    assert_output_snapshot!(output(&["--config", "nowhere"], &[]), @"
    error: cannot read nowhere: No such file or directory (os error 2)
    exit 2
    ");
    assert_output_snapshot!(output(&["--keep-tag", "{a"], &[]), @r#"
    error: "{a" is no pattern: error parsing glob '{a': unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
    exit 2
    "#);
    assert_eq!(job.changes(), [""; 0]);
}

#[test]
fn keep_last_must_be_at_least_1() {
    let job = Job::new("numbers", incident(BOTH[1]));
    let output = |value: &str| {
        let by_environment = job.run_without_effect(&["--apply"], &[("KEEP_LAST_N", value)]);
        assert_eq!(job.run_without_effect(&["--apply", "--keep-last", value], &[]), by_environment);
        by_environment
    };
    for value in ["0", "-3", "ten", "1e3", "4294967296", ""] {
        assert_output_snapshot!(output(value).replacen(&format!("'{value}'"), "'VALUE'", 1), @"
        error: invalid value 'VALUE' for '--keep-last <N>': write a number from 1 on; KEEP_LAST_N in the environment means the same

        For more information, try '--help'.
        exit 2
        ");
    }
    std::fs::write(job.folder.join("zero.toml"), "version = 1\nkeep-last = 0\n").unwrap();
    assert_output_snapshot!(job.run_without_effect(&["--apply", "--config", "zero.toml"], &[]), @"
    error: zero.toml cannot be used: keep-last is 0; at least 1 is needed
    exit 2
    ");
    assert_eq!(job.server.lines().iter().filter(|line| line.contains("/packages/")).count(), 0);
}

#[test]
fn unmatched_patterns_warn() {
    let job = Job::new("patterns", incident(BOTH[1]));
    let output = |arguments: &[&str]| {
        job.run_without_effect(&[&["--quiet", "--keep-last", "99"], arguments].concat(), &[])
    };
    assert_output_snapshot!(output(&["--package", "nix", "--keep-tag", "stable-*"]), @r#"
    registry-retention plan: packages=0 images_kept=0 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no package matches "nix"
    warning: no tag matches the keep pattern "stable-*"
    exit 0
    "#);
    assert_output_snapshot!(output(&["--package", "KMS*", "--keep-tag", "B1*"]), @"
    registry-retention plan: packages=1 images_kept=14 images_deleted=0 versions_deleted=0 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
    let rules =
        "version = 1\n[[rules]]\npackage = \"api\"\ntags = \"pr-*\"\n[[rules]]\ntags = \"v*\"\n[[rules]]\n";
    std::fs::write(job.folder.join("rules.toml"), rules).unwrap();
    assert_output_snapshot!(output(&["--config", "rules.toml"]), @r#"
    registry-retention plan: packages=3 images_kept=23 images_deleted=0 versions_deleted=0 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no tag matches rule 1 (package "api", tags "pr-*")
    exit 0
    "#);
    assert_output_snapshot!(output(&["--assume-lost", "api:v99"]), @r#"
    registry-retention plan: packages=3 images_kept=23 images_deleted=0 versions_deleted=0 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no tag is called "api:v99", as --assume-lost has it
    exit 0
    "#);
    assert_output_snapshot!(job.run_without_effect(&["explain", "kms-website:b99"], &[]), @r#"
    error: nothing is called "kms-website:b99"; package kms-website has tags such as b9, b1, b2, b3, b4
    exit 2
    "#);
}

#[test]
fn unwritable_output_files_exit_1() {
    let job = Job::new("nowhere", incident(BOTH[1]));
    let output = |arguments: &[&str]| {
        job.run_without_effect(&[arguments, &["--quiet", "--package", "api"]].concat(), &[])
    };
    assert_output_snapshot!(output(&["plan", "--plan-file", "no/such/plan.json"]), @"
    error: cannot write the plan no/such/plan.json: no file can be made in no/such: entity not found
    exit 1
    ");
    assert_output_snapshot!(output(&["--apply", "--keep-last", "1", "--save-inventory", "no/such/inventory"]), @"
    error: cannot write the inventory no/such/inventory: no file can be made in no/such: entity not found
    exit 1
    ");
}

#[test]
fn unprinted_plan_is_not_applied() {
    let job = Job::new("full-output", incident(BOTH[1]));
    let ran = job.run_limited("exec > /dev/full", &["--apply", "--keep-last", "1"]);
    assert_eq!(job.changes(), [""; 0]);
    assert_output_snapshot!(ran.as_text(), @"
    error: cannot print the plan: No space left on device (os error 28)
    exit 1
    ");
}
