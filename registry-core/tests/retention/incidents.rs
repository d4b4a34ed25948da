//! Incidents with other tools, with links to the reports. Each test shows that this program does not repeat one.

use futures::executor::block_on;
use registry_core::retention::{
    Action, Decision, ImagesInUse, LetterCase, Pattern, Policy, Rule, Stopped, UnneededAction, WhyNotPlanned,
    collect,
};

use crate::effects::{planned, reading_options, run, source};
use crate::model::{Model, ModelRow, Server};
use crate::support::{PackageBuilder, keep, now, rule};

/// The versions that are deleted, digests by name.
fn deleted_versions(builder: &mut PackageBuilder, policy: &Policy) -> Vec<String> {
    let decision = builder.decide(policy);
    let rows = builder.package.rows.iter().zip(&decision.rows);
    let gone = rows.filter(|(_, verdict)| verdict.action == Action::Delete);
    gone.map(|(row, _)| builder.name_digests(&row.version)).collect()
}

/// Asserts that nothing is deleted; returns why there is no plan.
fn not_planned(builder: &mut PackageBuilder, policy: &Policy) -> Option<WhyNotPlanned> {
    let Decision { not_planned: stop, images_deleted, .. } = builder.decide(policy);
    assert_eq!(images_deleted, 0);
    stop
}

/// ViktorBarzin/infra, `docs/post-mortems/2026-06-10-forgejo-retention-orphaned-indexes.md`.
#[test]
fn keep_ten_counts_images_and_not_rows() {
    assert_eq!(deleted_versions(&mut PackageBuilder::with_indexes(12), &keep(10)), ["v2", "v1"]);
}

/// <https://github.com/doobidoo/mcp-memory-service/issues/1044>
#[test]
fn children_of_tagged_indexes_are_not_untagged() {
    let mut policy = keep(3);
    (policy.untagged, policy.grace) = (UnneededAction::Prune, 0);
    assert_eq!(deleted_versions(&mut PackageBuilder::with_indexes(3), &policy), [""; 0]);
}

/// <https://github.com/some-natalie/kubernoodles/issues/664>
#[test]
fn children_do_not_count_towards_n() {
    assert_eq!(deleted_versions(&mut PackageBuilder::with_indexes(8), &keep(8)), [""; 0]);
}

/// <https://github.com/nfrastack/db-backup/issues/575>
#[test]
fn staging_tags_keep_the_children_of_their_index() {
    let mut builder = PackageBuilder::with_images(1);
    let children = [builder.push_image("v2-amd64", 50), builder.push_image("v2-arm64", 50)];
    let index = builder.index("v2", &children);
    builder.tag("v2", index, 49);
    assert_eq!(deleted_versions(&mut builder, &keep(1)), ["v1"]);
}

/// <https://github.com/hivecommons/hive/issues/1970>
#[test]
fn run_detects_damage_to_a_kept_image_at_once() {
    let mut builder = PackageBuilder::with_indexes(3);
    let child = builder.image("v3/arm64");
    let model = Model::from_builder(&builder);
    let plan = planned(&model, &keep(2));
    // A platform of a kept image is deleted by others during the run.
    let mut server = Server::new(model);
    server.events.push((1, Box::new(move |model| model.rows.retain(|_, row| row.digest != child))));
    let (applied, _) = run(&server, &plan);
    let Some(Stopped::Worse(why)) = applied.stopped else { panic!("{applied:?}") };
    insta::assert_snapshot!(builder.name_digests(&why.to_string()), @"app:v3 was whole before this run and is not now: <v3/arm64> does not answer");
}

/// <https://github.com/snok/container-retention-policy/issues/67>
#[test]
fn policy_digest_identifies_the_policy_of_a_plan() {
    // The plan contains a hash of its policy, so another policy is another hash.
    let mut builder = PackageBuilder::with_images(12);
    let plan = |builder: &PackageBuilder, policy: &Policy| planned(&Model::from_builder(builder), policy);
    let (ten, two) = (plan(&builder, &keep(10)), plan(&builder, &keep(2)));
    assert_ne!(ten.policy_digest, two.policy_digest);
    assert_eq!(
        (deleted_versions(&mut builder, &keep(10)).len(), deleted_versions(&mut builder, &keep(2)).len()),
        (2, 10)
    );
    assert_eq!(plan(&builder, &keep(10)).policy_digest, ten.policy_digest);
}

/// <https://github.com/KristianP26/ble-scale-sync/issues/77>
#[test]
fn platforms_of_kept_images_stay_in_a_listing_of_digests() {
    // As GHCR lists it: every manifest has a row of its digest, the indexes too.
    let mut builder = PackageBuilder::with_indexes(4);
    for build in 1..=4 {
        let children = ["amd64", "arm64"].map(|platform| builder.image(&format!("v{build}/{platform}")));
        let index = builder.index(&format!("v{build}/index"), &children);
        builder.digest_row(index, 200);
    }
    let mut policy = keep(2);
    policy.untagged = UnneededAction::Prune;
    let gone = deleted_versions(&mut builder, &policy);
    assert!(gone.iter().all(|row| row.contains("v1") || row.contains("v2")), "{gone:?}");
    assert!(gone.contains(&"v1".to_owned()) && gone.contains(&"v2".to_owned()), "{gone:?}");
}

