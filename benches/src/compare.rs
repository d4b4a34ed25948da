//! The three comparisons: which commands run alternately on which tree, and the claims about them. Generated trees are removed
//! after the comparison.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use registry_benches::tree::{self, Large, Shape};
use tempfile::TempDir;

use crate::measure::{self, Pairs, TimedCommand, Usage};
use crate::peers::{self, GcConfig, Peers};
use crate::report::{Basis, Claim, Section, Target, Timing};
use crate::stats::FigureSummary;

/// Most files for `openssl`; more would not fit on its command line.
const OPENSSL_FILES: usize = 8000;

/// The options of all comparisons.
#[derive(Debug)]
pub struct Setup<'a> {
    /// The basis on which ratios are judged.
    pub basis: Basis,
    /// The programs.
    pub peers: &'a Peers,
    /// How often two commands alternate.
    pub pairs: u32,
    /// Additional arguments for each scan.
    pub fsck_args: &'a [String],
    /// Whether to measure with a cold cache too.
    pub cold: bool,
    /// The folder in which trees are generated.
    pub tmp: &'a Path,
}

/// A tree to measure on. A generated tree is removed when this is dropped.
#[derive(Debug)]
struct MeasuredTree {
    root: PathBuf,
    generated: Option<TempDir>,
    files: u64,
    bytes: u64,
}

impl Setup<'_> {
    fn tree(&self, given: Option<&Path>, shape: &Shape) -> Result<MeasuredTree> {
        if let Some(dir) = given {
            let root = fs::canonicalize(dir)?;
            let files = measure::list_files(&root)?;
            let bytes = files.iter().map(|(_, size)| size).sum();
            return Ok(MeasuredTree { root, generated: None, files: files.len() as u64, bytes });
        }
        eprintln!("making a tree of {} files", shape.files());
        let dir = tempfile::Builder::new().prefix("registry-benches-").tempdir_in(self.tmp)?;
        let generated = tree::generate(dir.path(), shape)?;
        Ok(MeasuredTree {
            root: fs::canonicalize(dir.path())?,
            generated: Some(dir),
            files: generated.files,
            bytes: generated.bytes,
        })
    }

    fn run_once(&self, job: &TimedCommand) -> Result<Usage> {
        eprintln!("{}", job.name);
        measure::run(self.peers.time(), job)
    }

    fn run_pairs(&self, a: &TimedCommand, b: &TimedCommand) -> Result<Pairs> {
        measure::run_pairs(self.peers.time(), a, b, self.pairs)
    }

    fn new_claim(&self, what: &str, pairs: &Pairs, target: Target) -> Claim {
        Claim {
            what: what.to_owned(),
            wall: Some(pairs.ratio(|run| run.wall)),
            other: pairs.ratio(|run| run.cpu),
            basis: self.basis,
            target,
        }
    }

    fn run_cold(&self, jobs: &[&TimedCommand]) -> Result<Option<Result<Vec<Timing>, String>>> {
        if !self.cold {
            return Ok(None);
        }
        let mut timings = Vec::new();
        for job in jobs {
            if let Err(why) = measure::drop_caches() {
                return Ok(Some(Err(format!("{why:#}"))));
            }
            timings.push(Timing::summarize(&job.name, &[self.run_once(job)?]));
        }
        Ok(Some(Ok(timings)))
    }
}

/// Compares `scan` with the registry's garbage collector and with `find`.
pub fn scan(setup: &Setup<'_>, given: Option<&Path>, shape: &Shape) -> Result<Section> {
    let tree = setup.tree(given, shape)?;
    let config = GcConfig::new(&tree.root)?;
    let scan = setup.peers.scan("registry-fsck scan", &tree.root, setup.fsck_args, &[]);
    let gc = setup.peers.garbage_collect(&config);
    let find = setup.peers.find(&tree.root);

    // The warm-up run of the collector shows whether it finds the tree without garbage.
    eprintln!("{}", gc.name);
    let eligible = peers::run_collector(&gc)?;
    ensure!(
        given.is_some() || eligible.contains(", 0 blobs and 0 manifests eligible"),
        "the tree made here has garbage in it: {eligible}"
    );
    setup.run_once(&find)?;
    setup.run_once(&scan)?;

    let with_gc = setup.run_pairs(&gc, &scan)?;
    let with_find = setup.run_pairs(&scan, &find)?;
    Ok(Section {
        title: "Scan",
        tree: format!(
            "Tree: {} files, {}. The collector says: {eligible}.",
            tree.files,
            mebibytes(tree.bytes)
        ),
        claims: vec![
            setup.new_claim("`garbage-collect --dry-run` / `scan`", &with_gc, Target::AtLeast(10.0)),
            setup.new_claim("`scan` / `find`", &with_find, Target::AtMost(0.5)),
        ],
        timings: vec![
            Timing::summarize(&scan.name, with_gc.b.iter().chain(&with_find.a)),
            Timing::summarize(&gc.name, &with_gc.a),
            Timing::summarize(&find.name, &with_find.b),
        ],
        cold: setup.run_cold(&[&scan, &find, &gc])?,
    })
}

