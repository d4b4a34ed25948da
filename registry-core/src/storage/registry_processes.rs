//! Finds the registries and collectors that run on a tree, by the processes of this machine, their configuration and the folder
//! that it names. Callers decide what such a process forbids.
//!
//! How a registry learns its folder: `configuration/parser.go`, `registry/registry.go @ v2.8.3`, same at v3.1.1.

mod inside;
mod storage_settings;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use storage_settings::{Environment, StorageSettings};

/// The rootdirectory of a registry whose configuration names none (`registry/storage/driver/filesystem/driver.go @ v2.8.3`).
const DEFAULT_ROOT: &str = "/var/lib/registry";
/// Linux's error for reading from `/proc` about a process that has just exited.
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

/// A process that works, or may work, on a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryProcess {
    /// Process number.
    pub pid: u32,
    /// Program and command, such as `docker-registry serve`.
    pub program: String,
    /// What it is doing.
    pub job: Job,
    /// Why it is uncertain that the process works on this tree; `None` when it is certain.
    pub doubt: Option<String>,
    /// Whether its configuration makes it read-only. Never true for a collector.
    pub is_read_only: bool,
    /// Whether its configuration makes it a pull-through cache.
    pub is_cache: bool,
}

/// Processes that work, or may work, on the tree of this `docker/registry/v2`, by whatever path they reach it. Empty where the
/// system has no `/proc`.
pub fn registry_processes(v2: &Path) -> Vec<RegistryProcess> {
    processes_in(Path::new("/proc"), v2)
}

/// Whether a registry that runs with this configuration (YAML) is a pull-through cache.
///
/// # Errors
/// When the text is not YAML, or nested too deeply.
pub fn is_cache(configuration: &str) -> Result<bool, String> {
    StorageSettings::parse(configuration, &Environment::new()).map(|settings| settings.is_cache)
}

/// Whether a process that certainly works on a tree is configured as a pull-through cache.
pub fn is_served_as_cache(v2: &Path) -> bool {
    registry_processes(v2).iter().any(|process| process.is_cache && process.doubt.is_none())
}

/// [`registry_processes`] with another folder than `/proc`.
fn processes_in(proc: &Path, v2: &Path) -> Vec<RegistryProcess> {
    // Nobody serves a folder that does not exist.
    if v2.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Vec::new();
    }
    let Ok(entries) = std::fs::read_dir(proc) else { return Vec::new() };
    let mut found: Vec<RegistryProcess> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            (pid != std::process::id()).then(|| registry_process(&entry.path(), pid, v2))?
        })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// The process of a folder of `/proc`, if it may work on the tree.
fn registry_process(process: &Path, pid: u32, v2: &Path) -> Option<RegistryProcess> {
    let command_line = || inside::read_words(&process.join("cmdline")).ok().map(|(words, _)| words);
    let words = command_line()?;
    let executable = std::fs::read_link(process.join("exe"))
        .ok()
        .and_then(|path| registry_program(&path.to_string_lossy()));
    let program = executable.or_else(|| registry_program(words.first()?))?;
    let at = words.iter().position(|word| matches!(&**word, "serve" | "garbage-collect"))?;
    let job = if words[at] == "serve" { Job::Server } else { Job::Collector };
    let program = crate::text::escape(&format!("{program} {}", words[at]));
    let found = |doubt| RegistryProcess {
        pid,
        program: program.clone(),
        job,
        doubt,
        is_read_only: false,
        is_cache: false,
    };
    // A process that has exited since has no command line any more; ignore it.
    let doubtful = |why: String| (!command_line()?.is_empty()).then(|| found(Some(why)));
    let environment = match environment(process) {
        Ok(environment) => environment,
        Err(error) if has_exited(&error) => return None,
        Err(error) => return doubtful(format!("its environment cannot be read: {error}")),
    };
    let config = words[at + 1..].iter().find(|word| !word.starts_with('-'));
    let config = config.or_else(|| environment.get("REGISTRY_CONFIGURATION_PATH"));
    let config = config.map_or(Ok(String::new()), |config| inside::read_text(process, config));
    let settings = config
        .map_err(|error| error.to_string())
        .and_then(|config| StorageSettings::parse(&config, &environment));
    let settings = match settings {
        Ok(settings) if settings.is_elsewhere => return None,
        Ok(settings) => settings,
        Err(why) => return doubtful(format!("its configuration cannot be read: {why}")),
    };
    let root = settings.root.as_deref().unwrap_or(DEFAULT_ROOT);
    // This tree's folder exists, so a rootdirectory without such a folder is another tree's.
    let served = match inside::metadata(process, &format!("{root}/docker/registry/v2")) {
        Ok(served) => served,
        Err(error) if has_exited(&error) => return None,
        Err(error) => return doubtful(format!("its folder cannot be looked at: {error}")),
    };
    let asked = match v2.metadata() {
        Ok(asked) => asked,
        Err(error) => return doubtful(format!("the folder of this tree cannot be looked at: {error}")),
    };
    is_same_file(&served, &asked).then(|| RegistryProcess {
        is_read_only: settings.is_read_only && job == Job::Server,
        is_cache: settings.is_cache,
        ..found(None)
    })
}

