//! Law L3: the offline verdict on every tag equals what a real server answers to a plain client that GETs all of it. The server
//! is Debian's `docker-registry` 2.8.2; the HTTP client shares nothing with the audit but the parsing of manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use registry_core::oci::manifest::{Kind, ReferenceRole};
use registry_core::oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use registry_fixtures::random::random_tree;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;

use crate::support::{broken_tags, scan_json, tag_name};

/// Random trees by default; `REGISTRY_FSCK_CASES` sets another number.
const CASES: u64 = 600;
/// The first seed by default; `REGISTRY_FSCK_SEED` sets another.
const FIRST_SEED: u64 = 1;

pub fn start(profile: Profile) -> RealServer {
    let storage = "  maintenance: {uploadpurging: {enabled: false}}\n";
    RealServer::start(profile, ServerOptions { storage, ..ServerOptions::default() })
}

/// A client that GETs everything below a tag.
pub struct Client<'s> {
    agent: ureq::Agent,
    server: &'s RealServer,
    /// Whether the digests of configs and layers are checked.
    checks_content: bool,
}

const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v1+json, application/vnd.docker.distribution.manifest.v1+prettyjws";

impl<'s> Client<'s> {
    pub fn new(server: &'s RealServer, checks_content: bool) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { agent: config.into(), server, checks_content }
    }

    /// The body of a 200 answer, and its content type; `Err` says what came instead.
    fn get(&self, path: &str) -> Result<(Vec<u8>, String), String> {
        let url = format!("http://{}/v2/{path}", self.server.address);
        let answer = self.agent.get(&url).header("Accept", ACCEPT).call();
        let mut answer = answer.map_err(|error| format!("{path}: {error}"))?;
        let kind = answer
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
            .to_owned();
        if answer.status() != 200 {
            return Err(format!("{path}: {}", answer.status()));
        }
        let mut body = Vec::new();
        answer.body_mut().as_reader().read_to_end(&mut body).map_err(|error| format!("{path}: {error}"))?;
        Ok((body, kind))
    }

    /// Pulls a tag, whose manifest must have the digest that its link names.
    pub fn pull_tag(&self, repository: &str, tag: &str) -> Result<(), String> {
        let link = self
            .server
            .root()
            .join(format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"));
        let (body, kind) = self.get(&format!("{repository}/manifests/{tag}"))?;
        let digest = std::fs::read_to_string(link).map_err(|error| error.to_string())?;
        self.check_manifest(repository, &digest, &body, &kind, None, &mut BTreeSet::new())
    }

    fn check_manifest(
        &self,
        repository: &str,
        digest: &str,
        body: &[u8],
        kind: &str,
        size: Option<i64>,
        seen: &mut BTreeSet<String>,
    ) -> Result<(), String> {
        let manifest = Manifest::parse(body);
        let is_schema1 = kind.contains("docker.distribution.manifest.v1+");
        if !is_schema1 {
            if size.is_some_and(|size| usize::try_from(size) != Ok(body.len())) {
                return Err(format!("{digest}: {} bytes instead of {size:?}", body.len()));
            }
            check_digest(digest, body)?;
        } else if manifest.kind != Kind::Schema1 {
            return Err(format!("{digest}: schema 1 by its type only"));
        }
        if !seen.insert(digest.to_owned()) {
            return Ok(());
        }
        for reference in &manifest.references {
            let descriptor = &reference.descriptor;
            if descriptor.has_urls {
                continue;
            }
            let Some(target) = descriptor.digest else {
                return Err(format!("{digest}: a part without digest"));
            };
            if descriptor.size < 0 {
                return Err(format!("{digest}: a part of negative size"));
            }
            if reference.role == ReferenceRole::Child {
                let (body, kind) = self.get(&format!("{repository}/manifests/{target}"))?;
                self.check_manifest(
                    repository,
                    &target.to_string(),
                    &body,
                    &kind,
                    Some(descriptor.size),
                    seen,
                )?;
            } else {
                let (body, _) = self.get(&format!("{repository}/blobs/{target}"))?;
                if !is_schema1 && usize::try_from(descriptor.size) != Ok(body.len()) {
                    return Err(format!("{target}: {} bytes instead of {}", body.len(), descriptor.size));
                }
                if self.checks_content {
                    check_digest(&target.to_string(), &body)?;
                }
            }
        }
        Ok(())
    }
}

fn check_digest(digest: &str, body: &[u8]) -> Result<(), String> {
    let wanted: Digest = digest.parse().map_err(|error| format!("{digest:?}: {error}"))?;
    let found = Digest::hash(wanted.algorithm(), body);
    if found == wanted { Ok(()) } else { Err(format!("{digest}: the bytes hash to {found}")) }
}

/// All tags of a tree whose names and repositories have legal names.
pub fn tags(v2: &Path) -> Vec<(String, String)> {
    fn visit(folder: &Path, name: &str, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(part) = entry.file_name().into_string() else { continue };
            if part == "_manifests" && RepositoryName::new(name).is_ok() {
                let tags = std::fs::read_dir(entry.path().join("tags")).into_iter().flatten().flatten();
                let names = tags.filter_map(|tag| tag.file_name().into_string().ok());
                found.extend(names.filter(|tag| Tag::new(tag).is_ok()).map(|tag| (name.to_owned(), tag)));
            } else if !part.starts_with('_') && entry.path().is_dir() {
                let inner = if name.is_empty() { part } else { format!("{name}/{part}") };
                visit(&entry.path(), &inner, found);
            }
        }
    }
    let mut found = Vec::new();
    visit(&v2.join("repositories"), "", &mut found);
    found
}

