//! `scan` and `probe` report the same missing platforms.

use std::collections::BTreeMap;

use registry_fixtures::registry::{Profile, Server, World};
use registry_fixtures::{Child, DescriptorDamage, ImageSpec, JsonDamage, Part, TreeBuilder};

use crate::support::fsck;

/// The messages about missing platforms, by tag.
fn platform_messages(arguments: &[&str]) -> BTreeMap<String, Vec<String>> {
    let required = ["--require-platform", "linux/amd64", "--require-platform", "linux/s390x"];
    let ran = fsck(&[arguments, &["--output", "json"], &required].concat());
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap().iter();
    let mut messages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in findings.filter(|finding| finding["code"] == "platform-missing") {
        let tag = finding["tags"][0].as_str().unwrap().to_owned();
        let message = finding["message"].as_str().unwrap().to_owned();
        messages.entry(tag).or_default().push(message);
    }
    messages
}

/// Images with and without a platform, and images in which the part that may name the platform is damaged.
fn images() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let spec = |platform: &str| ImageSpec { platform: platform.into(), ..ImageSpec::oci(platform) };
    tree.image_with("app", Some("names-arm64"), &spec("linux/arm64"));
    let nameless = tree.image_with("app", Some("names-none"), &spec("/"));
    tree.image_with("app", Some("names-half"), &spec("linux/"));
    let damage = vec![(Part::Config, DescriptorDamage::DigestText)];
    tree.image_with("app", Some("config-without-digest"), &ImageSpec { damage, ..spec("linux/arm64") });
    let unread = tree.damaged_json("app", None, "unread", JsonDamage::Whole("{"));

    let arm = tree.image_with("app", None, &spec("linux/arm64")).child();
    let index = |tree: &mut TreeBuilder, tag: &str, child: Child| {
        tree.index("app", Some(tag), &[arm.clone(), child]);
    };
    let bare = Child { platform: None, ..nameless.child() };
    index(&mut tree, "child-names-none", bare.clone());
    index(&mut tree, "child-without-digest", bare.damaged(DescriptorDamage::DigestText));
    let unread = Child::new(&unread, tree.size(&unread), &arm.media_type.clone().unwrap());
    index(&mut tree, "child-unreadable", unread);
    tree
}

#[test]
fn scan_and_probe_report_same_missing_platforms() {
    let tree = images();
    let server = Server::start(World::of_tree(Profile::V2_8, &tree));
    let (scan, probe) = (
        platform_messages(&["scan", tree.root().to_str().unwrap()]),
        platform_messages(&["probe", &server.url]),
    );
    assert_eq!(scan, probe);
    let lines: Vec<String> =
        scan.iter().map(|(tag, messages)| format!("{tag}: {}", messages.join("; "))).collect();
    // Nothing is reported about an image with a damaged part.
    insta::assert_snapshot!(lines.join("\n"), @"
    child-names-none: it has no linux/amd64, only linux/arm64; it has no linux/s390x, only linux/arm64
    names-arm64: it has no linux/amd64, only linux/arm64; it has no linux/s390x, only linux/arm64
    names-half: it has no linux/amd64 and names no platform; it has no linux/s390x and names no platform
    names-none: it has no linux/amd64 and names no platform; it has no linux/s390x and names no platform
    ");
}
