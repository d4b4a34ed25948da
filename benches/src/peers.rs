//! The measured programs: finds them, asks for their versions, and builds their command lines.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::measure::{TimedCommand, new_command};

/// The programs that were found.
#[derive(Debug)]
pub struct Peers {
    /// The registry-fsck to measure.
    pub fsck: PathBuf,
    found: Vec<(&'static str, PathBuf)>,
}

/// A configuration file for `docker-registry`, which is removed when this is dropped.
#[derive(Debug)]
pub struct GcConfig(NamedTempFile);

impl Peers {
    /// Finds registry-fsck and the named programs. The error lists all that are missing.
    pub fn locate(fsck: Option<&Path>, names: &[&'static str]) -> Result<Self> {
        let mut missing = Vec::new();
        let mut found = Vec::new();
        for &name in names {
            match find_in_path(name) {
                Some(path) => found.push((name, path)),
                None => missing.push(match name {
                    "time" => "time (GNU time, not the shell's; Debian package time)",
                    "find" => "find (Debian package findutils)",
                    "docker-registry" => "docker-registry (Debian package docker-registry)",
                    "openssl" => "openssl (Debian package openssl)",
                    other => other,
                }),
            }
        }
        let fsck = match fsck {
            Some(path) => fs::canonicalize(path).ok().filter(|path| is_executable(path)),
            None => find_beside_this_program("registry-fsck").or_else(|| find_in_path("registry-fsck")),
        };
        if fsck.is_none() {
            missing.push("registry-fsck (cargo build --profile dist --bin registry-fsck, or --fsck PATH)");
        }
        match fsck {
            Some(fsck) if missing.is_empty() => Ok(Peers { fsck, found }),
            _ => bail!("cannot compare without: {}", missing.join("; ")),
        }
    }

    /// GNU time.
    pub fn time(&self) -> &Path {
        self.path("time")
    }

    fn path(&self, name: &str) -> &Path {
        let found = self.found.iter().find(|(found, _)| *found == name);
        &found.expect("located at the start").1
    }

    /// The first line of each program's version.
    pub fn versions(&self) -> Result<Vec<String>> {
        let mut versions = vec![read_version(&self.fsck, "--version")?];
        for (name, path) in &self.found {
            versions.push(read_version(path, if *name == "openssl" { "version" } else { "--version" })?);
        }
        Ok(versions)
    }

    /// `registry-fsck scan`.
    pub fn scan(&self, name: &str, tree: &Path, args: &[String], more: &[&str]) -> TimedCommand {
        let mut command: Vec<OsString> = vec![(&self.fsck).into(), "scan".into()];
        command.extend(more.iter().map(Into::into));
        command.extend(args.iter().map(Into::into));
        command.push(tree.into());
        TimedCommand { name: name.to_owned(), commands: vec![command] }
    }

    /// `find` for non-empty files.
    pub fn find(&self, tree: &Path) -> TimedCommand {
        let mut command: Vec<OsString> = vec![self.path("find").into(), tree.into()];
        command.extend(["-type", "f", "-size", "+0"].map(Into::into));
        TimedCommand { name: "find -type f -size +0".to_owned(), commands: vec![command] }
    }

    /// A dry run of the registry's own garbage collector.
    pub fn garbage_collect(&self, config: &GcConfig) -> TimedCommand {
        let mut command: Vec<OsString> = vec![self.path("docker-registry").into()];
        command.extend(["garbage-collect", "--dry-run"].map(Into::into));
        command.push(config.0.path().into());
        TimedCommand { name: "docker-registry garbage-collect --dry-run".to_owned(), commands: vec![command] }
    }

    /// `openssl dgst -sha256` of some files, in two processes with about the same number of bytes.
    pub fn openssl(&self, files: &[(PathBuf, u64)]) -> TimedCommand {
        let mut halves: [(u64, Vec<OsString>); 2] = [const { (0, Vec::new()) }; 2];
        let mut largest_first: Vec<_> = files.iter().collect();
        largest_first.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        for (path, size) in largest_first {
            let lighter = usize::from(halves[1].0 < halves[0].0);
            halves[lighter].0 += size;
            halves[lighter].1.push(path.into());
        }
        let commands = halves.into_iter().filter(|half| !half.1.is_empty()).map(|(_, paths)| {
            let mut command: Vec<OsString> =
                vec![self.path("openssl").into(), "dgst".into(), "-sha256".into()];
            command.extend(paths);
            command
        });
        TimedCommand { name: "openssl dgst -sha256, two processes".to_owned(), commands: commands.collect() }
    }
}

impl GcConfig {
    /// Writes a configuration for the tree with this root directory.
    pub fn new(tree: &Path) -> Result<Self> {
        let root = serde_json::to_string(tree.to_str().context("the tree's path is not UTF-8")?)?;
        let mut file = tempfile::Builder::new().suffix(".yml").tempfile()?;
        // Every JSON string is also a YAML string.
        write!(
            file,
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {root}\n"
        )?;
        Ok(GcConfig(file))
    }
}

/// Runs the garbage collector, and returns the line that counts what it would delete.
pub fn run_collector(job: &TimedCommand) -> Result<String> {
    let output = new_command(&job.commands[0]).output()?;
    ensure!(
        output.status.success(),
        "{}: {}\n{}",
        job.name,
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let line =
        text.lines().find(|line| line.contains("eligible for deletion") && line.contains("blobs marked"));
    line.map(str::to_owned).with_context(|| format!("{}: no line of totals", job.name))
}

fn find_in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|path| is_executable(path))
}

fn find_beside_this_program(name: &str) -> Option<PathBuf> {
    Some(env::current_exe().ok()?.with_file_name(name)).filter(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn read_version(program: &Path, argument: &str) -> Result<String> {
    let output = new_command(&[program.into(), argument.into()])
        .output()
        .with_context(|| program.display().to_string())?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    let line = String::from_utf8_lossy(&text).lines().next().unwrap_or("version unknown").to_owned();
    // Some programs print the path by which they were called first.
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    Ok(line.strip_prefix(&*program.to_string_lossy()).map(|rest| format!("{name}{rest}")).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use registry_benches::tree::{Large, Shape, generate};

    use super::*;

    #[test]
    fn error_names_missing_programs() {
        let error =
            Peers::locate(Some(Path::new("/nowhere/fsck")), &["no-such-program"]).unwrap_err().to_string();
        assert!(error.contains("no-such-program; registry-fsck (cargo"), "{error}");
    }

    #[test]
    fn collector_deletes_nothing_in_generated_tree() {
        let Some(registry) = find_in_path("docker-registry") else {
            eprintln!("skipped: docker-registry is not installed");
            return;
        };
        let peers = Peers { fsck: PathBuf::new(), found: vec![("docker-registry", registry)] };
        let dir = tempfile::tempdir().unwrap();
        let large = Large { total: 200_000, min: 10_000, max: 50_000 };
        generate(dir.path(), &Shape::for_files(2000, 5).with_large(large)).unwrap();
        let config = GcConfig::new(dir.path()).unwrap();
        let totals = run_collector(&peers.garbage_collect(&config)).unwrap();
        assert!(totals.ends_with(" blobs marked, 0 blobs and 0 manifests eligible for deletion"), "{totals}");
    }

    #[test]
    fn openssl_gets_two_halves() {
        let peers = Peers { fsck: PathBuf::new(), found: vec![("openssl", PathBuf::from("openssl"))] };
        let files: Vec<_> = [5, 3, 2].map(|size| (PathBuf::from(size.to_string()), size)).into();
        let commands = peers.openssl(&files).commands;
        let paths: Vec<_> = commands.iter().map(|command| command[3..].join(" ".as_ref())).collect();
        assert_eq!(paths, ["5", "3 2"]);
    }
}