/// The program's name if it is a registry, also where the file was replaced while it runs.
fn registry_program(path: &str) -> Option<String> {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let name = Path::new(path).file_name()?.to_str()?;
    matches!(name, "registry" | "docker-registry").then(|| name.to_owned())
}

/// Whether an error means that the process, or what was read of it, no longer exists.
fn has_exited(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

fn environment(process: &Path) -> io::Result<Environment> {
    let (words, is_whole) = inside::read_words(&process.join("environ"))?;
    if !is_whole {
        return Err(inside::too_large_error());
    }
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(unix)]
fn is_same_file(a: &std::fs::Metadata, b: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_file(_: &std::fs::Metadata, _: &std::fs::Metadata) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use registry_fixtures::real::{RealServer, ServerOptions};
    use registry_fixtures::registry::Profile;

    /// A `/proc` with one process, and the root folder of that process.
    struct FakeProcess {
        folder: tempfile::TempDir,
        root: PathBuf,
    }

    impl FakeProcess {
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

        fn found(&self) -> Vec<RegistryProcess> {
            processes_in(&self.folder.path().join("proc"), &self.root.join("data").join(V2))
        }
    }

    const V2: &str = "docker/registry/v2";
    const CONFIG: &str = "version: 0.1\nstorage:\n  filesystem: {rootdirectory: /data}\n";
    const SERVE: [&str; 3] = ["/bin/registry", "serve", "/etc/config.yml"];

    #[test]
    fn server_is_found_by_its_configuration() {
        let found = FakeProcess::new(&SERVE, &[], CONFIG).found();
        let expected = RegistryProcess {
            pid: 4242,
            program: "registry serve".into(),
            job: Job::Server,
            doubt: None,
            is_read_only: false,
            is_cache: false,
        };
        assert_eq!(found, [expected]);
        let relative = ["registry", "serve", "config.yml"];
        assert_eq!(FakeProcess::new(&relative, &[], CONFIG).found().len(), 1);
        let read_only = format!("{CONFIG}  maintenance: {{readonly: {{enabled: true}}}}\n");
        assert!(FakeProcess::new(&SERVE, &[], &read_only).found()[0].is_read_only);
        let cache = format!("{CONFIG}proxy: {{remoteurl: 'https://registry-1.docker.io'}}\n");
        assert!(FakeProcess::new(&SERVE, &[], &cache).found()[0].is_cache);
        let collector = ["docker-registry", "garbage-collect", "-d", "/etc/config.yml"];
        assert_eq!(FakeProcess::new(&collector, &[], CONFIG).found()[0].job, Job::Collector);
    }

    #[test]
    fn the_environment_beats_the_configuration() {
        let elsewhere = "version: 0.1\nstorage: {filesystem: {rootdirectory: /etc}}\n";
        assert_eq!(FakeProcess::new(&SERVE, &[], elsewhere).found(), []);
        let variable = ["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data"];
        assert_eq!(FakeProcess::new(&SERVE, &variable, elsewhere).found().len(), 1);
        let path = ["REGISTRY_CONFIGURATION_PATH=/etc/config.yml"];
        assert_eq!(FakeProcess::new(&["registry", "serve"], &path, CONFIG).found().len(), 1);
    }

    #[test]
    fn other_programs_are_ignored_and_unreadable_configuration_is_a_doubt() {
        let s3 = "version: 0.1\nstorage: {s3: {bucket: x}}\n";
        assert_eq!(FakeProcess::new(&SERVE, &[], s3).found(), []);
        assert_eq!(FakeProcess::new(&["postgres", "serve", "/etc/config.yml"], &[], CONFIG).found(), []);
        assert_eq!(FakeProcess::new(&["registry", "--version"], &[], CONFIG).found(), []);
        let gone = FakeProcess::new(&["registry", "serve", "/etc/gone.yml"], &[], CONFIG).found();
        assert!(gone[0].doubt.as_ref().unwrap().starts_with("its configuration cannot be read"), "{gone:?}");
        let bad = FakeProcess::new(&SERVE, &[], "a: [").found();
        assert!(bad[0].doubt.is_some());
    }

    #[test]
    fn absolute_symlinks_resolve_in_the_root_of_the_process() {
        let fake =
            FakeProcess::new(&SERVE, &[], "version: 0.1\nstorage: {filesystem: {rootdirectory: /link}}\n");
        symlink("/data", fake.root.join("link")).unwrap();
        assert_eq!(fake.found().len(), 1);
    }

    #[test]
    fn collector_is_never_read_only_and_replaced_program_is_recognised() {
        let read_only = format!("{CONFIG}  maintenance: {{readonly: {{enabled: true}}}}\n");
        let collector = ["registry", "garbage-collect", "/etc/config.yml"];
        assert!(!FakeProcess::new(&collector, &[], &read_only).found()[0].is_read_only);
        let renamed = FakeProcess::new(&["something", "serve", "/etc/config.yml"], &[], CONFIG);
        symlink("/usr/bin/registry (deleted)", renamed.folder.path().join("proc/4242/exe")).unwrap();
        assert_eq!(renamed.found()[0].program, "registry serve");
    }

    #[test]
    fn oversized_and_irregular_files_raise_a_doubt() {
        let large = format!("#{}\n{CONFIG}", "x".repeat(2 << 20));
        let found = FakeProcess::new(&SERVE, &[], &large).found();
        let why = "its configuration cannot be read: it is larger than 1048576 bytes";
        assert_eq!(found[0].doubt.as_deref(), Some(why));
        let variable = format!("X={}", "x".repeat(2 << 20));
        let found = FakeProcess::new(&SERVE, &[&variable], CONFIG).found();
        assert_eq!(
            found[0].doubt.as_deref(),
            Some("its environment cannot be read: it is larger than 1048576 bytes")
        );
        let fifo = FakeProcess::new(&["registry", "serve", "/etc/fifo"], &[], CONFIG);
        let path = fifo.root.join("etc/fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let why = "its configuration cannot be read: it is no regular file";
        assert_eq!(fifo.found()[0].doubt.as_deref(), Some(why));
    }

    #[test]
    fn malformed_process_entries_are_ignored() {
        let fake = FakeProcess::new(&SERVE, &[], CONFIG);
        let processes = fake.folder.path().join("proc");
        for (number, command) in
            [("1", &b""[..]), ("2", b"\0\0"), ("3", b"\xff\xfe\0serve\0"), ("4", b"serve\0")]
        {
            std::fs::create_dir(processes.join(number)).unwrap();
            std::fs::write(processes.join(number).join("cmdline"), command).unwrap();
        }
        std::fs::create_dir(processes.join("99999999999999999999")).unwrap();
        std::fs::write(processes.join("self"), "").unwrap();
        // A registry that exits while it is looked at.
        std::fs::create_dir(processes.join("5")).unwrap();
        std::fs::write(processes.join("5/cmdline"), "registry\0serve\0").unwrap();
        assert_eq!(fake.found().len(), 1);
        assert_eq!(processes_in(&processes.join("gone"), &fake.root), []);
    }

    #[test]
    #[ignore = "needs docker-registry 2.8.2"]
    fn a_real_server_is_found_by_its_folder() {
        // Other processes of this machine may be in doubt.
        let certain = |v2: &Path| -> Vec<RegistryProcess> {
            registry_processes(v2).into_iter().filter(|process| process.doubt.is_none()).collect()
        };
        let read_only = "  maintenance: {readonly: {enabled: true}}\n";
        for (storage, is_read_only) in [("", false), (read_only, true)] {
            let server =
                RealServer::start(Profile::V2_8, ServerOptions { storage, ..ServerOptions::default() });
            // The server makes this folder at the first push.
            std::fs::create_dir_all(server.root().join(V2)).unwrap();
            let found = certain(&server.root().join(V2));
            let [process] = &found[..] else { panic!("{found:?}") };
            assert_eq!((&*process.program, process.job), ("docker-registry serve", Job::Server));
            assert_eq!(process.is_read_only, is_read_only);
            assert_eq!(certain(tempfile::tempdir().unwrap().path()), []);
            let root = server.root().join(V2);
            drop(server);
            assert_eq!(certain(&root), []);
        }
    }
}
