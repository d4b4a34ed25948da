//! Missing bytes from another registry: what is found, what is absent, and what is neither.

use registry_core::oci::{Algorithm, Digest};
use registry_core::registry::{Client, Credentials, Http};
use registry_core::repair::{RegistrySupply, Supply};
use registry_fixtures::http::{Fault, Reply};
use registry_fixtures::registry::{Account, Auth, Profile, Server, World};
use tokio::runtime::Runtime;

use crate::server::{SECRET, settings, user};

const LAYER: &[u8] = b"a layer that is missing elsewhere";

/// A supply, and what it needs as long as it is asked.
struct Asked {
    supply: RegistrySupply,
    server: Server,
    layer: Digest,
    manifest: Digest,
    _runtime: Runtime,
}

fn asked_of(world: World, credentials: Credentials, retries: u32) -> Asked {
    let mut world = world;
    let layer = world.push_blob("team/app", LAYER).parse().unwrap();
    let manifest = world.push_image("team/app", Some("v1"), "image").parse().unwrap();
    let server = Server::start(world);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let http = Http::new(registry_core::registry::Settings { retries, ..settings() }).unwrap();
    let client = Client::new(&http, &server.url, credentials).unwrap();
    let supply = RegistrySupply::new(client, runtime.handle().clone());
    Asked { supply, server, layer, manifest, _runtime: runtime }
}

fn asked() -> Asked {
    asked_of(World::new(Profile::V2_8), Credentials::Anonymous, 0)
}

impl Asked {
    fn fetch(&self, digest: &Digest) -> (Result<Option<u64>, String>, Vec<u8>) {
        let mut bytes = Vec::new();
        let answer = self.supply.fetch("team/app", digest, &mut bytes);
        (answer.map_err(|error| error.to_string().replace(&self.server.url, "URL")), bytes)
    }

    fn spoil(&self, method: &str, kind: &str, digest: &Digest, fault: Fault) {
        self.server.spoil(method, &format!("/v2/team/app/{kind}/{digest}"), 99, fault);
    }
}

fn nowhere() -> Digest {
    Digest::of(Algorithm::Sha256, b"nowhere")
}

