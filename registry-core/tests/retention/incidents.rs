//! What has gone wrong with other tools, each as a test named after it. Links are to the reports.

use futures::executor::block_on;
use registry_core::retention::{
    Action, Decision, InUse, LetterCase, NotPlanned, Pattern, Policy, Rule, Stopped, Unneeded, collect,
};

use crate::effects::{how, planned, run, source};
use crate::model::{Model, ModelRow, Server};
use crate::support::{Maker, keep, now};

/// Versions that go, digests by name.
fn goes(maker: &mut Maker, policy: &Policy) -> Vec<String> {
    let decision = maker.decide(policy);
    let rows = maker.package.rows.iter().zip(&decision.rows);
    let gone = rows.filter(|(_, verdict)| verdict.action == Action::Delete);
    gone.map(|(row, _)| maker.named(&row.version)).collect()
}

fn stop(maker: &mut Maker, policy: &Policy) -> Option<NotPlanned> {
    let Decision { not_planned: stop, images_deleted, .. } = maker.decide(policy);
    assert_eq!(images_deleted, 0);
    stop
}

/// ViktorBarzin/infra, `docs/post-mortems/2026-06-10-forgejo-retention-orphaned-indexes.md`.
#[test]
fn keep_ten_by_row_deleted_the_platforms_of_what_it_kept() {
    assert_eq!(goes(&mut Maker::multis(12), &keep(10)), ["v2", "v1"]);
}

/// <https://github.com/doobidoo/mcp-memory-service/issues/1044>
#[test]
fn untagged_children_of_tagged_indexes_went_as_untagged() {
    let mut policy = keep(3);
    (policy.untagged, policy.grace) = (Unneeded::Prune, 0);
    assert_eq!(goes(&mut Maker::multis(3), &policy), [""; 0]);
}

/// <https://github.com/some-natalie/kubernoodles/issues/664>
#[test]
fn children_counted_towards_n() {
    assert_eq!(goes(&mut Maker::multis(8), &keep(8)), [""; 0]);
}

/// <https://github.com/nfrastack/db-backup/issues/575>
#[test]
fn staging_tags_took_the_children_along() {
    let mut maker = Maker::singles(1);
    let children = [maker.single("v2-amd64", 50), maker.single("v2-arm64", 50)];
    let index = maker.index("v2", &children);
    maker.tag("v2", index, 49);
    assert_eq!(goes(&mut maker, &keep(1)), ["v1"]);
}

/// <https://github.com/hivecommons/hive/issues/1970>
#[test]
fn damage_was_seen_weeks_later_by_a_node_with_an_empty_cache() {
    let mut maker = Maker::multis(3);
    let child = maker.image("v3/arm64");
    let model = Model::of(&maker);
    let plan = planned(&model, &keep(2));
    // Somebody takes a platform of a kept image while the run is under way: the run itself finds out, at once.
    let mut server = Server::new(model, now(), None);
    server.events.push((1, Box::new(move |model| model.rows.retain(|_, row| row.digest != child))));
    let (applied, _) = run(&server, &plan);
    let Some(Stopped::Worse(why)) = applied.stopped else { panic!("{applied:?}") };
    insta::assert_snapshot!(maker.named(&why.to_string()), @"app:v3 was whole before this run and is not now: <v3/arm64> does not answer");
}

/// <https://github.com/snok/container-retention-policy/issues/67>
#[test]
fn an_option_changed_its_meaning_and_25_images_went() {
    // What is asked for stands in the plan, under a hash: another meaning is another hash, and another plan.
    let mut maker = Maker::singles(12);
    let plan = |maker: &Maker, policy: &Policy| planned(&Model::of(maker), policy);
    let (ten, two) = (plan(&maker, &keep(10)), plan(&maker, &keep(2)));
    assert_ne!(ten.policy_digest, two.policy_digest);
    assert_eq!((goes(&mut maker, &keep(10)).len(), goes(&mut maker, &keep(2)).len()), (2, 10));
    assert_eq!(plan(&maker, &keep(10)).policy_digest, ten.policy_digest);
}

/// <https://github.com/KristianP26/ble-scale-sync/issues/77>
#[test]
fn published_platforms_went_from_a_listing_of_digests() {
    // As GHCR lists it: every manifest has a row of its digest, the indexes too.
    let mut maker = Maker::multis(4);
    for build in 1..=4 {
        let children = ["amd64", "arm64"].map(|platform| maker.image(&format!("v{build}/{platform}")));
        let index = maker.index(&format!("v{build}/index"), &children);
        maker.digest_row(index, 200);
    }
    let mut policy = keep(2);
    policy.untagged = Unneeded::Prune;
    let gone = goes(&mut maker, &policy);
    assert!(gone.iter().all(|row| row.contains("v1") || row.contains("v2")), "{gone:?}");
    assert!(gone.contains(&"v1".to_owned()) && gone.contains(&"v2".to_owned()), "{gone:?}");
}

