//! A registry as a supply of missing bytes: what is found, what is absent, and what is an error.

use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::{Client, Credentials, Http};
use registry_core::repair::{RegistrySupply, Supply};
use registry_fixtures::http::{Fault, Reply};
use registry_fixtures::registry::{Account, Auth, Profile, Server, World};
use tokio::runtime::Runtime;

use crate::server::{SECRET, settings, user};

const LAYER: &[u8] = b"a layer that is missing elsewhere";

/// A supply with its server and runtime.
struct SupplyFixture {
    supply: RegistrySupply,
    server: Server,
    layer: Digest,
    manifest: Digest,
    _runtime: Runtime,
}

fn supply_of(world: World, credentials: Credentials, retries: u32) -> SupplyFixture {
    let mut world = world;
    let layer = world.push_blob("team/app", LAYER).parse().unwrap();
    let manifest = world.push_image("team/app", Some("v1"), "image").parse().unwrap();
    let server = Server::start(world);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let http = Http::new(registry_core::registry::Settings { retries, ..settings() }).unwrap();
    let client = Client::new(&http, &server.url, credentials).unwrap();
    let supply = RegistrySupply::new(client, runtime.handle().clone());
    SupplyFixture { supply, server, layer, manifest, _runtime: runtime }
}

fn supply() -> SupplyFixture {
    supply_of(World::new(Profile::V2_8), Credentials::Anonymous, 0)
}

impl SupplyFixture {
    fn fetch(&self, digest: &Digest) -> (Result<Option<u64>, String>, Vec<u8>) {
        let mut bytes = Vec::new();
        let answer = self.supply.fetch("team/app", digest, &mut bytes);
        (answer.map_err(|error| error.to_string().replace(&self.server.url, "URL")), bytes)
    }

    fn spoil(&self, method: &str, kind: &str, digest: &Digest, fault: Fault) {
        self.server.fail_requests(method, &format!("/v2/team/app/{kind}/{digest}"), 99, fault);
    }
}

fn nowhere() -> Digest {
    Digest::hash(Algorithm::Sha256, b"nowhere")
}

