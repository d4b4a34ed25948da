//! Plans, runs and undos on the tree of a registry.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use registry_fixtures::{Digest, TreeBuilder};

use crate::assert_output_snapshot;
use crate::support::{ProgramOutput, empty_folder};

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A tree and a folder to run in.
pub struct Job {
    pub tree: TreeBuilder,
    pub folder: PathBuf,
}

/// The paths below the root of a tree; of files the bytes and the time.
pub type TreeState = BTreeMap<PathBuf, Option<(Vec<u8>, SystemTime)>>;

impl Job {
    /// A repository with five builds of two platforms, each a day younger, with `latest` on the second; and one inside of it with five
    /// images.
    pub fn new(name: &str) -> Self {
        let folder = empty_folder(&format!("layout-{name}"));
        let mut job = Self { tree: TreeBuilder::new(), folder };
        for build in 1..=5 {
            let tag = format!("b{build}");
            let index = job.tree.multi_platform("team", Some(&tag), &["linux/amd64", "linux/arm64"]);
            if build == 2 {
                job.tree.tag("team", "latest", &index.digest);
            }
            let image = job.tree.image("team/tool", Some(&format!("v{build}")), &format!("tool {build}"));
            job.tree.tag("team/tool", &format!("v{build}.0"), &image.digest);
        }
        job.tree.age_all(40 * DAY);
        for build in 1..=5 {
            job.set_age("team", &format!("b{build}"), 30 - build);
            job.set_age("team/tool", &format!("v{build}"), 30 - build);
            job.set_age("team/tool", &format!("v{build}.0"), 30 - build);
        }
        job
    }

    pub fn set_age(&mut self, repository: &str, tag: &str, days: u32) {
        self.tree.set_pushed(repository, tag, days * DAY);
    }

    pub fn root(&self) -> &str {
        self.tree.root().to_str().unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> ProgramOutput {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments).env_clear().env("TMPDIR", &self.folder).current_dir(&self.folder);
        let ran = ProgramOutput::from(command.output().unwrap()).replace_text(self.root(), "ROOT");
        ProgramOutput { out: mask_quarantine(&ran.out), err: mask_quarantine(&ran.err), ..ran }
    }

    /// Runs on the tree as a user that owns nothing. The program must be readable to all.
    pub fn run_as_nobody(&self, arguments: &[&str]) -> ProgramOutput {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments).args(["--layout", self.root(), "-q", "--keep-last", "2"]);
        let output = command.env_clear().current_dir("/").uid(65534).gid(65534).output().unwrap();
        ProgramOutput::from(output).replace_text(self.root(), "ROOT")
    }

    /// Runs on the tree.
    pub fn run_on_tree(&self, arguments: &[&str]) -> ProgramOutput {
        self.run(&[arguments, &["--layout", self.root()]].concat())
    }

    /// Runs on the tree what must not change it; returns all output and the exit status.
    fn run_without_effect(&self, arguments: &[&str]) -> String {
        let before = self.tree_state();
        let ran = self.run_on_tree(arguments);
        assert_eq!(differences(&before, &self.tree_state()), [""; 0], "{ran:?}");
        ran.as_text()
    }

    pub fn tree_state(&self) -> TreeState {
        let mut state = TreeState::new();
        walk(self.tree.root(), &mut |path, metadata| {
            let content =
                metadata.is_file().then(|| (std::fs::read(path).unwrap(), metadata.modified().unwrap()));
            state.insert(path.strip_prefix(self.tree.root()).unwrap().to_owned(), content);
        });
        state
    }

    /// The journals in the folder.
    fn journals(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        names.filter(|name| name.ends_with(".journal")).collect()
    }

    /// The entries of a folder of a repository, sorted.
    fn entries(&self, repository: &str, folder: &str) -> Vec<String> {
        let path = self.tree.repository(repository).join(folder);
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.entries(repository, "_manifests/tags")
    }
}

