//! ^C and SIGTERM while a server is worked on, as Kubernetes sends it at a deadline and at an eviction.

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use registry_fixtures::forgejo::{Ask, Fault};

use crate::assert_told_snapshot;
use crate::support::{BOTH, Job, Ran, incident};

/// Long enough for a signal to arrive before the answer does.
const LATER: Duration = Duration::from_millis(500);
const SIGNALS: [&str; 2] = ["-INT", "-TERM"];

fn kill(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// Runs, and sends a signal when the `nth` request of a kind is asked, whose answer comes after it.
fn stopped_at(
    job: &Job,
    signal: &'static str,
    nth: usize,
    arguments: &[&str],
    is_it: fn(&Ask) -> bool,
) -> Ran {
    let process = Arc::new(OnceLock::new());
    let (known, mut count) = (Arc::clone(&process), 0);
    job.server.set_hook(move |_, ask, _| {
        count += usize::from(is_it(ask));
        if !is_it(ask) || count != nth {
            return None;
        }
        while known.get().is_none() {
            std::thread::yield_now();
        }
        kill(signal, *known.get().unwrap());
        Some(Fault::Slow(LATER))
    });
    let child: Child = job.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.set(child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    job.server.set_hook(|_, _, _| None);
    Ran::from(output).with(&job.server.url, "URL")
}

fn is_deletion(ask: &Ask) -> bool {
    ask.method == "DELETE" && ask.path.starts_with("/api/v1/packages/")
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
                stopped_at(&job, signal, 3, &[&arguments[..], &files].concat(), is_deletion)
            } else {
                job.run(&["plan", "--package", "kms*", "--keep-last", "2", "--plan-file", "plan"]);
                stopped_at(&job, signal, 3, &[&["apply", "plan"][..], &files].concat(), is_deletion)
            };
            let end: Vec<_> = ran.out.lines().skip_while(|line| !line.starts_with("stopped")).collect();
            assert_told_snapshot!(format!("{}\n{}exit {}", end.join("\n"), ran.err, ran.status), @"
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
        let is_manifest = |ask: &Ask| ask.path.starts_with("/v2/viktor/kms-website/manifests/");
        let arguments = ["--apply", "--keep-last", "1", "--metrics-file", "metrics"];
        let ran = stopped_at(&job, signal, 5, &arguments, is_manifest);
        assert_told_snapshot!(ran.as_text(), @"

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
        let is_tag = |ask: &Ask| ask.method == "PUT" && !ask.path.contains("sha256:");
        let undo = ["undo", "journal", "--push-times", "times.json"];
        let ran = stopped_at(&job, signal, 2, &undo, is_tag);
        assert_told_snapshot!(ran.as_text(), @"
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

/// What was put back is known to later runs even if the undo had no time to write down the numbers of the rows.
#[test]
fn second_signal_ends_undo_at_once() {
    let job = Job::new("ended", incident(BOTH[1]));
    assert_eq!(job.run(&["--apply", "--keep-last", "10", "--journal", "journal"]).status, 0);
    let process = Arc::new(OnceLock::new());
    let (known, mut count) = (Arc::clone(&process), 0);
    job.server.set_hook(move |_, ask, _| {
        count += usize::from(ask.method == "PUT");
        if ask.method != "PUT" || count != 2 {
            return None;
        }
        while known.get().is_none() {
            std::thread::yield_now();
        }
        let process = *known.get().unwrap();
        std::thread::spawn(move || {
            kill("-TERM", process);
            std::thread::sleep(LATER);
            kill("-TERM", process);
        });
        Some(Fault::Slow(Duration::from_secs(60)))
    });
    let undo = ["undo", "journal", "--push-times", "times.json"];
    let child = job.command(&undo).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.set(child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    job.server.set_hook(|_, _, _| None);
    assert_eq!(output.status.code(), Some(130));
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(err.contains("ended at once; the journal tells what was done"), "{err}");
    assert!(job.tags("kms-website").len() > 12);
    let night = job.run(&["-v", "--keep-last", "10", "--push-times", "times.json"]);
    assert!(night.out.contains("images_deleted=0 ") && night.out.contains("b1: restored: "), "{night:?}");
}
