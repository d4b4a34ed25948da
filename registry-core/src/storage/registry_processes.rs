//! Registries and collectors that are at work on a tree, as far as this machine shows them: by their processes, their
//! configuration and the folder that it names. What that forbids is decided elsewhere.
//!
//! How a registry is told its folder: `configuration/parser.go`, `registry/registry.go @ v2.8.3`, same at v3.1.1.

mod inside;
mod storage_settings;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use storage_settings::{Environment, StorageSettings};

/// Where a registry keeps its tree when nothing else is said (`registry/storage/driver/filesystem/driver.go @ v2.8.3`).
const DEFAULT_ROOT: &str = "/var/lib/registry";
/// What Linux answers to whoever reads of a process that has just ended.
const ESRCH: i32 = 3;

/// What a process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// It serves the tree.
    Server,
    /// It collects garbage.
    Collector,
}

/// A process that is, or may be, at work on a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Serving {
    /// Its number.
    pub pid: u32,
    /// Its name and what it does, such as `docker-registry serve`.
    pub program: String,
    /// What it is doing.
    pub job: Job,
    /// Why it is not certain that it works on this tree; `None` when it is.
    pub doubt: Option<String>,
    /// Whether its configuration makes it read-only. No collector is.
    pub is_read_only: bool,
    /// Whether its configuration makes it a pull-through cache.
    pub is_cache: bool,
}

/// Processes at work on a tree, told by its `docker/registry/v2`, however that is reached. Where the system does not tell of
/// processes there are none.
pub fn registry_processes(v2: &Path) -> Vec<Serving> {
    processes_in(Path::new("/proc"), v2)
}

/// Whether a registry that runs with this configuration (YAML) is a pull-through cache.
///
/// # Errors
/// When it is no YAML, or nested too deeply.
pub fn is_cache(configuration: &str) -> Result<bool, String> {
    StorageSettings::of(configuration, &Environment::new()).map(|told| told.is_cache)
}

/// Whether a server, or a collector, that certainly works on a tree has a configuration that makes it a pull-through cache.
pub fn serves_cache(v2: &Path) -> bool {
    registry_processes(v2).iter().any(|one| one.is_cache && one.doubt.is_none())
}

/// As [`serving`], with another place for what the system tells of processes.
fn processes_in(processes: &Path, v2: &Path) -> Vec<Serving> {
    // What is not there nobody serves.
    if v2.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(processes) else { return Vec::new() };
    let mut found: Vec<Serving> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (pid != std::process::id()).then(|| registry_process(&entry.path(), pid, v2))?
        })
        .collect();
    found.sort_by_key(|one| one.pid);
    found
}

/// One process, if it may be at work on the tree.
fn registry_process(process: &Path, pid: u32, v2: &Path) -> Option<Serving> {
    let (words, _) = inside::words(&process.join("cmdline")).ok()?;
    let own = std::fs::read_link(process.join("exe"))
        .ok()
        .and_then(|path| registry_program(&path.to_string_lossy()));
    let program = own.or_else(|| registry_program(words.first()?))?;
    let at = words.iter().position(|word| matches!(&**word, "serve" | "garbage-collect"))?;
    let job = if words[at] == "serve" { Job::Server } else { Job::Collector };
    let program = crate::text::escape(&format!("{program} {}", words[at]));
    let doubtful = |why: String| {
        // Nothing can be read of a process that ended meanwhile; what has ended is in nobody's way.
        let (now, _) = inside::words(&process.join("cmdline")).ok()?;
        let doubt = Serving {
            pid,
            program: program.clone(),
            job,
            doubt: Some(why),
            is_read_only: false,
            is_cache: false,
        };
        (!now.is_empty()).then_some(doubt)
    };
    let environment = match environment(process) {
        Ok(environment) => environment,
        Err(error) if has_ended(&error) => return None,
        Err(error) => return doubtful(format!("its environment cannot be read: {error}")),
    };
    let config = words[at + 1..].iter().find(|word| !word.starts_with('-'));
    let config = config.or_else(|| environment.get("REGISTRY_CONFIGURATION_PATH"));
    let config = config.map_or(Ok(String::new()), |config| inside::text(process, config));
    let told = config
        .map_err(|error| error.to_string())
        .and_then(|config| StorageSettings::of(&config, &environment));
    let told = match told {
        Ok(told) if told.is_elsewhere => return None,
        Ok(told) => told,
        Err(why) => return doubtful(format!("its configuration cannot be read: {why}")),
    };
    let root = told.root.as_deref().unwrap_or(DEFAULT_ROOT);
    // A root without this folder is another tree: what is asked about is there.
    let seen = match inside::look(process, &format!("{root}/docker/registry/v2")) {
        Ok(seen) => seen,
        Err(error) if has_ended(&error) => return None,
        Err(error) => return doubtful(format!("its folder cannot be looked at: {error}")),
    };
    let ours = match v2.metadata() {
        Ok(ours) => ours,
        Err(error) => return doubtful(format!("the folder of this tree cannot be looked at: {error}")),
    };
    let is_read_only = told.is_read_only && job == Job::Server;
    let is_cache = told.is_cache;
    is_same(&seen, &ours).then_some(Serving { pid, program, job, doubt: None, is_read_only, is_cache })
}

/// The name of a program that is a registry. One that was replaced while it runs is still one.
fn registry_program(path: &str) -> Option<String> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let name = Path::new(path).file_name()?.to_str()?;
    matches!(name, "registry" | "docker-registry").then(|| name.to_owned())
}

/// Whether something, such as a process or its folder, is not there any more.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

