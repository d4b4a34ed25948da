//! The command line: generates a tree, or runs comparisons with other programs and reports.
//!
//! The comparisons are in `compare`, the programs in `peers`, the timing in `measure`, the statistics in `stats`, the output in
//! `report`. The library of this package generates the trees.

mod compare;
mod effects;
mod measure;
mod peers;
mod probing;
mod report;
mod served;
mod stats;
mod versions;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use registry_benches::tree::{self, Large, Shape};

use crate::compare::Setup;
use crate::peers::Peers;
use crate::report::{BenchReport, Machine};

/// Make large registry trees, and compare registry-fsck with other programs on them.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a valid registry tree; the same options give the same bytes.
    MakeTree {
        #[command(flatten)]
        size: Size,
        /// Add large layers of this many bytes in all (K, M and G are powers of 1024).
        #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
        large_bytes: Option<u64>,
        /// Smallest large layer.
        #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "4M")]
        large_min: u64,
        /// Largest large layer.
        #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "64M")]
        large_max: u64,
        /// Where: a folder that is missing or empty. It becomes the registry's root directory.
        dir: PathBuf,
    },
    /// Plan the retention of so many versions made in memory; to be timed from outside.
    PlanVersions {
        /// Rows of all packages: for each tag its index, two platforms and their attestations.
        #[arg(default_value_t = 1_000_000)]
        versions: u32,
    },
    /// Read a slow Forgejo in memory twice, the second time with a cache. Exit status: 1 when over 1.3 times the ideal.
    ReadServer {
        /// Packages of 60 versions each.
        #[arg(default_value_t = 100)]
        packages: usize,
    },
    /// `probe` of a slow registry in memory with many requests at once against one at a time. Exit status: 1 when not 12 times
    /// faster, or at 64 MiB of memory or more.
    Probe {
        /// Requests under way at once.
        #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(2..=1024))]
        jobs: u16,
        /// The registry-fsck to measure; else the one beside this program, else the one in PATH.
        #[arg(long, value_name = "PATH")]
        fsck: Option<PathBuf>,
    },
    /// `gc-preview --delete-untagged` against `garbage-collect --delete-untagged --dry-run` of 2.8.2 on one repository of 2000
    /// manifests and tags, and against `scan` on a large tree. Exit status: 1 when under 200 times faster, or over 1.2.
    GcPreview {
        #[command(flatten)]
        size: Size,
        /// How often the two commands run after each other.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
        pairs: u32,
        /// The registry-fsck to measure; else the one beside this program, else the one in PATH.
        #[arg(long, value_name = "PATH")]
        fsck: Option<PathBuf>,
    },
    /// `repair --apply` of 10,000 missing links against as many files made safe one by one. Exit status: 1 when slower.
    Repair {
        /// The registry-fsck to measure; else the one beside this program, else the one in PATH.
        #[arg(long, value_name = "PATH")]
        fsck: Option<PathBuf>,
    },
    /// Run the comparisons. Exit status: 0 every target met, 1 a target missed, 2 something failed.
    Run(Run),
}

/// How many small files. Without these options: 300 repositories of 30 tags, about 400,000 files.
#[derive(Debug, Args)]
struct Size {
    /// As near to this many files as whole tags allow.
    #[arg(long, conflicts_with = "repositories")]
    files: Option<u64>,
    /// Repositories.
    #[arg(long, default_value_t = 300)]
    repositories: u32,
    /// Tags in each repository.
    #[arg(long, default_value_t = 30)]
    tags: u32,
}

#[derive(Debug, Args)]
struct Run {
    /// Use this tree for the scan instead of making one. It must have no damage.
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
    /// Use this tree for `scan --content` instead of making one.
    #[arg(long, value_name = "DIR")]
    content_tree: Option<PathBuf>,
    #[command(flatten)]
    size: Size,
    /// Bytes of large layers in the tree made for `scan --content`.
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "1500M")]
    content_bytes: u64,
    /// Sizes in files of the trees made for the growth, ascending.
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        default_value = "50000,100000,200000,400000,800000"
    )]
    growth: Vec<u64>,
    /// How often the two commands of a comparison run after each other.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// Only this comparison (repeatable).
    #[arg(long, value_enum)]
    only: Vec<Comparison>,
    /// The registry-fsck to measure; else the one beside this program, else the one in PATH.
    #[arg(long, value_name = "PATH")]
    fsck: Option<PathBuf>,
    /// One more argument for every `registry-fsck scan` (repeatable).
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    fsck_arg: Vec<String>,
    /// Where to make the trees. At most two exist at a time, about 10 GB; an interrupted run leaves them behind.
    #[arg(long, value_name = "DIR")]
    tmp: Option<PathBuf>,
    /// Do not drop the page cache for cold figures.
    #[arg(long)]
    no_cold: bool,
    /// Write the figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Comparison {
    /// `scan` with `garbage-collect --dry-run` and `find`.
    Scan,
    /// `scan --content` with two `openssl dgst`.
    Content,
    /// `scan` on trees of growing size.
    Growth,
}

