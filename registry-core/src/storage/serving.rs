//! Registries and collectors that are at work on a tree, as far as this machine shows them: by their processes, their
//! configuration and the folder that it names. What that forbids is decided elsewhere.
//!
//! How a registry is told its folder: `configuration/parser.go`, `registry/registry.go @ v2.8.3`, same at v3.1.1.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

/// Most bytes of a configuration, or of what the system tells of a process.
const MAX: u64 = 1 << 20;
/// Where a registry keeps its tree when nothing else is said (`registry/storage/driver/filesystem/driver.go @ v2.8.3`).
const DEFAULT_ROOT: &str = "/var/lib/registry";

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// It serves the tree.
    Server,
    /// It collects garbage.
    Collector,
}

/// A process that is, or may be, at work on a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// Its number.
    pub pid: u32,
    /// Its name and what it does, such as `docker-registry serve`.
    pub program: String,
    /// What it is doing.
    pub job: Job,
    /// Why it is not certain that it works on this tree; `None` when it is.
    pub doubt: Option<String>,
    /// Whether its configuration makes it read-only.
    pub is_read_only: bool,
}

/// Processes at work on the tree of a rootdirectory. Where the system does not tell of processes there are none.
pub fn serving(rootdirectory: &Path) -> Vec<Serving> {
    among(Path::new("/proc"), rootdirectory)
}

/// The same, with another place for what the system tells of processes.
fn among(processes: &Path, rootdirectory: &Path) -> Vec<Serving> {
    let Ok(entries) = std::fs::read_dir(processes) else { return Vec::new() };
    let mut found: Vec<Serving> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (pid != std::process::id()).then(|| one(&entry.path(), pid, rootdirectory))?
        })
        .collect();
    found.sort_by_key(|one| one.pid);
    found
}

/// One process, if it may be at work on the tree.
fn one(process: &Path, pid: u32, rootdirectory: &Path) -> Option<Serving> {
    let words = words(&process.join("cmdline")).ok()?;
    let name = |path: &str| Path::new(path).file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let is_registry = |name: &String| matches!(&**name, "registry" | "docker-registry");
    let own = std::fs::read_link(process.join("exe")).ok().and_then(|path| name(&path.to_string_lossy()));
    let called = name(words.first()?);
    let program = own.filter(is_registry).or(called.filter(is_registry))?;
    let at = words.iter().position(|word| matches!(&**word, "serve" | "garbage-collect"))?;
    let job = if words[at] == "serve" { Job::Server } else { Job::Collector };
    let program = crate::text::escape(&format!("{program} {}", words[at]));
    let config = words[at + 1..].iter().find(|word| !word.starts_with('-'));
    let doubt = |why: String| {
        Some(Serving { pid, program: program.clone(), job, doubt: Some(why), is_read_only: false })
    };
    let environment: HashMap<String, String> = match self::words(&process.join("environ")) {
        Ok(words) => words.iter().filter_map(|word| word.split_once('=')).map(own_pair).collect(),
        Err(error) => return doubt(format!("its environment cannot be read: {error}")),
    };
    let config = config.or_else(|| environment.get("REGISTRY_CONFIGURATION_PATH"));
    let told = match config.map(|config| configuration(process, config)) {
        Some(Ok(told)) => told,
        Some(Err(error)) => return doubt(format!("its configuration cannot be read: {error}")),
        None => Told::default(),
    };
    let root = match (environment.get("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"), &told.root) {
        (Some(root), _) | (None, Some(root)) => root.clone(),
        (None, None) if told.is_elsewhere => return None,
        (None, None) => DEFAULT_ROOT.to_owned(),
    };
    let seen = match inside(process, &root).metadata() {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return doubt(format!("its folder cannot be looked at: {error}")),
    };
    let ours = rootdirectory.metadata().ok()?;
    is_same(&seen, &ours).then_some(Serving {
        pid,
        program,
        job,
        doubt: None,
        is_read_only: told.is_read_only,
    })
}