fn environment(process: &Path) -> io::Result<Environment> {
    let (words, is_whole) = inside::words(&process.join("environ"))?;
    if !is_whole {
        return Err(inside::too_large());
    }
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use registry_fixtures::real::{Configured, RealServer};
    use registry_fixtures::registry::Profile;

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
            std::fs::create_dir_all(root.join("data").join(V2)).unwrap();
            std::fs::create_dir_all(root.join("etc")).unwrap();
            std::fs::write(root.join("etc/config.yml"), config).unwrap();
            std::fs::write(process.join("cmdline"), command.join("\0") + "\0").unwrap();
            std::fs::write(process.join("environ"), environment.join("\0") + "\0").unwrap();
            symlink(&root, process.join("root")).unwrap();
            symlink(root.join("etc"), process.join("cwd")).unwrap();
            Self { folder, root }
        }

        fn seen(&self) -> Vec<Serving> {
            processes_in(&self.folder.path().join("proc"), &self.root.join("data").join(V2))
        }
    }

    const V2: &str = "docker/registry/v2";
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
            is_cache: false,
        };
        assert_eq!(seen, [expected]);
        let relative = ["registry", "serve", "config.yml"];
        assert_eq!(Fake::new(&relative, &[], CONFIG).seen().len(), 1);
        let read_only = format!("{CONFIG}  maintenance: {{readonly: {{enabled: true}}}}\n");
        assert!(Fake::new(&SERVE, &[], &read_only).seen()[0].is_read_only);
        let cache = format!("{CONFIG}proxy: {{remoteurl: 'https://registry-1.docker.io'}}\n");
        assert!(Fake::new(&SERVE, &[], &cache).seen()[0].is_cache);
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

    #[test]
    fn absolute_links_are_those_of_the_process() {
        let fake = Fake::new(&SERVE, &[], "version: 0.1\nstorage: {filesystem: {rootdirectory: /link}}\n");
        symlink("/data", fake.root.join("link")).unwrap();
        assert_eq!(fake.seen().len(), 1);
    }

    #[test]
    fn no_collector_is_read_only_and_a_replaced_program_is_still_one() {
        let read_only = format!("{CONFIG}  maintenance: {{readonly: {{enabled: true}}}}\n");
        let collector = ["registry", "garbage-collect", "/etc/config.yml"];
        assert!(!Fake::new(&collector, &[], &read_only).seen()[0].is_read_only);
        let renamed = Fake::new(&["something", "serve", "/etc/config.yml"], &[], CONFIG);
        symlink("/usr/bin/registry (deleted)", renamed.folder.path().join("proc/4242/exe")).unwrap();
        assert_eq!(renamed.seen()[0].program, "registry serve");
    }

    #[test]
    fn what_would_not_end_is_not_read_and_what_is_cut_is_not_believed() {
        let large = format!("#{}\n{CONFIG}", "x".repeat(2 << 20));
        let seen = Fake::new(&SERVE, &[], &large).seen();
        let why = "its configuration cannot be read: it is larger than 1048576 bytes";
        assert_eq!(seen[0].doubt.as_deref(), Some(why));
        let variable = format!("X={}", "x".repeat(2 << 20));
        let seen = Fake::new(&SERVE, &[&variable], CONFIG).seen();
        assert_eq!(
            seen[0].doubt.as_deref(),
            Some("its environment cannot be read: it is larger than 1048576 bytes")
        );
        let fifo = Fake::new(&["registry", "serve", "/etc/fifo"], &[], CONFIG);
        let path = fifo.root.join("etc/fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let why = "its configuration cannot be read: it is no regular file";
        assert_eq!(fifo.seen()[0].doubt.as_deref(), Some(why));
    }

    #[test]
    fn garbage_is_passed_over() {
        let fake = Fake::new(&SERVE, &[], CONFIG);
        let processes = fake.folder.path().join("proc");
        for (number, command) in
            [("1", &b""[..]), ("2", b"\0\0"), ("3", b"\xff\xfe\0serve\0"), ("4", b"serve\0")]
        {
            std::fs::create_dir(processes.join(number)).unwrap();
            std::fs::write(processes.join(number).join("cmdline"), command).unwrap();
        }
        std::fs::create_dir(processes.join("99999999999999999999")).unwrap();
        std::fs::write(processes.join("self"), "").unwrap();
        // A registry that ends while it is looked at.
        std::fs::create_dir(processes.join("5")).unwrap();
        std::fs::write(processes.join("5/cmdline"), "registry\0serve\0").unwrap();
        assert_eq!(fake.seen().len(), 1);
        assert_eq!(processes_in(&processes.join("gone"), &fake.root), []);
    }

    #[test]
    #[ignore = "needs docker-registry 2.8.2"]
    fn a_real_server_is_found_by_its_folder() {
        // Others on this machine may be in doubt.
        let certain = |v2: &Path| -> Vec<Serving> {
            registry_processes(v2).into_iter().filter(|one| one.doubt.is_none()).collect()
        };
        let read_only = "  maintenance: {readonly: {enabled: true}}\n";
        for (storage, is_read_only) in [("", false), (read_only, true)] {
            let server = RealServer::start(Profile::V2_8, Configured { storage, ..Configured::default() });
            // It makes this itself with the first push.
            std::fs::create_dir_all(server.root().join(V2)).unwrap();
            let seen = certain(&server.root().join(V2));
            let [one] = &seen[..] else { panic!("{seen:?}") };
            assert_eq!((&*one.program, one.job), ("docker-registry serve", Job::Server));
            assert_eq!(one.is_read_only, is_read_only);
            assert_eq!(certain(tempfile::tempdir().unwrap().path()), []);
            let root = server.root().join(V2);
            drop(server);
            assert_eq!(certain(&root), []);
        }
    }
}
