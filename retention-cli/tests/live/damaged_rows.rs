//! A version that the server cannot list, because its database has lost the row of a blob. The transcripts `damaged-layer-row` and
//! `damaged-manifest-row` were recorded on both releases.

use registry_fixtures::forgejo::{OWNER, Profile};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

/// A job whose server has lost the row of a layer or of the manifest of one version.
fn job_with_lost_row(name: &str, profile: Profile, image: &str, tag: &str, file: usize) -> Job {
    let mut world = incident(profile);
    let owner = world.user(OWNER).unwrap().id;
    let package = world.package(owner, image).unwrap().id;
    let version = world.versions_of(package).find(|version| version.name == tag).unwrap();
    let digest = version.files[file].digest.clone();
    world.break_blob_row(&digest);
    Job::new(name, world)
}

#[test]
fn damaged_row_skips_only_its_package() {
    for profile in BOTH {
        for (name, file) in [("damaged-layer-row", 1), ("damaged-manifest-row", 2)] {
            let job = job_with_lost_row(name, profile, "api", "v2", file);
            let ran = job.run(&["--keep-last", "2", "--quiet", "--apply", "--journal", "journal"]);
            assert_output_snapshot!(ran.as_text(), @"
            registry-retention plan: packages=3 images_kept=9 images_deleted=13 versions_deleted=13 left=30 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=16487
            registry-retention apply: deleted=13 spared=0 failed=0 not_tried=0 already_gone=0
            error: package viktor/api is skipped: the server cannot list a version of it (v2): it answers 500, as where its database has lost the row of a blob; delete it to heal the list: DELETE /api/v1/packages/viktor/container/api/v2
            exit 4
            ");
            // The damaged version stays, and so does everything in its package.
            assert_eq!(job.tags("api"), ["v1", "v2", "v3"]);
            assert!(job.changes().iter().all(|line| !line.contains("container/api/")), "{:?}", job.changes());
            assert_eq!(job.tags("team/tool").len(), 4);
            let plan = job.run(&["plan", "--keep-last", "2", "--package", "api"]);
            assert_output_snapshot!(plan.as_text(), @"
            api: 2 images kept, 0 images to go, 2 rows left as they are
              skipped: the server cannot list a version of it (v2): it answers 500, as where its database has lost the row of a blob; delete it to heal the list: DELETE /api/v1/packages/viktor/container/api/v2
            registry-retention plan: packages=1 images_kept=2 images_deleted=0 versions_deleted=0 left=2 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
            error: package viktor/api is skipped: the server cannot list a version of it (v2): it answers 500, as where its database has lost the row of a blob; delete it to heal the list: DELETE /api/v1/packages/viktor/container/api/v2
            exit 4
            ");
            // A package that is not selected does no harm.
            assert_eq!(job.run(&["plan", "--quiet", "--package", "team/*"]).status, 0);
            // Deleting the damaged version heals the list.
            job.server.world().versions.retain(|version| !version.is_damaged());
            assert_eq!(job.run(&["--quiet"]).status, 0);
        }
    }
}

#[test]
fn apply_of_earlier_plan_leaves_damaged_package_alone() {
    let job = job_with_lost_row("damaged-since", BOTH[1], "api", "v2", 1);
    let healthy = Job::new("damaged-not-yet", incident(BOTH[1]));
    let plan = healthy.folder.join("plan.json");
    let host = [("FORGEJO_HOST", healthy.server.url.as_str())];
    assert_eq!(
        healthy.run_with(&["plan", "--keep-last", "2", "--plan-file", "plan.json", "--quiet"], &host).status,
        0
    );
    // For the plan it is the same server, whose row is lost now.
    let mut world = job.server.world().clone();
    world.base.clone_from(&healthy.server.url);
    *healthy.server.world() = world;
    let ran = healthy.run(&["apply", plan.to_str().unwrap(), "--quiet"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(healthy.tags("api"), ["v1", "v2", "v3"], "{ran:?}");
    assert_eq!(healthy.tags("team/tool").len(), 4, "{ran:?}");
}
