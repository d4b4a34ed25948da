//! Primaries, caches, sparse repositories, and trees from real servers.

use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use registry_core::audit::RegistryRole;
use registry_core::storage::{LocateError, Product, Symlinks, locate};
use registry_fixtures::{ImageSpec, trees};

use crate::support::{APP, Base, DAY, Names, View, report_after, report_with_damage, text};

fn audit_packed_tree(name: &str, view: &View<'_>) -> String {
    let folder = trees::unpack(name);
    look(folder.path(), view)
}

fn look(root: &Path, view: &View<'_>) -> String {
    let mut names = Names::default();
    for pushed in trees::pristine_manifests() {
        names.add(&pushed.digest, &pushed.name);
    }
    let audit = view.look(root);
    let hint = if audit.looks_like_cache { "\nlooks like a cache" } else { "" };
    let source = &audit.source;
    format!(
        "{:?}: {} repositories, {} tags, {} manifests, {} indexes, {} layer links, {} blobs, {} uploads\n{}{hint}",
        source.role,
        source.repositories,
        source.tags,
        source.manifests,
        source.indexes,
        source.layer_links,
        source.blobs,
        source.uploads,
        text(&audit, &names)
    )
}

/// The trees keep the times of their servers, so they are old whenever the test runs.
const TEN_YEARS: Duration = Duration::from_secs(3650 * DAY.as_secs());

const STRICT: View<'static> = View {
    content: true,
    strict: true,
    symlinks: Symlinks::Refuse,
    jobs: 4,
    role: None,
    sparse: &[],
    only: None,
    platforms: &[],
    later: TEN_YEARS,
};

/// A cache whose state was emptied by a crash does not start:
/// https://github.com/distribution/distribution/issues/2374, https://github.com/distribution/distribution/issues/4478
#[test]
fn empty_scheduler_state_is_found_unless_the_role_is_primary() {
    let report = |text: &'static str, role| {
        report_with_damage(&View { role, ..View::default() }, |base| {
            _ = base.tree.break_scheduler_state(text);
        })
    };
    assert_snapshot!(report("", None), @"error path-unexpected - | scheduler-state.json is empty (0 bytes): a registry that is a pull-through cache does not start; move it away and write {} in its place | ../../../scheduler-state.json | Reset");
    assert_eq!(report("{}", None), "nothing");
    assert_eq!(report("", Some(RegistryRole::Primary)), "nothing");
}

#[test]
fn folder_in_place_of_scheduler_state_is_found() {
    let report = report_with_damage(&View::default(), |base| _ = base.tree.break_scheduler_state_is_folder());
    assert_snapshot!(report, @"error path-unexpected - | scheduler-state.json is a folder: a registry that is a pull-through cache does not start; move it away | ../../../scheduler-state.json | Reset");
}

