//! `undo` on a server.

use registry_fixtures::forgejo::Fault;

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

#[test]
fn law_8_undo_restores_index_while_children_exist() {
    for profile in BOTH {
        let job = Job::new("undo", incident(profile));
        let before = job.tags("kms-website");
        let run = job.run(&["--apply", "--keep-last", "10", "--journal", "run.journal"]);
        assert_eq!((run.status, job.tags("kms-website").len()), (0, 12), "{run:?}");
        let undone = job.run(&["undo", "run.journal", "--push-times", "times.json"]);
        assert_eq!(undone.status, 0, "{undone:?}");
        assert_eq!(job.tags("kms-website"), before);
        job.assert_whole();
        // Restored images rank as newest, unless the original times are given: then they are held, and rank as before.
        let plain = job.run(&["--keep-last", "10"]);
        assert!(!plain.out.contains("delete b1,"), "{}", plain.out);
        let times = ["--keep-last", "10", "--push-times", "times.json"];
        let held = job.run(&[&times[..], &["-v"]].concat());
        assert!(!held.out.contains("delete b"), "{}", held.out);
        assert!(held.out.contains("b1: restored: an undo put it back at "), "{}", held.out);
        let after = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(8 * 24);
        let later = job.run(&[&times[..], &["--at", &after.to_string()]].concat());
        assert!(later.out.contains("delete b1,"), "{}", later.out);
        let again =
            job.run(&[&times[..], &["--hold", "0s", "--apply", "--journal", "second.journal"]].concat());
        assert_eq!((again.status, job.tags("kms-website").len()), (0, 12), "{again:?}");
    }
}

#[test]
fn undo_window_restores_single_images() {
    for profile in BOTH {
        for window in [false, true] {
            let job = Job::new(if window { "window" } else { "no-window" }, incident(profile));
            let before = (job.tags("api"), job.tags("team/tool"), job.tags("kms-website"));
            let mut arguments = vec!["--apply", "--keep-last", "1", "--journal", "run.journal"];
            arguments.extend(window.then_some("--undo-window"));
            let run = job.run(&arguments);
            assert_eq!(run.status, 0, "{run:?}");
            if window {
                // The server's collector runs between the run and the undo.
                job.server.world().cleanup();
            }
            let undone = job.run(&["undo", "run.journal", "--push-times", "times.json"]);
            assert_eq!(undone.status, i32::from(!window), "{undone:?}");
            let after = (job.tags("api"), job.tags("team/tool"), job.tags("kms-website"));
            assert_eq!(after == before, window, "{undone:?}");
            job.assert_whole();
        }
    }
}

/// The tags that a nightly run keeps when nothing is deleted and restored in between.
fn tags_kept_without_undo() -> Vec<String> {
    let mut kept: Vec<String> = (5..=14).map(|build| format!("b{build}")).collect();
    kept.extend(["b4".into(), "latest".into()]);
    kept.sort_unstable();
    kept
}

