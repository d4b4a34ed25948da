//! Runs over several owners: each owner has a plan, a journal and a result. A failure of one does not stop the others, and shows in
//! the exit status.

use registry_fixtures::forgejo::{Fault, OWNER, World};
use serde_json::Value;

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident, refuse_from_first_deletion};

const BOTH_OWNERS: [&str; 4] = ["--owner", "viktor", "--owner", "second"];
/// Selects one package of each owner; one image of each is to be deleted.
const ONE_IMAGE_EACH: [&str; 6] = ["--keep-last", "2", "--package", "api", "--package", "other"];

/// Adds a second owner with three images, which the token of the first may not delete.
fn with_second_owner(mut world: World) -> World {
    let second = world.add_user("second");
    let first = world.user(OWNER).unwrap().id;
    // Pushed packages belong to the first owner, so the new ones are moved to the second.
    let known: Vec<u64> = world.packages.iter().map(|package| package.id).collect();
    for build in 1..=3 {
        world.push_image("other", Some(&format!("o{build}")), &format!("other {build}"));
        world.now += 60;
    }
    for package in world.packages.iter_mut().filter(|package| !known.contains(&package.id)) {
        assert_eq!(package.owner, first);
        package.owner = second;
    }
    world
}

/// The same, with a token that may delete everywhere.
fn with_second_owner_and_admin(world: World) -> World {
    let mut world = with_second_owner(world);
    world.user_mut(OWNER).unwrap().is_admin = true;
    world
}

/// The number of tags of the second owner.
fn second_owner_tags(job: &Job) -> usize {
    job.server.world().versions.iter().filter(|row| row.name.starts_with('o')).count()
}

