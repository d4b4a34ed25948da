//! A tree on disk as a source of retention, and the moves of a plan in it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use registry_core::audit::RegistryRole;
use registry_core::oci::Digest;
use registry_core::retention::layout::{CacheSign, Layout, LayoutError, Links, ReadOptions, moves_of};
use registry_core::retention::{Action, Plan, Policy, Record, RecordedManifest, plan};
use registry_core::storage::{LocatedRegistry, Symlinks, locate};
use registry_fixtures::{ImageSpec, TreeBuilder};

pub const DAY: Duration = Duration::from_secs(24 * 3600);

pub fn located(tree: &TreeBuilder) -> LocatedRegistry {
    locate(tree.root(), Symlinks::Refuse).registries.pop().expect("a registry")
}

pub fn open(tree: &TreeBuilder) -> Layout {
    Layout::open(&located(tree), 0).expect("a layout")
}

/// The record of a tree read as a primary, even if damage makes it look like a cache.
pub fn record(tree: &TreeBuilder) -> Record {
    open(tree)
        .with_role(RegistryRole::Primary)
        .record(&ReadOptions::default(), Timestamp::now())
        .expect("a record")
}

pub fn planned(record: &Record, policy: &Policy) -> Plan {
    plan(record.source.clone(), record.packages(), policy, Timestamp::now(), "0")
}

pub fn keep(count: u32) -> Policy {
    Policy::keep_last(count).expect("a policy")
}

/// A digest of the fixtures as one of the library.
pub fn own(digest: &registry_fixtures::Digest) -> Digest {
    digest.as_str().parse().expect("a digest")
}

/// The packages of a record as text, digests by the given names.
fn record_text(record: &Record, names: &[(&registry_fixtures::Digest, &str)]) -> String {
    let mut text = String::new();
    for package in &record.packages {
        let error = package.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        writeln!(text, "{}{error}", package.name).unwrap();
        for row in &package.versions {
            let digest = row.digest.map_or_else(|| "?".to_owned(), |digest| digest.to_string());
            writeln!(text, "  {} = {digest}", row.version).unwrap();
        }
        for (digest, manifest) in &package.manifests {
            let state = match manifest {
                RecordedManifest::Present { media_type, .. } => media_type.clone(),
                RecordedManifest::Schema1 { .. } => "schema 1, signed anew".into(),
                RecordedManifest::Absent => "absent".into(),
                RecordedManifest::Unknown(why) => format!("unknown: {why}"),
            };
            writeln!(text, "  {digest}: {state}").unwrap();
        }
    }
    name_digests(&text, names)
}

fn name_digests(text: &str, names: &[(&registry_fixtures::Digest, &str)]) -> String {
    names.iter().fold(text.to_owned(), |text, (digest, name)| {
        text.replace(digest.as_str(), name).replace(digest.hex(), name)
    })
}

/// The moves of a plan in its only package, in order, digests by the given names.
fn moves_text(tree: &TreeBuilder, policy: &Policy, names: &[(&registry_fixtures::Digest, &str)]) -> String {
    let record = record(tree);
    let plan = planned(&record, policy);
    let [package] = &plan.packages[..] else { panic!("not one package: {plan:?}") };
    let (again, links) = open(tree).package(&package.name).expect("a package");
    let moves = moves_of(package, &again.package(), &links);
    let prefix = format!("repositories/{}/", package.name);
    let lines =
        moves.steps().map(|step| step.path.strip_prefix(&prefix).expect("of this package").to_owned());
    let mut text = lines.collect::<Vec<_>>().join("\n");
    for row in package.versions.iter().filter(|row| row.action == Action::Delete) {
        assert!(
            moves.tags.iter().any(|step| step.tag.as_deref() == Some(&*row.version))
                || row.version.contains(':')
        );
    }
    if let Some(reason) = &package.reason {
        text.push_str(reason);
    }
    name_digests(&text, names)
}

