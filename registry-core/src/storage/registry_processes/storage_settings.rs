//! The storage settings of a registry, parsed from its configuration and the environment variables that override it. Does not
//! read processes or files.
//!
//! A variable overrides the file, and a longer name a shorter one: `configuration/parser.go @ v2.8.3`.

use std::collections::HashMap;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

/// Deepest indentation of a configuration, and most marks in one of its lines that open a nested value. Dropping a value that is
/// nested much deeper would overflow the stack.
const MAX_NESTED: usize = 200;

/// The environment variables of a process.
pub(super) type Environment = HashMap<String, String>;

/// The settings of a registry that say where, and how, it stores images.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StorageSettings {
    /// The rootdirectory, if one is named.
    pub(super) root: Option<String>,
    /// The storage is not a folder, but for example S3.
    pub(super) is_elsewhere: bool,
    pub(super) is_read_only: bool,
    /// The registry is a pull-through cache.
    pub(super) is_cache: bool,
}

impl StorageSettings {
    /// Parses a configuration (empty when there is none) and the variables that override it.
    pub(super) fn parse(config: &str, environment: &Environment) -> Result<Self, String> {
        let variable = |name: &str| environment.get(name).map(|text| (yaml(text), text));
        let config = yaml(config)?;
        let overriding = variable("REGISTRY_STORAGE").map(|(yaml, _)| yaml).transpose()?;
        let storage = overriding.as_ref().or_else(|| member(&config, "storage"));
        let parameters = variable("REGISTRY_STORAGE_FILESYSTEM").map(|(yaml, _)| yaml).transpose()?;
        let filesystem =
            parameters.as_ref().or_else(|| storage.and_then(|storage| member(storage, "filesystem")));
        let root = variable("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY").map(|(yaml, text)| {
            yaml.ok().and_then(|yaml| yaml.as_str().map(str::to_owned)).unwrap_or_else(|| text.clone())
        });
        let root = root.or_else(|| Some(member(filesystem?, "rootdirectory")?.as_str()?.to_owned()));
        // The short form: `storage: filesystem`.
        let is_short = storage.and_then(|storage| storage.as_str()) == Some("filesystem");
        let is_folder = root.is_some() || filesystem.is_some() || is_short;
        Ok(Self {
            root,
            is_elsewhere: storage.is_some() && !is_folder,
            is_read_only: is_read_only(storage, environment)?,
            is_cache: is_cache(&config, environment)?,
        })
    }
}

/// Whether the registry refuses writes. Releases differ in whether they read `…_READONLY_ENABLED`: it counts only where it
/// switches read-only off, never where it alone switches it on.
fn is_read_only(storage: Option<&Yaml<'_>>, environment: &Environment) -> Result<bool, String> {
    let variable = |name: &str| environment.get(name).map(|text| yaml(text)).transpose();
    let maintenance = variable("REGISTRY_STORAGE_MAINTENANCE")?;
    let read_only = variable("REGISTRY_STORAGE_MAINTENANCE_READONLY")?;
    let enabled = variable("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED")?;
    let maintenance = maintenance.as_ref().or_else(|| member(storage?, "maintenance"));
    let read_only = read_only.as_ref().or_else(|| member(maintenance?, "readonly"));
    let is_true = |yaml: &Yaml<'_>| matches!(yaml, Yaml::Value(Scalar::Boolean(true)));
    let is_enabled = read_only.and_then(|yaml| member(yaml, "enabled")).is_some_and(is_true);
    Ok(is_enabled && enabled.as_ref().is_none_or(is_true))
}

/// Whether the configuration names a registry to fetch from (`registry/handlers/app.go @ v2.8.3`, same at v3.1.1).
fn is_cache(config: &Yaml<'_>, environment: &Environment) -> Result<bool, String> {
    if let Some(url) = environment.get("REGISTRY_PROXY_REMOTEURL") {
        return Ok(!url.is_empty());
    }
    let overriding = environment.get("REGISTRY_PROXY").map(|text| yaml(text)).transpose()?;
    let proxy = overriding.as_ref().or_else(|| member(config, "proxy"));
    let url = proxy.and_then(|proxy| member(proxy, "remoteurl"));
    Ok(url.and_then(|url| url.as_str()).is_some_and(|url| !url.is_empty()))
}

/// The first document of a text; `BadValue` when there is none.
fn yaml(text: &str) -> Result<Yaml<'_>, String> {
    if text.lines().any(is_nested_too_deeply) {
        return Err("it is nested too deeply".into());
    }
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    Ok(documents.into_iter().next().unwrap_or(Yaml::BadValue))
}

fn is_nested_too_deeply(line: &str) -> bool {
    let indented = line.bytes().take_while(u8::is_ascii_whitespace).count();
    let mut pairs = line.bytes().zip(line.bytes().skip(1).chain([b'\n']));
    let opens = |(mark, next): (u8, u8)| matches!(mark, b'-' | b'?' | b':') && next.is_ascii_whitespace();
    indented > MAX_NESTED || pairs.by_ref().filter(|pair| opens(*pair)).count() > MAX_NESTED
}

