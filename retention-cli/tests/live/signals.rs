//! SIGINT and SIGTERM during a run or an undo on a server. Kubernetes sends SIGTERM at a deadline and at an eviction.

use std::time::Duration;

use registry_fixtures::forgejo::ReceivedRequest;

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, ProgramOutput, incident, is_deletion, run_interrupted, send_signal};

/// Long enough for a signal to arrive before the answer.
const LATER: Duration = Duration::from_millis(500);
const SIGNALS: [&str; 2] = ["-INT", "-TERM"];

/// Runs, and sends a signal at the `nth` request of a kind, which is answered after the signal has arrived.
fn run_with_signal(
    job: &Job,
    signal: &'static str,
    arguments: &[&str],
    nth: usize,
    is_counted: fn(&ReceivedRequest) -> bool,
) -> ProgramOutput {
    let interrupt = move |process| send_signal(process, signal);
    run_interrupted(&job.server, job.command(arguments), (nth, is_counted), LATER, interrupt)
}

#[test]
fn interrupted_run_finishes_current_deletion_and_reports() {
    for (profile, signal) in BOTH.into_iter().zip(SIGNALS) {
        for verb in ["run", "apply"] {
            let job = Job::new(&format!("stopped-{verb}"), incident(profile));
            let before = job.tags("kms-website");
            let files = ["--journal", "journal", "--metrics-file", "metrics"];
            let ran = if verb == "run" {
                let arguments = ["--apply", "--package", "kms*", "--keep-last", "2"];
                run_with_signal(&job, signal, &[&arguments[..], &files].concat(), 3, is_deletion)
            } else {
                job.run(&["plan", "--package", "kms*", "--keep-last", "2", "--plan-file", "plan"]);
                run_with_signal(&job, signal, &[&["apply", "plan"][..], &files].concat(), 3, is_deletion)
            };
            let end: Vec<_> = ran.out.lines().skip_while(|line| !line.starts_with("stopped")).collect();
            assert_output_snapshot!(format!("{}\n{}exit {}", end.join("\n"), ran.err, ran.status), @"
            stopped: it was asked to stop
            the journal is journal; registry-retention undo puts back what can be
            registry-retention apply: deleted=3 spared=0 failed=0 not_tried=8 already_gone=0

            registry-retention: stopping after the steps under way; once more ends it now
            error: stopped: it was asked to stop
            exit 130
            ");
            assert_eq!((job.tags("kms-website").len(), job.changes().len()), (12, 3), "{:?}", job.changes());
            let metrics = std::fs::read_to_string(job.folder.join("metrics")).unwrap();
            assert!(metrics.contains("\nregistry_retention_versions_deleted 3\n"), "{metrics}");
            assert!(!metrics.contains("last_success"), "{metrics}");
            let undone = job.run(&["undo", "journal", "--push-times", "times.json"]);
            assert_eq!((undone.status, job.tags("kms-website")), (0, before), "{undone:?}");
        }
    }
}

#[test]
fn run_interrupted_while_planning_deletes_nothing() {
    for (profile, signal) in BOTH.into_iter().zip(SIGNALS) {
        let job = Job::new("stopped-planning", incident(profile));
        let is_manifest = |ask: &ReceivedRequest| ask.path.starts_with("/v2/viktor/kms-website/manifests/");
        let arguments = ["--apply", "--keep-last", "1", "--metrics-file", "metrics"];
        let ran = run_with_signal(&job, signal, &arguments, 5, is_manifest);
        assert_output_snapshot!(ran.as_text(), @"

        registry-retention: stopping after the steps under way; once more ends it now
        warning: interrupted before anything was deleted
        exit 130
        ");
        assert_eq!(job.changes(), [""; 0]);
        assert!(job.folder.join("metrics").exists());
    }
}

#[test]
fn next_undo_continues_interrupted_undo() {
    for (profile, signal) in BOTH.into_iter().zip(SIGNALS) {
        let job = Job::new("stopped-undo", incident(profile));
        let before = job.tags("kms-website");
        assert_eq!(job.run(&["--apply", "--keep-last", "10", "--journal", "journal"]).status, 0);
        let is_tag = |ask: &ReceivedRequest| ask.method == "PUT" && !ask.path.contains("sha256:");
        let undo = ["undo", "journal", "--push-times", "times.json"];
        let ran = run_with_signal(&job, signal, &undo, 2, is_tag);
        assert_output_snapshot!(ran.as_text(), @"
        kms-website:b1 is back
        kms-website:b2 is back
        kms-website:b3 was not tried
        the original push times are in times.json: later runs need --push-times times.json
        registry-retention undo: rows=3 back=2 there=0 left=0 lost=0 unknown=0 not_tried=1

        registry-retention: stopping after the steps under way; once more ends it now
        exit 130
        ");
        let again = job.run(&undo);
        assert_eq!((again.status, job.tags("kms-website")), (0, before), "{again:?}");
        let night = job.run(&["--keep-last", "10", "--push-times", "times.json"]);
        assert!(night.out.contains("images_deleted=0 "), "{night:?}");
    }
}

/// Later runs know what was restored, even if the undo had no time to write down the numbers of the rows.
#[test]
fn second_signal_ends_undo_at_once() {
    let job = Job::new("ended", incident(BOTH[1]));
    assert_eq!(job.run(&["--apply", "--keep-last", "10", "--journal", "journal"]).status, 0);
    let undo = ["undo", "journal", "--push-times", "times.json"];
    let (minute, is_put) = (Duration::from_secs(60), |ask: &ReceivedRequest| ask.method == "PUT");
    let ran = run_interrupted(&job.server, job.command(&undo), (2, is_put), minute, |process| {
        std::thread::spawn(move || {
            send_signal(process, "-TERM");
            std::thread::sleep(LATER);
            send_signal(process, "-TERM");
        });
    });
    assert_eq!(ran.status, 130);
    assert!(ran.err.contains("ended at once; the journal tells what was done"), "{}", ran.err);
    assert!(job.tags("kms-website").len() > 12);
    let night = job.run(&["-v", "--keep-last", "10", "--push-times", "times.json"]);
    assert!(night.out.contains("images_deleted=0 ") && night.out.contains("b1: restored: "), "{night:?}");
}
