//! The client of a Forgejo server: connects, sends REST requests, and asks what the credentials allow. It cannot delete.

use reqwest::{Method, StatusCode};
use secrecy::SecretString;
use url::Url;

use super::rest::{VersionItem, authorize, is_no_package, rest_error};
use super::version::{ForgejoVersion, detect_version};
use crate::registry::{Client, Credentials, Error, Http, HttpRequest, HttpResponse};
use crate::retention::server::{ListedRow, Permission, WriteAccess};
use crate::retention::{Source, SourceKind};

/// Most bytes of an answer about one version.
pub(super) const SMALL: usize = 4 << 20;
/// How many seconds the clocks may differ without a warning.
const MAX_CLOCK_DIFFERENCE: i64 = 300;

/// The owner of the packages, and the credentials.
#[derive(Debug, Clone)]
pub struct ForgejoAccount {
    /// The user or organisation that owns the packages.
    pub owner: String,
    /// The user of the token. Forgejo ignores it if a personal token is given, so any will do.
    pub user: Option<String>,
    /// A personal access token with the scope `read:package`, or `write:package` to delete.
    pub token: Option<SecretString>,
}

/// A Forgejo server, for reading.
#[derive(Debug)]
pub struct Forgejo {
    http: Http,
    base: Url,
    owner: String,
    credentials: Credentials,
    oci: Client,
    version: ForgejoVersion,
    /// How many seconds its clock is ahead of ours, if it tells the time.
    clock_ahead: Option<i64>,
}

impl Forgejo {
    /// Connects to the server at an address, and checks that it is a supported Forgejo.
    ///
    /// # Errors
    /// When there is no answer, it is no Forgejo, or it is older than those that were tried.
    pub async fn connect(http: &Http, address: &str, account: &ForgejoAccount) -> Result<Self, Error> {
        let mut base = crate::registry::origin(address)?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let owner = account.owner.clone();
        if owner.is_empty()
            || owner.starts_with('.')
            || !owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(Error::Name(crate::registry::quote(&owner)));
        }
        let credentials = account.token.clone().map_or(Credentials::Anonymous, |secret| Credentials::User {
            name: account.user.clone().unwrap_or_else(|| owner.clone()),
            secret,
        });
        let (version, clock_ahead) = detect_version(http, &base, &credentials).await?;
        let oci = Client::with_own_tokens(http, &base, credentials.clone())?;
        Ok(Self { http: http.clone(), base, owner, credentials, oci, version, clock_ahead })
    }

    /// Its version.
    pub const fn version(&self) -> &ForgejoVersion {
        &self.version
    }

    /// The owner of the packages.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Warnings for the user: unencrypted credentials, an untested version of Forgejo, a wrong clock.
    pub fn warnings(&self) -> Vec<String> {
        let unencrypted = crate::registry::unencrypted(&self.base, self.credentials.are_given());
        unencrypted.into_iter().chain(self.version.warning()).chain(self.clock_warning()).collect()
    }

    /// The warning that the server's clock and ours differ by minutes, so that ages are wrong.
    pub fn clock_warning(&self) -> Option<String> {
        let seconds = self.clock_ahead.filter(|seconds| seconds.abs() > MAX_CLOCK_DIFFERENCE)?;
        let way = if seconds > 0 { "ahead of" } else { "behind" };
        let seconds = seconds.abs();
        Some(format!(
            "the clock of the server is {seconds} s {way} the clock of this machine, so ages are wrong"
        ))
    }

    /// The source as plans name it.
    pub fn source(&self) -> Source {
        Source {
            kind: SourceKind::Forgejo,
            url: self.base.as_str().trim_end_matches('/').to_owned(),
            owner: Some(self.owner.clone()),
            version: Some(self.version.text.clone()),
        }
    }

    /// Allows changes. Only a run with `--apply` calls this.
    pub const fn into_write_access(self) -> WriteAccess<Self> {
        WriteAccess::new(self)
    }

    /// Asks whether these credentials may delete, with the deletion of a constant reference that no manifest can have: the
    /// server checks the permission first (`routers/api/packages/api.go @ v15.0.3`).
    ///
    /// A package with a slash in its name is one segment of the path (`%2F`). `below_a_slash` is such a package and a version
    /// of it, which is asked for too: a proxy that decodes `%2F` makes an address that the server does not know.
    pub async fn preflight(&self, below_a_slash: Option<(&str, &str)>) -> Permission {
        let permission = self.ask_delete_permission().await;
        let (Permission::Granted, Some((package, version))) = (&permission, below_a_slash) else {
            return permission;
        };
        match self.find_row(package, version).await {
            // A version that was deleted meanwhile shows that the address is known, too.
            Ok(_) => permission,
            Err(error) => Permission::Unknown(error.to_string()),
        }
    }

    async fn ask_delete_permission(&self) -> Permission {
        if !self.credentials.are_given() {
            return Permission::Denied("no token was given".into());
        }
        match self.oci.probe_deletion(&format!("{}/preflight", self.owner.to_lowercase())).await {
            Ok(answer) => match answer.status.as_u16() {
                404 if answer.codes().iter().any(|code| code == "MANIFEST_UNKNOWN") => Permission::Granted,
                404 => Permission::Unknown(
                    "the answer is not that of a container registry; is the owner right?".into(),
                ),
                401 => Permission::Denied(
                    "the token lacks the scope write:package, or its user the permission".into(),
                ),
                403 => Permission::Denied("the token is limited to public packages".into()),
                _ => Permission::Unknown(answer.error().to_string()),
            },
            Err(Error::Refused { status, .. }) => {
                Permission::Denied(format!("the server refuses the token with status {status}"))
            }
            Err(error) => Permission::Unknown(error.to_string()),
        }
    }

    pub(super) const fn http(&self) -> &Http {
        &self.http
    }

    /// The client of the server's container registry, which can delete nothing.
    pub const fn oci_client(&self) -> &Client {
        &self.oci
    }

    /// The REST address of the owner's packages, with the segments `below`. A name with slashes is one segment.
    pub(super) fn rest_url(&self, below: &[&str]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        let cannot = Error::Address { address: self.base.to_string(), why: "it cannot be joined to".into() };
        url.path_segments_mut()
            .map_err(|()| cannot)?
            .pop_if_empty()
            .extend(["api", "v1", "packages", self.owner.as_str()])
            .extend(below);
        Ok(url)
    }

    pub(super) async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, Error> {
        authorize(&mut request, &self.credentials);
        self.http.send(&request).await
    }

    /// The repository of a package, as the container registry names it.
    pub fn repository(&self, package: &str) -> String {
        format!("{}/{package}", self.owner.to_lowercase())
    }

    /// One version of a package; `None` if the server does not have it.
    pub(super) async fn find_row(&self, package: &str, version: &str) -> Result<Option<ListedRow>, Error> {
        let url = self.rest_url(&["container", package, version])?;
        let answer = self.send(HttpRequest::new(Method::GET, url, SMALL)).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.json::<VersionItem>()?.into_row())),
            StatusCode::NOT_FOUND if is_no_package(&answer) => Ok(None),
            _ => Err(rest_error(&answer)),
        }
    }
}
