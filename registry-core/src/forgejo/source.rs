//! A Forgejo server read as a source: rows over REST, manifests over `/v2`. Has no way to delete.

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

use super::list::{Item, list};
use super::version::{Version, detect};
use crate::oci::{Algorithm, Digest};
use crate::registry::{Answer, Ask, Client, Credentials, Error, Fetched, Http};
use crate::retention::server::{Armed, Listed, Listing, Permission, Reader, Unanswered};
use crate::retention::{Source, SourceKind};

/// Most bytes of an answer about one version.
const SMALL: usize = 4 << 20;
/// How far clocks may differ, in seconds.
const CLOCKS_DIFFER: i64 = 300;
/// Most bytes of a config.
const CONFIG_MAX: usize = 8 << 20;

/// Whose packages, and who asks.
#[derive(Debug, Clone)]
pub struct Account {
    /// The user or organisation that owns the packages.
    pub owner: String,
    /// The user of the token. Forgejo ignores it when a personal token is given, so any will do.
    pub user: Option<String>,
    /// A personal access token with the scope `read:package`, or `write:package` to delete.
    pub token: Option<SecretString>,
}

/// A Forgejo server, read.
#[derive(Debug)]
pub struct Forgejo {
    http: Http,
    base: Url,
    owner: String,
    credentials: Credentials,
    oci: Client,
    version: Version,
    /// Seconds by which its clock is ahead of ours.
    ahead: Option<i64>,
}

#[derive(Deserialize)]
struct File {
    name: String,
    sha256: String,
}

/// REST takes the token itself; Basic would cost a look-up of the password first.
pub(super) fn authorize(ask: &mut Ask, credentials: &Credentials) {
    if let Credentials::User { secret, .. } = credentials
        && let Some(value) = crate::registry::secret_header(&format!("token {}", secret.expose_secret()))
    {
        ask.headers.insert(AUTHORIZATION, value);
    }
}

/// What REST says of a refusal.
fn message(answer: &Answer) -> Option<String> {
    #[derive(Deserialize)]
    struct Told {
        message: String,
    }
    serde_json::from_slice::<Told>(&answer.body).ok().map(|told| told.message)
}

/// The owner that REST says it does not have (`services/context/user.go @ v15.0.3`).
fn no_owner(answer: &Answer) -> Option<String> {
    let told = message(answer).filter(|_| answer.status == StatusCode::NOT_FOUND)?;
    let name = told.strip_prefix("user redirect does not exist [name: ")?;
    Some(crate::registry::quote(name.strip_suffix(']').unwrap_or(name)))
}

/// A status of REST as an error. The body of a 401 is not looked at: it may spell the token.
pub(super) fn rest(answer: &Answer) -> Error {
    let status = answer.status.as_u16();
    let what = answer.what.clone();
    if status == 401 {
        let why = "the token is not known to this server, or one is needed".into();
        return Error::Refused { what, status, why };
    }
    if let Some(name) = no_owner(answer) {
        return Error::NoOwner { what, name };
    }
    match (status, message(answer).map(|text| crate::registry::quote(&text))) {
        (403, Some(why)) if !why.is_empty() => Error::Refused { what, status, why },
        (404, None) => Error::Malformed {
            what,
            why: "the server does not know this address; does a proxy in front of it decode %2F?".into(),
        },
        (_, Some(message)) if !message.is_empty() => Error::Status { what, status, message },
        _ => answer.error(),
    }
}

impl Forgejo {
    /// Finds out what answers at an address, and reads nothing yet.
    ///
    /// # Errors
    /// When there is no answer, it is no Forgejo, or not one that was tried.
    pub async fn connect(http: &Http, address: &str, account: &Account) -> Result<Self, Error> {
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
        let (version, ahead) = detect(http, &base, &credentials).await?;
        let oci = Client::with_own_tokens(http, &base, credentials.clone())?;
        Ok(Self { http: http.clone(), base, owner, credentials, oci, version, ahead })
    }

    /// Its version.
    pub const fn version(&self) -> &Version {
        &self.version
    }

    /// The owner of the packages.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// What a person should know: credentials that travel unencrypted, a server that was never tried, a clock.
    pub fn warnings(&self) -> Vec<String> {
        let unencrypted = crate::registry::unencrypted(&self.base, self.credentials.are_given());
        unencrypted.into_iter().chain(self.version.warning()).chain(self.clock_warning()).collect()
    }

    /// That the server's clock and ours differ by minutes, so that ages are wrong.
    pub fn clock_warning(&self) -> Option<String> {
        let seconds = self.ahead.filter(|seconds| seconds.abs() > CLOCKS_DIFFER)?;
        let way = if seconds > 0 { "ahead of" } else { "behind" };
        let seconds = seconds.abs();
        Some(format!(
            "the clock of the server is {seconds} s {way} the clock of this machine, so ages are wrong"
        ))
    }

