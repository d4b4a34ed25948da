//! Shared by the tests: a sound tree to damage, the audit of a tree, its report as text.

use std::path::Path;
use std::time::{Duration, SystemTime};

use globset::{Glob, GlobSet, GlobSetBuilder};
use registry_core::audit::{self, Audit, AuditOptions, Finding, RegistryRole};
use registry_core::graph::{Graph, Seconds};
use registry_core::storage::{Folder, OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate};
use registry_fixtures::{Digest, Image, ImageSpec, Index, TreeBuilder};

pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// The options of a scan and an audit.
#[derive(Clone)]
pub struct View<'a> {
    pub content: bool,
    pub strict: bool,
    pub symlinks: Symlinks,
    pub jobs: usize,
    pub role: Option<RegistryRole>,
    pub sparse: &'a [&'a str],
    pub only: Option<&'a str>,
    pub platforms: &'a [&'a str],
    /// How long after now the audit takes place: everything just written is that old.
    pub later: Duration,
}

impl Default for View<'_> {
    fn default() -> Self {
        Self {
            content: false,
            strict: false,
            symlinks: Symlinks::Refuse,
            jobs: 4,
            role: None,
            sparse: &[],
            only: None,
            platforms: &[],
            later: 30 * DAY,
        }
    }
}

/// Seconds since 1970.
pub fn seconds(time: SystemTime) -> Seconds {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Seconds::try_from(since.as_secs()).unwrap()
}

fn globs(globs: &[&str]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        set.add(Glob::new(glob).unwrap());
    }
    set.build().unwrap()
}

