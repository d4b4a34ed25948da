//! Damage in the storage of a registry, as it looks from outside: one damage, one finding, under its coarse code.

use registry_core::probe::Depth;
use registry_fixtures::Digest;
use registry_fixtures::registry::{Profile, World, image_of};

use crate::support::{BOTH, How, Looked, look_once, masked, registry};

/// A registry with an index under two tags and a whole image beside it, damaged.
async fn damaged(profile: Profile, how: &How, damage: impl FnOnce(&mut World, &Parts)) -> Looked {
    let server = registry(profile, |world| {
        let index = world.push_index("app", &["v1", "stable"], &["one", "two"]);
        world.push_image("app", Some("sound"), "three");
        let digest = |bytes: &[u8]| Digest::of(bytes).as_str().to_owned();
        let (manifest, [config, layer]) = image_of("two", None);
        let parts = Parts { index, child: digest(&manifest), config: digest(&config), layer: digest(&layer) };
        damage(world, &parts);
    });
    look_once(&server, how).await
}

/// The digests of what is damaged.
struct Parts {
    index: String,
    child: String,
    config: String,
    layer: String,
}

/// The same damage to both releases must look the same.
async fn both(how: &How, damage: impl Fn(&mut World, &Parts)) -> String {
    let one = damaged(BOTH[0], how, &damage).await;
    let other = damaged(BOTH[1], how, &damage).await;
    assert_eq!(one.story(), other.story());
    let mut lines = one.story();
    lines.push(format!("broken: {}", one.broken().join(" ")));
    lines.join("\n")
}