#[test]
fn manifests_are_recorded_as_the_server_would_answer() {
    let mut tree = TreeBuilder::new();
    let index = tree.multi_platform("app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let names = [
        (&index.digest, "INDEX"),
        (&index.images[0].digest, "AMD64"),
        (&index.images[1].digest, "ARM64"),
        (&index.attestations[0].digest, "ATT1"),
        (&index.attestations[1].digest, "ATT2"),
    ];
    // Served by 2.8 through its layer link; not linked; bytes missing; wrong bytes.
    tree.break_revision_only_as_layer("app", &index.images[0].digest);
    tree.break_revision_link_missing("app", &index.images[1].digest);
    tree.break_blob_missing(&index.attestations[0].digest);
    tree.break_blob_flipped(&index.attestations[1].digest);
    insta::assert_snapshot!(record_text(&record(&tree), &names), @"
    app
      ATT2 = ATT2
      ATT1 = ATT1
      INDEX = INDEX
      v1 = INDEX
      ARM64: absent
      AMD64: application/vnd.oci.image.manifest.v1+json
      ATT2: unknown: its bytes do not hash to its digest
      ATT1: absent
      INDEX: application/vnd.oci.image.index.v1+json
    ");
}

#[test]
fn manifest_behind_a_wrong_link_is_unknown() {
    let mut tree = TreeBuilder::new();
    let (one, two) = (tree.image("app", Some("v1"), "one"), tree.image("app", Some("v2"), "two"));
    let three = tree.image("app", None, "three");
    tree.break_revision_link_mismatch("app", &one.digest, &two.digest);
    tree.break_revision_link_empty("app", &three.digest);
    tree.break_tag_link_newline("app", "v2");
    let names = [(&one.digest, "ONE"), (&two.digest, "TWO"), (&three.digest, "THREE")];
    insta::assert_snapshot!(record_text(&record(&tree), &names), @"
    app
      TWO = TWO
      ONE = ONE
      THREE = THREE
      v1 = ONE
      v2 = ?
      TWO: application/vnd.oci.image.manifest.v1+json
      ONE: unknown: its revision link names TWO
      THREE: unknown: its revision link is empty (0 bytes)
    ");
}

#[test]
fn unreadable_part_is_an_error_of_its_package() {
    let mut tree = TreeBuilder::new();
    for name in ["fine", "tags", "revisions", "layers", "whole/of-it", "Upper/case"] {
        tree.image(name, Some("v1"), name);
    }
    for path in [
        tree.tags_folder("tags"),
        tree.revisions_folder("revisions"),
        tree.layers_folder("layers"),
        tree.repository("whole/of-it"),
    ] {
        tree.break_moved_behind_symlink(&path);
    }
    tree.break_illegal_repository_name("UPPER");
    let errors: Vec<String> = record(&tree)
        .packages
        .iter()
        .map(|package| format!("{}: {}", package.name, package.error.as_deref().unwrap_or("read")))
        .collect();
    insta::assert_snapshot!(errors.join("\n"), @"
    Upper/case: read
    fine: read
    layers: repositories/layers/_layers: a symbolic link (not followed)
    revisions: repositories/revisions/_manifests/revisions: a symbolic link (not followed)
    tags: repositories/tags/_manifests/tags: a symbolic link (not followed)
    whole/of-it: repositories/whole/of-it: a symbolic link (not followed)
    ");
}

#[test]
fn unreadable_list_of_repositories_is_an_error() {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "one");
    let repositories = tree.repositories();
    tree.break_moved_behind_symlink(&repositories);
    let failed = open(&tree).record(&ReadOptions::default(), Timestamp::now()).unwrap_err();
    assert!(matches!(failed, LayoutError::Repositories { .. }), "{failed}");
    insta::assert_snapshot!(failed, @"repositories cannot be read: a symbolic link (not followed); without the list of repositories nothing is planned");
}

#[test]
fn push_times_are_link_times_to_the_nanosecond_and_extreme_times_are_read() {
    let mut tree = TreeBuilder::new();
    let set = |tree: &TreeBuilder, tag: &str, time: std::time::SystemTime| {
        let digest = std::fs::read_to_string(tree.tag_link("app", tag)).unwrap();
        let digest = registry_fixtures::Digest::from_text(digest);
        let links = [tree.revision_link("app", &digest), tree.history_link("app", tag, &digest)];
        let mut links = links.into_iter().chain([tree.tag_link("app", tag)]);
        links.all(|link| std::fs::File::open(link).unwrap().set_modified(time).is_ok())
    };
    for tag in ["exact", "ancient", "future"] {
        tree.image("app", Some(tag), tag);
    }
    let epoch = std::time::UNIX_EPOCH;
    assert!(set(&tree, "exact", epoch + Duration::new(1_700_000_000, 123_456_789)));
    // Not every file system supports these times.
    set(&tree, "ancient", epoch - Duration::from_secs(1 << 33));
    set(&tree, "future", epoch + Duration::from_secs(1 << 40));
    let record = record(&tree);
    let at = |tag: &str| {
        let row = record.packages[0].versions.iter().find(|row| row.version == tag).unwrap();
        row.created_at.unwrap()
    };
    assert_eq!(at("exact").to_string(), "2023-11-14T22:13:20.123456789Z");
    assert!(at("ancient") < at("exact") && at("future") > at("exact"));
    let read = Record::read(&serde_json::to_string(&record).unwrap()).unwrap();
    assert_eq!(read, record);
    assert_eq!(planned(&record, &keep(2)).summary.images_deleted, 1);
}

#[test]
fn build_date_comes_from_the_config() {
    let mut tree = TreeBuilder::new();
    let config = tree.config("app", br#"{"created":"2024-05-06T07:08:09Z"}"#);
    let bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":34}},"layers":[]}}"#
    );
    let manifest = tree.manifest("app", bytes.as_bytes());
    tree.tag("app", "v1", &manifest);
    let how = ReadOptions { built_at: true, ..ReadOptions::default() };
    let record = open(&tree).record(&how, Timestamp::now()).unwrap();
    let Some(RecordedManifest::Present { built_at, .. }) = record.packages[0].manifests.get(&own(&manifest))
    else {
        panic!("{record:?}")
    };
    assert_eq!(built_at.map(|at| at.to_string()).as_deref(), Some("2024-05-06T07:08:09Z"));
}

// https://github.com/helm/helm/issues/12159
#[test]
fn build_date_comes_from_an_annotation_when_the_config_has_none() {
    let mut tree = TreeBuilder::new();
    let config = tree.config("app", br#"{"version":"0.1.0"}"#);
    let annotated = |config: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"{config}","size":19}},"layers":[],"annotations":{{"org.opencontainers.image.created":"2024-05-06T07:08:09Z"}}}}"#
        )
    };
    let dated = tree.manifest("app", annotated(config.as_str()).as_bytes());
    // If the config is missing, the date is unknown.
    let nowhere = registry_fixtures::Digest::absent("config");
    let unknown = tree.manifest("app", annotated(nowhere.as_str()).as_bytes());
    tree.tag("app", "0.1.0", &dated);
    tree.tag("app", "0.2.0", &unknown);
    let record = open(&tree)
        .record(&ReadOptions { built_at: true, ..ReadOptions::default() }, Timestamp::now())
        .unwrap();
    let date = |digest| match record.packages[0].manifests.get(&own(digest)) {
        Some(RecordedManifest::Present { built_at, .. }) => built_at.map(|at| at.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(date(&dated).as_deref(), Some("2024-05-06T07:08:09Z"));
    assert_eq!(date(&unknown), None);
}

/// A tree with two builds that share a child and layers, the first two months older.
fn two_builds() -> (TreeBuilder, BTreeMap<&'static str, registry_fixtures::Digest>) {
    let mut tree = TreeBuilder::new();
    let mut shared = ImageSpec::oci("shared");
    shared.layers = 1;
    let both = tree.image_with("app", None, &shared);
    let (old, new) = (tree.image("app", None, "old"), tree.image("app", None, "new"));
    let first = tree.index("app", Some("v1"), &[both.child(), old.child()]);
    let second = tree.index("app", Some("v2"), &[both.child(), new.child()]);
    tree.age_all(60 * DAY);
    tree.set_pushed("app", "v2", DAY);
    let names = [("V1", first.digest), ("V2", second.digest), ("BOTH", both.digest), ("OLD", old.digest)];
    (tree, names.into_iter().collect())
}

fn as_names<'n>(
    names: &'n BTreeMap<&'static str, registry_fixtures::Digest>,
) -> Vec<(&'n registry_fixtures::Digest, &'n str)> {
    names.iter().map(|(name, digest)| (digest, *name)).collect()
}

