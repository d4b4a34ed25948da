//! `probe` of a served tree finds what `scan` finds on its disk: the same broken tags, each damage under its coarser code
//! (docs/findings.md, "From fine to coarse"). The trees are random and damaged, the servers real.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use registry_fixtures::TreeBuilder;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;
use serde_json::Value;

use crate::real_server::{Client, check_random_trees, tags, unpullable_tags};
use crate::support::{broken_tags, fsck, run, scan_json, tag_name};

/// Random trees by default. Trees without a whole tag do not count.
const CASES: u64 = 400;
/// The least number of trees that have to count, of the default number.
const MIN_COUNTED: u64 = 300;

/// The codes under which a probe may report what `scan` finds, at the depths `blobs` and `content`.
type CoarseCodes = BTreeMap<String, [BTreeSet<String>; 2]>;

/// Reads the table of docs/findings.md.
fn read_coarse_codes() -> CoarseCodes {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md")).unwrap();
    let (_, text) = text.split_once("# From fine to coarse").unwrap();
    let codes = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut table = CoarseCodes::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for fine in codes(cells[1]) {
            let coarse = table.entry(fine).or_default();
            coarse[0].extend(codes(cells[3]));
            coarse[1].extend(codes(cells[4]));
        }
    }
    table
}

/// Probes a server. The repositories come from a file, because the catalog of 2.8 leaves some out.
fn probe(server: &RealServer, depth: &str) -> Value {
    let names: BTreeSet<String> = tags(&server.root().join("docker/registry/v2"))
        .into_iter()
        .map(|(repository, _)| repository)
        .collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), names.into_iter().collect::<Vec<_>>().join("\n")).unwrap();
    let mut command = fsck();
    command.args(["probe", &format!("http://{}", server.address), "--output", "json", "--retries", "0"]);
    run(command.args(["--depth", depth]).arg("--repositories-file").arg(file.path())).json()
}

/// The codes that break each tag.
fn codes_by_tag(report: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let name_and_codes = |tag: &Value| {
        let numbers = tag["findings"].as_array().unwrap().iter();
        let codes = numbers.map(|number| {
            let number = usize::try_from(number.as_u64().unwrap()).unwrap();
            report["findings"][number]["code"].as_str().unwrap().to_owned()
        });
        (tag_name(tag), codes.collect())
    };
    report["broken_tags"].as_array().unwrap().iter().map(name_and_codes).collect()
}

/// Codes of manifests that a client does not get, so it cannot see damage below them.
const OPAQUE: [&str; 4] = ["tag-target-missing", "child-missing", "manifest-digest-mismatch", "server-error"];

