//! Credentials of a host: from the command line, the environment, or the files in which docker and podman keep them.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential_from_reader};
use registry_core::oci::RepositoryName;
use registry_core::registry::{Credentials, HostCredentials};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::args::Connection;

/// Most bytes of a file with credentials or certificates.
const MAX_BYTES: u64 = 4 << 20;

/// A small file.
///
/// # Errors
/// When it cannot be read, or is not small.
pub fn small_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let read = || -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            bail!("it is larger than 4 MiB");
        }
        Ok(bytes)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// A secret from a file, without the newline at its end.
///
/// # Errors
/// When it cannot be read, or holds none.
pub fn secret(path: &Path) -> anyhow::Result<SecretString> {
    let text = String::from_utf8(small_file(path)?).map_err(|_| anyhow!("{} is no text", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(text.to_owned().into())
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A user and a secret from variables: `<user>`, and `<secret>` or `<secret>_FILE`.
///
/// # Errors
/// When the file that a variable names cannot be used.
fn from_variables(user: &str, secret_name: &str) -> anyhow::Result<Option<Credentials>> {
    let secret = match environment(&format!("{secret_name}_FILE")) {
        Some(path) => Some(secret(Path::new(&path))?),
        // A variable filled from a file may end as the file does.
        None => environment(secret_name).map(|text| SecretString::from(text.trim().to_owned())),
    };
    // Forgejo goes by the token, whatever the name.
    let name = environment(user).unwrap_or_else(|| "token".to_owned());
    Ok(secret.map(|secret| Credentials::User { name, secret }))
}

/// Whether there are credentials that name no host, so that they are those of whatever host is asked.
pub fn are_of_one_host(args: &Connection) -> bool {
    args.user.is_some()
        || args.authfile.is_none()
            && ["REGISTRY_PASSWORD", "REGISTRY_PASSWORD_FILE"].iter().any(|name| environment(name).is_some())
}

/// The credentials for `host`, from the first place that has any. With `is_forgejo` that job's variables count too.
///
/// # Errors
/// When something that was named cannot be used.
pub fn find(args: &Connection, host: &str, is_forgejo: bool) -> anyhow::Result<HostCredentials> {
    match (&args.user, &args.password_file) {
        (Some(name), Some(path)) => {
            return Ok(Credentials::User { name: name.clone(), secret: secret(path)? }.into());
        }
        (None, Some(_)) => bail!("--password-file needs --user"),
        _ => {}
    }
    if let (Some(path), None) = (&args.authfile, &args.user) {
        return Ok(from_file(path, host)?.unwrap_or_default());
    }
    let mut found = if is_forgejo { from_variables("FORGEJO_USER", "FORGEJO_TOKEN")? } else { None };
    if found.is_none() {
        found = from_variables("REGISTRY_USER", "REGISTRY_PASSWORD")?;
    }
    match (found, &args.user) {
        (Some(Credentials::User { secret, .. }), Some(name)) => {
            return Ok(Credentials::User { name: name.clone(), secret }.into());
        }
        (Some(found), _) => return Ok(found.into()),
        (None, Some(_)) => {
            let token = if is_forgejo { ", FORGEJO_TOKEN" } else { "" };
            bail!("--user needs --password-file, REGISTRY_PASSWORD{token} or the same with _FILE at the end");
        }
        (None, None) => {}
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

/// The credentials that a file has for a host; `None` when it has none. Keys of podman may name a path of the host too.
fn from_file(path: &Path, host: &str) -> anyhow::Result<Option<HostCredentials>> {
    let bytes = small_file(path)?;
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
    // What is no such file was refused before.
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