/// <https://github.com/actions/delete-package-versions/issues/162>
#[test]
fn releases_that_match_a_keep_pattern_stay() {
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("v[12]", LetterCase::Ignored).unwrap());
    assert_eq!(deleted_versions(&mut PackageBuilder::with_images(4), &policy), ["v3"]);
    policy.max_delete_percent = Some(20);
    assert!(matches!(
        not_planned(&mut PackageBuilder::with_images(4), &policy),
        Some(WhyNotPlanned::Refused(_))
    ));
}

/// <https://github.com/Chizkiyahu/delete-untagged-ghcr-action/issues/45>
#[test]
fn unread_manifest_skips_the_package() {
    let mut builder = PackageBuilder::with_indexes(3);
    let child = builder.image("v3/arm64");
    let number = builder.package.intern(&child);
    builder.package.set_unknown(number, "503 Service Unavailable");
    assert!(matches!(not_planned(&mut builder, &keep(1)), Some(WhyNotPlanned::Skipped(_))));
}

/// centauri/WeatherNode, issue 24.
#[test]
fn index_of_a_platform_in_use_stays() {
    let mut builder = PackageBuilder::with_indexes(3);
    let mut policy = keep(1);
    policy.in_use = ImagesInUse::parse(&builder.image("v1/arm64").to_string()).unwrap();
    assert_eq!(deleted_versions(&mut builder, &policy), ["v2"]);
}

/// <https://github.com/Azure/acr-cli/issues/131>
#[test]
fn nested_indexes_keep_their_descendants() {
    let mut builder = PackageBuilder::new();
    builder.push_image("old", 500);
    let mut inner = builder.image("leaf");
    builder.digest_row(inner, 400);
    for depth in 1..=3 {
        inner = builder.index(&format!("depth {depth}"), &[inner]);
        builder.digest_row(inner, 400);
    }
    builder.tag("new", inner, 10);
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Prune;
    assert_eq!(deleted_versions(&mut builder, &policy), ["old"]);
}

/// <https://github.com/Azure/acr/issues/520>
#[test]
fn tag_moved_between_plan_and_delete_is_not_deleted() {
    let mut builder = PackageBuilder::with_indexes(2);
    let plan = planned(&Model::from_builder(&builder), &keep(1));
    let other = builder.push_image("other", 0);
    let mut model = Model::from_builder(&builder);
    model.rows.remove("other");
    model.rows.insert("v1".into(), ModelRow { id: 777, at: now(), digest: other });
    let server = Server::new(model);
    run(&server, &plan);
    assert_eq!(server.asked.lock().unwrap().1, 0);
}

/// <https://github.com/MicrosoftDocs/azure-docs/issues/81172>, <https://github.com/GoogleCloudPlatform/gcr-cleaner/issues/11>
#[test]
fn rule_that_would_empty_a_repository_is_refused() {
    let mut policy = keep(1);
    policy.rules.push(Rule { keep_within: Some(60), ..rule("*", 0) });
    assert!(matches!(
        not_planned(&mut PackageBuilder::with_images(3), &policy),
        Some(WhyNotPlanned::Refused(_))
    ));
    policy.allow_empty = true;
    assert_eq!(deleted_versions(&mut PackageBuilder::with_images(3), &policy).len(), 3);
}

/// <https://github.com/GoogleCloudPlatform/gcr-cleaner/issues/79>, <https://github.com/goharbor/harbor/issues/10555>
#[test]
fn push_times_reset_by_an_upgrade_are_refused() {
    let mut builder = PackageBuilder::new();
    for number in 1..=6 {
        builder.push_image(&format!("v{number}"), 100);
    }
    assert!(matches!(not_planned(&mut builder, &keep(2)), Some(WhyNotPlanned::Refused(_))));
}

/// <https://github.com/hail-is/hail/issues/13603>
#[test]
fn second_run_of_a_plan_changes_nothing() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(5));
    let plan = planned(&model, &keep(2));
    let server = Server::new(model);
    run(&server, &plan);
    let once = server.model.lock().unwrap().clone();
    run(&server, &plan);
    assert_eq!(*server.model.lock().unwrap(), once);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/36>
