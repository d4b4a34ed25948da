//! `RegistrySource` with real servers, on trees as a push leaves them.

use registry_core::oci::Manifest;
use registry_core::oci::manifest::ReferenceRole;
use registry_core::registry::{Client, Credentials};
use registry_core::retention::{self as core, DeletionHistory, Permission, RankBy, RowOutcome, RowUndoState};
use registry_fixtures::TreeBuilder;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;

use super::{MemoryJournal, applied, block_on, http, planned_by, source_at};

const STORAGE: &str = "  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n";

/// Each tag with its digest; asserts that everything below it answers.
fn whole(url: &str) -> Vec<(String, String)> {
    let client = Client::new(&http(0), url, Credentials::Anonymous).expect("a client");
    let mut tags = block_on(client.tags("team/app")).expect("a list").unwrap_or_default();
    tags.sort();
    let mut found = Vec::new();
    for tag in tags {
        let manifest = block_on(client.manifest("team/app", &tag)).expect("an answer").expect("a manifest");
        let mut waiting = Manifest::parse(&manifest.bytes).references;
        while let Some(part) = waiting.pop() {
            let digest = part.descriptor.digest.expect("a digest");
            if part.role == ReferenceRole::Child {
                let child = block_on(client.manifest("team/app", &digest.to_string())).expect("an answer");
                waiting.extend(Manifest::parse(&child.expect("a child").bytes).references);
            } else {
                let blob = block_on(client.head_blob("team/app", &digest)).expect("an answer");
                assert!(blob.is_some(), "{tag}: {digest} is gone");
            }
        }
        found.push((tag, manifest.digest.to_string()));
    }
    found
}

fn assert_applied_and_undone(profile: Profile) {
    let server = RealServer::start(profile, ServerOptions { storage: STORAGE, ..ServerOptions::default() });
    let mut tree = TreeBuilder::new();
    for release in 1..=4 {
        let tag = format!("1.{release}.0");
        let index = tree.multi_platform("team/app", Some(&tag), &["linux/amd64", "linux/arm64"]);
        tree.tag("team/app", &format!("{tag}-amd64"), &index.children[0]);
        if release == 2 {
            tree.tag("team/app", "v1.2.0", &index.digest);
        }
    }
    server.serve(tree.root());
    let url = format!("http://{}", server.address);
    let before = whole(&url);
    assert_eq!(before.len(), 9);
    assert_eq!(block_on(source_at(&url).preflight("team/app")), Permission::Granted);
    let plan = block_on(planned_by(&source_at(&url), 1, RankBy::Semver)).expect("a plan");
    let mut journal = MemoryJournal::default();
    let done = block_on(applied(source_at(&url), &plan, &mut journal));
    assert_eq!((done.count(RowOutcome::Deleted), &done.stopped), (7, &None), "{done:?}");
    assert_eq!(whole(&url), before[6..8]);
    let history = DeletionHistory::read(journal.text()).expect("a journal");
    let undone = block_on(core::undo(&source_at(&url).arm(), &history));
    assert!(undone.iter().all(|row| row.state == RowUndoState::Restored), "{undone:?}");
    assert_eq!(whole(&url), before);
}

#[test]
#[ignore = "needs docker-registry 2.8.2"]
fn real_2_8_is_planned_applied_and_undone() {
    assert_applied_and_undone(Profile::V2_8);
}

#[test]
#[ignore = "needs registry 3.1.1"]
fn real_3_1_is_planned_applied_and_undone() {
    assert_applied_and_undone(Profile::V3);
}

// https://github.com/distribution/distribution/issues/4358: 2.8 signs schema 1 anew at each GET.
#[test]
#[ignore = "needs docker-registry 2.8.2"]
fn schema_1_that_a_real_2_8_signs_anew_stays_and_skips_no_package() {
    let server =
        RealServer::start(Profile::V2_8, ServerOptions { storage: STORAGE, ..ServerOptions::default() });
    let mut tree = TreeBuilder::new();
    let layer = tree.layer("team/app", b"layer");
    let old = tree.schema1("team/app", "1.0.0", &[layer]);
    for release in 1..=3 {
        let tag = format!("1.{release}.0");
        tree.image("team/app", Some(&tag), &tag);
    }
    server.serve(tree.root());
    let url = format!("http://{}", server.address);
    let client = Client::new(&http(0), &url, Credentials::Anonymous).expect("a client");
    let sent = || {
        block_on(client.manifest_or_schema1("team/app", "1.0.0"))
            .expect("an answer")
            .expect("a manifest")
            .bytes
    };
    assert!(sent() != sent(), "the same bytes twice");
    let plan = block_on(planned_by(&source_at(&url), 1, RankBy::Semver)).expect("a plan");
    let rows = plan.packages[0].versions.iter().filter(|row| !row.version.contains(':'));
    let rows: Vec<_> =
        rows.map(|row| format!("{:?} {}: {}", row.action, row.version, row.reasons[0])).collect();
    insta::assert_snapshot!(rows.join("\n"), @"
    Keep 1.0.0: schema 1, which this server signs anew at each answer, so that its bytes cannot be checked
    Delete 1.1.0: rank 3, beyond newest 1
    Delete 1.2.0: rank 2, beyond newest 1
    Keep 1.3.0: newest 1 of 1
    ");
    let done = block_on(applied(source_at(&url), &plan, &mut MemoryJournal::default()));
    assert_eq!((done.count(RowOutcome::Deleted), &done.stopped), (2, &None), "{done:?}");
    let mut tags = block_on(client.tags("team/app")).expect("a list").expect("tags");
    tags.sort();
    assert_eq!(tags, ["1.0.0", "1.3.0"]);
    assert_eq!(Manifest::parse(&sent()).references.len(), 1);
    assert!(TreeBuilder::in_folder(&server.root()).blob_path(&old).is_file());
}
