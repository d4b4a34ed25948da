//! Finds the credentials of a host: on the command line, in the environment, or in the files of docker and podman. They are sent
//! to that host only, and no message contains a secret.

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

/// The names of the environment variables that hold a user and a secret. The variable `<secret>_FILE` names a file that holds the
/// secret.
#[derive(Debug, Clone, Copy)]
pub struct Variables {
    user: &'static str,
    secret: &'static str,
}

/// The variables for a registry.
pub const REGISTRY: Variables = Variables { user: "REGISTRY_USER", secret: "REGISTRY_PASSWORD" };
/// The variables for a Forgejo server.
pub const FORGEJO: Variables = Variables { user: "FORGEJO_USER", secret: "FORGEJO_TOKEN" };

/// What to do with a secret that comes without a user name.
#[derive(Debug, Clone, Copy)]
pub enum SecretWithoutUser<'a> {
    /// Refuse the secret.
    Refused,
    /// Send a secret from a variable with this user name; refuse any other secret.
    InVariables(&'a str),
    /// Send the secret with this user name: the server looks at the token only.
    Token(&'a str),
}

/// Where credentials of a host are looked for, in addition to the options.
#[derive(Debug, Clone, Copy)]
pub struct CredentialPlaces<'a> {
    /// Environment variables; the first pair with a secret counts.
    pub variables: &'a [Variables],
    /// What to do with a secret that comes without a user name.
    pub nameless: SecretWithoutUser<'a>,
}

