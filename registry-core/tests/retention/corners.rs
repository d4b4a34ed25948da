//! Corners of the decision where two of its sentences meet.

use registry_core::retention::{Fate, InUse};

use crate::support::{Maker, keep};

fn singles(count: i64) -> Maker {
    let mut maker = Maker::new();
    for number in 1..=count {
        maker.single(&format!("v{number}"), (count - number) * 10 + 100);
    }
    maker
}

#[test]
fn an_untagged_index_of_a_child_in_use_stays_with_all_its_children() {
    let mut maker = singles(1);
    let children = ["amd64", "arm64"].map(|platform| maker.image(platform));
    let other = maker.image("other");
    for child in children.iter().chain([&other]) {
        maker.digest_row(*child, 500);
    }
    let index = maker.index("index", &children);
    maker.digest_row(index, 490);
    let mut policy = keep(1);
    policy.untagged = Fate::Prune;
    policy.in_use = InUse::parse(&children[0].to_string()).unwrap();
    insta::assert_snapshot!(maker.text(&policy), @"
    keep   v1: newest 1 of 1
    leave  <index>: no tag reaches it
    delete <other>: no root reaches it, and it is older than the grace
    leave  <arm64>: no tag reaches it
    leave  <amd64>: no tag reaches it
    ");
}

#[test]
fn a_referrer_of_a_signature_that_stays_stays() {
    let mut maker = singles(2);
    let subject = maker.image("v2/image");
    let signature = maker.image("signature");
    maker.tag(&format!("sha256-{}.sig", subject.hex()), signature, 900);
    let timestamp = maker.artifact("timestamp", "application/x", Some(signature));
    maker.tag("timestamp", timestamp, 900);
    insta::assert_snapshot!(maker.text(&keep(1)), @"
    keep   v2: newest 1 of 1
    delete v1: rank 2, beyond newest 1
    keep   timestamp: refers to <signature>, which stays
    keep   sha256-<v2/image>.sig: follows <v2/image>, which stays
    ");
}

#[test]
fn a_package_of_digest_rows_only_is_not_emptied() {
    let mut maker = Maker::new();
    for name in ["one", "two"] {
        let image = maker.image(name);
        maker.digest_row(image, 300);
    }
    let mut policy = keep(1);
    policy.untagged = Fate::Prune;
    insta::assert_snapshot!(maker.text(&policy), @"
    refused: no image would stay; --allow-empty says that this is meant
    leave  <two>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    leave  <one>: no root reaches it, and it is older than the grace; spared: a guard refused this package
    ");
    policy.allow_empty = true;
    insta::assert_snapshot!(maker.text(&policy), @"
    delete <two>: no root reaches it, and it is older than the grace
    delete <one>: no root reaches it, and it is older than the grace
    ");
}

#[test]
fn a_long_chain_of_untagged_referrers_stays_with_its_subject() {
    let mut maker = singles(1);
    let mut subject = maker.image("v1/image");
    for number in 0..500 {
        subject = maker.artifact(&format!("{number}"), "application/x", Some(subject));
        maker.digest_row(subject, 500);
    }
    let loose = maker.image("loose");
    maker.digest_row(loose, 500);
    let mut policy = keep(1);
    policy.untagged = Fate::Prune;
    let text = maker.text(&policy);
    assert_eq!(text.lines().filter(|line| line.starts_with("delete")).count(), 1, "{text}");
}