/// Calls a function for every path below a folder.
fn walk(path: &Path, each: &mut impl FnMut(&Path, &std::fs::Metadata)) {
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        each(&path, &metadata);
        if metadata.is_dir() {
            walk(&path, each);
        }
    }
}

/// The paths in which two states differ.
pub fn differences(a: &TreeState, b: &TreeState) -> Vec<String> {
    let paths: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing.map(|path| path.display().to_string()).collect()
}

/// Replaces the name of a quarantine, which is its time, by `TIME`.
fn mask_quarantine(text: &str) -> String {
    let mut parts = text.split(".registry-fsck/");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| {
        let rest = part.trim_start_matches(|sign: char| sign.is_ascii_digit() || "TZ-".contains(sign));
        format!("{all}.registry-fsck/TIME{rest}")
    })
}

/// Replaces digests by `HEX`.
pub fn mask_digests(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_inclusive(|sign: char| !sign.is_ascii_hexdigit()) {
        let hex = word.trim_end_matches(|sign: char| !sign.is_ascii_hexdigit());
        words.push(if hex.len() == 64 { word.replace(hex, "HEX") } else { word.to_owned() });
    }
    words.concat()
}

#[test]
fn dry_run_ranks_by_time_of_tag_links() {
    let job = Job::new("dry");
    assert_output_snapshot!(mask_digests(&job.run_without_effect(&["--keep-last", "2", "-v"])), @"
    ROOT; dry run: nothing is moved
    team: 3 images kept, 2 images to go, 25 rows left as they are
      delete b3, N d old: rank 3, beyond newest 2
      delete b1, N d old: rank 5, beyond newest 2
      keep   b5: newest 1 of 2
      keep   b4: newest 2 of 2
      keep   b2, latest: tag latest matches keep pattern latest
      leave   sha256:158cd529c211, sha256:2d4dd0d2ad32, sha256:6ab4968f0c55, sha256:922bd973cb35: child of b1, which goes; its link goes too, unless something that stays needs it
      leave   sha256:1f54dfbf516a, sha256:2cbf740ef680, sha256:66260228dc9e, sha256:7daca50e7708: child of b2, latest
      leave   sha256:05df6f02a865, sha256:66aeed364902, sha256:a0496ce09107, sha256:e6ab065dc6b4: child of b3, which goes; its link goes too, unless something that stays needs it
      leave   sha256:2871ad47f5b9, sha256:4fd7f21f69f9, sha256:502effa38b7b, sha256:ccd57c8c6177: child of b4
      leave   sha256:32d88d9e859e, sha256:3b3acf87d345, sha256:72b4bedb790c, sha256:817530f1fa1e: child of b5
      leave   sha256:c78ba422047e: the manifest of b1, which goes; its link goes too, unless something that stays needs it
      leave   sha256:2e513fdfeb17: the manifest of b2, latest
      leave   sha256:0534a19131e9: the manifest of b3, which goes; its link goes too, unless something that stays needs it
      leave   sha256:968b5c2d4dc2: the manifest of b4
      leave   sha256:7b2e0410ae18: the manifest of b5
    team/tool: 2 images kept, 3 images to go, 5 rows left as they are
      delete v3.0, N d old: rank 3, beyond newest 2
      delete v3, N d old: rank 3, beyond newest 2
      delete v2.0, N d old: rank 4, beyond newest 2
      delete v2, N d old: rank 4, beyond newest 2
      delete v1.0, N d old: rank 5, beyond newest 2
      delete v1, N d old: rank 5, beyond newest 2
      keep   v5.0, v5: newest 1 of 2
      keep   v4.0, v4: newest 2 of 2
      leave   sha256:ff452e7ee9d1: the manifest of v1.0, v1, which goes; its link goes too, unless something that stays needs it
      leave   sha256:ff58fd310d05: the manifest of v2.0, v2, which goes; its link goes too, unless something that stays needs it
      leave   sha256:bfb97054e550: the manifest of v3.0, v3, which goes; its link goes too, unless something that stays needs it
      leave   sha256:bae9eb06d052: the manifest of v4.0, v4
      leave   sha256:5947c23a65b7: the manifest of v5.0, v5
    12.44 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    exit 0
    ");
    // Ranking by version works; ranking by creation date does not, because these configs have none.
    let tool = ["plan", "--keep-last", "2", "--package", "team/tool", "--rank-by"];
    assert_output_snapshot!(job.run_without_effect(&[&tool[..], &["semver"]].concat()), @"
    team/tool: 2 images kept, 3 images to go, 5 rows left as they are
      delete v3.0, N d old: rank 3, beyond newest 2
      delete v3, N d old: rank 3, beyond newest 2
      delete v2.0, N d old: rank 4, beyond newest 2
      delete v2, N d old: rank 4, beyond newest 2
      delete v1.0, N d old: rank 5, beyond newest 2
      delete v1, N d old: rank 5, beyond newest 2
    2.99 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=1 images_kept=2 images_deleted=3 versions_deleted=6 left=5 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=3057
    exit 0
    ");
    assert_output_snapshot!(job.run_without_effect(&[&tool[..], &["created"]].concat()), @"
    team/tool: 5 images kept, 0 images to go, 5 rows left as they are
      undecided: 5 images have no date and stay
    registry-retention plan: packages=1 images_kept=5 images_deleted=0 versions_deleted=0 left=5 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
    // Names on disk are case-sensitive.
    assert_output_snapshot!(job.run_without_effect(&["plan", "-q", "--package", "Team*"]), @r#"
    registry-retention plan: packages=0 images_kept=0 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no package matches "Team*"
    exit 0
    "#);
    assert_output_snapshot!(job.run_without_effect(&["explain", "team:b1", "--keep-last", "2"]), @"
    team:b1 goes: rank 5, beyond newest 2
      manifest sha256:c78ba422047e48b2aa471dcae859a4671a7d2993cf5388282b220173aebc755f, also listed as sha256:c78ba422047e48b2aa471dcae859a4671a7d2993cf5388282b220173aebc755f
    exit 0
    ");
}

#[test]
fn undo_moves_files_back() {
    let job = Job::new("apply");
    let before = job.tree_state();
    let (revisions, layers) = (
        job.entries("team", "_manifests/revisions/sha256").len(),
        job.entries("team", "_layers/sha256").len(),
    );
    let ran = job.run_on_tree(&["--apply", "--keep-last", "2", "--journal", "a.journal"]);
    assert_output_snapshot!(ran.as_text(), @"
    ROOT; what goes is moved aside
    team: 3 images kept, 2 images to go, 25 rows left as they are
      delete b3, N d old: rank 3, beyond newest 2
      delete b1, N d old: rank 5, beyond newest 2
    team/tool: 2 images kept, 3 images to go, 5 rows left as they are
      delete v3.0, N d old: rank 3, beyond newest 2
      delete v3, N d old: rank 3, beyond newest 2
      delete v2.0, N d old: rank 4, beyond newest 2
      delete v2, N d old: rank 4, beyond newest 2
      delete v1.0, N d old: rank 5, beyond newest 2
      delete v1, N d old: rank 5, beyond newest 2
    12.44 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    what went lies in ROOT/.registry-fsck/TIME; garbage-collect without --delete-untagged frees its space, and ends what can be undone
    the journal is a.journal; registry-retention undo puts back what can be
    registry-retention apply: deleted=8 spared=0 failed=0 not_tried=0 already_gone=0
    exit 0
    ");
    assert_eq!(job.tags("team"), ["b2", "b4", "b5", "latest"]);
    assert_eq!(job.tags("team/tool"), ["v4", "v4.0", "v5", "v5.0"]);
    // Two of five indexes were moved, with their four children each.
    assert_eq!((revisions, job.entries("team", "_manifests/revisions/sha256").len()), (25, 15));
    assert!(job.entries("team", "_layers/sha256").len() < layers);
    // No blob was changed.
    let blobs = |state: &TreeState| {
        let blobs = state.iter().filter(|(path, _)| path.starts_with("docker/registry/v2/blobs"));
        blobs.map(|(path, content)| (path.clone(), content.clone())).collect::<TreeState>()
    };
    assert_eq!(blobs(&before), blobs(&job.tree_state()));
    // A second run has nothing to delete.
    assert_output_snapshot!(job.run_without_effect(&["--apply", "-q", "--keep-last", "2"]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=0 versions_deleted=0 left=17 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
    let undone = job.run(&["undo", "a.journal"]);
    assert_output_snapshot!(undone.out.lines().last().unwrap_or_default(), @"registry-retention undo: changes=51 back=51 there=0 left=0 lost=0");
    assert_eq!((undone.status, differences(&before, &job.tree_state())), (0, vec![]), "{undone:?}");
    let again = job.run_on_tree(&["undo", "a.journal"]);
    assert_eq!(again.status, 0, "{again:?}");
    assert_eq!(differences(&before, &job.tree_state()), [""; 0]);
}

#[test]
fn plan_does_not_depend_on_jobs() {
    let job = Job::new("jobs");
    let plan = |jobs: &str| {
        let ran =
            job.run_on_tree(&["plan", "--output", "json", "--at", "2030-01-01T00:00:00Z", "--jobs", jobs]);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.out
    };
    assert_eq!(plan("1"), plan("64"));
    assert_eq!(job.run_on_tree(&["plan", "--jobs", "0"]).status, 2);
}

#[test]
fn apply_spares_tags_moved_since_plan() {
    let mut job = Job::new("plan");
    let ran = job.run_on_tree(&["plan", "--plan-file", "plan.json", "--keep-last", "2", "-q"]);
    assert_output_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    exit 0
    ");
    let plan: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(job.folder.join("plan.json")).unwrap()).unwrap();
    assert_eq!((&plan["source"]["kind"], &plan["source"]["url"]), (&"layout".into(), &job.root().into()));
    // Since the plan, b1 was pushed with other content, and an image of the other repository got another tag.
    let image = job.tree.image("team", None, "pushed since");
    job.tree.tag("team", "b1", &image.digest);
    let needed: Digest = job.tree.image("team/tool", None, "tool 1").digest;
    job.tree.tag("team/tool", "new", &needed);
    let ran = job.run_on_tree(&["apply", "plan.json"]);
    assert_output_snapshot!(mask_digests(&ran.as_text()), @"
      spared team:b1: it names something else now
      not tried team/tool:v3.0: new is new and needs sha256:HEX
      not tried team/tool:v3: new is new and needs sha256:HEX
      not tried team/tool:v2.0: new is new and needs sha256:HEX
      not tried team/tool:v2: new is new and needs sha256:HEX
      not tried team/tool:v1.0: new is new and needs sha256:HEX
      not tried team/tool:v1: new is new and needs sha256:HEX
    what went lies in ROOT/.registry-fsck/TIME; garbage-collect without --delete-untagged frees its space, and ends what can be undone
    the journal is registry-retention-TIME.journal; registry-retention undo puts back what can be
    registry-retention apply: deleted=1 spared=1 failed=0 not_tried=6 already_gone=0
    error: spared team:b1: it names something else now
    exit 5
    ");
    assert_eq!(job.tags("team"), ["b1", "b2", "b4", "b5", "latest"]);
    assert_eq!(job.tags("team/tool").len(), 11);
    assert!(job.tree.revision_link("team", &image.digest).is_file());
    // The plan is not accepted for another tree.
    let other = Job::new("plan-other");
    std::fs::copy(job.folder.join("plan.json"), other.folder.join("plan.json")).unwrap();
    assert_output_snapshot!(other.run_without_effect(&["apply", "plan.json"]).replace(job.root(), "OTHER"), @"
    error: it was made for OTHER, and the command line names another server or owner
    exit 2
    ");
}

#[test]
fn plan_of_saved_inventory_equals_json_plan() {
    let job = Job::new("json");
    let options = ["--keep-last", "4", "--output", "json"];
    let ran = job.run_on_tree(&[&["--apply", "--save-inventory", "inventory.json"], &options[..]].concat());
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&ran.out).into_iter().map(Result::unwrap).collect();
    assert_eq!((ran.status, documents.len()), (0, 2), "{ran:?}");
    assert_eq!(documents[1]["schema"], "registry-retention/apply-result/1");
    assert_eq!(documents[1]["plan_digest"], documents[0]["plan_digest"]);
    assert_output_snapshot!(documents[1]["rows"], @r#"[{"outcome":"deleted","package":"team","version":"b1"},{"outcome":"deleted","package":"team/tool","version":"v1.0"},{"outcome":"deleted","package":"team/tool","version":"v1"}]"#);
    let at = documents[0]["planned_at"].as_str().unwrap();
    let again = job.run(&[&["plan", "--inventory", "inventory.json", "--at", at], &options[..]].concat());
    let again: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(again["packages"], documents[0]["packages"]);
    assert_eq!(job.journals().len(), 1);
}

#[test]
fn damage_is_printed_first_and_unknown_tags_stay() {
    let mut job = Job::new("damage");
    let broken = job.tree.multi_platform("broken", Some("v1"), &["linux/amd64"]);
    job.tree.image("broken", Some("v2"), "second");
    job.tree.break_revision_link_missing("broken", &broken.images[0].digest);
    // The clock of a file system may be too coarse to give both tags different times.
    job.tree.set_pushed("broken", "v1", Duration::from_secs(60));
    job.tree.image("faulty", Some("v1"), "faulty");
    job.tree.break_tag_link_empty("faulty", "v1");
    job.tree.image("fifo", Some("v1"), "fifo");
    let link = job.tree.tag_link("fifo", "v1");
    std::fs::remove_file(&link).unwrap();
    job.tree.break_fifo(&link);
    let tags = job.tree.tags_folder("team/tool");
    job.tree.break_moved_behind_symlink(&tags);
    assert_output_snapshot!(mask_digests(&job.run_without_effect(&["--keep-last", "1", "--package", "broken"])), @"
    ROOT; dry run: nothing is moved
    broken broken:v1: sha256:HEX has lost its revision link; its bytes are here: `registry-fsck repair` mends it; below all that stay by rank; goes
    broken: 1 image kept, 1 image to go, 3 rows left as they are
      delete v1, 0 h old: broken: sha256:HEX has lost its revision link; its bytes are here: `registry-fsck repair` mends it; below all that stay by rank
    1.40 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=1 images_kept=1 images_deleted=1 versions_deleted=1 left=3 broken=1 skipped_packages=0 refused_packages=0 reclaimable_bytes=1432
    exit 0
    ");
    let output = mask_digests(&job.run_without_effect(&["--keep-last", "2", "--fail-on", "broken"]));
    assert_output_snapshot!(output, @"
    ROOT; dry run: nothing is moved
    broken broken:v1: sha256:HEX has lost its revision link; its bytes are here: `registry-fsck repair` mends it; stays until as many whole images as asked for are newer; left
    broken: 2 images kept, 0 images to go, 4 rows left as they are
    faulty: 1 image kept, 0 images to go, 2 rows left as they are
      skipped: tag v1 is listed, and what it names is not known; if it is lost for good, say --assume-lost faulty:v1
    fifo: 1 image kept, 0 images to go, 2 rows left as they are
      skipped: repositories/fifo/_manifests/tags/v1/current/link: a FIFO, socket or device in the place of a link file
    team: 3 images kept, 2 images to go, 25 rows left as they are
      delete b3, N d old: rank 3, beyond newest 2
      delete b1, N d old: rank 5, beyond newest 2
    team/tool: 0 images kept, 0 images to go, 5 rows left as they are
      skipped: repositories/team/tool/_manifests/tags: a symbolic link (not followed)
    9.46 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=5 images_kept=7 images_deleted=2 versions_deleted=2 left=38 broken=1 skipped_packages=3 refused_packages=0 reclaimable_bytes=9682
    error: package faulty is skipped: tag v1 is listed, and what it names is not known; if it is lost for good, say --assume-lost faulty:v1
    error: package fifo is skipped: repositories/fifo/_manifests/tags/v1/current/link: a FIFO, socket or device in the place of a link file
    error: package team/tool is skipped: repositories/team/tool/_manifests/tags: a symbolic link (not followed)
    exit 4
    ");
    // A tag whose manifest has lost its link is not lost for good.
    let lone = job.tree.image("lone", Some("v1"), "lone");
    job.tree.break_revision_link_missing("lone", &lone.digest);
    assert_output_snapshot!(mask_digests(&job.run_without_effect(&["plan", "--package", "lone"])), @"
    lone: 1 image kept, 0 images to go, 1 row left as it is
      skipped: tag v1 is listed and its manifest has lost its revision link; its bytes are here: `registry-fsck repair` mends it
    registry-retention plan: packages=1 images_kept=1 images_deleted=0 versions_deleted=0 left=1 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package lone is skipped: tag v1 is listed and its manifest has lost its revision link; its bytes are here: `registry-fsck repair` mends it
    exit 4
    ");
    // A tag that --assume-lost names no longer holds its package.
    assert_output_snapshot!(job.run_without_effect(&["plan", "--package", "faulty", "--assume-lost", "faulty:v1"]), @"
    broken faulty:v1: it does not answer down to the leaves; left
    faulty: 0 images kept, 0 images to go, 2 rows left as they are
    registry-retention plan: packages=1 images_kept=0 images_deleted=0 versions_deleted=0 left=2 broken=1 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
}

#[test]
fn symlink_in_place_of_tag_link_is_not_followed() {
    let mut job = Job::new("symlink");
    let link = job.tree.tag_link("team", "b1");
    let target = job.tree.tag_link("team", "b2");
    std::fs::remove_file(&link).unwrap();
    job.tree.break_symlink(&link, &target);
    assert_output_snapshot!(job.run_without_effect(&["--apply", "--keep-last", "2", "--package", "team"]), @"
    ROOT; what goes is moved aside
    team: 5 images kept, 0 images to go, 31 rows left as they are
      skipped: repositories/team/_manifests/tags/b1/current/link: a symbolic link (not followed)
    registry-retention plan: packages=1 images_kept=5 images_deleted=0 versions_deleted=0 left=31 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package team is skipped: repositories/team/_manifests/tags/b1/current/link: a symbolic link (not followed)
    exit 4
    ");
}

#[test]
fn unusable_roots_and_options_are_refused() {
    let mut job = Job::new("refused");
    let nowhere = job.folder.join("nowhere");
    assert_output_snapshot!(job.run(&["--layout", nowhere.to_str().unwrap()]).as_text().replace(nowhere.to_str().unwrap(), "NOWHERE"), @"
    error: cannot open NOWHERE: No such file or directory (os error 2)
    exit 2
    ");
    for name in ["a", "b"] {
        std::fs::create_dir_all(job.folder.join("several").join(name).join("docker/registry/v2")).unwrap();
    }
    assert_output_snapshot!(job.run(&["--layout", "several"]).as_text(), @"
    error: several holds 2 registries: name one of them
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--undo-window"]), @"
    error: --undo-window is for servers: what goes from a tree can be put back until it is collected
    exit 2
    ");
    assert_output_snapshot!(job.run_without_effect(&["--push-times", "times.json"]), @"
    error: --push-times is for servers: an undo on a tree brings the times back
    exit 2
    ");
    assert_output_snapshot!(job.run(&["--registry", "http://127.0.0.1:1", "--quarantine", "q"]).as_text(), @"
    error: --quarantine and --no-lock go with --layout ROOT
    exit 2
    ");
    let inside = job.tree.repositories().join("a.journal");
    assert_output_snapshot!(job.run_without_effect(&["--apply", "-q", "--keep-last", "2", "--journal", inside.to_str().unwrap()]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: the journal would lie inside the registry: name another place with --journal
    exit 2
    ");
    let inside = job.tree.repositories().join("quarantine");
    assert_output_snapshot!(job.run_without_effect(&["--apply", "-q", "--keep-last", "2", "--quarantine", inside.to_str().unwrap()]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: ROOT/docker/registry/v2/repositories/quarantine lies inside the registry: name a folder outside docker/
    exit 2
    ");
    job.tree.break_scheduler_state("{}");
    assert_output_snapshot!(job.run_without_effect(&["--keep-last", "2"]), @"
    error: ROOT is a pull-through cache (it holds scheduler-state.json): what is not in it was never fetched or has expired, so nothing can be told about its images; it expires them itself, and retention belongs to the registry that it copies
    exit 2
    ");
}

// https://github.com/distribution/distribution/pull/3880: with `proxy.ttl: 0` registry 3 never writes scheduler-state.json.
#[test]
fn suspected_cache_is_refused_without_role() {
    let mut job = Job::new("cache");
    let arm = job.tree.image("multi", None, "arm");
    let amd = job.tree.image("multi", None, "amd");
    job.tree.index("multi", Some("v1"), &[arm.child(), amd.child()]);
    job.tree.break_image_untraced("multi", &arm);
    let status_and_error = |options: &[&str]| {
        let ran = job.run_on_tree(&[&["-q", "--package", "multi"], options].concat());
        (ran.status, ran.err)
    };
    let (status, output) = status_and_error(&[]);
    assert_eq!(status, 7, "{output}");
    assert!(
        output.contains("looks like a pull-through cache") && output.contains("--role primary"),
        "{output}"
    );
    let (status, output) = status_and_error(&["--role", "primary"]);
    assert!(status == 0 && !output.contains("cache"), "{status}: {output}");
    let (status, output) = status_and_error(&["--role", "cache"]);
    assert!(status == 2 && output.contains("the command line says so"), "{status}: {output}");
    let elsewhere = job.run(&["--registry", "http://127.0.0.1:1", "--role", "primary"]);
    assert!(elsewhere.status == 2 && elsewhere.err.contains("--role goes with --layout"), "{elsewhere:?}");
}

#[test]
fn locked_tree_is_refused() {
    let job = Job::new("lock");
    let lock = std::fs::File::open(job.tree.v2()).unwrap();
    lock.lock().unwrap();
    assert_output_snapshot!(job.run_without_effect(&["--apply", "-q", "--keep-last", "2"]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: another repair, undo or layout retention is at work on ROOT/docker/registry/v2: wait for it
    exit 1
    ");
    assert_eq!(job.journals(), [""; 0]);
    let ran = job.run_on_tree(&["--apply", "-q", "--keep-last", "2", "--no-lock"]);
    assert_eq!((ran.status, job.tags("team").len()), (0, 4), "{ran:?}");
}

#[test]
#[ignore = "needs root, to run as somebody else"]
fn user_without_write_access_is_refused_before_changes() {
    use std::os::unix::fs::PermissionsExt as _;

    let job = Job::new("denied");
    std::fs::set_permissions(job.tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = job.tree_state();
    let (armed, planned) =
        (job.run_as_nobody(&["--apply"]).as_text(), job.run_as_nobody(&["plan"]).as_text());
    assert_output_snapshot!(armed, @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: this user may not delete here: repositories/team/_manifests/tags/b3 is not writable, or on a read-only file system
    exit 6
    ");
    assert_output_snapshot!(planned, @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    warning: this user may not delete here: repositories/team/_manifests/tags/b3 is not writable, or on a read-only file system
    exit 0
    ");
    assert_eq!(differences(&before, &job.tree_state()), [""; 0]);
}