fn own_pair((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[cfg(unix)]
fn is_same(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    false
}

/// The words of a file in which each ends with a zero byte.
fn words(path: &Path) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX).read_to_end(&mut bytes)?;
    let words = bytes.split(|byte| *byte == 0).filter(|word| !word.is_empty());
    Ok(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// A path as a process sees it, in a container too.
fn inside(process: &Path, path: &str) -> PathBuf {
    match path.strip_prefix('/') {
        Some(rest) => process.join("root").join(rest.trim_start_matches('/')),
        None => process.join("cwd").join(path),
    }
}

/// What a configuration says about storage.
#[derive(Default)]
struct Told {
    root: Option<String>,
    /// The storage is no folder, such as S3.
    is_elsewhere: bool,
    is_read_only: bool,
}

fn configuration(process: &Path, path: &str) -> io::Result<Told> {
    let mut text = String::new();
    File::open(inside(process, path))?.take(MAX).read_to_string(&mut text)?;
    let documents = Yaml::load_from_str(&text).map_err(io::Error::other)?;
    let Some(storage) = documents.first().and_then(|document| member(document, "storage")) else {
        return Ok(Told::default());
    };
    let filesystem = member(storage, "filesystem");
    // The short form: `storage: filesystem`.
    let is_short = storage.as_str() == Some("filesystem");
    let root = filesystem.and_then(|it| member(it, "rootdirectory")).and_then(|root| root.as_str());
    let read_only = member(storage, "maintenance")
        .and_then(|it| member(it, "readonly"))
        .and_then(|it| member(it, "enabled"));
    Ok(Told {
        root: root.map(str::to_owned),
        is_elsewhere: filesystem.is_none() && !is_short,
        is_read_only: matches!(read_only, Some(Yaml::Value(Scalar::Boolean(true)))),
    })
}

fn member<'y>(yaml: &'y Yaml<'y>, key: &str) -> Option<&'y Yaml<'y>> {
    let Yaml::Mapping(members) = yaml else { return None };
    members.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// What the system tells of one process, and a folder for its root.
    struct Fake {
        folder: tempfile::TempDir,
        root: PathBuf,
    }

    impl Fake {
        fn new(command: &[&str], environment: &[&str], config: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (process, root) = (folder.path().join("proc/4242"), folder.path().join("root"));
            std::fs::create_dir_all(&process).unwrap();
            std::fs::create_dir_all(root.join("data")).unwrap();
            std::fs::create_dir_all(root.join("etc")).unwrap();
            std::fs::write(root.join("etc/config.yml"), config).unwrap();
            std::fs::write(process.join("cmdline"), command.join("\0") + "\0").unwrap();
            std::fs::write(process.join("environ"), environment.join("\0") + "\0").unwrap();
            symlink(&root, process.join("root")).unwrap();
            symlink(root.join("etc"), process.join("cwd")).unwrap();
            Self { folder, root }
        }

        fn seen(&self) -> Vec<Serving> {
            among(&self.folder.path().join("proc"), &self.root.join("data"))
        }
    }

    const CONFIG: &str = "version: 0.1\nstorage:\n  filesystem: {rootdirectory: /data}\n";
    const SERVE: [&str; 3] = ["/bin/registry", "serve", "/etc/config.yml"];

    #[test]
    fn a_server_is_found_by_its_configuration() {
        let seen = Fake::new(&SERVE, &[], CONFIG).seen();
        let expected = Serving {
            pid: 4242,
            program: "registry serve".into(),
            job: Job::Server,
            doubt: None,
            is_read_only: false,
        };
        assert_eq!(seen, [expected]);
        let relative = ["registry", "serve", "config.yml"];
        assert_eq!(Fake::new(&relative, &[], CONFIG).seen().len(), 1);
        let read_only = format!("{CONFIG}  maintenance: {{readonly: {{enabled: true}}}}\n");
        assert!(Fake::new(&SERVE, &[], &read_only).seen()[0].is_read_only);
        let collector = ["docker-registry", "garbage-collect", "-d", "/etc/config.yml"];
        assert_eq!(Fake::new(&collector, &[], CONFIG).seen()[0].job, Job::Collector);
    }

    #[test]
    fn the_environment_beats_the_configuration() {
        let elsewhere = "version: 0.1\nstorage: {filesystem: {rootdirectory: /etc}}\n";
        assert_eq!(Fake::new(&SERVE, &[], elsewhere).seen(), []);
        let variable = ["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data"];
        assert_eq!(Fake::new(&SERVE, &variable, elsewhere).seen().len(), 1);
        let path = ["REGISTRY_CONFIGURATION_PATH=/etc/config.yml"];
        assert_eq!(Fake::new(&["registry", "serve"], &path, CONFIG).seen().len(), 1);
    }

    #[test]
    fn others_are_left_out_and_what_cannot_be_read_is_doubted() {
        let s3 = "version: 0.1\nstorage: {s3: {bucket: x}}\n";
        assert_eq!(Fake::new(&SERVE, &[], s3).seen(), []);
        assert_eq!(Fake::new(&["postgres", "serve", "/etc/config.yml"], &[], CONFIG).seen(), []);
        assert_eq!(Fake::new(&["registry", "--version"], &[], CONFIG).seen(), []);
        let gone = Fake::new(&["registry", "serve", "/etc/gone.yml"], &[], CONFIG).seen();
        assert!(gone[0].doubt.as_ref().unwrap().starts_with("its configuration cannot be read"), "{gone:?}");
        let bad = Fake::new(&SERVE, &[], "a: [").seen();
        assert!(bad[0].doubt.is_some());
    }
}
