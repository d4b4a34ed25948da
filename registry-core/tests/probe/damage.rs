//! Damage in the storage of a registry, seen from outside: each damage is one finding with its coarse code.

use registry_core::probe::Depth;
use registry_fixtures::Digest;
use registry_fixtures::registry::{Profile, World, image_of};

use crate::support::{BOTH, RunOptions, RunResult, mask_digests, registry, run_once};

/// Probes a damaged registry with an index under two tags and a sound image.
async fn probe_damaged(
    profile: Profile,
    options: &RunOptions,
    damage: impl FnOnce(&mut World, &Parts),
) -> RunResult {
    let server = registry(profile, |world| {
        let index = world.push_index("app", &["v1", "stable"], &["one", "two"]);
        world.push_image("app", Some("sound"), "three");
        let digest = |bytes: &[u8]| Digest::of(bytes).as_str().to_owned();
        let (manifest, [config, layer]) = image_of("two", None);
        let parts = Parts { index, child: digest(&manifest), config: digest(&config), layer: digest(&layer) };
        damage(world, &parts);
    });
    run_once(&server, options).await
}

/// The digests of the parts that tests damage.
struct Parts {
    index: String,
    child: String,
    config: String,
    layer: String,
}

/// Asserts that a damage looks the same on both releases; returns the findings and broken tags.
async fn probe_both(options: &RunOptions, damage: impl Fn(&mut World, &Parts)) -> String {
    let one = probe_damaged(BOTH[0], options, &damage).await;
    let other = probe_damaged(BOTH[1], options, &damage).await;
    assert_eq!(one.summary_lines(), other.summary_lines());
    let mut lines = one.summary_lines();
    lines.push(format!("broken: {}", one.broken().join(" ")));
    lines.join("\n")
}

