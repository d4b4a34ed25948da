//! What is refused, and what is said.

use registry_fixtures::forgejo::{NO_PACKAGES, READ};

use crate::support::{BOTH, Job, incident};

#[test]
fn tokens_that_may_not_delete_are_found_in_the_dry_run() {
    for profile in BOTH {
        let job = Job::new("tokens", incident(profile));
        job.forbid_changes();
        let read = job.run_with(&[], &[("FORGEJO_TOKEN", READ)]);
        assert_eq!((read.status, read.err.lines().count()), (6, 1), "{read:?}");
        let off = job.run_with(&["--preflight", "off"], &[("FORGEJO_TOKEN", READ)]);
        assert_eq!(off.status, 0, "{off:?}");
        let warn = job.run_with(&["plan"], &[("FORGEJO_TOKEN", READ)]);
        assert!(warn.status == 0 && warn.err.contains("may not delete"), "{warn:?}");
        let none = job.run_with(&[], &[("FORGEJO_TOKEN", NO_PACKAGES)]);
        assert_eq!(none.status, 1, "{none:?}");
        let unknown = "4".repeat(40);
        let bad = job.run_with(&[], &[("FORGEJO_TOKEN", &unknown)]);
        assert!(bad.status == 1 && !bad.err.contains(&unknown), "{bad:?}");
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let job = Job::new("nonsense", incident(BOTH[1]));
    let error = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = job.run_with(arguments, environment);
        format!("{}exit {}", ran.err, ran.status)
    };
    insta::assert_snapshot!(error(&[], &[("FORGEJO_OWNER", "nobody")]), @"
    error: GET /api/v1/packages/nobody: there is no such owner on this server
    exit 1
    ");
    insta::assert_snapshot!(error(&[], &[("FORGEJO_HOST", "forgejo.example")]), @r#"
    error: "forgejo.example" is no address of a server: write it as https://host or http://host:port
    exit 2
    "#);
    insta::assert_snapshot!(error(&[], &[("FORGEJO_HOST", "http://127.0.0.1:1/x?y")]), @r#"
    error: "http://127.0.0.1:1/x?y" is no address of a server: it holds a query or a fragment
    exit 2
    "#);
    insta::assert_snapshot!(error(&[], &[("DRY_RUN", "yes")]), @r#"
    error: DRY_RUN is "yes"; write true or false
    exit 2
    "#);
    insta::assert_snapshot!(error(&["--layout", "."], &[]), @"
    error: --layout comes later: this version reads servers and inventories
    exit 2
    ");
    insta::assert_snapshot!(error(&["--token-file", "nowhere"], &[]), @"
    error: cannot read the token file nowhere: No such file or directory (os error 2)
    exit 2
    ");
    insta::assert_snapshot!(error(&["--package", "nix"], &[]), @r#"
    warning: no package matches "nix"
    exit 0
    "#);
    insta::assert_snapshot!(error(&["explain", "kms-website:b99"], &[]), @r#"
    error: nothing is called "kms-website:b99"; the packages are api, kms-website, team/tool
    exit 2
    "#);
    assert!(job.changes().is_empty());
}

#[test]
fn plan_files_are_acted_on_only_as_they_were_made() {
    let job = Job::new("plans", incident(BOTH[1]));
    let planned = job.run(&["plan", "--plan-file", "plan.json", "--keep-last", "10"]);
    assert_eq!(planned.status, 0, "{planned:?}");
    let path = job.folder.join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let error = |arguments: &[&str], environment: &[(&str, &str)]| {
        let ran = job.run_with(&[&["apply", "plan.json"], arguments].concat(), environment);
        format!("{}exit {}", ran.err, ran.status)
    };
    std::fs::write(&path, text.replacen("\"keep\"", "\"delete\"", 1)).unwrap();
    insta::assert_snapshot!(error(&[], &[]), @"
    error: cannot use the plan plan.json: it was changed after it was planned; plan anew
    exit 2
    ");
    std::fs::write(&path, "{}").unwrap();
    insta::assert_snapshot!(error(&[], &[]), @"
    error: cannot use the plan plan.json: it is no plan: missing field `schema` at line 1 column 2
    exit 2
    ");
    std::fs::write(&path, &text).unwrap();
    job.server.world().add_user("other");
    insta::assert_snapshot!(error(&[], &[("FORGEJO_OWNER", "other")]), @"
    error: it was made for URL viktor, and the command line names another server or owner
    exit 2
    ");
    let old = job.run(&["plan", "--plan-file", "old.json", "--at", "2026-01-01T00:00:00Z"]);
    assert_eq!(old.status, 0, "{old:?}");
    let ran = job.run(&["apply", "old.json"]);
    assert!(
        ran.status == 2 && ran.err.contains("86400 s is the most (--max-plan-age); plan anew"),
        "{ran:?}"
    );
    assert!(job.changes().is_empty());
    let dry = job.run_with(&["apply", "plan.json"], &[("DRY_RUN", "true")]);
    assert!(dry.status == 0 && job.changes().is_empty(), "{dry:?}");
    let live = job.run(&["apply", "plan.json"]);
    assert_eq!((live.status, job.tags("kms-website").len()), (0, 12), "{live:?}");
    job.assert_whole();
    // Again: everything is gone already.
    let again = job.run(&["apply", "plan.json", "--journal", "again.journal"]);
    assert_eq!(again.status, 0, "{again:?}");
}

#[test]
fn nothing_is_deleted_without_a_journal() {
    let job = Job::new("journal", incident(BOTH[1]));
    let ran = job.run(&["--apply", "--keep-last", "1", "--journal", "no/such/folder/journal"]);
    assert_eq!((ran.status, job.changes().len()), (1, 0), "{ran:?}");
    insta::assert_snapshot!(ran.err, @"error: cannot write the journal no/such/folder/journal, so nothing is deleted: No such file or directory (os error 2)");
    let full = job.run(&["--apply", "--keep-last", "1", "--journal", "/dev/full"]);
    assert_eq!((full.status, job.changes().len()), (1, 0), "{full:?}");
}
