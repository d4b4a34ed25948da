//! Putting back what was deleted.

use crate::support::{BOTH, Job, incident};

#[test]
fn law_8_an_index_comes_back_while_its_children_are_there() {
    for profile in BOTH {
        let job = Job::new("undo", incident(profile));
        let before = job.tags("kms-website");
        let run = job.run(&["--apply", "--keep-last", "10", "--journal", "run.journal"]);
        assert_eq!((run.status, job.tags("kms-website").len()), (0, 12), "{run:?}");
        let undone = job.run(&["undo", "run.journal", "--push-times", "times.json"]);
        assert_eq!(undone.status, 0, "{undone:?}");
        assert_eq!(job.tags("kms-website"), before);
        job.assert_whole();
        // What came back counts as newest, unless the original times are told.
        let plain = job.run(&["--keep-last", "10"]);
        let told = job.run(&["--keep-last", "10", "--push-times", "times.json"]);
        assert!(!plain.out.contains("delete b1,"), "{}", plain.out);
        assert!(told.out.contains("delete b1,"), "{}", told.out);
        let again = job.run(&[
            "--keep-last",
            "10",
            "--push-times",
            "times.json",
            "--apply",
            "--journal",
            "second.journal",
        ]);
        assert_eq!((again.status, job.tags("kms-website").len()), (0, 12), "{again:?}");
    }
}

#[test]
fn an_undo_window_brings_single_images_back_as_well() {
    for profile in BOTH {
        for window in [false, true] {
            let job = Job::new(if window { "window" } else { "no-window" }, incident(profile));
            let before = (job.tags("api"), job.tags("team/tool"), job.tags("kms-website"));
            let mut arguments = vec!["--apply", "--keep-last", "1", "--journal", "run.journal"];
            arguments.extend(window.then_some("--undo-window"));
            let run = job.run(&arguments);
            assert_eq!(run.status, 0, "{run:?}");
            if window {
                // The server's collector runs in the night between.
                job.server.world().cleanup();
            }
            let undone = job.run(&["undo", "run.journal"]);
            assert_eq!(undone.status, i32::from(!window), "{undone:?}");
            let after = (job.tags("api"), job.tags("team/tool"), job.tags("kms-website"));
            assert_eq!(after == before, window, "{undone:?}");
            job.assert_whole();
        }
    }
}