#[test]
fn child_of_two_indexes_stays_with_the_second() {
    let mut builder = PackageBuilder::new();
    let shared = builder.image("shared");
    builder.digest_row(shared, 500);
    for (tag, hours) in [("v1", 400), ("v2", 300)] {
        let own = builder.image(tag);
        builder.digest_row(own, hours);
        let index = builder.index(&format!("{tag}/index"), &[shared, own]);
        builder.tag(tag, index, hours);
    }
    let mut policy = keep(1);
    policy.untagged = UnneededAction::Prune;
    assert_eq!(deleted_versions(&mut builder, &policy), ["v1", "<v1>"]);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/56>
#[test]
fn image_with_several_tags_counts_once() {
    let mut builder = PackageBuilder::with_images(2);
    let newest = builder.image("newest");
    for tag in ["v3", "v3.0", "v3.0.0", "stable"] {
        builder.tag(tag, newest, 10);
    }
    assert_eq!(deleted_versions(&mut builder, &keep(2)), ["v1"]);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/104>, <https://github.com/sigstore/cosign/issues/507>
#[test]
fn signatures_follow_their_images_and_do_not_count() {
    let mut builder = PackageBuilder::with_indexes(2);
    for number in 1..=2 {
        let index = builder.image(&format!("v{number}/amd64"));
        for end in [".sig", ".att", ".sbom", ""] {
            let signature = builder.image(&format!("{number}{end}"));
            builder.tag(&format!("sha256-{}{end}", index.hex()), signature, 5);
        }
    }
    assert_eq!(deleted_versions(&mut builder, &keep(2)), [""; 0]);
    assert_eq!(deleted_versions(&mut builder, &keep(1)).len(), 5);
}

/// <https://github.com/goharbor/harbor/issues/22390>
#[test]
fn kept_child_tag_outlives_its_index() {
    let mut builder = PackageBuilder::with_images(1);
    let child = builder.push_image("child", 800);
    let index = builder.index("index", &[child]);
    builder.tag("old", index, 790);
    builder.push_image("v2", 10);
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("child", LetterCase::Ignored).unwrap());
    assert_eq!(deleted_versions(&mut builder, &policy), ["v1", "old"]);
}

/// <https://github.com/goharbor/harbor/issues/2663>, <https://github.com/genuinetools/reg/issues/203>
#[test]
fn only_tags_are_deleted_and_never_digests() {
    let mut builder = PackageBuilder::with_images(2);
    let old = builder.image("v1/image");
    builder.tag("keep-me", old, 5);
    assert_eq!(deleted_versions(&mut builder, &keep(2)), [""; 0]);
    let model = Model::from_builder(&PackageBuilder::with_indexes(4));
    let plan = planned(&model, &keep(1));
    let rows = plan.packages.iter().flat_map(|package| &package.versions);
    assert!(rows.filter(|row| row.action == Action::Delete).all(|row| !row.version.contains(':')));
}

/// <https://github.com/project-zot/zot/pull/4236>
#[test]
fn collecting_an_inventory_deletes_nothing() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(5));
    let server = Server::new(model.clone());
    block_on(collect(&server, source(), &reading_options(), now())).unwrap();
    assert_eq!(server.asked.lock().unwrap().1, 0);
    assert_eq!(server.model.into_inner().unwrap(), model);
}

/// <https://github.com/project-zot/zot/issues/1762>
#[test]
fn manifest_of_unknown_type_stays() {
    let mut builder = PackageBuilder::with_images(2);
    let odd = builder.manifest(
        "odd",
        "application/x",
        &serde_json::json!({"schemaVersion": 2, "mediaType": "application/x"}),
    );
    builder.tag("odd", odd, 900);
    assert_eq!(deleted_versions(&mut builder, &keep(1)), ["v1"]);
}

/// <https://github.com/openshift/origin/issues/14863>
#[test]
fn shared_layers_are_not_counted_as_reclaimable() {
    let plan = planned(&Model::from_builder(&PackageBuilder::with_images(3)), &keep(2));
    let row = plan.packages[0].versions.iter().find(|row| row.action == Action::Delete).unwrap();
    // A config of 100 and a layer of 1,000 bytes of its own, and the manifest; not the base of 5,000 that others share.
    assert_eq!(plan.summary.reclaimable_bytes, 1100 + row.bytes.unwrap());
}

/// <https://github.com/loxilb-io/loxilb/pull/1108>
#[test]
fn run_that_may_not_delete_reports_that_it_stopped() {
    let model = Model::from_builder(&PackageBuilder::with_indexes(3));
    let plan = planned(&model, &keep(1));
    let mut server = Server::new(model);
    server.is_forbidden = true;
    assert!(run(&server, &plan).0.stopped.is_some());
}

/// <https://github.com/jikig-ai/soleur/issues/7378>
#[test]
fn attestations_are_not_called_broken() {
    let mut builder = PackageBuilder::with_images(1);
    let image = builder.image("image");
    let attestation = builder.artifact("attestation", "application/vnd.oci.empty.v1+json", None);
    let index = builder.index("index", &[image, attestation]);
    builder.tag("v2", index, 10);
    assert_eq!(builder.decide(&keep(2)).broken, [""; 0]);
}

/// <https://github.com/go-gitea/gitea/issues/21673>
#[test]
fn pattern_for_digests_matches_no_platforms() {
    let mut policy = keep(1);
    policy.rules.push(Rule { keep_within: Some(1), ..rule("sha256:*", 0) });
    assert_eq!(deleted_versions(&mut PackageBuilder::with_indexes(3), &policy), [""; 0]);
}