#[test]
fn what_is_there_is_found() {
    for profile in [Profile::V2_8, Profile::V3] {
        let asked = asked_of(World::new(profile), Credentials::Anonymous, 0);
        assert_eq!(asked.supply.name(), asked.server.url);
        assert_eq!(asked.supply.size("team/app", &asked.layer).unwrap(), Some(LAYER.len() as u64));
        assert_eq!(asked.fetch(&asked.layer), (Ok(Some(LAYER.len() as u64)), LAYER.to_vec()));
        let manifest = asked.supply.manifest("team/app", &asked.manifest).unwrap().unwrap();
        assert_eq!(Digest::of(Algorithm::Sha256, &manifest), asked.manifest);
        assert_eq!(asked.fetch(&asked.manifest), (Ok(Some(manifest.len() as u64)), manifest));
        let lines = asked.server.lines();
        assert!(lines.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")), "{lines:?}");
    }
}

#[test]
fn every_kind_of_manifest_is_accepted() {
    let asked = asked();
    asked.supply.manifest("team/app", &asked.manifest).unwrap().unwrap();
    let log = asked.server.log();
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
fn what_is_not_there_is_absent() {
    let asked = asked();
    assert_eq!(asked.supply.size("team/app", &nowhere()).unwrap(), None);
    assert_eq!(asked.supply.manifest("team/app", &nowhere()).unwrap(), None);
    assert_eq!(asked.fetch(&nowhere()), (Ok(None), Vec::new()));
    // The bytes are there, under another name.
    assert_eq!(asked.supply.size("other", &asked.layer).unwrap(), None);
}

#[test]
fn a_404_of_somebody_else_is_no_answer() {
    let asked = asked();
    let page = || Fault::Instead(Reply::new(404));
    asked.spoil("GET", "blobs", &asked.layer, page());
    asked.spoil("HEAD", "blobs", &asked.layer, page());
    asked.spoil("GET", "manifests", &asked.manifest, page());
    assert!(asked.fetch(&asked.layer).0.is_err());
    assert!(asked.supply.size("team/app", &asked.layer).is_err());
    assert!(asked.supply.manifest("team/app", &asked.manifest).is_err());
}

#[test]
fn who_may_not_pull_is_refused_and_no_secret_is_told() {
    let world = || World::new(Profile::V2_8).asked_by(Auth::Basic(vec![Account::all("me", SECRET)]));
    let wrong = Credentials::User { name: "me".into(), secret: "wrong-secret".to_owned().into() };
    for credentials in [Credentials::Anonymous, wrong] {
        let asked = asked_of(world(), credentials, 0);
        let errors = [
            asked.fetch(&asked.layer).0.unwrap_err(),
            asked.supply.size("team/app", &asked.layer).unwrap_err().to_string(),
            asked.supply.manifest("team/app", &asked.manifest).unwrap_err().to_string(),
        ];
        for error in errors {
            assert!(error.contains("401"), "{error}");
            assert!(!error.contains("wrong-secret"), "{error}");
        }
    }
    let asked = asked_of(world(), user(), 0);
    assert_eq!(asked.fetch(&asked.layer).1, LAYER);
}

#[test]
fn a_body_that_breaks_off_is_an_error() {
    for fault in [Fault::Truncated, Fault::Reset, Fault::Lost] {
        let asked = asked();
        asked.spoil("GET", "blobs", &asked.layer, fault.clone());
        let (answer, bytes) = asked.fetch(&asked.layer);
        assert!(answer.is_err(), "{fault:?}: {answer:?}");
        assert!(bytes.len() < LAYER.len() && LAYER.starts_with(&bytes), "{fault:?}");
        asked.spoil("GET", "manifests", &asked.manifest, fault.clone());
        assert!(asked.supply.manifest("team/app", &asked.manifest).is_err(), "{fault:?}");
    }
}

#[test]
fn wrong_bytes_of_a_layer_are_for_the_caller_to_hash_and_of_a_manifest_are_an_error() {
    let asked = asked();
    asked.spoil("GET", "blobs", &asked.layer, Fault::Bytes(b"other".to_vec()));
    assert_eq!(asked.fetch(&asked.layer), (Ok(Some(5)), b"other".to_vec()));
    asked.spoil("GET", "manifests", &asked.manifest, Fault::Bytes(b"{}".to_vec()));
    assert!(asked.supply.manifest("team/app", &asked.manifest).is_err());
}

#[test]
fn a_size_that_is_not_told_is_not_known() {
    let asked = asked();
    asked.spoil("HEAD", "blobs", &asked.layer, Fault::Header("content-length", None));
    let size = asked.supply.size("team/app", &asked.layer);
    assert!(size.as_ref().is_err_and(|error| error.to_string().contains("size")), "{size:?}");
}

#[test]
fn a_failure_that_passes_is_asked_again() {
    let asked = asked_of(World::new(Profile::V2_8), Credentials::Anonymous, 2);
    let path = format!("/v2/team/app/manifests/{}", asked.manifest);
    asked.server.spoil("GET", &path, 2, Fault::Status(503));
    assert!(asked.supply.manifest("team/app", &asked.manifest).unwrap().is_some());
    asked.server.spoil("HEAD", &format!("/v2/team/app/blobs/{}", asked.layer), 2, Fault::Status(503));
    assert!(asked.supply.size("team/app", &asked.layer).unwrap().is_some());
}

#[test]
fn a_writer_that_fails_ends_it() {
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
    let asked = asked_of(world, Credentials::Anonymous, 0);
    let error = asked.supply.fetch("team/app", &large, &mut Full).unwrap_err();
    assert!(error.to_string().contains("no storage space"), "{error}");
}