/// <https://github.com/actions/delete-package-versions/issues/162>
#[test]
fn historic_releases_were_lost() {
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("v[12]", LetterCase::Ignored).unwrap());
    assert_eq!(goes(&mut Maker::singles(4), &policy), ["v3"]);
    policy.max_delete_percent = Some(20);
    assert!(matches!(stop(&mut Maker::singles(4), &policy), Some(NotPlanned::Refused(_))));
}

/// <https://github.com/Chizkiyahu/delete-untagged-ghcr-action/issues/45>
#[test]
fn an_error_on_one_manifest_was_taken_for_nothing_there() {
    let mut maker = Maker::multis(3);
    let child = maker.image("v3/arm64");
    let number = maker.package.intern(&child);
    maker.package.set_unknown(number, "503 Service Unavailable");
    assert!(matches!(stop(&mut maker, &keep(1)), Some(NotPlanned::Skipped(_))));
}

/// centauri/WeatherNode, issue 24.
#[test]
fn a_deployed_platform_went_with_its_index() {
    let mut maker = Maker::multis(3);
    let mut policy = keep(1);
    policy.in_use = InUse::parse(&maker.image("v1/arm64").to_string()).unwrap();
    assert_eq!(goes(&mut maker, &policy), ["v2"]);
}

/// <https://github.com/Azure/acr-cli/issues/131>
#[test]
fn nested_indexes_lost_their_descendants() {
    let mut maker = Maker::new();
    maker.single("old", 500);
    let mut inner = maker.image("leaf");
    maker.digest_row(inner, 400);
    for depth in 1..=3 {
        inner = maker.index(&format!("depth {depth}"), &[inner]);
        maker.digest_row(inner, 400);
    }
    maker.tag("new", inner, 10);
    let mut policy = keep(1);
    policy.untagged = Unneeded::Prune;
    assert_eq!(goes(&mut maker, &policy), ["old"]);
}

/// <https://github.com/Azure/acr/issues/520>
#[test]
fn a_tag_moved_between_plan_and_delete() {
    let mut maker = Maker::multis(2);
    let plan = planned(&Model::of(&maker), &keep(1));
    let other = maker.single("other", 0);
    let mut model = Model::of(&maker);
    model.rows.remove("other");
    model.rows.insert("v1".into(), ModelRow { id: 777, at: now(), digest: other });
    let server = Server::new(model, now(), None);
    run(&server, &plan);
    assert_eq!(server.asked.lock().unwrap().1, 0);
}

/// <https://github.com/MicrosoftDocs/azure-docs/issues/81172>, <https://github.com/GoogleCloudPlatform/gcr-cleaner/issues/11>
#[test]
fn a_whole_repository_went() {
    let mut policy = keep(1);
    policy.rules.push(Rule {
        package: Pattern::new("*", LetterCase::Ignored).unwrap(),
        tags: Pattern::new("*", LetterCase::Ignored).unwrap(),
        keep_last: 0,
        keep_within: Some(60),
        group_by: None,
        keep_cache: None,
    });
    assert!(matches!(stop(&mut Maker::singles(3), &policy), Some(NotPlanned::Refused(_))));
    policy.allow_empty = true;
    assert_eq!(goes(&mut Maker::singles(3), &policy).len(), 3);
}

/// <https://github.com/GoogleCloudPlatform/gcr-cleaner/issues/79>, <https://github.com/goharbor/harbor/issues/10555>
#[test]
fn times_that_an_upgrade_reset_were_believed() {
    let mut maker = Maker::new();
    for number in 1..=6 {
        maker.single(&format!("v{number}"), 100);
    }
    assert!(matches!(stop(&mut maker, &keep(2)), Some(NotPlanned::Refused(_))));
}

