//! The requests and changes of dry, armed and disturbed runs.

use std::time::Duration;

use registry_fixtures::forgejo::Fault;

use crate::support::{BOTH, Job, incident};

#[test]
fn environment_of_replaced_job_is_understood() {
    for profile in BOTH {
        let job = Job::new("environment", incident(profile));
        let dry = job.run_with(&[], &[("KEEP_LAST_N", "10")]);
        assert_eq!(dry.status, 0, "{dry:?}");
        assert_eq!((job.changes().len(), job.tags("kms-website").len()), (0, 15));
        let live = job.run_with(&[], &[("KEEP_LAST_N", "10"), ("DRY_RUN", "false")]);
        assert_eq!(live.status, 0, "{live:?}");
        let mut kept = ["latest", "b4", "b5", "b6", "b7", "b8", "b9", "b10", "b11", "b12", "b13", "b14"];
        kept.sort_unstable();
        assert_eq!(job.tags("kms-website"), kept);
        assert_eq!(job.changes().len(), 3, "{:?}", job.changes());
        job.assert_whole();
        job.server.world().now += 25 * 3600;
        job.server.world().cleanup();
        job.assert_whole();
    }
}

#[test]
fn dry_run_is_printed_as_text() {
    let job = Job::new("log", incident(BOTH[1]));
    let ran = job.run(&["--package", "kms*"]);
    insta::with_settings!({filters => vec![(r"\d+ d old", "N d old")]}, {
        insta::assert_snapshot!(ran.out, @"
        URL, owner viktor; dry run: nothing is deleted
        kms-website: 11 images kept, 3 images to go, 28 rows left as they are
          delete b3, N d old: rank 12, beyond newest 10
          delete b2, N d old: rank 13, beyond newest 10
          delete b1, N d old: rank 14, beyond newest 10
        4.19 KiB are needed only by what goes; the server's own collector frees them later
        registry-retention plan: packages=1 images_kept=11 images_deleted=3 versions_deleted=3 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=4287
        ");
    });
    insta::assert_snapshot!(ran.err, @"");
}

#[test]
fn law_4_dry_run_only_reads_and_plans_like_live_run() {
    for profile in BOTH {
        let job = Job::new("law4", incident(profile));
        job.forbid_changes();
        let at = jiff::Timestamp::now().to_string();
        let arguments = ["--output", "json", "--keep-last", "2", "--at", &at];
        let dry = job.run(&arguments);
        assert_eq!(dry.status, 0, "{dry:?}");
        let again = job.run(&[&arguments[..], &["--jobs", "1"]].concat());
        assert_eq!(dry.out, again.out);
        job.server.set_hook(|_, _, _| None);
        let live = job.run(&[&arguments[..], &["--apply"]].concat());
        assert_eq!(live.status, 0, "{live:?}");
        assert!(live.out.starts_with(&dry.out), "{}", live.out);
        job.assert_whole();
    }
}

#[test]
fn dry_run_variable_disarms_apply_option() {
    let job = Job::new("disarms", incident(BOTH[1]));
    job.forbid_changes();
    let ran = job.run_with(&["--apply", "--keep-last", "1"], &[("DRY_RUN", "true")]);
    assert_eq!(ran.status, 0, "{ran:?}");
    insta::assert_snapshot!(ran.err, @"warning: DRY_RUN=true disarms --apply: nothing is deleted");
}

#[test]
fn package_with_unread_manifest_is_not_deleted_from() {
    for profile in BOTH {
        let job = Job::new("unread", incident(profile));
        job.server.set_hook(|_, ask, _| {
            (ask.path == "/v2/viktor/kms-website/manifests/b1" && ask.method == "GET")
                .then_some(Fault::Status(404))
        });
        let ran = job.run(&["--apply", "--keep-last", "2"]);
        assert_eq!(ran.status, 4, "{ran:?}");
        assert_eq!(job.tags("kms-website").len(), 15);
        assert_eq!(job.tags("api").len(), 2);
        job.assert_whole();
    }
}

#[test]
fn tag_pushed_between_list_and_deletion_stays() {
    for profile in BOTH {
        let job = Job::new("pushed", incident(profile));
        let mut is_done = false;
        job.server.set_hook(move |world, ask, _| {
            if !is_done && ask.method == "DELETE" && ask.path.ends_with("/container/kms-website/b1") {
                is_done = true;
                // The deletion of b1 is under way; that of b2 is still to come.
                world.push_index("kms-website", &["b2"], &["new amd64", "new arm64"]);
            }
            None
        });
        let ran = job.run(&["--apply", "--keep-last", "10"]);
        assert_eq!(ran.status, 5, "{ran:?}");
        assert!(job.tags("kms-website").contains(&"b2".to_owned()), "{:?}", job.tags("kms-website"));
        assert!(ran.out.contains("b2 was pushed again since it was planned"), "{}", ran.out);
        job.assert_whole();
    }
}

#[test]
fn run_survives_slow_and_failing_server() {
    for profile in BOTH {
        let job = Job::new("stumbling", incident(profile));
        let mut stumbled = std::collections::BTreeSet::new();
        job.server.set_hook(move |_, ask, number| {
            let is_first = stumbled.insert((ask.method.clone(), ask.path.clone(), ask.query.clone()));
            match number % 5 {
                _ if !is_first || number % 3 != 0 => None,
                0 => Some(Fault::Status(500)),
                1 => Some(Fault::Truncated),
                2 => Some(Fault::Slow(Duration::from_millis(30))),
                3 => Some(Fault::Lost),
                _ => Some(Fault::Refused),
            }
        });
        let ran = job.run(&["--apply", "--keep-last", "10"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(job.tags("kms-website").len(), 12);
        job.assert_whole();
    }
}

#[test]
fn second_run_with_cache_sends_only_lists_and_heads() {
    let job = Job::new("cache", incident(BOTH[1]));
    let first = job.run(&["--cache-dir", "cache"]);
    job.server.clear_log();
    let second = job.run(&["--cache-dir", "cache"]);
    let last = |out: &str| out.lines().last().map(str::to_owned);
    assert_eq!(last(&first.out), last(&second.out));
    for line in job.server.lines() {
        let is_expected = [
            "GET /api/forgejo/v1/version",
            "GET /v2/token",
            "DELETE /v2/viktor/preflight/manifests/-preflight",
            "GET /api/v1/packages/viktor/container/team%2Ftool/3",
        ]
        .contains(&&*line)
            || line.starts_with("GET /api/v1/packages/viktor?")
            || line.starts_with("HEAD /v2/viktor/");
        assert!(is_expected, "{line}");
    }
    let mut lines = job.server.lines();
    lines.sort();
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all, "something was asked twice");
}