/// Reads a secret from a file, without the white space at its ends.
fn read_secret_file(path: &Path) -> anyhow::Result<SecretString> {
    let text = String::from_utf8(read_small(path)?).map_err(|_| anyhow!("{} is no text", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(text.to_owned().into())
}

fn non_empty_variable(name: &str) -> Option<String> {
    // A variable that was filled from a file may end with the newline of that file.
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

impl Variables {
    /// The file that holds the secret, if one is named.
    fn secret_file(self) -> Option<String> {
        non_empty_variable(&format!("{}_FILE", self.secret))
    }

    /// Whether a secret is set, usable or not.
    fn has_secret(self) -> bool {
        self.secret_file().is_some() || non_empty_variable(self.secret).is_some()
    }

    /// Reads the secret, if one is set.
    fn read_secret(self) -> anyhow::Result<Option<SecretString>> {
        match self.secret_file() {
            Some(path) => read_secret_file(Path::new(&path)).map(Some),
            None => Ok(non_empty_variable(self.secret).map(SecretString::from)),
        }
    }
}

/// Whether the options or the environment give credentials without a host, which would then go to every host that is asked.
pub fn has_credentials_without_host(options: &Connection) -> bool {
    options.user.is_some()
        || options.password_file.is_some()
        || options.authfile.is_none() && REGISTRY.has_secret()
}

/// Finds the credentials for `host`, in the first place that has any.
///
/// # Errors
/// When a named file or variable cannot be used, or a secret has no user and needs one.
pub fn find_credentials(
    options: &Connection,
    host: &str,
    places: CredentialPlaces<'_>,
) -> anyhow::Result<HostCredentials> {
    let user = |variables: Variables| options.user.clone().or_else(|| non_empty_variable(variables.user));
    if let Some(path) = &options.password_file {
        let name =
            options.user.clone().or_else(|| places.variables.iter().find_map(|variables| user(*variables)));
        return match (name, places.nameless) {
            (name, SecretWithoutUser::Token(default)) => {
                token_credentials(name.unwrap_or_else(|| default.to_owned()), read_secret_file(path)?)
            }
            (Some(name), _) => Ok(Credentials::User { name, secret: read_secret_file(path)? }.into()),
            (None, _) => bail!("--password-file needs --user"),
        };
    }
    if let (Some(path), None) = (&options.authfile, &options.user) {
        return Ok(read_credential_file(path, host)?.unwrap_or_default());
    }
    for variables in places.variables {
        let Some(secret) = variables.read_secret()? else { continue };
        return match (user(*variables), places.nameless) {
            (name, SecretWithoutUser::Token(default)) => {
                token_credentials(name.unwrap_or_else(|| default.to_owned()), secret)
            }
            (Some(name), _) => Ok(Credentials::User { name, secret }.into()),
            (None, SecretWithoutUser::InVariables(default)) => {
                Ok(Credentials::User { name: default.to_owned(), secret }.into())
            }
            (None, SecretWithoutUser::Refused) => {
                let name = variables.user;
                bail!("a registry takes a token together with its user: --user NAME, or {name}")
            }
        };
    }
    if options.user.is_some() {
        let names: Vec<&str> = places.variables.iter().rev().map(|variables| variables.secret).collect();
        bail!("--user needs --password-file, {} or the same with _FILE at the end", names.join(", "));
    }
    if let Some(path) = non_empty_variable("REGISTRY_AUTH_FILE") {
        return Ok(read_credential_file(Path::new(&path), host)?.unwrap_or_default());
    }
    let path_below =
        |variable: &str, rest: &str| std::env::var_os(variable).map(|folder| Path::new(&folder).join(rest));
    let podman = path_below("XDG_RUNTIME_DIR", "containers/auth.json");
    let docker =
        path_below("DOCKER_CONFIG", "config.json").or_else(|| path_below("HOME", ".docker/config.json"));
    for path in [podman, docker].into_iter().flatten() {
        if path.is_file()
            && let Some(found) = read_credential_file(&path, host)?
        {
            return Ok(found);
        }
    }
    Ok(HostCredentials::default())
}

/// Credentials with a token. A secret with characters that no token has is not sent.
fn token_credentials(name: String, secret: SecretString) -> anyhow::Result<HostCredentials> {
    if !secret.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("the token holds characters that no token has");
    }
    Ok(Credentials::User { name, secret }.into())
}

/// The account with which an owner's packages on a Forgejo server are reached.
///
/// # Errors
/// When the credentials are an identity token, which Forgejo does not take.
pub fn forgejo_account(credentials: &HostCredentials, owner: &str) -> anyhow::Result<ForgejoAccount> {
    let (user, token) = match credentials.for_repository(Some(&owner.to_lowercase())) {
        Credentials::User { name, secret } => (Some(name.clone()), Some(secret.clone())),
        Credentials::Anonymous => (None, None),
        Credentials::Identity { .. } => bail!("Forgejo takes no identity token; use an access token"),
    };
    Ok(ForgejoAccount { owner: owner.to_owned(), user, token })
}

/// The host of an address as credential files name it: without scheme, path and the default port of the scheme.
pub fn credential_host(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Credentials in an address are refused where it is used.
    let host = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    host.strip_suffix(port).map(str::to_owned).unwrap_or(host)
}

/// Reads the credentials of a host from a credential file, if it has any. Podman's keys may also name a path of the host.
fn read_credential_file(path: &Path, host: &str) -> anyhow::Result<Option<HostCredentials>> {
    let bytes = read_small(path)?;
    let is_docker_hub = matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let mut keys = vec![host.to_owned(), format!("https://{host}"), format!("http://{host}")];
    if is_docker_hub {
        keys.insert(0, "https://index.docker.io/v1/".into());
    }
    let find = |key: &str| find_key(path, &bytes, key);
    let for_host = keys.iter().find_map(|key| find(key).transpose()).transpose()?;
    let path_keys = keys_with_path(&bytes, if is_docker_hub { "docker.io" } else { host });
    if for_host.is_none() && path_keys.is_empty() {
        return Ok(None);
    }
    let mut found = HostCredentials::from(for_host.unwrap_or_default());
    for (key, repository) in path_keys {
        if let Some(credentials) = find(&key)? {
            found = found.with_repository(&repository, credentials);
        }
    }
    Ok(Some(found))
}

/// The keys of a credential file that name a path of a host, each with its path: `host/namespace` or
/// `host/namespace/repository`.
fn keys_with_path(file: &[u8], host: &str) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        auths: std::collections::BTreeMap<String, IgnoredAny>,
    }
    // A file of another shape was refused when the host itself was looked up.
    let keys = serde_json::from_slice::<File>(file).map(|file| file.auths).unwrap_or_default().into_keys();
    let with_path = |key: String| {
        let (key_host, path) = key.split_once('/')?;
        let path = RepositoryName::new(path).ok().filter(|_| key_host == host)?.to_string();
        Some((key, path))
    };
    keys.filter_map(with_path).collect()
}

/// The credentials under one key of a credential file.
fn find_key(path: &Path, file: &[u8], key: &str) -> anyhow::Result<Option<Credentials>> {
    match get_credential_from_reader(file, key) {
        Ok(DockerCredential::UsernamePassword(name, secret)) => {
            Ok(Some(Credentials::User { name, secret: secret.into() }))
        }
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credentials::Identity { token: token.into() })),
        // Credential helpers fail for a host that they do not know.
        Err(
            CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::HelperFailure { .. },
        ) => Ok(None),
        Err(error) => Err(anyhow!("{error}").context(format!("cannot use {}", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn host_of_address_is_named_as_in_credential_files() {
        for (address, host) in [
            ("https://registry.example", "registry.example"),
            ("https://Registry.example:443/", "registry.example"),
            ("http://registry.example:80/sub/path", "registry.example"),
            ("http://registry.example:443", "registry.example:443"),
            ("https://registry.example:5000?x", "registry.example:5000"),
            ("http://[::1]:5000/", "[::1]:5000"),
            ("https://me:secret@registry.example/", "registry.example"),
        ] {
            assert_eq!(super::credential_host(address), host, "{address}");
        }
    }
}
