//! Retention on a tree whose link times come from a copy.

use std::time::Duration;

use registry_core::retention::{Action, PackageState, Plan, RankBy};
use registry_fixtures::TreeBuilder;

use crate::layout::{DAY, keep, planned, record};

/// Pushed in this order, one a day; the names sort differently.
const TAGS: [&str; 6] = ["f3a1", "b772", "e0c9", "a41d", "d558", "c19b"];

fn pushed_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    for tag in TAGS {
        tree.image("app", Some(tag), tag);
    }
    tree.age_all(100 * DAY);
    for (tag, days) in TAGS.iter().rev().zip(40_u32..) {
        tree.set_pushed("app", tag, days * DAY);
    }
    tree
}

/// The tree of [`pushed_tree`], copied a week ago with so much time between two files.
fn copied_tree(step: Duration) -> TreeBuilder {
    let mut tree = pushed_tree();
    tree.copied_without_times(step, 7 * DAY);
    tree
}

/// The tags that a plan deletes, sorted.
fn deleted_tags(plan: &Plan) -> Vec<&str> {
    let [package] = &plan.packages[..] else { panic!("not one package: {plan:?}") };
    let rows = package.versions.iter().filter(|row| row.action == Action::Delete);
    let mut gone: Vec<_> = rows.map(|row| row.version.as_str()).filter(|tag| !tag.contains(':')).collect();
    gone.sort_unstable();
    gone
}

/// The reason of a refusal, with times masked.
fn refusal(plan: &Plan) -> String {
    let [package] = &plan.packages[..] else { panic!("not one package: {plan:?}") };
    assert_eq!(package.state, PackageState::Refused, "{package:?}");
    let words = package.reason.as_deref().unwrap_or_default().split(' ');
    let word = |word: &str| {
        if word.starts_with("(20") { "(TIME)".to_owned() } else { word.to_owned() }
    };
    words.map(word).collect::<Vec<_>>().join(" ")
}

// https://github.com/docker-library/official-images/issues/1437
// https://github.com/goharbor/harbor/issues/13216
#[test]
fn copy_without_times_is_refused() {
    assert_eq!(deleted_tags(&planned(&record(&pushed_tree()), &keep(2))), ["a41d", "b772", "e0c9", "f3a1"]);
    let plan = planned(&record(&copied_tree(Duration::from_secs(1))), &keep(2));
    assert_eq!(deleted_tags(&plan), [""; 0]);
    insta::assert_snapshot!(refusal(&plan), @"the times of tag links are those of a copy of the tree, not of pushes (tags older than their entry in the history: 6), and the cut falls among ranked images that are not younger than that copy (TIME)");
    // In a slow copy revision links, which are copied first, are much older than all tags.
    let plan = planned(&record(&copied_tree(Duration::from_secs(30))), &keep(2));
    insta::assert_snapshot!(refusal(&plan), @"the times of tag links are those of a copy of the tree, not of pushes (tags older than their entry in the history: 6; tags over 60 s younger than their revision link: 5), and the cut falls among ranked images that are not younger than that copy (TIME)");
}

#[test]
fn pushes_since_a_copy_rank_above_copied_images() {
    let mut tree = copied_tree(Duration::from_secs(1));
    for (tag, days) in [("new1", 2), ("new2", 1)] {
        tree.image("app", Some(tag), tag);
        tree.set_pushed("app", tag, days * DAY);
    }
    // Two pushes since the copy are newer than all copied images. A third image to keep would be a copied one.
    let mut all = TAGS;
    all.sort_unstable();
    assert_eq!(deleted_tags(&planned(&record(&tree), &keep(2))), all);
    let plan = planned(&record(&tree), &keep(3));
    assert_eq!((deleted_tags(&plan).len(), plan.packages[0].state), (0, PackageState::Refused));
    // If every image stays anyway, nothing is refused.
    assert_eq!(planned(&record(&tree), &keep(8)).packages[0].state, PackageState::Planned);
}

#[test]
fn copied_tree_can_be_ranked_by_version() {
    let mut tree = TreeBuilder::new();
    for version in ["1.10.0", "1.9.0", "1.2.0"] {
        tree.image("app", Some(version), version);
    }
    tree.copied_without_times(Duration::from_secs(1), DAY);
    let mut policy = keep(1);
    assert_eq!(planned(&record(&tree), &policy).packages[0].state, PackageState::Refused);
    policy.rank_by = RankBy::Semver;
    assert_eq!(deleted_tags(&planned(&record(&tree), &policy)), ["1.2.0", "1.9.0"]);
}

#[test]
fn broken_image_is_not_deleted_because_of_copied_times() {
    let mut tree = pushed_tree();
    let broken = tree.image("app", Some("a-broken-one"), "broken");
    tree.break_blob_missing(&broken.digest);
    tree.copied_without_times(Duration::from_secs(1), DAY);
    // The broken image was copied first, so all ranked images look newer.
    let mut policy = keep(6);
    policy.assume_lost.insert("app:a-broken-one".into());
    let plan = planned(&record(&tree), &policy);
    assert_eq!((deleted_tags(&plan).len(), plan.packages[0].state), (0, PackageState::Refused), "{plan:?}");
}

#[test]
fn second_tag_on_older_image_is_no_sign_of_a_copy() {
    let mut tree = pushed_tree();
    let digest = std::fs::read_to_string(tree.tag_link("app", "f3a1")).unwrap();
    tree.tag("app", "stable", &registry_fixtures::Digest::from_text(digest));
    tree.set_pushed("app", "stable", DAY);
    let record = record(&tree);
    assert_eq!(record.packages[0].copied, None);
    assert_eq!(deleted_tags(&planned(&record, &keep(2))), ["a41d", "b772", "d558", "e0c9"]);
}

#[test]
fn tag_written_by_hand_has_no_push_time_and_stays() {
    let mut tree = pushed_tree();
    // A tag link written by hand, to an image that has a tag already.
    let digest = std::fs::read_to_string(tree.tag_link("app", "b772")).unwrap();
    let link = tree.tag_link("app", "by-hand");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::fs::write(&link, &digest).unwrap();
    // A tag link rewritten by hand, long after the push.
    let back = tree.tag_link("app", "e0c9");
    tree.set_age(back, DAY);
    let plan = planned(&record(&tree), &keep(2));
    assert_eq!(deleted_tags(&plan), ["a41d", "f3a1"]);
    let undecided: Vec<_> = plan.packages[0].undecided.iter().map(ToString::to_string).collect();
    assert_eq!(undecided, ["2 images have no push time and stay"]);
}

#[test]
fn inventory_records_the_signs_of_a_copy() {
    let record = record(&copied_tree(Duration::from_secs(1)));
    let read = registry_core::retention::Record::read(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(read, record);
    assert_eq!(planned(&read, &keep(2)).packages[0].state, PackageState::Refused);
}
