//! `--metrics-file` and `--pushgateway`. The metrics and the exit status show a run that planned deletions and made none of them: the
//! job that this program replaces met 51 refusals and exited 0.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use registry_fixtures::forgejo::{OWNER, Profile, READ};
use registry_fixtures::http::{Fault, Server};
use registry_fixtures::pushgateway::{Pushgateway, received_pushes};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, ProgramOutput, incident, is_deletion, refuse_from_first_deletion};

const SUCCESS: &str = "registry_retention_last_success_timestamp_seconds";

/// The metrics of a run without the common prefix of their names, and its exit status.
fn values(job: &Job, ran: &ProgramOutput) -> String {
    let text = std::fs::read_to_string(job.folder.join("metrics.prom")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut values: Vec<_> = lines
        .map(|line| {
            if line.starts_with(SUCCESS) {
                "last_success".to_owned()
            } else {
                line.replace("registry_retention_", "")
            }
        })
        .collect();
    values.push(format!("exit {}", ran.status));
    values.join("\n")
}

fn metrics_of(job: &Job, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let ran =
        job.run_with(&[&["--metrics-file", "metrics.prom", "--quiet"], arguments].concat(), environment);
    values(job, &ran)
}

#[test]
fn every_metric_has_help_and_type() {
    let job = Job::new("metrics-whole", incident(Profile::V15));
    let ran = job.run(&["--quiet", "--metrics-file", "metrics.prom"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let text = std::fs::read_to_string(job.folder.join("metrics.prom")).unwrap();
    let (text, time) = text.trim_end().rsplit_once(' ').unwrap();
    let age = jiff::Timestamp::now().as_second() - time.parse::<i64>().unwrap();
    assert!((0..600).contains(&age), "{time}");
    assert_output_snapshot!(text, @"
    # HELP registry_retention_versions_kept Rows that the policy keeps; what is left as it is does not count.
    # TYPE registry_retention_versions_kept gauge
    registry_retention_versions_kept 21
    # HELP registry_retention_versions_deleted Rows that the server confirmed gone.
    # TYPE registry_retention_versions_deleted gauge
    registry_retention_versions_deleted 0
    # HELP registry_retention_versions_already_gone Rows that were gone before the run asked.
    # TYPE registry_retention_versions_already_gone gauge
    registry_retention_versions_already_gone 0
    # HELP registry_retention_versions_failed Rows that could not be deleted.
    # TYPE registry_retention_versions_failed gauge
    registry_retention_versions_failed 0
    # HELP registry_retention_skipped_packages Packages whose graph could not be read.
    # TYPE registry_retention_skipped_packages gauge
    registry_retention_skipped_packages 0
    # HELP registry_retention_refused_packages Packages in which a guard refused.
    # TYPE registry_retention_refused_packages gauge
    registry_retention_refused_packages 0
    # HELP registry_retention_broken_images Tags of images that do not answer down to the leaves.
    # TYPE registry_retention_broken_images gauge
    registry_retention_broken_images 0
    # HELP registry_retention_planned_deletions Rows that the plan lets go.
    # TYPE registry_retention_planned_deletions gauge
    registry_retention_planned_deletions 3
    # HELP registry_retention_zero_effect Whether deletions were to be done for an owner and none succeeded.
    # TYPE registry_retention_zero_effect gauge
    registry_retention_zero_effect 0
    # HELP registry_retention_reclaimable_bytes Bytes that only what goes needs.
    # TYPE registry_retention_reclaimable_bytes gauge
    registry_retention_reclaimable_bytes 4287
    # HELP registry_retention_last_success_timestamp_seconds When a run last ended well.
    # TYPE registry_retention_last_success_timestamp_seconds gauge
    registry_retention_last_success_timestamp_seconds
    ");
}

#[test]
fn dry_run_never_has_zero_effect() {
    let job = Job::new("metrics-dry", incident(Profile::V15));
    assert_output_snapshot!(metrics_of(&job, &[], &[]), @"
    versions_kept 21
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 3
    zero_effect 0
    reclaimable_bytes 4287
    last_success
    exit 0
    ");
    let pending = metrics_of(&job, &["--detailed-exitcode"], &[]);
    assert!(pending.ends_with("last_success\nexit 3"), "{pending}");
    let without_deletions = metrics_of(&job, &["--keep-last", "99", "--apply"], &[]);
    assert_output_snapshot!(without_deletions, @"
    versions_kept 24
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 0
    zero_effect 0
    reclaimable_bytes 0
    last_success
    exit 0
    ");
}

#[test]
fn armed_run_counts_confirmed_deletions() {
    for profile in BOTH {
        let job = Job::new("metrics-armed", incident(profile));
        assert_output_snapshot!(metrics_of(&job, &["--apply", "--keep-last", "2"], &[]), @"
        versions_kept 10
        versions_deleted 14
        versions_already_gone 0
        versions_failed 0
        skipped_packages 0
        refused_packages 0
        broken_images 0
        planned_deletions 14
        zero_effect 0
        reclaimable_bytes 16952
        last_success
        exit 0
        ");
    }
}

#[test]
fn refused_deletions_exit_6_with_zero_effect() {
    for profile in BOTH {
        let job = Job::new("metrics-refused", incident(profile));
        let all = ["--apply", "--keep-last", "2", "--journal", "journal"];
        // The preflight is refused.
        let read = metrics_of(&job, &all, &[("FORGEJO_TOKEN", READ)]);
        assert_output_snapshot!(read, @"
        versions_kept 10
        versions_deleted 0
        versions_already_gone 0
        versions_failed 0
        skipped_packages 0
        refused_packages 0
        broken_images 0
        planned_deletions 14
        zero_effect 1
        reclaimable_bytes 16952
        exit 6
        ");
        // The preflight passes and the first deletion is refused.
        refuse_from_first_deletion(&job.server);
        assert_output_snapshot!(metrics_of(&job, &all, &[]), @"
        versions_kept 10
        versions_deleted 0
        versions_already_gone 0
        versions_failed 1
        skipped_packages 0
        refused_packages 0
        broken_images 0
        planned_deletions 14
        zero_effect 1
        reclaimable_bytes 16952
        exit 6
        ");
        assert_eq!(job.changes().len(), 1);
    }
}

#[test]
fn failed_and_spared_deletions_have_zero_effect() {
    let job = Job::new("metrics-failed", incident(Profile::V15));
    let all = ["--apply", "--keep-last", "2", "--package", "api"];
    job.server.set_hook(|_, ask, _| is_deletion(ask).then_some(Fault::Status(418)));
    assert_output_snapshot!(metrics_of(&job, &[&all[..], &["--journal", "1"]].concat(), &[]), @"
    versions_kept 2
    versions_deleted 0
    versions_already_gone 0
    versions_failed 1
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 1
    zero_effect 1
    reclaimable_bytes 465
    exit 1
    ");
    job.server.set_hook(|_, ask, _| {
        (ask.method == "GET" && ask.path.ends_with("/container/api/v1")).then_some(Fault::Status(418))
    });
    assert_output_snapshot!(metrics_of(&job, &[&all[..], &["--journal", "2"]].concat(), &[]), @"
    versions_kept 2
    versions_deleted 0
    versions_already_gone 0
    versions_failed 1
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 1
    zero_effect 1
    reclaimable_bytes 465
    exit 1
    ");
}

#[test]
fn run_without_journal_has_zero_effect() {
    let job = Job::new("metrics-journal", incident(Profile::V15));
    let apply = |journal: &str| {
        let arguments = ["--apply", "--package", "api", "--keep-last", "1", "--journal", journal];
        metrics_of(&job, &arguments, &[])
    };
    let existing = apply("/dev/full");
    assert_output_snapshot!(existing, @"
    versions_kept 1
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 2
    zero_effect 1
    reclaimable_bytes 930
    exit 1
    ");
    assert_eq!(apply("no/such"), existing);
}

/// <https://github.com/buildsense-ai/XiaoBa-CLI/issues/501>
#[test]
fn skipped_and_refused_packages_are_counted() {
    let job = Job::new("metrics-skipped", incident(Profile::V15));
    job.server.set_hook(|_, ask, _| ask.path.ends_with("/api/manifests/v1").then_some(Fault::Status(418)));
    assert_output_snapshot!(metrics_of(&job, &["--apply", "--keep-last", "2", "--max-delete-percent", "50", "--package", "api", "--package", "kms*"], &[]), @"
    versions_kept 4
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 1
    refused_packages 1
    broken_images 0
    planned_deletions 0
    zero_effect 0
    reclaimable_bytes 0
    exit 7
    ");
    let broken = Job::new("metrics-broken", incident(Profile::V15));
    {
        let mut world = broken.server.world();
        let child = world.find_image("kms-website", "amd64 13");
        world.versions.retain(|row| row.name != child);
    }
    assert_output_snapshot!(metrics_of(&broken, &["--keep-last", "20"], &[]), @"
    versions_kept 23
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 1
    planned_deletions 0
    zero_effect 0
    reclaimable_bytes 0
    last_success
    exit 0
    ");
    assert!(metrics_of(&broken, &["--keep-last", "20", "--fail-on", "broken"], &[]).ends_with("exit 4"));
}

#[test]
fn apply_writes_metrics() {
    let job = Job::new("metrics-apply", incident(Profile::V15));
    job.run(&["plan", "--plan-file", "plan.json", "--keep-last", "2"]);
    let refused = metrics_of(&job, &[], &[("FORGEJO_HOST", "http://127.0.0.1:1")]);
    assert!(refused.starts_with("versions_kept 0\n") && refused.ends_with("exit 1"), "{refused}");
    let apply = |more: &[&str], environment: &[(&str, &str)]| {
        let ran = job.run_with(
            &[&["apply", "plan.json", "--quiet", "--metrics-file", "metrics.prom"], more].concat(),
            environment,
        );
        values(&job, &ran)
    };
    assert_output_snapshot!(apply(&[], &[("FORGEJO_TOKEN", READ)]), @"
    versions_kept 10
    versions_deleted 0
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 14
    zero_effect 1
    reclaimable_bytes 16952
    exit 6
    ");
    let dry = apply(&[], &[("DRY_RUN", "true")]);
    assert!(dry.contains("zero_effect 0") && dry.ends_with("exit 0"), "{dry}");
    assert_output_snapshot!(apply(&[], &[]), @"
    versions_kept 10
    versions_deleted 14
    versions_already_gone 0
    versions_failed 0
    skipped_packages 0
    refused_packages 0
    broken_images 0
    planned_deletions 14
    zero_effect 0
    reclaimable_bytes 16952
    last_success
    exit 0
    ");
}

#[test]
fn last_success_time_survives_failures() {
    let job = Job::new("metrics-last", incident(Profile::V15));
    let path = job.folder.join("metrics.prom");
    std::fs::write(&path, format!("{SUCCESS} 1234\nnoise \u{1b}\n")).unwrap();
    let failed = metrics_of(&job, &[], &[("FORGEJO_TOKEN", READ)]);
    assert!(failed.ends_with("exit 6"), "{failed}");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with(&format!("\n{SUCCESS} 1234\n")) && !text.contains("noise"), "{text}");
    assert!(metrics_of(&job, &[], &[]).ends_with("exit 0"));
    assert!(!std::fs::read_to_string(&path).unwrap().contains(&format!("{SUCCESS} 1234")));
}

#[test]
fn unwritable_metrics_hide_no_other_failure() {
    let job = Job::new("metrics-nowhere", incident(Profile::V15));
    let arguments =
        ["--quiet", "--package", "api", "--keep-last", "2", "--metrics-file", "no/such/folder/metrics"];
    assert_output_snapshot!(job.run_without_effect(&arguments, &[]), @"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    error: cannot write the metrics file no/such/folder/metrics: no file can be made in no/such/folder: entity not found
    exit 1
    ");
    assert_output_snapshot!(job.run_without_effect(&arguments, &[("FORGEJO_TOKEN", READ)]), @"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    error: these credentials may not delete packages of viktor: the token lacks the scope write:package, or its user the permission
    error: cannot write the metrics file no/such/folder/metrics: no file can be made in no/such/folder: entity not found
    exit 6
    ");
    let ran = job.run(&[&arguments[..], &["--apply", "--journal", "journal"]].concat());
    assert_eq!(job.tags("api").len(), 2);
    assert_output_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    registry-retention apply: deleted=1 spared=0 failed=0 not_tried=0 already_gone=0
    error: cannot write the metrics file no/such/folder/metrics: no file can be made in no/such/folder: entity not found
    exit 1
    ");
}

#[test]
fn run_pushes_text_of_metrics_file() {
    let (job, gateway) = (Job::new("push", incident(Profile::V15)), Server::start(Pushgateway));
    let base = format!("{}/", gateway.url);
    let places = ["--metrics-file", "metrics.prom", "--pushgateway", &base, "--quiet"];
    for verb in [&["run"][..], &["--apply", "--keep-last", "2"], &["apply", "plan.json"]] {
        job.run(&["plan", "--quiet", "--keep-last", "1", "--plan-file", "plan.json"]);
        gateway.clear_log();
        let ran = job.run(&[verb, &places].concat());
        assert_eq!((ran.status, &*ran.err), (0, ""), "{verb:?}: {ran:?}");
        let pushes = received_pushes(&gateway);
        let key = URL_SAFE.encode(&job.server.url);
        let group = format!("POST /metrics/job/registry-retention/instance@base64/{key}/owner/{OWNER}");
        assert_eq!((pushes.len(), &*pushes[0].0), (1, &*group));
        assert_eq!(pushes[0].1, std::fs::read_to_string(job.folder.join("metrics.prom")).unwrap());
        assert!(pushes[0].1.contains(SUCCESS), "{}", pushes[0].1);
        assert_eq!(gateway.log()[0].header("content-type"), Some("text/plain; version=0.0.4"));
    }
}

/// A POST without the time of the last success leaves the time that the group has.
#[test]
fn failed_run_pushes_no_success_time() {
    let (job, gateway) = (Job::new("push-failed", incident(Profile::V15)), Server::start(Pushgateway));
    let arguments = ["--apply", "--quiet", "--pushgateway", &gateway.url];
    let ran = job.run_with(&arguments, &[("FORGEJO_TOKEN", READ)]);
    assert_eq!(ran.status, 6, "{ran:?}");
    let pushes = received_pushes(&gateway);
    assert!(pushes.len() == 1 && pushes[0].0.starts_with("POST "), "{pushes:?}");
    assert!(pushes[0].1.contains("planned_deletions 3") && !pushes[0].1.contains(SUCCESS), "{}", pushes[0].1);
}

#[test]
fn refused_push_exits_1_unless_run_failed_worse() {
    let (job, gateway) = (Job::new("push-refused", incident(Profile::V15)), Server::start(Pushgateway));
    gateway.set_hook(|_, _, _| Some(Fault::Status(400)));
    let arguments = ["--quiet", "--pushgateway", &gateway.url];
    let ran = job.run(&arguments);
    assert_eq!(ran.status, 1, "{ran:?}");
    let output = mask_path(&ran.err);
    assert_eq!(output, "error: cannot push metrics: the Pushgateway does not take them: PATH: status 400");
    assert_eq!(job.run_with(&arguments, &[("FORGEJO_TOKEN", READ)]).status, 6);
    let secret = "http://me:0123456789@127.0.0.1:1";
    let ran = job.run(&["--quiet", "--pushgateway", secret]);
    assert!(ran.status == 1 && !ran.err.contains("0123456789"), "{ran:?}");
    // The run itself is completed.
    assert!(ran.out.contains("registry-retention plan: "), "{ran:?}");
}

/// Replaces the requested path in an error by `PATH`.
fn mask_path(err: &str) -> String {
    let (before, after) = err.trim_end().split_once("POST /").expect("a request");
    format!("{before}PATH: {}", after.split_once(": ").expect("an answer").1)
}