fn member<'y>(yaml: &'y Yaml<'y>, key: &str) -> Option<&'y Yaml<'y>> {
    let Yaml::Mapping(members) = yaml else { return None };
    members.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "version: 0.1\nstorage:\n  filesystem: {rootdirectory: /data}\n";
    const READ_ONLY: &str = "storage: {filesystem: {}, maintenance: {readonly: {enabled: true}}}";

    fn parse(config: &str, variables: &[(&str, &str)]) -> StorageSettings {
        let pairs =
            variables.iter().map(|(name, value)| (format!("REGISTRY_STORAGE{name}"), (*value).to_owned()));
        StorageSettings::parse(config, &pairs.collect()).unwrap()
    }

    fn root(config: &str, variables: &[(&str, &str)]) -> Option<String> {
        parse(config, variables).root
    }

    #[test]
    fn variable_overrides_the_file_and_longer_name_a_shorter_one() {
        assert_eq!(root(CONFIG, &[]).unwrap(), "/data");
        assert_eq!(root(CONFIG, &[("_FILESYSTEM", "{rootdirectory: /a}")]).unwrap(), "/a");
        let both = [("_FILESYSTEM", "{rootdirectory: /a}"), ("_FILESYSTEM_ROOTDIRECTORY", "/b")];
        assert_eq!(root(CONFIG, &both).unwrap(), "/b");
        assert_eq!(root(CONFIG, &[("_FILESYSTEM_ROOTDIRECTORY", "'/quoted'")]).unwrap(), "/quoted");
        assert_eq!(root(CONFIG, &[("", "{filesystem: {rootdirectory: /c}}")]).unwrap(), "/c");
        assert_eq!(root("storage: filesystem", &[]), None);
    }

    #[test]
    fn drivers_other_than_filesystem_are_elsewhere() {
        assert!(parse("storage: {s3: {bucket: x}}", &[]).is_elsewhere);
        assert!(parse("storage: inmemory", &[]).is_elsewhere);
        assert!(parse(CONFIG, &[("", "s3"), ("_S3_BUCKET", "x")]).is_elsewhere);
        assert!(!parse("storage: s3", &[("", "filesystem")]).is_elsewhere);
        assert!(!parse("", &[]).is_elsewhere);
    }

    #[test]
    fn read_only_requires_every_setting_to_agree() {
        assert!(parse(READ_ONLY, &[]).is_read_only);
        assert!(parse(CONFIG, &[("_MAINTENANCE_READONLY", "{enabled: true}")]).is_read_only);
        assert!(parse(CONFIG, &[("_MAINTENANCE", "{readonly: {enabled: true}}")]).is_read_only);
        for against in [
            ("_MAINTENANCE_READONLY", "{enabled: false}"),
            ("_MAINTENANCE", "{uploadpurging: {enabled: false}}"),
            ("_MAINTENANCE_READONLY_ENABLED", "false"),
            ("", "filesystem"),
        ] {
            assert!(!parse(READ_ONLY, &[against]).is_read_only, "{against:?}");
        }
        assert!(!parse(CONFIG, &[("_MAINTENANCE_READONLY_ENABLED", "true")]).is_read_only);
        assert!(!parse("storage: {maintenance: {readonly: {enabled: 'true'}}}", &[]).is_read_only);
    }

    #[test]
    fn registry_with_a_remote_url_is_a_cache() {
        let proxy = format!("{CONFIG}proxy: {{remoteurl: 'https://registry-1.docker.io'}}\n");
        assert!(parse(&proxy, &[]).is_cache);
        assert!(!parse(CONFIG, &[]).is_cache);
        assert!(!parse(&format!("{CONFIG}proxy: {{remoteurl: ''}}\n"), &[]).is_cache);
        assert!(!parse(&format!("{CONFIG}proxy:\n"), &[]).is_cache);
        let is_cache_with = |config: &str, name: &str, value: &str| {
            let variables = [(name.to_owned(), value.to_owned())].into();
            StorageSettings::parse(config, &variables).unwrap().is_cache
        };
        assert!(is_cache_with(CONFIG, "REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io"));
        assert!(is_cache_with(CONFIG, "REGISTRY_PROXY", "{remoteurl: 'https://registry-1.docker.io'}"));
        assert!(!is_cache_with(&proxy, "REGISTRY_PROXY_REMOTEURL", ""));
        assert!(!is_cache_with(&proxy, "REGISTRY_PROXY", "{remoteurl: ''}"));
    }

    #[test]
    fn malicious_yaml_is_an_error() {
        let laughs: String = (1..30).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}, *a{0}]\n", n - 1)).collect();
        let steps: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        let texts = [
            "- ".repeat(200_000),
            "? ".repeat(200_000),
            "- &a ".repeat(100_000),
            "-\t".repeat(100_000),
            "- !!seq ".repeat(100_000),
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            format!("a0: &a0 x\n{laughs}"),
            steps,
            "a: [".into(),
        ];
        for text in texts {
            let start: String = text.chars().take(12).collect();
            assert!(StorageSettings::parse(&text, &Environment::new()).is_err(), "{start}");
            let variable = [("REGISTRY_STORAGE".to_owned(), text)].into();
            assert!(StorageSettings::parse(CONFIG, &variable).is_err(), "{start}");
        }
    }
}