#[test]
fn pristine_tree_has_only_garbage() {
    assert_snapshot!(audit_packed_tree(trees::PRISTINE, &STRICT), @"
    Primary: 15 repositories, 17 tags, 32 manifests, 8 indexes, 49 layer links, 78 blobs, 1 uploads
    info blob-unreferenced - | 1 blob that no manifest references, 111 bytes: a plain collection frees it | blobs
    info manifest-untagged app/single | 2 manifests that no tag reaches: only an untagged collection frees them | repositories/app/single/_manifests/revisions
    warning referrer-untagged art/subject sha256:subject.ref.bare | referrer of sha256:subject.image that no tag and no index names: every untagged collection deletes it | repositories/art/subject/_manifests/revisions/sha256/subject.ref.bare/link
    info layer-link-unreferenced half/pushed | 1 layer link that no manifest needs | repositories/half/pushed/_layers | Remove
    info upload-stale half/upload | 1 upload older than 168 h, 140 bytes | repositories/half/upload/_uploads | Remove
    garbage: 1 blobs (111 bytes) unreferenced, 2 manifests untagged, 6 blobs (1299 bytes) untagged, 1 layer links, 1 uploads (140 bytes)
    ");
}

#[test]
fn pull_through_cache_has_only_a_hazard() {
    assert_snapshot!(audit_packed_tree(trees::PULL_THROUGH, &STRICT), @"
    Cache: 3 repositories, 3 tags, 4 manifests, 2 indexes, 2 layer links, 6 blobs, 0 uploads
    warning gc-hazard - | a pull-through cache with 2 repositories without _layers: a 2.x collector deletes what they hold, a 3.x one aborts | repositories
    ");
}

#[test]
fn cache_is_recognised_when_opened_by_its_v2() {
    let folder = trees::unpack(trees::PULL_THROUGH);
    let view = View::default();
    let v2 = folder.path().join("docker/registry/v2");
    assert_eq!(look(&v2, &view), look(folder.path(), &view));
    assert_eq!(view.look(&v2).source.role, RegistryRole::Cache);
}

#[test]
fn cache_audited_as_primary_is_damaged() {
    let primary = View { role: Some(RegistryRole::Primary), ..STRICT };
    assert_snapshot!(audit_packed_tree(trees::PULL_THROUGH, &primary), @"
    Primary: 3 repositories, 3 tags, 4 manifests, 2 indexes, 2 layer links, 6 blobs, 0 uploads
    error child-missing app/multi:1.0 sha256:multi.att.amd64 of sha256:multi.index | an attestation (sha256:multi.att.amd64) is gone: neither a revision link nor its bytes are here | repositories/app/multi/_manifests/revisions/sha256/multi.att.amd64/link
    error child-missing app/multi:1.0 sha256:multi.att.arm64 of sha256:multi.index | an attestation (sha256:multi.att.arm64) is gone: neither a revision link nor its bytes are here | repositories/app/multi/_manifests/revisions/sha256/multi.att.arm64/link
    error child-missing app/multi:1.0 sha256:multi.arm64 of sha256:multi.index for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/app/multi/_manifests/revisions/sha256/multi.arm64/link
    error layers-folder-missing app/single:v1 | the repository has no _layers folder, so no config and no layer is served; a 2.x collector takes every blob of this repository, a 3.x one aborts | repositories/app/single/_layers | Rebuild
    warning layers-folder-missing nested/idx | the repository has manifests and no _layers folder, though none needs it; a 2.x collector takes every blob of this repository, a 3.x one aborts | repositories/nested/idx/_layers | Rebuild
    error child-missing nested/idx:deep sha256:nested.direct of sha256:nested.outer for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/nested/idx/_manifests/revisions/sha256/nested.direct/link
    error child-missing nested/idx:deep sha256:nested.inner of sha256:nested.outer | child sha256:nested.inner is gone: neither a revision link nor its bytes are here | repositories/nested/idx/_manifests/revisions/sha256/nested.inner/link
    broken: app/multi:1.0 by child-missing, child-missing, child-missing
    broken: app/single:v1 by layers-folder-missing
    broken: nested/idx:deep by child-missing, child-missing
    ");
}

#[test]
fn cache_without_scheduler_state_file_only_looks_like_a_cache() {
    let folder = trees::unpack(trees::PULL_THROUGH);
    std::fs::remove_file(folder.path().join("scheduler-state.json")).unwrap();
    let audit = View::default().look(folder.path());
    assert_eq!((audit.source.role, audit.looks_like_cache), (RegistryRole::Primary, true));
    let cache = View { role: Some(RegistryRole::Cache), ..View::default() };
    assert!(cache.look(folder.path()).broken_tags.is_empty());
}

// https://github.com/distribution/distribution/pull/3880: with `proxy.ttl: 0` registry 3 never writes scheduler-state.json.
#[test]
fn cache_hint_hides_no_damage() {
    let mut base = Base::new();
    base.tree.break_image_untraced(APP, &base.arm.clone());
    let audit = View::default().look(base.tree.root());
    assert_eq!((audit.source.role, audit.looks_like_cache), (RegistryRole::Primary, true));
    // The hint hides no finding: a primary that lost the child looks the same.
    assert_snapshot!(text(&audit, &base.names), @"
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link
    broken: team/app:v2 by child-missing
    ");
    let cache = View { role: Some(RegistryRole::Cache), ..View::default() };
    assert_eq!(base.report_with(&cache), "nothing");
}

#[test]
fn primary_that_lost_children_does_not_look_like_a_cache() {
    let looks_like_cache_after = |damage: &dyn Fn(&mut Base)| {
        let mut base = Base::new();
        damage(&mut base);
        View::default().look(base.tree.root()).looks_like_cache
    };
    let arm = |base: &Base| base.arm.digest.clone();
    // An untagged collection of 2.8 leaves the bytes of the child, which its index names.
    assert!(!looks_like_cache_after(&|base| {
        let arm = arm(base);
        base.tree.break_revision_link_missing(APP, &arm);
    }));
    // Lost bytes leave the layer links of the push.
    assert!(!looks_like_cache_after(&|base| {
        let arm = arm(base);
        base.tree.break_revision_link_missing(APP, &arm).break_blob_missing(&arm);
    }));
    // A push is under way.
    assert!(!looks_like_cache_after(&|base| {
        base.tree.break_image_untraced(APP, &base.arm.clone());
        base.tree.upload(APP, b"push", None);
    }));
    // A lost `_layers` leaves the bytes.
    assert!(!looks_like_cache_after(&|base| {
        base.tree.break_layers_folder(APP).break_layers_folder("lib");
    }));
    // Only one index of many lacks a child.
    assert!(!looks_like_cache_after(&|base| {
        for name in ["a", "b"] {
            let image = base.image(name, None, name);
            base.tree.index(name, Some("v1"), &[image.child()]);
        }
        base.tree.break_image_untraced(APP, &base.arm.clone());
    }));
    let sparse = View { sparse: &["team/*"], ..View::default() };
    let mut base = Base::new();
    base.tree.break_image_untraced(APP, &base.arm.clone());
    assert!(!sparse.look(base.tree.root()).looks_like_cache);
}

#[test]
fn missing_child_is_excused_only_in_a_sparse_repository() {
    assert_snapshot!(audit_packed_tree(trees::SPARSE_INDEX, &STRICT), @"
    Primary: 1 repositories, 1 tags, 2 manifests, 1 indexes, 2 layer links, 4 blobs, 0 uploads
    error child-missing s:x sha256:318de017a845687221ece7813c25d086e19496d5860d2b1c3cb910bb386b3a6d of sha256:11719889211af0088af41f2454eaceaa7946c86d4caec801d8ab573565de60a8 for linux/arm64 | linux/arm64 is gone: neither a revision link nor its bytes are here | repositories/s/_manifests/revisions/sha256/318de017a845687221ece7813c25d086e19496d5860d2b1c3cb910bb386b3a6d/link
    broken: s:x by child-missing
    looks like a cache
    ");
    assert_snapshot!(audit_packed_tree(trees::SPARSE_INDEX, &View { sparse: &["*"], ..STRICT }), @"
    Primary: 1 repositories, 1 tags, 2 manifests, 1 indexes, 2 layer links, 4 blobs, 0 uploads
    nothing
    ");
}

#[test]
fn layer_referenced_by_sha512_only_is_a_hazard() {
    assert_snapshot!(audit_packed_tree(trees::SHA512_ALIAS, &STRICT), @"
    Primary: 1 repositories, 1 tags, 1 manifests, 0 indexes, 3 layer links, 3 blobs, 0 uploads
    warning gc-hazard dig/sha512 sha512:7a05c6aa95523b1b54f88e2fe5f6515a9f0bdbb1ff1f7998253c83977db15d02fec6578ef19770f8bea090e918325439029e6a440ff8127536dbeffd58ac4478 | layer sha256:02ca21ef27ea is referenced by sha512 only: every collector deletes its bytes; push the image again with sha256 digests, and run no collector before | repositories/dig/sha512/_layers/sha512/7a05c6aa95523b1b54f88e2fe5f6515a9f0bdbb1ff1f7998253c83977db15d02fec6578ef19770f8bea090e918325439029e6a440ff8127536dbeffd58ac4478/link
    ");
}

#[test]
fn collected_child_links_of_a_real_tree_can_be_relinked() {
    assert_snapshot!(look(&trees::real_tree_with_lost_children(), &STRICT), @"
    Primary: 3 repositories, 3 tags, 3 manifests, 1 indexes, 8 layer links, 7 blobs, 0 uploads
    error child-link-missing main:x sha256:67362463ba94f69f30f48cf95a9f8fe55411e31ed67d71e9f09d80001a8c8324 of sha256:6ce99f75e7125f1c1220ee6e3756554429e8297025998b4774a48991ce8d5933 for linux/amd64 | linux/amd64 has lost its revision link; its bytes are here | repositories/main/_manifests/revisions/sha256/67362463ba94f69f30f48cf95a9f8fe55411e31ed67d71e9f09d80001a8c8324/link | Relink
    error child-link-missing main:x sha256:f33fa92d19aac67d33e2d580dff665d4fb6d7040e7ffb0d858627522bf2a51e5 of sha256:6ce99f75e7125f1c1220ee6e3756554429e8297025998b4774a48991ce8d5933 for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/main/_manifests/revisions/sha256/f33fa92d19aac67d33e2d580dff665d4fb6d7040e7ffb0d858627522bf2a51e5/link | Relink
    broken: main:x by child-link-missing, child-link-missing
    ");
}

#[test]
fn wrong_bytes_and_links_in_a_cache_are_damage() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_scheduler_state("{}").break_blob_truncated(&base.one.layers[0]);
        base.tree.break_revision_link_empty(APP, &base.arm.digest);
    }), @"
    error blob-size-mismatch team/app:v1 sha256:one-layer1 of sha256:one | layer sha256:one-layer1 is damaged: 50 bytes instead of 100, and they hash wrong | blobs/sha256/xx/one-layer1/data | Quarantine
    error revision-link-invalid team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64: the revision link is empty (0 bytes); its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Rewrite
    broken: team/app:v1 by blob-size-mismatch
    broken: team/app:v2 by revision-link-invalid
    ");
}

#[test]
fn missing_parts_of_a_cache_are_no_damage() {
    assert_snapshot!(report_after(|base| {
        base.tree.break_scheduler_state("{}").break_revision_link_missing(APP, &base.one.digest);
        base.tree.break_blob_missing(&base.amd.layers[0]).break_layer_link_missing(APP, &base.amd.layers[1]);
        base.tree.break_blob_missing(&base.arm.digest).break_layer_link_missing(APP, &base.arm.config);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 2 layer links that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 3 blobs (461 bytes) unreferenced, 2 layer links
    ");
}

/// A view with `team/*` declared sparse.
fn sparse() -> View<'static> {
    View { sparse: &["team/*"], ..View::default() }
}

#[test]
fn sparse_child_may_lack_link_and_bytes() {
    assert_snapshot!(report_with_damage(&sparse(), |base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest).break_blob_missing(&base.arm.digest);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn sparse_child_with_link_and_without_bytes_is_missing() {
    assert_snapshot!(report_with_damage(&sparse(), |base| {
        base.tree.break_blob_missing(&base.arm.digest);
    }), @"
    info blob-unreferenced - | 3 blobs that no manifest references, 461 bytes: a plain collection frees them | blobs
    info layer-link-unreferenced team/app | 3 layer links that no manifest needs | repositories/team/app/_layers | Remove
    error child-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 is gone: its revision link is here, its bytes are not | blobs/sha256/xx/arm/data
    broken: team/app:v2 by child-missing
    garbage: 3 blobs (461 bytes) unreferenced, 3 layer links
    ");
}

#[test]
fn sparse_excuses_no_tag_and_no_layer() {
    assert_snapshot!(report_with_damage(&sparse(), |base| {
        base.tree.break_revision_link_missing(APP, &base.one.digest);
        base.tree.break_layer_link_missing(APP, &base.amd.layers[0]);
    }), @"
    error tag-target-unlinked team/app:v1 sha256:one | its manifest has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/one/link | Relink
    error layer-link-missing team/app:v2 sha256:amd-layer1 of sha256:amd | layer sha256:amd-layer1 has no layer link here; its bytes are here | repositories/team/app/_layers/sha256/amd-layer1/link | Relink
    broken: team/app:v1 by tag-target-unlinked
    broken: team/app:v2 by layer-link-missing
    ");
}

#[test]
fn sparse_excuses_only_repositories_that_match_its_glob() {
    assert_snapshot!(report_with_damage(&View { sparse: &["lib"], ..View::default() }, |base: &mut Base| {
        base.tree.break_revision_link_missing(APP, &base.arm.digest);
    }), @"
    error child-link-missing team/app:v2 sha256:arm of sha256:index for linux/arm64 | linux/arm64 has lost its revision link; its bytes are here | repositories/team/app/_manifests/revisions/sha256/arm/link | Relink
    broken: team/app:v2 by child-link-missing
    ");
}

#[test]
fn required_platform_is_read_from_the_config() {
    let view = View { platforms: &["linux/arm64"], ..View::default() };
    let spec = ImageSpec { platform: "linux/arm64/v8".into(), ..ImageSpec::oci("three") };
    assert_snapshot!(report_with_damage(&view, |base| {
        base.tree.image_with("three", Some("v3"), &spec);
    }), @"
    error platform-missing lib:v1 sha256:lib for linux/arm64 | it has no linux/arm64, only linux/amd64 | repositories/lib/_manifests/tags/v1/current/link
    error platform-missing team/app:v1 sha256:one for linux/arm64 | it has no linux/arm64, only linux/amd64 | repositories/team/app/_manifests/tags/v1/current/link
    ");
}

// https://github.com/minio/minio/issues/21268: on a disk of MinIO each object is a folder.
#[test]
fn minio_disk_is_refused() {
    let mut base = Base::new();
    base.tree.break_into_minio_objects();
    let found = locate(base.tree.root(), Symlinks::Refuse);
    assert!(matches!(found.errors[..], [LocateError::Foreign(_, Product::Minio)]), "{found:?}");
}

#[test]
fn image_whose_config_names_no_platform_lacks_the_required_one() {
    let view = View { platforms: &["linux/amd64"], ..View::default() };
    let nameless = |platform: &str| ImageSpec { platform: platform.into(), ..ImageSpec::oci("three") };
    assert_snapshot!(report_with_damage(&view, |base| {
        base.tree.image_with("three", Some("v3"), &nameless("/"));
        base.tree.image_with("three", Some("v4"), &nameless("linux/"));
    }), @"
    error platform-missing three:v3 sha256:71d7ce8cca14c2bf1925f4fa6f5dcab737da7dd044386582fb7e0ee03bbf7666 for linux/amd64 | it has no linux/amd64 and names no platform | repositories/three/_manifests/tags/v3/current/link
    error platform-missing three:v4 sha256:cd83a876633cc07cb562836e0c38aa7f24c027e82ab51d2580ad7ae7adce76dd for linux/amd64 | it has no linux/amd64 and names no platform | repositories/three/_manifests/tags/v4/current/link
    ");
}