/// Compares `scan --content` with `openssl dgst` on the same blobs.
pub fn content(setup: &Setup<'_>, given: Option<&Path>, large: Large) -> Result<Section> {
    let tree = setup.tree(given, &Shape::new(0, 0).with_large(large))?;
    let blobs = measure::list_files(&tree.root.join("docker/registry/v2/blobs"))?;
    ensure!(
        (1..=OPENSSL_FILES).contains(&blobs.len()),
        "{}: {} blobs, and openssl takes 1 to {OPENSSL_FILES}",
        tree.root.display(),
        blobs.len()
    );
    let bytes: u64 = blobs.iter().map(|(_, size)| size).sum();
    let scan = setup.peers.scan("registry-fsck scan --content", &tree.root, setup.fsck_args, &["--content"]);
    let openssl = setup.peers.openssl(&blobs);
    setup.run_once(&openssl)?;
    setup.run_once(&scan)?;
    let pairs = setup.run_pairs(&openssl, &scan)?;
    let mib = bytes as f64 / f64::from(1 << 20);
    let rate = |runs: &[Usage]| mib / FigureSummary::summarize(runs.iter().map(|run| run.wall)).median;
    Ok(Section {
        title: "Content",
        tree: format!(
            "Tree: {} blobs of together {}, {} files in all. `scan --content`: {:.0} MiB/s, `openssl`: {:.0} MiB/s.",
            blobs.len(),
            mebibytes(bytes),
            tree.files,
            rate(&pairs.b),
            rate(&pairs.a)
        ),
        claims: vec![setup.new_claim(
            "throughput, `scan --content` / `openssl`",
            &pairs,
            Target::AtLeast(0.9),
        )],
        timings: vec![Timing::summarize(&scan.name, &pairs.b), Timing::summarize(&openssl.name, &pairs.a)],
        cold: None,
    })
}

/// Compares `scan` on trees that double in size, alternating with the tree before.
pub fn growth(setup: &Setup<'_>, sizes: &[u64]) -> Result<Section> {
    ensure!(
        sizes.len() > 1 && sizes.is_sorted_by(|a, b| a < b),
        "the growth needs two or more ascending sizes"
    );
    let mut claims = Vec::new();
    let mut trees: Vec<(u64, String, Vec<Usage>)> = Vec::new();
    let mut previous: Option<(MeasuredTree, TimedCommand)> = None;
    for &size in sizes {
        let tree = setup.tree(None, &Shape::for_files(size, 30))?;
        let scan =
            setup.peers.scan(&format!("scan of {} files", tree.files), &tree.root, setup.fsck_args, &[]);
        setup.run_once(&scan)?;
        let mut runs = Vec::new();
        if let Some((smaller, smaller_scan)) = previous.take() {
            setup.run_once(&smaller_scan)?;
            let pairs = setup.run_pairs(&scan, &smaller_scan)?;
            let doublings = (tree.files as f64 / smaller.files as f64).log2();
            let per_doubling = |ratio: FigureSummary| FigureSummary {
                median: ratio.median.powf(doublings.recip()),
                min: ratio.min.powf(doublings.recip()),
                max: ratio.max.powf(doublings.recip()),
            };
            claims.push(Claim {
                what: format!("per doubling, {} to {} files", smaller.files, tree.files),
                wall: Some(per_doubling(pairs.ratio(|run| run.wall))),
                other: per_doubling(pairs.ratio(|run| run.cpu)),
                basis: Basis::Cpu,
                target: Target::AtMost(2.2),
            });
            if let Some((_, _, smaller_runs)) = trees.last_mut() {
                smaller_runs.extend(pairs.b);
            }
            runs = pairs.a;
            smaller.generated.map_or(Ok(()), TempDir::close)?;
        }
        trees.push((tree.files, scan.name.clone(), runs));
        previous = Some((tree, scan));
    }
    claims.push(memory_claim(&trees));
    Ok(Section {
        title: "Growth",
        tree: "One tree of each size; of two neighbours the scans run in turns.".to_owned(),
        claims,
        timings: trees.iter().map(|(_, name, runs)| Timing::summarize(name, runs)).collect(),
        cold: None,
    })
}

/// The claim about memory: the additional peak memory on the largest tree, compared with the smallest, per additional file.
fn memory_claim(trees: &[(u64, String, Vec<Usage>)]) -> Claim {
    let peak = |runs: &[Usage]| FigureSummary::summarize(runs.iter().map(|run| run.peak as f64));
    let ((few, _, small), (many, _, big)) = (&trees[0], &trees[trees.len() - 1]);
    let (small, big, added) = (peak(small), peak(big), (many - few) as f64);
    Claim {
        what: "bytes of peak memory per added file, smallest to largest tree".to_owned(),
        wall: None,
        other: FigureSummary {
            median: (big.median - small.median) / added,
            min: (big.min - small.max) / added,
            max: (big.max - small.min) / added,
        },
        basis: Basis::Memory,
        target: Target::AtMost(128.0),
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_claim_is_per_added_file() {
        let run = |kib: u64| Usage { wall: 1.0, cpu: 1.0, peak: kib * 1024 };
        let tree = |files, kib| (files, String::new(), vec![run(kib)]);
        let claim = memory_claim(&[tree(1000, 10), tree(2000, 500), tree(5000, 410)]);
        assert!((claim.other.median - 102.4).abs() < 1e-9);
        assert!(claim.is_met());
    }
}