    /// Where the packages are, as plans tell it.
    pub fn source(&self) -> Source {
        Source {
            kind: SourceKind::Forgejo,
            url: self.base.as_str().trim_end_matches('/').to_owned(),
            owner: Some(self.owner.clone()),
            version: Some(self.version.text.clone()),
        }
    }

    /// Allows changes. Only a run that was told to delete calls this.
    pub const fn arm(self) -> Armed<Self> {
        Armed::new(self)
    }

    /// Asks whether these credentials may delete. Sends the deletion of one constant reference that nothing can have: the
    /// server checks the permission first (`routers/api/packages/api.go @ v15.0.3`).
    ///
    /// A package with a slash in its name is named by one segment of the path (`%2F`); with a version of one, given as
    /// package and version, it is asked for too: a proxy that decodes it makes an address that the server does not know.
    pub async fn preflight(&self, below_a_slash: Option<(&str, &str)>) -> Permission {
        let permission = self.may_delete().await;
        let (Permission::Granted, Some((package, version))) = (&permission, below_a_slash) else {
            return permission;
        };
        match self.version_of(package, version).await {
            // One that went meanwhile has an address all the same.
            Ok(_) => permission,
            Err(error) => Permission::Unknown(error.to_string()),
        }
    }

    async fn may_delete(&self) -> Permission {
        if !self.credentials.are_given() {
            return Permission::Denied("no token was given".into());
        }
        match self.oci.delete_nothing(&format!("{}/preflight", self.owner.to_lowercase())).await {
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
    pub const fn client(&self) -> &Client {
        &self.oci
    }

    /// The address of the owner's packages, and of something below. A name with slashes is one segment.
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

    pub(super) async fn ask(&self, mut ask: Ask) -> Result<Answer, Error> {
        authorize(&mut ask, &self.credentials);
        self.http.send(&ask).await
    }

    /// The repository of a package, as the container registry names it.
    pub fn repository(&self, package: &str) -> String {
        format!("{}/{package}", self.owner.to_lowercase())
    }

    pub(super) async fn version_of(&self, package: &str, version: &str) -> Result<Option<Listed>, Error> {
        let url = self.rest_url(&["container", package, version])?;
        let answer = self.ask(Ask::new(Method::GET, url, SMALL)).await?;
        match answer.status {
            StatusCode::OK => Ok(Some(answer.json::<Item>()?.listed())),
            StatusCode::NOT_FOUND if is_no_package(&answer) => Ok(None),
            _ => Err(rest(&answer)),
        }
    }
}

/// Whether REST says that there is no such package or version, and not that there is no such address.
pub(super) fn is_no_package(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND
        && message(answer).is_some_and(|text| text == "package does not exist")
}

impl Reader for Forgejo {
    async fn rows(&self, package: Option<&str>) -> Result<Listing, Unanswered> {
        list(self, package).await.map_err(Unanswered::from)
    }

    async fn unlisted(&self) -> Result<Vec<String>, Unanswered> {
        // Every manifest is a version, and a package without versions is deleted (services/packages/packages.go @ v15.0.3).
        Ok(Vec::new())
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<Listed>, Unanswered> {
        self.version_of(package, version).await.map_err(Unanswered::from)
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, Unanswered> {
        self.oci.manifest(&self.repository(package), reference).await.map_err(Unanswered::from)
    }

    async fn head(&self, package: &str, reference: &str) -> Result<Option<Digest>, Unanswered> {
        self.oci.head_manifest(&self.repository(package), reference).await.map_err(Unanswered::from)
    }

    async fn recorded_digest(&self, package: &str, version: &str) -> Result<Option<Digest>, Unanswered> {
        let read = async {
            let url = self.rest_url(&["container", package, version, "files"])?;
            let answer = self.ask(Ask::new(Method::GET, url, SMALL)).await?;
            match answer.status {
                StatusCode::OK => answer.json::<Vec<File>>().map(Some),
                StatusCode::NOT_FOUND if is_no_package(&answer) => Ok(None),
                _ => Err(rest(&answer)),
            }
        };
        let files = read.await.map_err(Unanswered::from)?.unwrap_or_default();
        let lead = files.into_iter().find(|file| file.name == "manifest.json");
        Ok(lead.and_then(|file| Digest::from_hex(Algorithm::Sha256, &file.sha256).ok()))
    }

    async fn config(&self, package: &str, digest: &Digest) -> Result<Option<Vec<u8>>, Unanswered> {
        self.oci.blob(&self.repository(package), digest, CONFIG_MAX).await.map_err(Unanswered::from)
    }

    fn gave_up(&self) -> Option<String> {
        self.http.gave_up().map(|why| why.to_string())
    }
}
