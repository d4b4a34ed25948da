//! The audit's verdict against a client that shares nothing with this project: `oci-client` pulls every image whole from a
//! real server, all platforms, every byte. It knows image manifests and indexes of OCI and docker only; what it cannot read is
//! not compared, and counted.

use std::collections::BTreeSet;

use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use registry_fixtures::real::RealServer;
use registry_fixtures::registry::Profile;

use crate::real_server::{on_random_trees, tags};
use crate::support::{broken, report};

/// Trees that are compared.
const CASES: u64 = 120;

/// Why an image is not pulled.
enum Failure {
    /// The client does not know this kind of manifest.
    Unknown,
    /// The server does not send what is asked for, or other bytes.
    Broken(String),
}

impl From<OciDistributionError> for Failure {
    fn from(error: OciDistributionError) -> Self {
        match error {
            OciDistributionError::ManifestParsingError(_)
            | OciDistributionError::VersionedParsingError(_)
            | OciDistributionError::UnsupportedMediaTypeError(_)
            | OciDistributionError::UnsupportedSchemaVersionError(_)
            | OciDistributionError::ManifestEncodingError(_) => Self::Unknown,
            error => Self::Broken(error.to_string()),
        }
    }
}

struct Puller<'s> {
    client: &'s Client,
    server: &'s RealServer,
    repository: &'s str,
    pulled: BTreeSet<String>,
}

impl Puller<'_> {
    fn at(&self, digest: &str) -> Reference {
        let (address, repository) = (self.server.address.clone(), self.repository.to_owned());
        Reference::with_digest(address, repository, digest.to_owned())
    }

    async fn manifest(&mut self, image: &Reference) -> Result<(), Failure> {
        let mut waiting = vec![(image.clone(), None)];
        while let Some((image, size)) = waiting.pop() {
            let (body, digest) =
                self.client.pull_manifest_raw(&image, &RegistryAuth::Anonymous, ACCEPTED).await?;
            let (manifest, _) = self.client.pull_manifest(&image, &RegistryAuth::Anonymous).await?;
            if size.is_some_and(|size| i64::try_from(body.len()) != Ok(size)) {
                return Err(Failure::Broken(format!("{digest} has {} bytes", body.len())));
            }
            match manifest {
                OciManifest::Image(image) => {
                    for part in std::iter::once(&image.config).chain(&image.layers) {
                        self.blob(part).await?;
                    }
                }
                OciManifest::ImageIndex(index) => {
                    for child in &index.manifests {
                        if self.pulled.insert(child.digest.clone()) {
                            waiting.push((self.at(&child.digest), Some(child.size)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn blob(&mut self, part: &OciDescriptor) -> Result<(), Failure> {
        // Docker's foreign layers come from elsewhere.
        if part.urls.as_ref().is_some_and(|urls| !urls.is_empty()) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        self.client.pull_blob(&self.at(&part.digest), part, &mut bytes).await?;
        if i64::try_from(bytes.len()) != Ok(part.size) {
            return Err(Failure::Broken(format!("{} has {} bytes", part.digest, bytes.len())));
        }
        Ok(())
    }
}

const ACCEPTED: &[&str] = &[
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The images of a tree on which client and audit disagree, and how many were compared.
fn differences(client: &Client, server: &RealServer) -> (Vec<String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = report(&server.root(), &["--content", "--jobs", "2"]);
    let claimed = broken(&report);
    let (mut found, mut compared) = (Vec::new(), 0);
    for (repository, tag) in tags(&server.root().join("docker/registry/v2")) {
        let image = Reference::with_tag(server.address.clone(), repository.clone(), tag.clone());
        let mut puller = Puller { client, server, repository: &repository, pulled: BTreeSet::new() };
        let name = format!("{repository}:{tag}");
        let outcome = match runtime.block_on(puller.manifest(&image)) {
            Err(Failure::Unknown) => continue,
            Err(Failure::Broken(why)) => Some(why),
            Ok(()) => None,
        };
        compared += 1;
        match outcome {
            Some(why) if !claimed.contains(&name) => found.push(format!("{name} is whole to us: {why}")),
            None if claimed.contains(&name) => found.push(format!("{name} is broken to us, and was pulled")),
            _ => {}
        }
    }
    (found, compared)
}

#[test]
#[ignore = "needs the real docker-registry 2.8.2"]
fn an_independent_client_pulls_what_the_audit_calls_whole() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() };
    let client = Client::try_from(config).unwrap();
    let compared = std::sync::atomic::AtomicUsize::new(0);
    let failures = on_random_trees(CASES, Profile::V2_8, |server, story| {
        let (found, count) = differences(&client, server);
        compared.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        found.into_iter().map(|one| format!("{one}\n  tree: {story}")).collect()
    });
    assert!(failures.is_empty(), "{} disagreements:\n{}", failures.len(), failures.join("\n"));
    let compared = compared.into_inner();
    assert!(compared > 300, "only {compared} images were compared");
}