/// Where probe and scan disagree.
fn differences(table: &CoarseCodes, scanned: &Value, probed: &Value, depth: usize) -> Vec<String> {
    let (scan_codes, probe_codes) = (codes_by_tag(scanned), codes_by_tag(probed));
    let mut differences = Vec::new();
    for tag in scan_codes.keys().chain(probe_codes.keys()).collect::<BTreeSet<_>>() {
        let none = BTreeSet::new();
        let fine = scan_codes.get(tag).unwrap_or(&none);
        let coarse = probe_codes.get(tag).unwrap_or(&none);
        let expected = |fine: &String| &table.get(fine).unwrap_or_else(|| panic!("{fine} has no row"))[depth];
        let is_explained = |code: &String| fine.iter().any(|fine| expected(fine).contains(code));
        let is_seen = |fine: &String| !expected(fine).is_disjoint(coarse);
        let is_opaque = OPAQUE.iter().any(|code| coarse.contains(*code));
        let is_same = coarse.iter().all(is_explained) && (is_opaque || fine.iter().all(is_seen));
        if fine.is_empty() != coarse.is_empty() || !is_same {
            differences.push(format!("{tag}: scan {fine:?}, probe {coarse:?}"));
        }
    }
    if !probed["unknown_tags"].as_array().unwrap().is_empty() {
        differences.push(format!("unknown to the probe: {}", probed["unknown_tags"]));
    }
    differences
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn probe_of_served_tree_matches_scan_of_disk() {
    let (counted, table) = (AtomicU64::new(0), read_coarse_codes());
    let failures = check_random_trees(CASES, Profile::V2_8, |server, story| {
        let mut failures = Vec::new();
        for (depth, options) in [&[][..], &["--content"][..]].into_iter().enumerate() {
            let scanned = scan_json(&server.root(), &[options, &["--jobs", "2"]].concat()).json();
            let has_whole_tag =
                scanned["coverage"]["tags_checked"].as_u64() > Some(broken_tags(&scanned).len() as u64);
            if !has_whole_tag {
                return failures;
            }
            let probed = probe(server, ["blobs", "content"][depth]);
            let found = differences(&table, &scanned, &probed, depth);
            if !found.is_empty() {
                failures.push(format!("depth {depth}:\n  {}\n  tree: {story}", found.join("\n  ")));
            }
        }
        counted.fetch_add(1, Ordering::Relaxed);
        failures
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
    let counted = counted.into_inner();
    println!("{counted} trees had a whole tag");
    let is_default = std::env::var_os("REGISTRY_FSCK_CASES").is_none();
    assert!(counted >= if is_default { MIN_COUNTED } else { 1 }, "only {counted} trees had a whole tag");
}

/// `verify` passes on a pushed image, and fails after one child is deleted.
fn check_verify(profile: Profile) {
    let storage = "  delete: {enabled: true}\n";
    let server = RealServer::start(profile, ServerOptions { storage, ..ServerOptions::default() });
    let mut tree = TreeBuilder::new();
    let image = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    server.serve(tree.root());
    let reference = format!("{}/team/app:v1", server.address);
    let verify = |options: &[&str]| run(fsck().args(["verify", &reference, "--retries", "0"]).args(options));
    assert_eq!(verify(&["--content", "--require-platform", "linux/arm64"]).status, 0);
    let child = &image.images[1].digest;
    let url = format!("http://{}/v2/team/app/manifests/{}", server.address, child.as_str());
    assert_eq!(ureq::delete(&url).call().unwrap().status(), 202);
    let after = verify(&["--output", "json"]);
    assert_eq!((after.status, &*after.codes()[0]), (4, "child-missing"), "{}", after.out);
    // There is neither a list of referrers nor a fallback tag.
    let unsigned = verify(&["--referrers", "--output", "json"]);
    let codes = BTreeSet::from_iter(unsigned.codes());
    assert_eq!(codes, BTreeSet::from(["child-missing".to_owned(), "referrer-missing".to_owned()]));
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn verify_detects_deleted_child_on_registry_2_8() {
    check_verify(Profile::V2_8);
}

#[test]
#[ignore = "needs the real registry 3.1.1"]
fn verify_detects_deleted_child_on_registry_3_1() {
    check_verify(Profile::V3);
}

#[test]
#[ignore = "needs the real registry 3.1.1"]
fn probe_of_registry_3_matches_plain_client() {
    let failures = check_random_trees(CASES / 2, Profile::V3, |server, story| {
        let mut failures = Vec::new();
        for is_content in [false, true] {
            let unpullable = unpullable_tags(&Client::new(server, is_content));
            let all = tags(&server.root().join("docker/registry/v2")).len();
            if unpullable.len() == all {
                return failures;
            }
            let probed = probe(server, if is_content { "content" } else { "blobs" });
            let found = broken_tags(&probed);
            if !found.iter().eq(unpullable.keys()) {
                failures.push(format!(
                    "content {is_content}: the client fails on {unpullable:?}\n  the probe on {:?}, not known {}\n  tree: {story}",
                    codes_by_tag(&probed), probed["unknown_tags"]
                ));
            }
        }
        failures
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
}