impl View<'_> {
    pub fn options(&self) -> AuditOptions {
        AuditOptions {
            now: seconds(SystemTime::now() + self.later),
            list_garbage: true,
            min_age: 3600,
            content: self.content,
            role: self.role,
            sparse: globs(self.sparse),
            require_platforms: self.platforms.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    /// Scans and audits an open tree, with garbage listed and with the second look.
    pub fn audit<F: Folder>(&self, tree: &Tree<F>) -> (Graph, Audit) {
        let only = self.only.map(|only| globs(&[only]));
        let matches = |name: &str| only.as_ref().is_none_or(|only| only.is_match(name));
        let scan = ScanOptions {
            content: self.content,
            strict: self.strict,
            only: only.is_some().then_some(&matches as &(dyn Fn(&str) -> bool + Sync)),
        };
        let progress = ScanProgress::default();
        let mut graph = tree.scan(&scan, &progress);
        let audit = audit::audit_with_recheck(&mut graph, "tree", &self.options(), |graph, doubts| {
            tree.recheck(graph, doubts, &progress);
        });
        (graph, audit)
    }

    /// Opens, scans and audits the only tree at a path.
    pub fn look(&self, root: &Path) -> Audit {
        let found = locate(root, self.symlinks);
        let [located] = &found.registries[..] else { panic!("not one tree: {found:?}") };
        let open = OpenOptions { symlinks: self.symlinks, jobs: self.jobs };
        self.audit(&Tree::open(located, &open).unwrap()).1
    }
}

/// Names to print in place of digests.
#[derive(Default)]
pub struct Names(Vec<(String, String)>);

impl Names {
    /// Names one digest.
    pub fn add(&mut self, digest: &Digest, name: &str) {
        self.0.push((digest.hex().to_owned(), name.to_owned()));
    }

    /// Names an image, its config and its layers.
    pub fn image(&mut self, image: &Image, name: &str) {
        self.add(&image.digest, name);
        self.add(&image.config, &format!("{name}-config"));
        for (layer, number) in image.layers.iter().zip(1..) {
            self.add(layer, &format!("{name}-layer{number}"));
        }
    }

    pub fn replace_digests(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (hex, name) in &self.0 {
            text = text.replace(&format!("{}/{hex}", &hex[..2]), &format!("xx/{name}"));
            text = text.replace(hex, name).replace(&hex[..12], name);
            text = text.replace(&hex.to_uppercase(), &name.to_uppercase());
        }
        text
    }
}

/// The report of an audit: one line per finding, then broken tags, unknown tags and garbage.
pub fn text(audit: &Audit, names: &Names) -> String {
    let mut lines: Vec<String> = audit.findings.iter().map(line).collect();
    for tag in &audit.broken_tags {
        let findings: Vec<_> =
            tag.findings.iter().map(|number| audit.findings[*number].code.as_str()).collect();
        lines.push(format!("broken: {}:{} by {}", tag.repository, tag.tag, findings.join(", ")));
    }
    for tag in &audit.unknown_tags {
        lines.push(format!("unknown: {}:{} as {}", tag.repository, tag.tag, tag.reason));
    }
    if let Some(garbage) = audit.garbage {
        let mut parts = Vec::new();
        let mut part = |count: u64, text: String| {
            if count > 0 {
                parts.push(text);
            }
        };
        let (free, tied) = (garbage.unreferenced, garbage.untagged);
        part(free.blobs, format!("{} blobs ({} bytes) unreferenced", free.blobs, free.bytes));
        part(tied.manifests, format!("{} manifests untagged", tied.manifests));
        part(tied.blobs, format!("{} blobs ({} bytes) untagged", tied.blobs, tied.bytes));
        part(garbage.layer_links, format!("{} layer links", garbage.layer_links));
        part(
            garbage.stale_uploads,
            format!("{} uploads ({} bytes)", garbage.stale_uploads, garbage.stale_upload_bytes),
        );
        if !parts.is_empty() {
            lines.push(format!("garbage: {}", parts.join(", ")));
        }
    } else {
        lines.push("garbage: not known".into());
    }
    if lines.is_empty() { "nothing".into() } else { names.replace_digests(&lines.join("\n")) }
}

fn line(finding: &Finding) -> String {
    let mut head = format!("{} {} ", finding.severity, finding.code);
    head += finding.repository.as_deref().unwrap_or("-");
    if !finding.tags.is_empty() {
        let tags: Vec<&str> = finding.tags.iter().map(|tag| &**tag).collect();
        head += &format!(":{}", tags.join(","));
    }
    if let Some(digest) = &finding.digest {
        head += &format!(" {digest}");
    }
    if let Some(parent) = &finding.parent {
        head += &format!(" of {parent}");
    }
    if let Some(platform) = &finding.platform {
        head += &format!(" for {platform}");
    }
    let mut line = format!("{head} | {} | {}", finding.message, finding.path.as_deref().unwrap_or("-"));
    if let Some(repair) = finding.repair {
        line += &format!(" | {repair:?}");
    }
    line
}

/// A sound tree: `team/app` with an image `v1` and an index `v2`, `lib` with an image `v1`.
pub struct Base {
    pub tree: TreeBuilder,
    pub names: Names,
    pub one: Image,
    pub index: Index,
    pub amd: Image,
    pub arm: Image,
    pub lib: Image,
}

/// The repository with two tags.
pub const APP: &str = "team/app";

impl Base {
    pub fn new() -> Self {
        let (mut tree, mut names) = (TreeBuilder::new(), Names::default());
        let one = tree.image(APP, Some("v1"), "one");
        let amd = tree.image(APP, None, "amd");
        let arm = ImageSpec { platform: "linux/arm64".into(), ..ImageSpec::oci("arm") };
        let arm = tree.image_with(APP, None, &arm);
        let index = tree.index(APP, Some("v2"), &[amd.child(), arm.child()]);
        let lib = tree.image("lib", Some("v1"), "lib");
        names.add(&index.digest, "index");
        for (image, name) in [(&one, "one"), (&amd, "amd"), (&arm, "arm"), (&lib, "lib")] {
            names.image(image, name);
        }
        Self { tree, names, one, index, amd, arm, lib }
    }

    pub fn report(&self) -> String {
        self.report_with(&View::default())
    }

    pub fn report_with(&self, view: &View<'_>) -> String {
        text(&view.look(self.tree.root()), &self.names)
    }

    /// Adds an image to the sound tree, named by its seed.
    pub fn image(&mut self, repo: &str, tag: Option<&str>, seed: &str) -> Image {
        let image = self.tree.image(repo, tag, seed);
        self.names.image(&image, seed);
        image
    }
}

/// The report of [`Base`] after a damage.
pub fn report_after(damage: impl FnOnce(&mut Base)) -> String {
    let mut base = Base::new();
    damage(&mut base);
    base.report()
}

/// The report of [`Base`] after a damage, audited with these options.
pub fn report_with_damage(view: &View<'_>, damage: impl FnOnce(&mut Base)) -> String {
    let mut base = Base::new();
    damage(&mut base);
    base.report_with(view)
}

/// Sets the modification time of a file or folder to `age` before the time of the audit of `view`.
pub fn set_age(path: &Path, view: &View<'_>, age: Duration) {
    let time = SystemTime::now() + view.later - age;
    std::fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn sound_tree_has_no_findings() {
    assert_eq!(Base::new().report(), "nothing");
    assert_eq!(Base::new().report_with(&View { content: true, strict: true, ..View::default() }), "nothing");
}