/// Tags that a plain client cannot pull, and why.
pub fn unpullable_tags(client: &Client<'_>) -> BTreeMap<String, String> {
    let tags = tags(&client.server.root().join("docker/registry/v2")).into_iter();
    tags.filter_map(|(repository, tag)| {
        Some((format!("{repository}:{tag}"), client.pull_tag(&repository, &tag).err()?))
    })
    .collect()
}

/// Where the audit and the client disagree.
fn differences(server: &RealServer, checks_content: bool) -> Vec<String> {
    let unpullable = unpullable_tags(&Client::new(server, checks_content));
    let options: &[&str] = if checks_content { &["--content", "--jobs", "2"] } else { &["--jobs", "2"] };
    let report = scan_json(&server.root(), options).json();
    let broken = broken_tags(&report);
    let mut found = Vec::new();
    for (tag, why) in &unpullable {
        if !broken.contains(tag) {
            found.push(format!("{tag} fails on the server and is whole to the audit: {why}"));
        }
    }
    for tag in broken.iter().filter(|tag| !unpullable.contains_key(*tag)) {
        let whys: Vec<_> = report["broken_tags"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|broken| tag_name(broken) == *tag)
            .flat_map(|broken| broken["findings"].as_array().unwrap())
            .map(|number| {
                report["findings"][usize::try_from(number.as_u64().unwrap()).unwrap()]["message"].to_string()
            })
            .collect();
        found.push(format!("{tag} is served whole and broken to the audit: {}", whys.join("; ")));
    }
    found
}

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn verdicts_check_random_trees_match_real_server() {
    let failures = check_random_trees(CASES, Profile::V2_8, |server, story| {
        let mut failures = Vec::new();
        for content in [false, true] {
            let found = differences(server, content);
            if !found.is_empty() {
                failures.push(format!("content {content}:\n  {}\n  tree: {}", found.join("\n  "), story));
            }
        }
        failures
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
}

/// Serves random trees one after the other; returns the failures that a check of each reports, with its seed.
pub fn check_random_trees(
    cases: u64,
    profile: Profile,
    check: impl Fn(&RealServer, &str) -> Vec<String> + Sync,
) -> Vec<String> {
    let (cases, first) = (
        number_from_environment("REGISTRY_FSCK_CASES", cases),
        number_from_environment("REGISTRY_FSCK_SEED", FIRST_SEED),
    );
    println!("{cases} trees from seed {first} on");
    let (workers, check) = (2, &check);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                scope.spawn(move || {
                    let server = start(profile);
                    let mut failures = Vec::new();
                    for seed in (first..first + cases).filter(|seed| seed % workers == worker) {
                        let (tree, story) = random_tree(seed);
                        server.serve(tree.root());
                        let found = check(&server, &story.join("\n        "));
                        failures.extend(found.into_iter().map(|failure| format!("seed {seed}, {failure}")));
                    }
                    failures
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn verdicts_on_real_trees_match_real_server() {
    let server = start(Profile::V2_8);
    for name in ["pristine-2.8.2", "sha512-alias", "sparse-index-v3"] {
        let tree = registry_fixtures::trees::unpack(name);
        server.serve(tree.path());
        assert_eq!(differences(&server, true), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn client_checks_digest_of_bytes() {
    let digest = Digest::hash(Algorithm::Sha256, b"x").to_string();
    assert!(
        check_digest(&digest, b"x").is_ok()
            && check_digest(&digest, b"y").is_err()
            && check_digest("x", b"x").is_err()
    );
}