impl Size {
    fn shape(&self) -> Shape {
        match self.files {
            Some(files) => Shape::for_files(files, self.tags),
            None => Shape::new(self.repositories, self.tags),
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::MakeTree { size, large_bytes, large_min, large_max, dir } => {
            let large = large_bytes.map(|total| Large { total, min: large_min, max: large_max });
            make_tree(&Shape { large, ..size.shape() }, &dir).map(|()| true)
        }
        Command::PlanVersions { versions } => versions::plan_versions(versions).map(|plan| {
            println!("{}", serde_json::to_string(&plan.summary).unwrap_or_default());
            true
        }),
        Command::ReadServer { packages } => served::read_twice(packages).map(|runs| {
            for run in &runs {
                let ratio = run.took.as_secs_f64() / run.ideal.as_secs_f64();
                let [listing, heads, others] = run.requests;
                println!(
                    "{:.2} s, ideal {:.2} s, ratio {ratio:.2}: {listing} listing, {heads} HEAD, {others} others",
                    run.took.as_secs_f64(),
                    run.ideal.as_secs_f64(),
                );
            }
            runs.iter().all(|run| run.took <= run.ideal.mul_f64(1.3))
        }),
        Command::Probe { jobs, fsck } => Peers::locate(fsck.as_deref(), &["time"]).and_then(|peers| {
            let figures = probing::probe(&peers, jobs)?;
            let ([one, many], peak) = (figures.seconds, figures.peak as f64 / f64::from(1 << 20));
            println!(
                "{} requests: {one:.1} s one at a time, {many:.1} s {jobs} at once, ratio {:.1}; {peak:.1} MiB",
                figures.requests,
                figures.ratio()
            );
            Ok(figures.ratio() >= 12.0 && figures.peak < 64 << 20)
        }),
        Command::GcPreview { size, pairs, fsck } => locate_fsck(fsck).and_then(|fsck| {
            let faster = effects::compare_with_collector(&fsck)?;
            Ok(effects::compare_with_scan(&fsck, &size.shape(), pairs)? <= 1.2 && faster >= 200.0)
        }),
        Command::Repair { fsck } => {
            locate_fsck(fsck).and_then(|fsck| Ok(effects::compare_repair(&fsck)? <= 1.0))
        }
        Command::Run(options) => run_comparisons(&options),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("registry-benches: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// The registry-fsck to measure.
fn locate_fsck(given: Option<PathBuf>) -> Result<PathBuf> {
    Ok(Peers::locate(given.as_deref(), &[])?.fsck)
}

fn make_tree(shape: &Shape, dir: &PathBuf) -> Result<()> {
    if let Ok(mut entries) = fs::read_dir(dir) {
        ensure!(entries.next().is_none(), "{} is not empty", dir.display());
    }
    let made = tree::generate(dir, shape)?;
    println!(
        "{}: {} files, {} directories, {} bytes",
        dir.display(),
        made.files,
        made.directories,
        made.bytes
    );
    Ok(())
}

fn run_comparisons(options: &Run) -> Result<bool> {
    let machine = Machine::inspect()?;
    let is_wanted = |part: Comparison| options.only.is_empty() || options.only.contains(&part);
    let mut names = vec!["time"];
    if is_wanted(Comparison::Scan) {
        names.extend(["docker-registry", "find"]);
    }
    if is_wanted(Comparison::Content) {
        names.push("openssl");
    }
    let peers = Peers::locate(options.fsck.as_deref(), &names)?;
    let tmp = options.tmp.clone().unwrap_or_else(std::env::temp_dir);
    let setup = Setup {
        basis: machine.basis(),
        peers: &peers,
        pairs: options.pairs,
        fsck_args: &options.fsck_arg,
        cold: !options.no_cold,
        tmp: &tmp,
    };
    let mut report = BenchReport { machine, programs: peers.versions()?, sections: Vec::new() };
    if is_wanted(Comparison::Scan) {
        report.sections.push(compare::scan(&setup, options.tree.as_deref(), &options.size.shape())?);
    }
    if is_wanted(Comparison::Content) {
        let large = Large { total: options.content_bytes, min: 4 << 20, max: 64 << 20 };
        report.sections.push(compare::content(&setup, options.content_tree.as_deref(), large)?);
    }
    if is_wanted(Comparison::Growth) {
        report.sections.push(compare::growth(&setup, &options.growth)?);
    }
    print!("{}", report.markdown());
    if let Some(path) = &options.json {
        fs::write(path, format!("{:#}\n", report.json())).with_context(|| path.display().to_string())?;
    }
    Ok(report.has_met_all())
}

/// Parses a size such as `1500M`.
fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(['K', 'M', 'G']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        unit => bail!("unknown unit {unit}"),
    };
    digits.parse::<u64>()?.checked_mul(1 << shift).context("too large")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_may_have_units() {
        assert_eq!(parse_bytes("1500M").unwrap(), 1500 << 20);
        assert_eq!(parse_bytes("12").unwrap(), 12);
        assert!(parse_bytes("12X").is_err() && parse_bytes("1MM").is_err() && parse_bytes("M").is_err());
    }
}