/// <https://github.com/hail-is/hail/issues/13603>
#[test]
fn two_cleaners_at_once() {
    let model = Model::of(&Maker::multis(5));
    let plan = planned(&model, &keep(2));
    let server = Server::new(model, now(), None);
    run(&server, &plan);
    let once = server.model.lock().unwrap().clone();
    run(&server, &plan);
    assert_eq!(*server.model.lock().unwrap(), once);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/36>
#[test]
fn a_child_of_two_indexes_went_with_the_first() {
    let mut maker = Maker::new();
    let shared = maker.image("shared");
    maker.digest_row(shared, 500);
    for (tag, hours) in [("v1", 400), ("v2", 300)] {
        let own = maker.image(tag);
        maker.digest_row(own, hours);
        let index = maker.index(&format!("{tag}/index"), &[shared, own]);
        maker.tag(tag, index, hours);
    }
    let mut policy = keep(1);
    policy.untagged = Unneeded::Prune;
    assert_eq!(goes(&mut maker, &policy), ["v1", "<v1>"]);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/56>
#[test]
fn the_newest_image_went_because_it_had_several_tags() {
    let mut maker = Maker::singles(2);
    let newest = maker.image("newest");
    for tag in ["v3", "v3.0", "v3.0.0", "stable"] {
        maker.tag(tag, newest, 10);
    }
    assert_eq!(goes(&mut maker, &keep(2)), ["v1"]);
}

/// <https://github.com/dataaxiom/ghcr-cleanup-action/issues/104>, <https://github.com/sigstore/cosign/issues/507>
#[test]
fn signatures_went_as_untagged_or_counted() {
    let mut maker = Maker::multis(2);
    for number in 1..=2 {
        let index = maker.image(&format!("v{number}/amd64"));
        for end in [".sig", ".att", ".sbom", ""] {
            let signature = maker.image(&format!("{number}{end}"));
            maker.tag(&format!("sha256-{}{end}", index.hex()), signature, 5);
        }
    }
    assert_eq!(goes(&mut maker, &keep(2)), [""; 0]);
    assert_eq!(goes(&mut maker, &keep(1)).len(), 5);
}

/// <https://github.com/goharbor/harbor/issues/22390>
#[test]
fn a_child_in_use_went_with_its_parent() {
    let mut maker = Maker::singles(1);
    let child = maker.single("child", 800);
    let index = maker.index("index", &[child]);
    maker.tag("old", index, 790);
    maker.single("v2", 10);
    let mut policy = keep(1);
    policy.keep_tags.push(Pattern::new("child", LetterCase::Ignored).unwrap());
    assert_eq!(goes(&mut maker, &policy), ["v1", "old"]);
}

/// <https://github.com/goharbor/harbor/issues/2663>, <https://github.com/genuinetools/reg/issues/203>
#[test]
fn a_delete_by_digest_took_every_tag() {
    let mut maker = Maker::singles(2);
    let old = maker.image("v1/image");
    maker.tag("keep-me", old, 5);
    assert_eq!(goes(&mut maker, &keep(2)), [""; 0]);
    let model = Model::of(&Maker::multis(4));
    let plan = planned(&model, &keep(1));
    let rows = plan.packages.iter().flat_map(|package| &package.versions);
    assert!(rows.filter(|row| row.action == Action::Delete).all(|row| !row.version.contains(':')));
}

/// <https://github.com/project-zot/zot/pull/4236>
#[test]
fn a_dry_run_deleted() {
    let model = Model::of(&Maker::multis(5));
    let server = Server::new(model.clone(), now(), None);
    block_on(collect(&server, source(), &how(), now())).unwrap();
    assert_eq!(server.asked.lock().unwrap().1, 0);
    assert_eq!(server.model.into_inner().unwrap(), model);
}

/// <https://github.com/project-zot/zot/issues/1762>
#[test]
fn a_manifest_of_an_unknown_type_was_dropped() {
    let mut maker = Maker::singles(2);
    let odd = maker.manifest(
        "odd",
        "application/x",
        &serde_json::json!({"schemaVersion": 2, "mediaType": "application/x"}),
    );
    maker.tag("odd", odd, 900);
    assert_eq!(goes(&mut maker, &keep(1)), ["v1"]);
}

/// <https://github.com/openshift/origin/issues/14863>
#[test]
fn shared_layers_were_counted_as_freed() {
    let plan = planned(&Model::of(&Maker::singles(3)), &keep(2));
    let row = plan.packages[0].versions.iter().find(|row| row.action == Action::Delete).unwrap();
    // A config of 100 and a layer of 1,000 bytes of its own, and the manifest; not the base of 5,000 that others share.
    assert_eq!(plan.summary.reclaimable_bytes, 1100 + row.bytes.unwrap());
}

/// <https://github.com/loxilb-io/loxilb/pull/1108>
#[test]
fn nothing_was_ever_deleted_and_nobody_saw() {
    let model = Model::of(&Maker::multis(3));
    let plan = planned(&model, &keep(1));
    let mut server = Server::new(model, now(), None);
    server.is_forbidden = true;
    assert!(run(&server, &plan).0.stopped.is_some());
}

/// <https://github.com/jikig-ai/soleur/issues/7378>
#[test]
fn attestations_were_called_broken() {
    let mut maker = Maker::singles(1);
    let image = maker.image("image");
    let attestation = maker.artifact("attestation", "application/vnd.oci.empty.v1+json", None);
    let index = maker.index("index", &[image, attestation]);
    maker.tag("v2", index, 10);
    assert_eq!(maker.decide(&keep(2)).broken, [""; 0]);
}

/// <https://github.com/go-gitea/gitea/issues/21673>
#[test]
fn a_pattern_for_digests_destroyed_platforms() {
    let mut policy = keep(1);
    policy.rules.push(Rule {
        package: Pattern::new("*", LetterCase::Ignored).unwrap(),
        tags: Pattern::new("sha256:*", LetterCase::Ignored).unwrap(),
        keep_last: 0,
        keep_within: Some(1),
        group_by: None,
        keep_cache: None,
    });
    assert_eq!(goes(&mut Maker::multis(3), &policy), [""; 0]);
}
