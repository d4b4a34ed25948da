//! Credentials of a host: from the command line, the environment, or the files in which docker and podman keep them. They are for
//! that host alone, and no message holds a secret.

use std::path::Path;

use anyhow::{anyhow, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use registry_core::forgejo::ForgejoAccount;
use registry_core::oci::RepositoryName;
use registry_core::registry::{Credentials, HostCredentials};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::connection::Connection;
use crate::file::read_small;

/// Environment variables that hold a user and a secret. The name of the second with `_FILE` appended names a file that holds the
/// secret.
#[derive(Debug, Clone, Copy)]
pub struct Variables {
    user: &'static str,
    secret: &'static str,
}

/// Those of a registry.
pub const REGISTRY: Variables = Variables { user: "REGISTRY_USER", secret: "REGISTRY_PASSWORD" };
/// Those of a Forgejo.
pub const FORGEJO: Variables = Variables { user: "FORGEJO_USER", secret: "FORGEJO_TOKEN" };

/// Whose a secret is when no user is named.
#[derive(Debug, Clone, Copy)]
pub enum Nameless<'a> {
    /// A secret without a user is refused.
    Refused,
    /// A secret in a variable belongs to a user with this name; any other is refused.
    InVariables(&'a str),
    /// The server goes by the token, whatever the name; this one is given.
    Token(&'a str),
}

/// Where credentials of a host are looked for, beside the options.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Variables; the first that hold a secret count.
    pub variables: &'a [Variables],
    /// What becomes of a secret without a user.
    pub nameless: Nameless<'a>,
}

/// Reads a secret from a file, without white space at its ends.
fn secret_in(path: &Path) -> anyhow::Result<SecretString> {
    let text = String::from_utf8(read_small(path)?).map_err(|_| anyhow!("{} is no text", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(text.to_owned().into())
}

fn environment(name: &str) -> Option<String> {
    // A variable filled from a file may end as the file does.
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

impl Variables {
    /// The file that holds the secret, if one is named.
    fn secret_file(self) -> Option<String> {
        environment(&format!("{}_FILE", self.secret))
    }

    /// Whether there is a secret, which may be unusable.
    fn hold_a_secret(self) -> bool {
        self.secret_file().is_some() || environment(self.secret).is_some()
    }

    /// The secret, if there is one.
    fn secret(self) -> anyhow::Result<Option<SecretString>> {
        match self.secret_file() {
            Some(path) => secret_in(Path::new(&path)).map(Some),
            None => Ok(environment(self.secret).map(SecretString::from)),
        }
    }
}

/// Whether there are credentials that name no host, so that they are those of whatever host is asked.
pub fn are_of_one_host(options: &Connection) -> bool {
    options.user.is_some()
        || options.password_file.is_some()
        || options.authfile.is_none() && REGISTRY.hold_a_secret()
}

/// The credentials for `host`, from the first place that has any.
///
/// # Errors
/// When something that was named cannot be used.
pub fn find(options: &Connection, host: &str, places: Places<'_>) -> anyhow::Result<HostCredentials> {
    let user = |variables: Variables| options.user.clone().or_else(|| environment(variables.user));
    if let Some(path) = &options.password_file {
        let name = options.user.clone().or_else(|| places.variables.iter().find_map(|one| user(*one)));
        return match (name, places.nameless) {
            (name, Nameless::Token(any)) => token(name.unwrap_or_else(|| any.to_owned()), secret_in(path)?),
            (Some(name), _) => Ok(Credentials::User { name, secret: secret_in(path)? }.into()),
            (None, _) => bail!("--password-file needs --user"),
        };
    }
    if let (Some(path), None) = (&options.authfile, &options.user) {
        return Ok(from_file(path, host)?.unwrap_or_default());
    }
    for variables in places.variables {
        let Some(secret) = variables.secret()? else { continue };
        return match (user(*variables), places.nameless) {
            (name, Nameless::Token(any)) => token(name.unwrap_or_else(|| any.to_owned()), secret),
            (Some(name), _) => Ok(Credentials::User { name, secret }.into()),
            (None, Nameless::InVariables(any)) => {
                Ok(Credentials::User { name: any.to_owned(), secret }.into())
            }
            (None, Nameless::Refused) => {
                let name = variables.user;
                bail!("a registry takes a token together with its user: --user NAME, or {name}")
            }
        };
    }
    if options.user.is_some() {
        let names: Vec<&str> = places.variables.iter().rev().map(|one| one.secret).collect();
        bail!("--user needs --password-file, {} or the same with _FILE at the end", names.join(", "));
    }
    if let Some(path) = environment("REGISTRY_AUTH_FILE") {
        return Ok(from_file(Path::new(&path), host)?.unwrap_or_default());
    }
    let below =
        |variable: &str, rest: &str| std::env::var_os(variable).map(|folder| Path::new(&folder).join(rest));
    let docker = below("DOCKER_CONFIG", "config.json").or_else(|| below("HOME", ".docker/config.json"));
    for path in [below("XDG_RUNTIME_DIR", "containers/auth.json"), docker].into_iter().flatten() {
        if path.is_file()
            && let Some(found) = from_file(&path, host)?
        {
            return Ok(found);
        }
    }
    Ok(HostCredentials::default())
}

/// The credentials of a server that goes by a token: what no token holds is not sent.
fn token(name: String, secret: SecretString) -> anyhow::Result<HostCredentials> {
    if !secret.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the token holds characters that no token has");
    }
    Ok(Credentials::User { name, secret }.into())
}

/// The account of an owner's packages on a Forgejo that credentials are for.
///
/// # Errors
/// When they are of a kind that it does not take.
pub fn account(credentials: &HostCredentials, owner: &str) -> anyhow::Result<ForgejoAccount> {
    let (user, token) = match credentials.for_repository(Some(&owner.to_lowercase())) {
        Credentials::User { name, secret } => (Some(name.clone()), Some(secret.clone())),
        Credentials::Anonymous => (None, None),
        Credentials::Identity { .. } => bail!("Forgejo takes no identity token; use an access token"),
    };
    Ok(ForgejoAccount { owner: owner.to_owned(), user, token })
}

/// The host of an address as files of credentials name it: without a scheme and a path, and without the port that the scheme has
/// anyway.
pub fn host(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Credentials in an address are refused where it is used.
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    host.strip_suffix(port).map(str::to_owned).unwrap_or(host)
}

/// The credentials that a file has for a host; `None` when it has none. Keys of podman may name a path of the host too.
fn from_file(path: &Path, host: &str) -> anyhow::Result<Option<HostCredentials>> {
    let bytes = read_small(path)?;
    let hub = matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let mut keys = vec![host.to_owned(), format!("https://{host}"), format!("http://{host}")];
    if hub {
        keys.insert(0, "https://index.docker.io/v1/".into());
    }
    let mut general = None;
    for key in keys {
        general = under(path, &bytes, &key)?;
        if general.is_some() {
            break;
        }
    }
    let is_found = general.is_some();
    let mut found = HostCredentials::from(general.unwrap_or_default());
    let hosts: &[&str] = if hub { &["docker.io"] } else { &[host] };
    let paths = paths_below(&bytes, hosts);
    let has_paths = !paths.is_empty();
    for (key, below) in paths {
        if let Some(credentials) = under(path, &bytes, &key)? {
            found = found.with(&below, credentials);
        }
    }
    Ok((is_found || has_paths).then_some(found))
}

/// Keys of a file that name a path of one of these hosts, `host/namespace` or `host/namespace/repository`, and the path.
fn paths_below(file: &[u8], hosts: &[&str]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        auths: std::collections::BTreeMap<String, IgnoredAny>,
    }
    // A file of another shape was refused when it was asked for the host itself.
    let keys = serde_json::from_slice::<File>(file).map(|file| file.auths).unwrap_or_default().into_keys();
    let below = |key: String| {
        let (host, path) = key.split_once('/')?;
        let is_it = hosts.contains(&host) && RepositoryName::new(path).is_ok();
        let path = path.to_owned();
        is_it.then_some((key, path))
    };
    keys.filter_map(below).collect()
}

/// The credentials under one key of a file.
fn under(path: &Path, file: &[u8], key: &str) -> anyhow::Result<Option<Credentials>> {
    match get_credential_from_reader(file, key) {
        Ok(DockerCredential::UsernamePassword(name, secret)) => {
            Ok(Some(Credentials::User { name, secret: secret.into() }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::Identity { token: token.into() })),
        // Helpers fail for a host that they do not know.
        Err(
            CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::HelperFailure { .. },
        ) => Ok(None),
        Err(error) => Err(anyhow!("{error}").context(format!("cannot use {}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn host_of_an_address_is_that_of_credential_files() {
        for (address, host) in [
            ("https://registry.example", "registry.example"),
            ("https://Registry.example:443/", "registry.example"),
            ("http://registry.example:80/sub/path", "registry.example"),
            ("http://registry.example:443", "registry.example:443"),
            ("https://registry.example:5000?x", "registry.example:5000"),
            ("http://[::1]:5000/", "[::1]:5000"),
            ("https://me:secret@registry.example/", "registry.example"),
        ] {
            assert_eq!(super::host(address), host, "{address}");
        }
    }
}