#[tokio::test]
async fn missing_tagged_manifest_breaks_its_tags() {
    let _guard = mask_digests();
    let unlinked =
        probe_both(&RunOptions::default(), |world, parts| world.unlink_manifest("app", &parts.index)).await;
    let lost = probe_both(&RunOptions::default(), |world, parts| world.remove_bytes(&parts.index)).await;
    assert_eq!(unlinked, lost, "a missing link and missing bytes look alike from outside");
    insta::assert_snapshot!(lost, @"
    tag-target-missing app:stable the tag answers 404
    tag-target-missing app:v1 the tag answers 404
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn tag_without_link_is_broken() {
    insta::assert_snapshot!(probe_both(&RunOptions::default(), |world, _| world.empty_tag("app", "v1")).await, @"
    tag-target-missing app:v1 the tag answers 404
    broken: app:v1
    ");
}

#[tokio::test]
async fn missing_child_breaks_its_tags() {
    let _guard = mask_digests();
    let lost =
        probe_both(&RunOptions::default(), |world, parts| world.unlink_manifest("app", &parts.child)).await;
    insta::assert_snapshot!(lost, @"
    child-missing app:stable,v1 linux/arm64 answers 404
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn missing_config_and_layer_break_their_tags() {
    let _guard = mask_digests();
    let lost = probe_both(&RunOptions::default(), |world, parts| {
        world.unlink_blob("app", &parts.config);
        world.remove_bytes(&parts.layer);
    })
    .await;
    insta::assert_snapshot!(lost, @"
    blob-missing app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 answers 404
    blob-missing app:stable,v1 config sha256:b9d69a77b5c2 of linux/arm64 answers 404
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn object_that_always_fails_is_a_server_error() {
    let _guard = mask_digests();
    let options = RunOptions::default();
    let tag = probe_both(&options, |world, _| world.rewrite_tag("app", "v1", "no digest")).await;
    insta::assert_snapshot!(tag, @"
    server-error app:v1 the tag answers 500 on every try
    broken: app:v1
    ");
    let index =
        probe_both(&options, |world, parts| world.rewrite_manifest_link("app", &parts.index, "no digest"))
            .await;
    insta::assert_snapshot!(index, @"
    server-error app:stable the tag answers 500 on every try
    server-error app:v1 the tag answers 500 on every try
    broken: app:stable app:v1
    ");
    let child =
        probe_both(&options, |world, parts| world.rewrite_manifest_link("app", &parts.child, "no digest"))
            .await;
    insta::assert_snapshot!(child, @"
    server-error app:stable,v1 linux/arm64 answers 500 on every try
    broken: app:stable app:v1
    ");
    let layer =
        probe_both(&options, |world, parts| world.rewrite_blob_link("app", &parts.layer, "no digest")).await;
    insta::assert_snapshot!(layer, @"
    server-error app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 answers 500 on every try
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn manifest_with_other_bytes_is_a_digest_mismatch() {
    let _guard = mask_digests();
    let other = image_of("other", None).0;
    let child =
        probe_both(&RunOptions::default(), |world, parts| world.replace_bytes(&parts.child, &other)).await;
    insta::assert_snapshot!(child, @"
    manifest-digest-mismatch app:stable,v1 linux/arm64 is sent with bytes that hash to sha256:eca03412375c…
    broken: app:stable app:v1
    ");
    let index =
        probe_both(&RunOptions::default(), |world, parts| world.replace_bytes(&parts.index, &other)).await;
    insta::assert_snapshot!(index, @"
    manifest-digest-mismatch app:stable,v1 its manifest is sent with bytes that hash to sha256:eca03412375c…
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn truncated_layer_is_a_size_mismatch() {
    let _guard = mask_digests();
    for depth in [Depth::Blobs, Depth::Content] {
        let options = RunOptions { depth, ..RunOptions::default() };
        let short = probe_both(&options, |world, parts| world.replace_bytes(&parts.layer, b"short")).await;
        insta::allow_duplicates! { insta::assert_snapshot!(short, @"
        blob-size-mismatch app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 has 5 bytes, and its manifest says 12
        broken: app:stable app:v1
        ") };
    }
}

#[tokio::test]
async fn layer_with_other_bytes_of_the_same_size_is_found_by_hashing() {
    let _guard = mask_digests();
    let same_size = |world: &mut World, parts: &Parts| world.replace_bytes(&parts.layer, b"layer of TWO");
    insta::assert_snapshot!(probe_both(&RunOptions::default(), same_size).await, @"broken:");
    insta::assert_snapshot!(probe_both(&RunOptions::deep(), same_size).await, @"
    blob-digest-mismatch app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 is sent with bytes that do not hash to its digest
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn wrong_layer_size_in_descriptor_is_found() {
    let _guard = mask_digests();
    let lie = |world: &mut World, _: &Parts| {
        let manifest = String::from_utf8(image_of("two", None).0).unwrap();
        let size = format!("\"size\":{}}}]", "layer of two".len());
        assert!(manifest.contains(&size), "{manifest}");
        world.push_manifest("app", Some("lie"), manifest.replace(&size, "\"size\":999}]").as_bytes());
    };
    insta::assert_snapshot!(probe_both(&RunOptions::default(), lie).await, @"
    blob-size-mismatch app:lie layer sha256:60b43aad9e85 has 12 bytes, and its manifest says 999
    broken: app:lie
    ");
    insta::assert_snapshot!(probe_both(&RunOptions::deep(), lie).await, @"
    descriptor-size-mismatch app:lie layer sha256:60b43aad9e85 has 12 bytes, which are right, and its manifest says 999
    broken: app:lie
    ");
}

#[tokio::test]
async fn wrong_child_size_in_index_is_found() {
    let _guard = mask_digests();
    let lie = |world: &mut World, parts: &Parts| {
        let index = registry_fixtures::registry::index_of(&[(parts.child.clone(), 7)]);
        world.push_manifest("app", Some("lie"), &index);
    };
    insta::assert_snapshot!(probe_both(&RunOptions::default(), lie).await, @"
    descriptor-size-mismatch app:lie its index gives sha256:1f7f40a4a401 the size 7, and it has 399 bytes
    broken: app:lie
    ");
}

#[tokio::test]
async fn bug_illegal_names_in_lists_are_warnings_and_leave_the_run_complete() {
    // Such names made tags unknown and the run incomplete, though no client can request them.
    let server = registry(BOTH[0], |world| drop(world.push_image("app", Some("v1"), "one")));
    let result = run_once(&server, &RunOptions::default()).await;
    let mut seen = result.seen;
    seen.strays.insert("/v2/app/tags/list".into(), vec![".hidden".into()]);
    seen.strays.insert("/v2/_catalog".into(), vec!["UPPER\u{1b}[1m".into(), "a..b".into()]);
    let judgement = registry_core::probe::judge(&seen, "x", &Default::default());
    insta::assert_snapshot!(crate::support::summary_lines(&judgement).join("\n"), @r#"
    path-unexpected -: the list shows 2 names that no client can ask for, such as "UPPER\u{1b}[1m"
    path-unexpected app: the list shows ".hidden", a name that no client can ask for
    "#);
    assert!(judgement.audit.broken_tags.is_empty() && judgement.audit.source.complete);
}