#[tokio::test]
async fn a_manifest_that_a_tag_names_is_missing() {
    let _guard = masked();
    let unlinked = both(&How::default(), |world, parts| world.unlink_manifest("app", &parts.index)).await;
    let lost = both(&How::default(), |world, parts| world.remove_bytes(&parts.index)).await;
    assert_eq!(unlinked, lost, "from outside a missing link and missing bytes look alike");
    insta::assert_snapshot!(lost, @"
    tag-target-missing app:stable the tag answers 404
    tag-target-missing app:v1 the tag answers 404
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn a_tag_without_a_link_is_missing() {
    insta::assert_snapshot!(both(&How::default(), |world, _| world.empty_tag("app", "v1")).await, @"
    tag-target-missing app:v1 the tag answers 404
    broken: app:v1
    ");
}

#[tokio::test]
async fn a_child_is_missing() {
    let _guard = masked();
    let lost = both(&How::default(), |world, parts| world.unlink_manifest("app", &parts.child)).await;
    insta::assert_snapshot!(lost, @"
    child-missing app:stable,v1 linux/arm64 answers 404
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn a_config_and_a_layer_are_missing() {
    let _guard = masked();
    let lost = both(&How::default(), |world, parts| {
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
async fn one_object_fails_while_others_answer() {
    let _guard = masked();
    let how = How::default();
    let tag = both(&how, |world, _| world.rewrite_tag("app", "v1", "no digest")).await;
    insta::assert_snapshot!(tag, @"
    server-error app:v1 the tag answers 500 on every try
    broken: app:v1
    ");
    let index =
        both(&how, |world, parts| world.rewrite_manifest_link("app", &parts.index, "no digest")).await;
    insta::assert_snapshot!(index, @"
    server-error app:stable the tag answers 500 on every try
    server-error app:v1 the tag answers 500 on every try
    broken: app:stable app:v1
    ");
    let child =
        both(&how, |world, parts| world.rewrite_manifest_link("app", &parts.child, "no digest")).await;
    insta::assert_snapshot!(child, @"
    server-error app:stable,v1 linux/arm64 answers 500 on every try
    broken: app:stable app:v1
    ");
    let layer = both(&how, |world, parts| world.rewrite_blob_link("app", &parts.layer, "no digest")).await;
    insta::assert_snapshot!(layer, @"
    server-error app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 answers 500 on every try
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn a_manifest_has_other_bytes() {
    let _guard = masked();
    let other = image_of("other", None).0;
    let child = both(&How::default(), |world, parts| world.replace_bytes(&parts.child, &other)).await;
    insta::assert_snapshot!(child, @"
    manifest-digest-mismatch app:stable,v1 linux/arm64 is sent with bytes that hash to sha256:eca03412375c…
    broken: app:stable app:v1
    ");
    let index = both(&How::default(), |world, parts| world.replace_bytes(&parts.index, &other)).await;
    insta::assert_snapshot!(index, @"
    manifest-digest-mismatch app:stable,v1 its manifest is sent with bytes that hash to sha256:eca03412375c…
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn a_layer_is_too_short() {
    let _guard = masked();
    for depth in [Depth::Blobs, Depth::Content] {
        let how = How { depth, ..How::default() };
        let short = both(&how, |world, parts| world.replace_bytes(&parts.layer, b"short")).await;
        insta::allow_duplicates! { insta::assert_snapshot!(short, @"
        blob-size-mismatch app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 has 5 bytes, and its manifest says 12
        broken: app:stable app:v1
        ") };
    }
}

#[tokio::test]
async fn a_layer_has_other_bytes_of_the_same_size() {
    let _guard = masked();
    let same_size = |world: &mut World, parts: &Parts| world.replace_bytes(&parts.layer, b"layer of TWO");
    insta::assert_snapshot!(both(&How::default(), same_size).await, @"broken:");
    insta::assert_snapshot!(both(&How::deep(), same_size).await, @"
    blob-digest-mismatch app:stable,v1 layer sha256:60b43aad9e85 of linux/arm64 is sent with bytes that do not hash to its digest
    broken: app:stable app:v1
    ");
}

#[tokio::test]
async fn a_descriptor_gives_another_size() {
    let _guard = masked();
    let lie = |world: &mut World, _: &Parts| {
        let manifest = String::from_utf8(image_of("two", None).0).unwrap();
        let size = format!("\"size\":{}}}]", "layer of two".len());
        assert!(manifest.contains(&size), "{manifest}");
        world.push_manifest("app", Some("lie"), manifest.replace(&size, "\"size\":999}]").as_bytes());
    };
    insta::assert_snapshot!(both(&How::default(), lie).await, @"
    blob-size-mismatch app:lie layer sha256:60b43aad9e85 has 12 bytes, and its manifest says 999
    broken: app:lie
    ");
    insta::assert_snapshot!(both(&How::deep(), lie).await, @"
    descriptor-size-mismatch app:lie layer sha256:60b43aad9e85 has 12 bytes, which are right, and its manifest says 999
    broken: app:lie
    ");
}

#[tokio::test]
async fn an_index_gives_a_child_another_size() {
    let _guard = masked();
    let lie = |world: &mut World, parts: &Parts| {
        let index = registry_fixtures::registry::index_of(&[(parts.child.clone(), 7)]);
        world.push_manifest("app", Some("lie"), &index);
    };
    insta::assert_snapshot!(both(&How::default(), lie).await, @"
    descriptor-size-mismatch app:lie its index gives sha256:1f7f40a4a401 the size 7, and it has 399 bytes
    broken: app:lie
    ");
}

#[tokio::test]
async fn bug_names_that_nobody_can_ask_for_are_warnings_and_no_holes() {
    // They made tags unknown and the run incomplete, though no client reaches what they name.
    let server = registry(BOTH[0], |world| drop(world.push_image("app", Some("v1"), "one")));
    let looked = look_once(&server, &How::default()).await;
    let mut seen = looked.seen;
    seen.strays.insert("/v2/app/tags/list".into(), vec![".hidden".into()]);
    seen.strays.insert("/v2/_catalog".into(), vec!["UPPER\u{1b}[1m".into(), "a..b".into()]);
    let judgement = registry_core::probe::judge(&seen, "x", &Default::default());
    insta::assert_snapshot!(crate::support::story(&judgement).join("\n"), @r#"
    path-unexpected -: the list shows 2 names that no client can ask for, such as "UPPER\u{1b}[1m"
    path-unexpected app: the list shows ".hidden", a name that no client can ask for
    "#);
    assert!(judgement.audit.broken_tags.is_empty() && judgement.audit.source.complete);
}
