//! Applies a plan to the tree of a real server, runs its collector without --delete-untagged, and pulls everything.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use registry_core::oci::manifest::ReferenceRole;
use registry_core::oci::{Digest, Manifest};
use registry_core::path::Place;
use registry_core::registry::{Client, Credentials};
use registry_core::repair::JournalOutput;
use registry_core::retention::layout::{Layout, ReadOptions, apply};
use registry_core::retention::{Action, Policy, Record, RowOutcome, plan};
use registry_core::storage::{Symlinks, locate};
use registry_core::tree_writer::{Access, RunningServers, TreeWriter};
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::sound_tree;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;

use self::layout_model::only_doomed;
use super::{block_on, http};
use crate::verified::verified;

#[path = "../../retention/layout_model.rs"]
mod layout_model;

const CASES: u64 = 60;
const STORAGE: &str = "  delete: {enabled: true}\n  maintenance: {uploadpurging: {enabled: false}}\n";

struct DiscardingLog;

impl JournalOutput for DiscardingLog {
    fn path(&self) -> Option<&Path> {
        None
    }

    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// Gives every tag its own time, far in the past.
fn age(tree: &mut TreeBuilder, seed: u64) {
    let day = std::time::Duration::from_secs(24 * 3600);
    tree.age_all(90 * day);
    let record = read(tree.root());
    for package in &record.packages {
        for (number, row) in package.versions.iter().filter(|row| !row.version.contains(':')).enumerate() {
            let days = (number as u64 * 7 + seed) % 61 + 1;
            tree.set_pushed(&package.name, &row.version, day * u32::try_from(days).expect("a few days"));
        }
    }
}

fn read(root: &Path) -> Record {
    let located = locate(root, Symlinks::Refuse).registries.pop().expect("a registry");
    let layout = Layout::open(&located, 0).expect("a layout");
    layout.record(&ReadOptions::default(), Timestamp::now()).expect("a record")
}

/// Whether a server sends a tag and everything below it with the right bytes.
fn is_whole(client: &Client, repository: &str, tag: &str) -> bool {
    let Ok(Some(root)) = block_on(client.manifest(repository, tag)) else { return false };
    let mut waiting = Manifest::parse(&root.bytes).references;
    while let Some(part) = waiting.pop() {
        let (Some(digest), false) = (part.descriptor.digest, part.descriptor.has_urls) else { continue };
        if part.role == ReferenceRole::Child {
            match block_on(client.manifest(repository, &digest.to_string())) {
                Ok(Some(child)) if child.digest == digest => {
                    waiting.extend(Manifest::parse(&child.bytes).references);
                }
                _ => return false,
            }
        } else {
            let right = |bytes: &Vec<u8>| Digest::hash(digest.algorithm(), bytes) == digest;
            if !block_on(client.blob(repository, &digest, 64 << 20))
                .ok()
                .flatten()
                .as_ref()
                .is_some_and(right)
            {
                return false;
            }
        }
    }
    true
}

fn whole(server: &RealServer, record: &Record) -> BTreeSet<(String, String)> {
    let client = Client::new(&http(0), &format!("http://{}", server.address), Credentials::Anonymous)
        .expect("a client");
    let packages = record.packages.iter();
    let tags =
        packages.flat_map(|package| package.versions.iter().map(move |row| (&package.name, &row.version)));
    let tags = tags.filter(|(_, tag)| !tag.contains(':'));
    tags.filter(|(name, tag)| is_whole(&client, name, tag))
        .map(|(name, tag)| (name.clone(), tag.clone()))
        .collect()
}

/// Runs the collector. Registry 3 stops at schema 1, and at a layer that is linked by two algorithms, then after it has freed all that
/// it can (`registry/storage/garbagecollect.go @ v3.1.1`).
fn is_collected(server: &RealServer) -> bool {
    match server.collect(&[]) {
        Ok(()) => true,
        Err(why) if why.contains("failed to delete layer link") => true,
        Err(why) => {
            assert!(why.contains("unrecognized manifest schema version 1"), "{why}");
            false
        }
    }
}

fn assert_collector_frees_deleted(profile: Profile) {
    let server = RealServer::start(profile, ServerOptions { storage: STORAGE, ..ServerOptions::default() });
    let (mut ran, mut pulled, mut freed) = (0, 0, 0);
    for seed in 1..=CASES {
        // The effect of the collector alone.
        let (mut alone, _) = sound_tree(seed);
        age(&mut alone, seed);
        server.serve(alone.root());
        if !is_collected(&server) {
            continue;
        }
        let before = whole(&server, &read(&server.root()));

        let (mut tree, story) = sound_tree(seed);
        age(&mut tree, seed);
        server.serve(tree.root());
        let located = locate(&server.root(), Symlinks::Refuse).registries.pop().expect("a registry");
        let layout = Layout::open(&located, 0).expect("a layout");
        let now = Timestamp::now();
        let record = layout.record(&ReadOptions::default(), now).expect("a record");
        let mut policy = Policy::keep_last(1 + u32::try_from(seed % 2).expect("a bit")).expect("a policy");
        policy.keep_tags.clear();
        let plan = plan(record.source.clone(), record.packages(), &policy, now, "0");
        // The server keeps running, but nobody pushes to it.
        let access = Access { servers: RunningServers::Accept, ..Access::default() };
        let mut writer = TreeWriter::open(&located, None, access, now).expect("a writer");
        let progress = registry_core::repair::StepProgress::default();
        let done = apply(&layout, verified(&plan), &mut writer, DiscardingLog, &progress);
        assert!(done.stopped.is_none(), "{story:#?} {done:#?}");
        assert_eq!(
            done.count(RowOutcome::Deleted) as u64,
            plan.summary.versions_deleted,
            "{story:#?} {done:#?}"
        );
        assert!(is_collected(&server), "{story:#?}");

        let after = whole(&server, &record);
        for package in &plan.packages {
            for row in package.versions.iter().filter(|row| !row.version.contains(':')) {
                let tag = (package.name.clone(), row.version.clone());
                if row.action == Action::Delete {
                    assert!(!after.contains(&tag), "{story:#?} {tag:?} is still there");
                } else if before.contains(&tag) {
                    assert!(after.contains(&tag), "{story:#?} {tag:?} was kept and cannot be pulled");
                    pulled += 1;
                }
            }
        }
        for digest in only_doomed(&record, &plan) {
            let path = located.v2.join(Place::BlobData(digest).to_string());
            assert!(matches!(path.try_exists(), Ok(false)), "{story:#?} {digest} is still there");
            freed += 1;
        }
        ran += 1;
    }
    assert!(ran > CASES / 4 && pulled > 50 && freed > 50, "{ran} trees, {pulled} tags, {freed} digests");
}

#[test]
#[ignore = "needs docker-registry 2.8.2"]
fn plain_collector_of_2_8_frees_what_retention_deleted() {
    assert_collector_frees_deleted(Profile::V2_8);
}

#[test]
#[ignore = "needs registry 3.1.1"]
fn plain_collector_of_3_1_frees_what_retention_deleted() {
    assert_collector_frees_deleted(Profile::V3);
}
