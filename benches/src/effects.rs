//! Times `gc-preview` against the real collector and against `scan`, and `repair` of many links against the same number of files
//! that are synced one by one.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use registry_benches::tree::{self, Shape};
use registry_fixtures::{ImageSpec, TreeBuilder};

/// The number of manifests, and of tags, in the repository that slows the collector.
const MANIFESTS: usize = 2000;
/// The number of images, and of layers in each, whose links are lost.
const LOST: (usize, usize) = (100, 100);

/// Runs a command without its output; returns how long it took.
fn run_timed(command: &mut Command, expected: &[i32]) -> Result<Duration> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let took = start.elapsed();
    ensure!(status.code().is_some_and(|code| expected.contains(&code)), "{command:?} ended with {status}");
    Ok(took)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A tree of a repository `app` with this number of images, and of layers in each.
fn tree_of_images(images: usize, layers: usize) -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    for number in 0..images {
        let spec = ImageSpec { layers, layer_size: 32, ..ImageSpec::oci(&format!("image {number}")) };
        tree.image_with("app", Some(&format!("v{number}")), &spec);
    }
    tree
}

/// Times a dry run of the collector of 2.8.2 with `--delete-untagged`, and its forecast; returns how many times faster the
/// forecast is.
///
/// # Errors
/// When a program is missing or fails.
pub fn compare_with_collector(fsck: &Path) -> Result<f64> {
    let tree = tree_of_images(MANIFESTS, 1);
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config.yml");
    let root = tree.root().display();
    fs::write(
        &config,
        format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: '{root}'}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n"
        ),
    )?;
    let mut preview = Command::new(fsck);
    preview.args(["gc-preview", "--quiet", "--delete-untagged"]).arg(tree.root());
    run_timed(&mut preview, &[0])?;
    let ours: Result<Vec<f64>> = (0..7).map(|_| Ok(run_timed(&mut preview, &[0])?.as_secs_f64())).collect();
    let ours = median(ours?);
    let mut collector = Command::new("docker-registry");
    collector.args(["garbage-collect", "--delete-untagged", "--dry-run"]).arg(&config);
    let theirs = run_timed(&mut collector, &[0]).context("docker-registry 2.8.2")?.as_secs_f64();
    println!(
        "{MANIFESTS} manifests and tags: collector {theirs:.1} s, gc-preview {ours:.4} s, ratio {:.0}",
        theirs / ours
    );
    Ok(theirs / ours)
}

/// Times `gc-preview` and `scan` alternately on one tree; returns the median of the ratios.
///
/// # Errors
/// When a program fails.
pub fn compare_with_scan(fsck: &Path, shape: &Shape, pairs: u32) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let made = tree::generate(folder.path(), shape)?;
    let run =
        |command: &str| run_timed(Command::new(fsck).args([command, "--quiet"]).arg(folder.path()), &[0]);
    run("scan")?;
    run("gc-preview")?;
    let mut ratios = Vec::new();
    for _ in 0..pairs {
        let scan = run("scan")?.as_secs_f64();
        ratios.push(run("gc-preview")?.as_secs_f64() / scan);
    }
    let ratio = median(ratios);
    println!("{} files: gc-preview / scan {ratio:.2}, median of {pairs} pairs", made.files);
    Ok(ratio)
}

/// Times `repair --apply` of many lost links, and the same number of folders and files that are synced one by one; returns the
/// ratio.
///
/// # Errors
/// When the program or the disk fails.
pub fn compare_repair(fsck: &Path) -> Result<f64> {
    let (images, layers) = LOST;
    let tree = tree_of_images(images, layers);
    let links = tree.layers_folder("app").join("sha256");
    let lost = fs::read_dir(&links)?.count();
    fs::remove_dir_all(&links)?;
    let folder = tempfile::tempdir()?;
    let mut repair = Command::new(fsck);
    repair.args(["repair", "--quiet", "--apply"]).arg(tree.root());
    repair.arg("--journal").arg(folder.path().join("journal"));
    let ours = run_timed(&mut repair, &[1])?.as_secs_f64();
    let plain = write_one_by_one(&tree.root().join("plain"), lost)?.as_secs_f64();
    println!("{lost} links: repair {ours:.2} s, one by one {plain:.2} s, ratio {:.2}", ours / plain);
    Ok(ours / plain)
}

/// Writes `count` files, each in its own folder, and syncs each before the next.
fn write_one_by_one(root: &Path, count: usize) -> Result<Duration> {
    fs::create_dir(root)?;
    let start = Instant::now();
    for number in 0..count {
        let folder = root.join(format!("{number:064x}"));
        fs::create_dir(&folder)?;
        let mut file = File::create(folder.join("link"))?;
        file.write_all(&[b'x'; 71])?;
        file.sync_all()?;
        File::open(&folder)?.sync_all()?;
    }
    File::open(root)?.sync_all()?;
    Ok(start.elapsed())
}
