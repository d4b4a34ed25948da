//! Times commands: wall time by this program's clock, CPU time and peak memory by GNU time. The output of the commands goes to
//! `/dev/null`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

use crate::stats::FigureSummary;

/// One thing to time: a command, or several that run at the same time.
#[derive(Debug, Clone)]
pub struct TimedCommand {
    /// The name in the tables.
    pub name: String,
    /// The commands, each a program and its arguments.
    pub commands: Vec<Vec<OsString>>,
}

/// What one run of a [`TimedCommand`] took.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Seconds from the start to the end of the last command.
    pub wall: f64,
    /// Seconds in user and system mode, of all commands.
    pub cpu: f64,
    /// Bytes of the largest resident set of any command.
    pub peak: u64,
}

/// The runs of two jobs that alternated.
#[derive(Debug)]
pub struct Pairs {
    /// The runs of the first job.
    pub a: Vec<Usage>,
    /// The runs of the second.
    pub b: Vec<Usage>,
}

impl Pairs {
    /// The ratio of the first job's figure to the second's, pair by pair.
    pub fn ratio(&self, figure: impl Fn(&Usage) -> f64) -> FigureSummary {
        FigureSummary::summarize(self.a.iter().zip(&self.b).map(|(a, b)| figure(a) / figure(b)))
    }
}

/// Runs two jobs alternately. The caller does the warm-up runs.
pub fn run_pairs(time: &Path, a: &TimedCommand, b: &TimedCommand, n: u32) -> Result<Pairs> {
    let mut pairs = Pairs { a: Vec::new(), b: Vec::new() };
    for i in 1..=n {
        eprintln!("pair {i} of {n}: {}, {}", a.name, b.name);
        pairs.a.push(run(time, a)?);
        pairs.b.push(run(time, b)?);
    }
    Ok(pairs)
}

/// Runs a job once. A command that fails is an error: its time would mean nothing.
pub fn run(time: &Path, job: &TimedCommand) -> Result<Usage> {
    let started = Instant::now();
    let running =
        job.commands.iter().map(|command| Running::start(time, command)).collect::<Result<Vec<_>>>()?;
    // All commands are waited for before any result is checked, so that a failure leaves none running.
    let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
    let wall = started.elapsed().as_secs_f64();
    let mut usage = Usage { wall, cpu: 0.0, peak: 0 };
    for result in ended {
        let (cpu, peak) = result.with_context(|| job.name.clone())?;
        usage.cpu += cpu;
        usage.peak = usage.peak.max(peak);
    }
    Ok(usage)
}

/// Makes a [`Command`] without the environment variables that would change what it does.
pub fn new_command(program: &[OsString]) -> Command {
    let mut command = Command::new(&program[0]);
    command.args(&program[1..]).env("LC_ALL", "C").stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REGISTRY_") {
            command.env_remove(name);
        }
    }
    command
}

struct Running {
    child: Child,
    figures: NamedTempFile,
    errors: File,
}

impl Running {
    fn start(time: &Path, program: &[OsString]) -> Result<Self> {
        let figures = NamedTempFile::new()?;
        let errors = tempfile::tempfile()?;
        let mut timed: Vec<OsString> = vec![time.into(), "-f".into(), "%U %S %M".into(), "-o".into()];
        timed.push(figures.path().into());
        timed.extend_from_slice(program);
        let child = new_command(&timed).stdout(Stdio::null()).stderr(errors.try_clone()?).spawn()?;
        Ok(Running { child, figures, errors })
    }

    fn wait(mut self) -> Result<(f64, u64)> {
        let status = self.child.wait()?;
        if !status.success() {
            let mut errors = String::new();
            self.errors.rewind()?;
            self.errors.take(4096).read_to_string(&mut errors)?;
            bail!("{status}\n{}", errors.trim_end());
        }
        parse_figures(&fs::read_to_string(self.figures.path())?)
    }
}

/// Parses CPU seconds and peak bytes from the output of GNU time.
///
/// GNU time truncates user and system time to hundredths of a second, so half a hundredth is added to each. Otherwise short runs
/// would seem to grow faster than they do.
fn parse_figures(text: &str) -> Result<(f64, u64)> {
    let line = text.lines().last().unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    let [user, system, kilobytes] = parts[..] else { bail!("GNU time wrote {text:?}") };
    Ok((user.parse::<f64>()? + system.parse::<f64>()? + 0.01, kilobytes.parse::<u64>()? * 1024))
}

/// Drops the page cache of the kernel. Fails where that is not permitted.
pub fn drop_caches() -> Result<()> {
    if !new_command(&["sync".into()]).status()?.success() {
        bail!("sync failed");
    }
    fs::write("/proc/sys/vm/drop_caches", "3").context("/proc/sys/vm/drop_caches")
}

/// Lists the files of a directory tree, each with its size.
pub fn list_files(dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => dirs.push(entry.path()),
                kind if kind.is_file() => found.push((entry.path(), entry.metadata()?.len())),
                _ => {}
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_gnu_time_is_parsed() {
        let (cpu, peak) = parse_figures("0.25 0.50 2048\n").unwrap();
        assert!((cpu - 0.76).abs() < 1e-9);
        assert_eq!(peak, 2048 * 1024);
        assert!(parse_figures("").is_err());
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let run = |wall| Usage { wall, cpu: 1.0, peak: 0 };
        let pairs = Pairs { a: vec![run(10.0), run(30.0), run(20.0)], b: vec![run(1.0), run(1.0), run(4.0)] };
        assert_eq!(pairs.ratio(|usage| usage.wall), FigureSummary { median: 10.0, min: 5.0, max: 30.0 });
    }
}
