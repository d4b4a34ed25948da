//! Names in any case on a Forgejo, mistyped names, and names of nothing.

use registry_fixtures::forgejo::World;

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

#[test]
fn explain_ignores_case() {
    for profile in BOTH {
        let mut world = incident(profile);
        world.push_image("team/app", Some("V1.12-RC1"), "release candidate");
        for minor in [9, 10, 11, 12] {
            world.push_image("team/app", Some(&format!("v1.{minor}")), &format!("minor {minor}"));
        }
        let job = Job::new("explain-case", world);
        let explanation =
            |subject: &str| job.run_without_effect(&["explain", subject], &[]).replace("sha256:", "");
        assert_eq!(explanation("TEAM/app:V1.12-RC1"), explanation("team/app:v1.12-rc1"));
        assert!(
            explanation("TEAM/app:V1.12-RC1").starts_with("team/app:v1.12-rc1 is kept: "),
            "{}",
            explanation("TEAM/app")
        );
        assert_output_snapshot!(explanation("Team/App:v1.13"), @r#"
        error: nothing is called "Team/App:v1.13"; package team/app has tags such as v1.10, v1.11, v1.12, v1.9, v1.12-rc1
        exit 2
        "#);
        assert_output_snapshot!(explanation("team/nothing:v1"), @r#"
        error: nothing is called "team/nothing:v1"; the packages are api, kms-website, team/app, team/tool
        exit 2
        "#);
    }
}

#[test]
fn reasons_are_sorted_by_number() {
    let job = Job::new("natural", incident(BOTH[1]));
    let ran = job.run(&["plan", "--package", "kms-website", "-v"]);
    let kept = ran.out.lines().filter(|line| line.starts_with("  keep "));
    let kept: Vec<_> = kept.filter_map(|line| line.split("newest ").nth(1)?.split(' ').next()).collect();
    assert_eq!(kept, ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"], "{}", ran.out);
}

#[test]
fn owner_without_packages_warns() {
    for profile in BOTH {
        let job = Job::new("empty-owner", World::example(profile, jiff::Timestamp::now().as_second()));
        assert_output_snapshot!(job.run_without_effect(&["--quiet"], &[]), @"
        registry-retention plan: packages=0 images_kept=0 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        warning: owner viktor has no container packages that these credentials may see
        exit 0
        ");
    }
}