/// Replaces the paths of layer links by their number.
fn without_layers(text: &str) -> String {
    let layers = text.lines().filter(|line| line.starts_with("_layers")).count();
    let rest: Vec<_> = text.lines().filter(|line| !line.starts_with("_layers")).collect();
    format!("{}\n{layers} layer links", rest.join("\n"))
}

#[test]
fn moves_are_ordered_tags_then_parents_then_children() {
    let (tree, names) = two_builds();
    insta::assert_snapshot!(without_layers(&moves_text(&tree, &keep(1), &as_names(&names))), @"
    _manifests/tags/v1
    _manifests/revisions/sha256/V1
    _manifests/revisions/sha256/OLD
    3 layer links
    ");
}

#[test]
fn untagged_manifest_that_is_left_holds_what_it_reaches() {
    let (mut tree, names) = two_builds();
    let old = registry_fixtures::Child::new(
        &names["OLD"],
        tree.size(&names["OLD"]),
        "application/vnd.oci.image.manifest.v1+json",
    );
    let link = tree.index("app", None, &[old]).digest;
    let link = tree.revision_link("app", &link);
    tree.set_age(link, 60 * DAY);
    insta::assert_snapshot!(without_layers(&moves_text(&tree, &keep(1), &as_names(&names))), @"
    _manifests/tags/v1
    _manifests/revisions/sha256/V1
    0 layer links
    ");
    // If untagged manifests are pruned, it is moved too.
    let mut prune = keep(1);
    prune.untagged = registry_core::retention::UnneededAction::Prune;
    let text = without_layers(&moves_text(&tree, &prune, &as_names(&names)));
    assert!(text.contains("revisions/sha256/OLD"), "{text}");
}

#[test]
fn referrer_stays_with_its_subject_when_its_list_is_moved() {
    let (mut tree, mut names) = two_builds();
    let referrer = tree.referrer("app", &names["V2"]);
    let listed = tree.index(
        "app",
        Some("list"),
        &[registry_fixtures::Child::new(
            &referrer,
            tree.size(&referrer),
            "application/vnd.oci.image.manifest.v1+json",
        )],
    );
    let link = tree.revision_link("app", &referrer);
    tree.set_age(link, 90 * DAY);
    tree.set_pushed("app", "list", 90 * DAY);
    names.insert("REFERRER", referrer);
    names.insert("LIST", listed.digest);
    let text = moves_text(&tree, &keep(1), &as_names(&names));
    assert!(text.contains("tags/list") && text.contains("revisions/sha256/LIST"), "{text}");
    assert!(!text.contains("REFERRER"), "{text}");
}

#[test]
fn package_with_an_unknown_manifest_moves_nothing() {
    let (mut tree, names) = two_builds();
    tree.break_blob_flipped(&names["BOTH"]);
    insta::assert_snapshot!(moves_text(&tree, &keep(1), &as_names(&names)), @"manifest BOTH could not be read: its bytes do not hash to its digest");
}

#[test]
fn alias_and_its_target_move_together_or_not_at_all() {
    let image = |tree: &mut TreeBuilder, tag: &str, layer: &registry_fixtures::Digest, days: u32| {
        let config = tree.config("app", tag.as_bytes());
        let bytes = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":5}}]}}"#
        );
        let manifest = tree.manifest("app", bytes.as_bytes());
        tree.tag("app", tag, &manifest);
        tree.set_pushed("app", tag, days * DAY);
    };
    for is_shared in [false, true] {
        let mut tree = TreeBuilder::new();
        let (alias, stored) = tree.sha512_layer("app", b"layer");
        let other = tree.layer("app", b"other");
        image(&mut tree, "v1", &alias, 60);
        image(&mut tree, "v2", if is_shared { &stored } else { &other }, 1);
        let text = moves_text(&tree, &keep(1), &[(&stored, "STORED"), (&alias, "ALIAS")]);
        let there = (text.contains("_layers/sha512/ALIAS"), text.contains("_layers/sha256/STORED"));
        assert_eq!(there, (!is_shared, !is_shared), "{text}");
    }
}

#[test]
fn layer_link_that_no_manifest_names_is_not_moved() {
    let (mut tree, _) = two_builds();
    let loose = tree.layer("app", b"of a push under way");
    assert!(!moves_text(&tree, &keep(1), &[(&loose, "LOOSE")]).contains("LOOSE"));
    let links: Links = open(&tree).package("app").unwrap().1;
    assert!(links.layers.contains_key(&own(&loose)));
}

// https://github.com/distribution/distribution/pull/3880: with `proxy.ttl: 0` registry 3 never writes scheduler-state.json.
#[test]
fn cache_without_scheduler_state_is_refused() {
    let mut tree = TreeBuilder::new();
    let (amd, arm) = (tree.image("app", None, "amd"), tree.image("app", None, "arm"));
    tree.index("app", Some("v1"), &[amd.child(), arm.child()]);
    assert!(open(&tree).record(&ReadOptions::default(), Timestamp::now()).is_ok());
    tree.break_image_untraced("app", &arm);
    let record = |role: Option<RegistryRole>| {
        let layout = open(&tree);
        let layout = if let Some(role) = role { layout.with_role(role) } else { layout };
        layout.record(&ReadOptions::default(), Timestamp::now())
    };
    assert!(matches!(record(None), Err(LayoutError::LooksLikeCache(_))));
    assert!(record(Some(RegistryRole::Primary)).is_ok());
    assert!(matches!(
        record(Some(RegistryRole::Cache)),
        Err(LayoutError::Cache { sign: CacheSign::Said, .. })
    ));
    tree.break_scheduler_state("");
    let found = open(&tree).record(&ReadOptions::default(), Timestamp::now());
    assert!(matches!(found, Err(LayoutError::Cache { sign: CacheSign::SchedulerState, .. })));
    assert!(
        open(&tree)
            .with_role(RegistryRole::Primary)
            .record(&ReadOptions::default(), Timestamp::now())
            .is_ok()
    );
}
