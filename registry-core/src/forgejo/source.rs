//! A Forgejo server as a source of retention: reads rows over REST, manifests over `/v2`.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::client::{Forgejo, SMALL};
use super::list::list_versions;
use super::rest::{is_no_package, rest_error};
use crate::oci::{Algorithm, Digest};
use crate::registry::{Fetched, HttpRequest};
use crate::retention::server::{ListedRow, Listing, NoAnswer, Reader};

/// How many bytes a config may have.
const CONFIG_MAX: usize = 8 << 20;

#[derive(Deserialize)]
struct PackageFile {
    name: String,
    sha256: String,
}

impl Reader for Forgejo {
    async fn rows(&self, package: Option<&str>) -> Result<Listing, NoAnswer> {
        list_versions(self, package).await.map_err(NoAnswer::from)
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        // Every manifest is a version, and Forgejo deletes a package without versions (services/packages/packages.go @ v15.0.3).
        Ok(Vec::new())
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<ListedRow>, NoAnswer> {
        self.find_row(package, version).await.map_err(NoAnswer::from)
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        self.oci_client().manifest(&self.repository(package), reference).await.map_err(NoAnswer::from)
    }

    async fn manifest_digest(&self, package: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        self.oci_client().head_manifest(&self.repository(package), reference).await.map_err(NoAnswer::from)
    }

    async fn recorded_digest(&self, package: &str, version: &str) -> Result<Option<Digest>, NoAnswer> {
        let read = async {
            let url = self.rest_url(&["container", package, version, "files"])?;
            let answer = self.send(HttpRequest::new(Method::GET, url, SMALL)).await?;
            match answer.status {
                StatusCode::OK => answer.json::<Vec<PackageFile>>().map(Some),
                StatusCode::NOT_FOUND if is_no_package(&answer) => Ok(None),
                _ => Err(rest_error(&answer)),
            }
        };
        let files = read.await.map_err(NoAnswer::from)?.unwrap_or_default();
        let manifest = files.into_iter().find(|file| file.name == "manifest.json");
        Ok(manifest.and_then(|file| Digest::from_hex(Algorithm::Sha256, &file.sha256).ok()))
    }

    async fn config(&self, package: &str, digest: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        self.oci_client().blob(&self.repository(package), digest, CONFIG_MAX).await.map_err(NoAnswer::from)
    }

    fn why_gave_up(&self) -> Option<String> {
        self.http().gave_up().map(|why| why.to_string())
    }
}