#[test]
fn each_owner_has_plan_and_journal() {
    for profile in BOTH {
        let job = Job::new("owners", with_second_owner_and_admin(incident(profile)));
        let apply = ["--apply", "--journal", "run.journal"];
        let ran = job.run(&[&BOTH_OWNERS[..], &ONE_IMAGE_EACH, &apply].concat());
        assert_output_snapshot!(ran.as_text(), @r#"
        URL, owner viktor; what goes is deleted
        api: 2 images kept, 1 image to go, 0 rows left as they are
          delete v1, N d old: rank 3, beyond newest 2 (final)
        465 B are needed only by what goes; the server's own collector frees them later
        registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
        URL, owner second; what goes is deleted
        other: 2 images kept, 1 image to go, 0 rows left as they are
          delete o1, 0 h old: rank 3, beyond newest 2 (final)
        469 B are needed only by what goes; the server's own collector frees them later
        registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
        the journal is run.journal.viktor; registry-retention undo puts back what can be
        registry-retention apply: deleted=1 spared=0 failed=0 not_tried=0 already_gone=0
        the journal is run.journal.second; registry-retention undo puts back what can be
        registry-retention apply: deleted=1 spared=0 failed=0 not_tried=0 already_gone=0
        warning: no package matches "other"
        warning: no package matches "api"
        exit 0
        "#);
        assert_eq!((job.tags("api").len(), second_owner_tags(&job)), (2, 2));
        for owner in ["viktor", "second"] {
            let text = std::fs::read_to_string(job.folder.join(format!("run.journal.{owner}"))).unwrap();
            assert!(text.contains(&format!("\"owner\":\"{owner}\"")), "{text}");
        }
        // The journal of one owner can be undone while both are named.
        let undone =
            job.run(&[&["undo", "run.journal.second", "--push-times", "times"][..], &BOTH_OWNERS].concat());
        assert_eq!(
            undone.out.lines().last(),
            Some("registry-retention undo: rows=1 back=0 there=0 left=0 lost=1 unknown=0 not_tried=0"),
            "{undone:?}"
        );
        assert_output_snapshot!(undone.err, @"error: other:o1 cannot be put back: PUT /v2/second/other/manifests/o1: status 404: BLOB_UNKNOWN");
    }
}

#[test]
fn json_has_plans_of_all_owners_then_results() {
    let job = Job::new("owners-json", with_second_owner_and_admin(incident(BOTH[1])));
    let arguments = ["--keep-last", "2", "--output", "json"];
    let documents = |more: &[&str]| -> Vec<Value> {
        let ran = job.run(&[&BOTH_OWNERS[..], &arguments, more].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        serde_json::Deserializer::from_str(&ran.out).into_iter().collect::<Result<_, _>>().unwrap()
    };
    let schemas_and_owners = |documents: &[Value]| -> Vec<String> {
        let line = |document: &Value| {
            format!(
                "{} {}",
                document["schema"].as_str().unwrap(),
                document["source"]["owner"].as_str().unwrap_or("-")
            )
        };
        documents.iter().map(line).collect()
    };
    assert_eq!(
        schemas_and_owners(&documents(&[])),
        ["registry-retention/plan/1 viktor", "registry-retention/plan/1 second"]
    );
    let armed = documents(&["--apply", "--journal", "journal"]);
    let result = "registry-retention/apply-result/1 -";
    assert_eq!(
        schemas_and_owners(&armed),
        ["registry-retention/plan/1 viktor", "registry-retention/plan/1 second", result, result]
    );
    for at in 0..2 {
        assert_eq!(armed[at]["plan_digest"], armed[at + 2]["plan_digest"]);
    }
}

#[test]
fn failing_owner_does_not_stop_others() {
    for profile in BOTH {
        let job = Job::new("owners-failing", with_second_owner(incident(profile)));
        let owners = ["--owner", "nobody", "--owner", "second", "--owner", "viktor"];
        let arguments = ["--keep-last", "2", "--quiet", "--metrics-file", "metrics"];
        // The first owner does not exist, the token may not delete packages of the second, the third is fine.
        assert_output_snapshot!(job.run_without_effect(&[&owners[..], &arguments].concat(), &[]), @r#"
        registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
        registry-retention plan: packages=3 images_kept=9 images_deleted=14 versions_deleted=14 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=16952
        error: owner nobody: GET /api/v1/packages/nobody: there is no owner "nobody" on this server; --owner names a user or an organisation as its page does
        error: owner second: these credentials may not delete packages of second: the token lacks the scope write:package, or its user the permission
        exit 6
        "#);
        let ran = job.run(&[&owners[..], &arguments, &["--apply", "--journal", "journal"]].concat());
        assert_output_snapshot!(ran.as_text(), @r#"
        registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
        registry-retention plan: packages=3 images_kept=9 images_deleted=14 versions_deleted=14 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=16952
        registry-retention apply: deleted=14 spared=0 failed=0 not_tried=0 already_gone=0
        error: owner nobody: GET /api/v1/packages/nobody: there is no owner "nobody" on this server; --owner names a user or an organisation as its page does
        error: owner second: these credentials may not delete packages of second: the token lacks the scope write:package, or its user the permission
        exit 6
        "#);
        assert_eq!((job.tags("api").len(), second_owner_tags(&job)), (2, 3));
        job.assert_whole();
        // Deletions of one owner do not hide that those of another had no effect.
        let metrics = std::fs::read_to_string(job.folder.join("metrics")).unwrap();
        assert!(metrics.contains("\nregistry_retention_zero_effect 1\n"), "{metrics}");
        assert!(!metrics.contains("last_success"), "{metrics}");
        let plan = job.run(&[&["plan"], &owners[..], &["--quiet"]].concat());
        assert_output_snapshot!(plan.as_text(), @r#"
        registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        registry-retention plan: packages=3 images_kept=9 images_deleted=0 versions_deleted=0 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
        error: owner nobody: GET /api/v1/packages/nobody: there is no owner "nobody" on this server; --owner names a user or an organisation as its page does
        warning: these credentials may not delete packages of second: the token lacks the scope write:package, or its user the permission
        exit 2
        "#);
        let explained = job.run(&[&["explain", "other:o1"], &owners[..]].concat());
        assert_output_snapshot!(explained.as_text(), @r#"
        owner second:
        other:o1 is kept: newest 3 of 10
          manifest sha256:c5a8d150da8568188af0ae6f1dfb3ce09840381164b01abfefd0299fb490c8ab
        error: owner nobody: GET /api/v1/packages/nobody: there is no owner "nobody" on this server; --owner names a user or an organisation as its page does
        exit 2
        "#);
    }
}

#[test]
fn failure_of_one_owner_outweighs_skipped_packages_of_other() {
    let job = Job::new("owners-worst", with_second_owner_and_admin(incident(BOTH[1])));
    job.server.set_hook(|_, ask, _| match ask.path.as_str() {
        "/api/v1/packages/viktor" => Some(Fault::Status(418)),
        path if path.ends_with("/other/manifests/o1") => Some(Fault::Status(418)),
        _ => None,
    });
    assert_output_snapshot!(job.run_without_effect(&[&BOTH_OWNERS[..], &["--quiet"]].concat(), &[]), @"
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: owner viktor: GET /api/v1/packages/viktor: status 418
    error: package second/other is skipped: tag o1: GET /v2/second/other/manifests/o1: status 418
    exit 1
    ");
}

#[test]
fn refusal_at_one_owner_stops_run() {
    let job = Job::new("owners-refused", with_second_owner_and_admin(incident(BOTH[1])));
    refuse_from_first_deletion(&job.server);
    let apply = ["--quiet", "--apply", "--journal", "journal"];
    let ran = job.run(&[&BOTH_OWNERS[..], &ONE_IMAGE_EACH, &apply].concat());
    assert_eq!(job.changes().len(), 1, "{:?}", job.changes());
    assert_output_snapshot!(ran.as_text(), @r#"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
    registry-retention apply: deleted=0 spared=0 failed=1 not_tried=0 already_gone=0
    warning: no package matches "other"
    warning: no package matches "api"
    error: failed api:v1: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
    error: stopped: DELETE /api/v1/packages/viktor/container/api/v1: refused with status 403: You must change your password. Change it at: URL//user/change_password
    error: owner second: nothing was tried, because the run stopped at owner viktor
    exit 6
    "#);
}

#[test]
fn max_delete_counts_all_owners_together() {
    let job = Job::new("owners-most", with_second_owner_and_admin(incident(BOTH[1])));
    let all = [&BOTH_OWNERS[..], &ONE_IMAGE_EACH, &["--quiet", "--max-delete", "1"]].concat();
    assert_output_snapshot!(job.run_without_effect(&all, &[]), @r#"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
    warning: no package matches "other"
    warning: no package matches "api"
    error: 2 images of all owners would go, more than --max-delete 1; nothing goes
    exit 7
    "#);
    assert_eq!(
        job.run_without_effect(&[&all[..], &["--apply"]].concat(), &[]).lines().last(),
        Some("exit 7")
    );
    assert_eq!(job.run_without_effect(&[&["plan"], &all[..]].concat(), &[]).lines().last(), Some("exit 7"));
    // When the images of one owner are too many, both are refused.
    let other =
        ["--keep-last", "2", "--package", "kms*", "--package", "other", "--quiet", "--max-delete", "5"];
    assert_output_snapshot!(job.run_without_effect(&[&BOTH_OWNERS[..], &other, &["--apply"]].concat(), &[]), @r#"
    registry-retention plan: packages=1 images_kept=14 images_deleted=0 versions_deleted=0 left=39 broken=0 skipped_packages=0 refused_packages=1 reclaimable_bytes=0
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=469
    warning: no package matches "other"
    error: package viktor/kms-website is refused: 11 images would go in this run, more than 5; --max-delete says how many may go
    warning: no package matches "kms*"
    error: one owner alone is over --max-delete 5; nothing goes of the others either
    exit 7
    "#);
    let enough = ["--quiet", "--max-delete", "2", "--apply"];
    let ran = job.run(&[&BOTH_OWNERS[..], &ONE_IMAGE_EACH, &enough].concat());
    assert_eq!((ran.status, job.tags("api").len(), second_owner_tags(&job)), (0, 2, 2), "{ran:?}");
}

#[test]
fn single_owner_files_are_refused_for_several_owners() {
    let job = Job::new("owners-files", with_second_owner_and_admin(incident(BOTH[1])));
    let output = |arguments: &[&str]| job.run_without_effect(&[arguments, &BOTH_OWNERS].concat(), &[]);
    assert_output_snapshot!(output(&["plan", "--plan-file", "plan.json"]), @"
    error: a plan file holds the plan of one owner; name one --owner
    exit 2
    ");
    assert_output_snapshot!(output(&["--save-inventory", "inventory.json", "--apply"]), @"
    error: an inventory holds the packages of one owner; name one --owner
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--owner", "viktor", "--owner", "Viktor"], &[]), @r#"
    error: owner "Viktor" is named twice
    exit 2
    "#);
    assert_eq!(job.server.lines(), [""; 0]);
    assert!(!job.folder.join("plan.json").exists() && !job.folder.join("inventory.json").exists());
}