/// On Forgejo 15.0.3, `run --undo-window` and `undo` were followed by a run that deleted the ten images that had been the newest;
/// each step had exit status 0.
#[test]
fn runs_after_undo_keep_restored_and_newest_images() {
    for profile in BOTH {
        let job = Job::new("night", incident(profile));
        let night = ["--apply", "--keep-last", "10", "--push-times", "times.json"];
        // The file of push times need not exist yet.
        let run = job.run(&[&night[..], &["--undo-window", "--journal", "run.journal"]].concat());
        assert_eq!((run.status, job.tags("kms-website").len()), (0, 12), "{run:?}");
        let undone = job.run(&["undo", "run.journal", "--push-times", "times.json"]);
        assert_output_snapshot!(undone.as_text(), @"
        kms-website:b1 is back
        kms-website:b2 is back
        kms-website:b3 is back
        the original push times are in times.json: later runs need --push-times times.json
        registry-retention undo: rows=3 back=3 there=0 left=0 lost=0 unknown=0 not_tried=0
        exit 0
        ");
        let second = job.run(&["undo", "run.journal", "--push-times", "times.json"]);
        assert_output_snapshot!(second.as_text(), @"
        kms-website:b1 is there already: an earlier undo or a push put it back
        kms-website:b2 is there already: an earlier undo or a push put it back
        kms-website:b3 is there already: an earlier undo or a push put it back
        registry-retention undo: rows=3 back=0 there=3 left=0 lost=0 unknown=0 not_tried=0
        exit 0
        ");
        for number in 0..3 {
            let journal = format!("night{number}.journal");
            let ran = job.run(&[&night[..], &["--journal", &journal]].concat());
            let tags = job.tags("kms-website");
            assert_eq!((ran.status, tags.len()), (0, 15), "night {number}: {ran:?}");
        }
        let after = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(8 * 24);
        let plan = job.run(&["plan", "-v", "--push-times", "times.json", "--at", &after.to_string()]);
        assert!(plan.out.contains("delete b1,") && plan.out.contains("b14: newest 1 of 10"), "{plan:?}");
        let ran = job.run(&[&night[..], &["--hold", "0s", "--journal", "after.journal"]].concat());
        assert_eq!((ran.status, job.tags("kms-website")), (0, tags_kept_without_undo()), "{ran:?}");
        job.assert_whole();
    }
}

#[test]
fn undo_without_push_times_is_refused() {
    let job = Job::new("no-place", incident(BOTH[1]));
    assert_eq!(job.run(&["--apply", "--keep-last", "10", "--journal", "run.journal"]).status, 0);
    job.server.clear_log();
    let refused = job.run_without_effect(&["undo", "run.journal"], &[]);
    assert_output_snapshot!(refused, @"
    error: name the file in which later runs find the original push times: --push-times FILE. The server counts what is put back as pushed now; without these times the next run ranks it above everything, and deletes images that are newest now. --rank-as-new says that this is meant
    exit 2
    ");
    // A path that cannot be written is found before anything is restored.
    let nowhere =
        job.run_without_effect(&["undo", "run.journal", "--push-times", "no/such/folder/times"], &[]);
    assert_output_snapshot!(nowhere, @"
    error: cannot write no/such/folder/times, so nothing is put back: no file can be made in no/such/folder: entity not found
    exit 1
    ");
    std::fs::write(job.folder.join("other"), "{}").unwrap();
    let other = job.run_without_effect(&["undo", "run.journal", "--push-times", "other"], &[]);
    assert!(other.contains("cannot use the push times other"), "{other}");
    let ran = job.run(&["undo", "run.journal", "--rank-as-new"]);
    assert_eq!((ran.status, job.tags("kms-website").len()), (0, 15), "{ran:?}");
    assert_output_snapshot!(ran.err, @"warning: what is put back counts as pushed now: later runs rank it above everything that was pushed before, and delete the lowest of that in its stead");
}

#[test]
fn tag_pushed_after_undo_ranks_as_newest() {
    for profile in BOTH {
        let job = Job::new("pushed-since", incident(profile));
        assert_eq!(job.run(&["--apply", "--keep-last", "10", "--journal", "run.journal"]).status, 0);
        assert_eq!(job.run(&["undo", "run.journal", "--push-times", "times.json"]).status, 0);
        {
            let mut world = job.server.world();
            world.now += 3600;
            // The bytes are the same, so only the number of the row shows that they were pushed.
            world.push_index("kms-website", &["b2"], &["amd64 2", "arm64 2"]);
        }
        let plan = job.run(&["plan", "-v", "--push-times", "times.json", "--hold", "0s"]);
        assert!(plan.out.contains("b2: newest 1 of 10"), "{plan:?}");
        assert!(plan.out.contains("delete b1,") && plan.out.contains("delete b3,"), "{plan:?}");
    }
}

/// Rows that are gone already are neither deletions nor failures.
#[test]
fn second_apply_reports_rows_already_gone() {
    for profile in BOTH {
        let job = Job::new("second-apply", incident(profile));
        assert_eq!(job.run(&["plan", "--keep-last", "10", "--plan-file", "plan"]).status, 0);
        let first = job.run(&["apply", "plan", "--journal", "first.journal"]);
        assert_eq!(first.status, 0, "{first:?}");
        let second = job.run(&["apply", "plan", "--journal", "second.journal", "--metrics-file", "metrics"]);
        assert_output_snapshot!(second.as_text(), @"
          already gone kms-website:b1
          already gone kms-website:b2
          already gone kms-website:b3
        registry-retention apply: deleted=0 spared=0 failed=0 not_tried=0 already_gone=3
        exit 0
        ");
        let metrics = std::fs::read_to_string(job.folder.join("metrics")).unwrap();
        for line in ["versions_deleted 0", "versions_already_gone 3", "zero_effect 0"] {
            assert!(metrics.contains(&format!("\nregistry_retention_{line}\n")), "{line}: {metrics}");
        }
        // The second apply deleted nothing, so its undo restores nothing.
        let none = job.run(&["undo", "second.journal", "--push-times", "times.json"]);
        assert_eq!((none.status, job.tags("kms-website").len()), (0, 12), "{none:?}");
        let undone = job.run(&["undo", "first.journal", "--push-times", "times.json"]);
        assert_eq!((undone.status, job.tags("kms-website").len()), (0, 15), "{undone:?}");
    }
}

#[test]
fn deletion_with_lost_answer_counts_as_deleted() {
    for profile in BOTH {
        let job = Job::new("lost-answer", incident(profile));
        let mut is_lost = false;
        job.server.set_hook(move |_, ask, _| {
            let is_first = ask.method == "DELETE" && ask.path.ends_with("/b1") && !is_lost;
            is_lost |= is_first;
            is_first.then_some(Fault::Lost)
        });
        let ran = job.run(&["--apply", "-q", "--keep-last", "10", "--journal", "journal"]);
        assert!(ran.out.contains("deleted=3 ") && ran.out.contains("already_gone=0"), "{ran:?}");
    }
}