#[test]
fn present_blobs_and_manifests_are_found() {
    for profile in [Profile::V2_8, Profile::V3] {
        let fixture = supply_of(World::new(profile), Credentials::Anonymous, 0);
        assert_eq!(fixture.supply.name(), fixture.server.url);
        assert_eq!(fixture.supply.size("team/app", &fixture.layer).unwrap(), Some(LAYER.len() as u64));
        assert_eq!(fixture.fetch(&fixture.layer), (Ok(Some(LAYER.len() as u64)), LAYER.to_vec()));
        let manifest = fixture.supply.manifest("team/app", &fixture.manifest).unwrap().unwrap();
        assert_eq!(Digest::hash(Algorithm::Sha256, &manifest), fixture.manifest);
        assert_eq!(fixture.fetch(&fixture.manifest), (Ok(Some(manifest.len() as u64)), manifest));
        let lines = fixture.server.lines();
        assert!(lines.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{lines:?}");
    }
}

#[test]
fn every_kind_of_manifest_is_accepted() {
    let fixture = supply();
    fixture.supply.manifest("team/app", &fixture.manifest).unwrap().unwrap();
    let log = fixture.server.log();
    let accepted = log.last().unwrap().header("accept").unwrap();
    for kind in [
        "image.index.v1",
        "image.manifest.v1",
        "manifest.list.v2",
        "distribution.manifest.v2",
        "manifest.v1+prettyjws",
    ] {
        assert!(accepted.contains(kind), "{kind}: {accepted}");
    }
}

#[test]
fn absent_blobs_and_manifests_are_reported_as_absent() {
    let fixture = supply();
    assert_eq!(fixture.supply.size("team/app", &nowhere()).unwrap(), None);
    assert_eq!(fixture.supply.manifest("team/app", &nowhere()).unwrap(), None);
    assert_eq!(fixture.fetch(&nowhere()), (Ok(None), Vec::new()));
    // The bytes exist in another repository only.
    assert_eq!(fixture.supply.size("other", &fixture.layer).unwrap(), None);
}

#[test]
fn foreign_404_is_an_error() {
    let fixture = supply();
    let page = || Fault::Instead(Reply::new(404));
    fixture.spoil("GET", "blobs", &fixture.layer, page());
    fixture.spoil("HEAD", "blobs", &fixture.layer, page());
    fixture.spoil("GET", "manifests", &fixture.manifest, page());
    assert!(fixture.fetch(&fixture.layer).0.is_err());
    assert!(fixture.supply.size("team/app", &fixture.layer).is_err());
    assert!(fixture.supply.manifest("team/app", &fixture.manifest).is_err());
}

#[test]
fn refused_credentials_are_an_error_without_the_secret() {
    let world = || World::new(Profile::V2_8).requiring(Auth::Basic(vec![Account::all("me", SECRET)]));
    let wrong = Credentials::User { name: "me".into(), secret: "wrong-secret".to_owned().into() };
    for credentials in [Credentials::Anonymous, wrong] {
        let fixture = supply_of(world(), credentials, 0);
        let errors = [
            fixture.fetch(&fixture.layer).0.unwrap_err(),
            fixture.supply.size("team/app", &fixture.layer).unwrap_err().to_string(),
            fixture.supply.manifest("team/app", &fixture.manifest).unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(error.contains("401"), "{error}");
            assert!(!error.contains("wrong-secret"), "{error}");
        }
    }
    let fixture = supply_of(world(), user(), 0);
    assert_eq!(fixture.fetch(&fixture.layer).1, LAYER);
}

#[test]
fn truncated_body_is_an_error() {
    for fault in [Fault::Truncated, Fault::Reset, Fault::Lost] {
        let fixture = supply();
        fixture.spoil("GET", "blobs", &fixture.layer, fault.clone());
        let (answer, bytes) = fixture.fetch(&fixture.layer);
        assert!(answer.is_err(), "{fault:?}: {answer:?}");
        assert!(bytes.len() < LAYER.len() && LAYER.starts_with(&bytes), "{fault:?}");
        fixture.spoil("GET", "manifests", &fixture.manifest, fault.clone());
        assert!(fixture.supply.manifest("team/app", &fixture.manifest).is_err(), "{fault:?}");
    }
}

#[test]
fn wrong_bytes_of_a_manifest_are_an_error_and_of_a_layer_are_passed_on() {
    let fixture = supply();
    fixture.spoil("GET", "blobs", &fixture.layer, Fault::Bytes(b"other".to_vec()));
    assert_eq!(fixture.fetch(&fixture.layer), (Ok(Some(5)), b"other".to_vec()));
    fixture.spoil("GET", "manifests", &fixture.manifest, Fault::Bytes(b"{}".to_vec()));
    assert!(fixture.supply.manifest("team/app", &fixture.manifest).is_err());
}

#[test]
fn missing_content_length_is_an_error() {
    let fixture = supply();
    fixture.spoil("HEAD", "blobs", &fixture.layer, Fault::Header("content-length", None));
    let size = fixture.supply.size("team/app", &fixture.layer);
    assert!(size.as_ref().is_err_and(|error| error.to_string().contains("size")), "{size:?}");
}

#[test]
fn transient_failure_is_retried() {
    let fixture = supply_of(World::new(Profile::V2_8), Credentials::Anonymous, 2);
    let path = format!("/v2/team/app/manifests/{}", fixture.manifest);
    fixture.server.fail_requests("GET", &path, 2, Fault::Status(503));
    assert!(fixture.supply.manifest("team/app", &fixture.manifest).unwrap().is_some());
    fixture.server.fail_requests(
        "HEAD",
        &format!("/v2/team/app/blobs/{}", fixture.layer),
        2,
        Fault::Status(503),
    );
    assert!(fixture.supply.size("team/app", &fixture.layer).unwrap().is_some());
}

#[test]
fn failing_writer_ends_the_fetch() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut world = World::new(Profile::V2_8);
    let large: Digest = world.push_blob("team/app", &vec![7; 8 << 20]).parse().unwrap();
    let fixture = supply_of(world, Credentials::Anonymous, 0);
    let error = fixture.supply.fetch("team/app", &large, &mut Full).unwrap_err();
    assert!(error.to_string().contains("no storage space"), "{error}");
}
