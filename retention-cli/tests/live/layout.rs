//! A registry's tree on disk: planned, moved aside, taken back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use registry_fixtures::{Digest, TreeBuilder};

use crate::assert_told_snapshot;
use crate::support::Ran;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// A tree and a folder to run in.
pub struct Job {
    pub tree: TreeBuilder,
    pub folder: PathBuf,
}

/// What two pictures of a tree are compared by: kind, bytes, and of files the time.
pub type Picture = BTreeMap<PathBuf, Option<(Vec<u8>, SystemTime)>>;

impl Job {
    /// Runs it on the tree as the user that owns nothing; the program must be readable to all.
    pub fn as_nobody(&self, arguments: &[&str]) -> Ran {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments).args(["--layout", self.root(), "-q", "--keep-last", "2"]);
        let output = command.env_clear().current_dir("/").uid(65534).gid(65534).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(self.root(), "ROOT");
        Ran { status: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Five builds of two platforms, each a day younger, `latest` on the second, in a repository that another one lies in.
    pub fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layout-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
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
            job.age("team", &format!("b{build}"), 30 - build);
            job.age("team/tool", &format!("v{build}"), 30 - build);
            job.age("team/tool", &format!("v{build}.0"), 30 - build);
        }
        job
    }

    pub fn age(&mut self, repository: &str, tag: &str, days: u32) {
        self.tree.set_pushed(repository, tag, days * DAY);
    }

    pub fn root(&self) -> &str {
        self.tree.root().to_str().unwrap()
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(arguments).env_clear().env("TMPDIR", &self.folder).current_dir(&self.folder);
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(self.root(), "ROOT");
            let stamps = |text: &str| {
                let mut parts = text.split(".registry-fsck/");
                let first = parts.next().unwrap_or_default().to_owned();
                parts.fold(first, |all, part| {
                    let rest =
                        part.trim_start_matches(|sign: char| sign.is_ascii_digit() || "TZ-".contains(sign));
                    format!("{all}.registry-fsck/TIME{rest}")
                })
            };
            stamps(&text)
        };
        let status = output.status.code().unwrap_or(-1);
        Ran { status, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Runs on the tree.
    pub fn layout(&self, arguments: &[&str]) -> Ran {
        self.run(&[arguments, &["--layout", self.root()]].concat())
    }

    /// Runs what must change nothing, and gives all that was printed.
    fn told(&self, arguments: &[&str]) -> String {
        let before = self.picture();
        let ran = self.layout(arguments);
        assert_eq!(differences(&before, &self.picture()), [""; 0], "{ran:?}");
        ran.as_text()
    }

    pub fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        walk(self.tree.root(), &mut |path, metadata| {
            let content =
                metadata.is_file().then(|| (std::fs::read(path).unwrap(), metadata.modified().unwrap()));
            picture.insert(path.strip_prefix(self.tree.root()).unwrap().to_owned(), content);
        });
        picture
    }

    /// The journals in the folder.
    fn journals(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let names = entries.map(|name| name.into_string().unwrap());
        names.filter(|name| name.ends_with(".journal")).collect()
    }

    /// What lies below a folder of a repository.
    fn names(&self, repository: &str, folder: &str) -> Vec<String> {
        let path = self.tree.repository(repository).join(folder);
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.names(repository, "_manifests/tags")
    }
}

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

pub fn differences(a: &Picture, b: &Picture) -> Vec<String> {
    let paths: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differing = paths.into_iter().filter(|path| a.get(*path) != b.get(*path));
    differing.map(|path| path.display().to_string()).collect()
}

/// Digests and what derives from them, shortened.
pub fn short(text: &str) -> String {
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
    assert_told_snapshot!(short(&job.told(&["--keep-last", "2", "-v"])), @"
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
    // By the version that a tag spells; and by dates that these configs do not have.
    let tool = ["plan", "--keep-last", "2", "--package", "team/tool", "--rank-by"];
    assert_told_snapshot!(job.told(&[&tool[..], &["semver"]].concat()), @"
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
    assert_told_snapshot!(job.told(&[&tool[..], &["created"]].concat()), @"
    team/tool: 5 images kept, 0 images to go, 5 rows left as they are
      undecided: 5 images have no date and stay
    registry-retention plan: packages=1 images_kept=5 images_deleted=0 versions_deleted=0 left=5 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
    // Case counts on disk.
    assert_told_snapshot!(job.told(&["plan", "-q", "--package", "Team*"]), @r#"
    registry-retention plan: packages=0 images_kept=0 images_deleted=0 versions_deleted=0 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    warning: no package matches "Team*"
    exit 0
    "#);
    assert_told_snapshot!(job.told(&["explain", "team:b1", "--keep-last", "2"]), @"
    team:b1 goes: rank 5, beyond newest 2
      manifest sha256:c78ba422047e48b2aa471dcae859a4671a7d2993cf5388282b220173aebc755f, also listed as sha256:c78ba422047e48b2aa471dcae859a4671a7d2993cf5388282b220173aebc755f
    exit 0
    ");
}

#[test]
fn undo_moves_files_back() {
    let job = Job::new("apply");
    let before = job.picture();
    let (revisions, layers) =
        (job.names("team", "_manifests/revisions/sha256").len(), job.names("team", "_layers/sha256").len());
    let ran = job.layout(&["--apply", "--keep-last", "2", "--journal", "a.journal"]);
    assert_told_snapshot!(ran.as_text(), @"
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
    // Of five indexes with four children each two went.
    assert_eq!((revisions, job.names("team", "_manifests/revisions/sha256").len()), (25, 15));
    assert!(job.names("team", "_layers/sha256").len() < layers);
    // No blob is touched.
    let blobs = |picture: &Picture| {
        let blobs = picture.iter().filter(|(path, _)| path.starts_with("docker/registry/v2/blobs"));
        blobs.map(|(path, content)| (path.clone(), content.clone())).collect::<Picture>()
    };
    assert_eq!(blobs(&before), blobs(&job.picture()));
    // A second time nothing is left to go.
    assert_told_snapshot!(job.told(&["--apply", "-q", "--keep-last", "2"]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=0 versions_deleted=0 left=17 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=0
    exit 0
    ");
    let undone = job.run(&["undo", "a.journal"]);
    assert_told_snapshot!(undone.out.lines().last().unwrap_or_default(), @"registry-retention undo: changes=51 back=51 there=0 left=0 lost=0");
    assert_eq!((undone.status, differences(&before, &job.picture())), (0, vec![]), "{undone:?}");
    let again = job.layout(&["undo", "a.journal"]);
    assert_eq!(again.status, 0, "{again:?}");
    assert_eq!(differences(&before, &job.picture()), [""; 0]);
}

#[test]
fn plan_does_not_depend_on_jobs() {
    let job = Job::new("jobs");
    let plan = |jobs: &str| {
        let ran = job.layout(&["plan", "--output", "json", "--at", "2030-01-01T00:00:00Z", "--jobs", jobs]);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.out
    };
    assert_eq!(plan("1"), plan("64"));
    assert_eq!(job.layout(&["plan", "--jobs", "0"]).status, 2);
}

#[test]
fn apply_spares_tags_moved_since_plan() {
    let mut job = Job::new("plan");
    let ran = job.layout(&["plan", "--plan-file", "plan.json", "--keep-last", "2", "-q"]);
    assert_told_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    exit 0
    ");
    let plan: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(job.folder.join("plan.json")).unwrap()).unwrap();
    assert_eq!((&plan["source"]["kind"], &plan["source"]["url"]), (&"layout".into(), &job.root().into()));
    // A tag that goes is pushed again, with other content; and what a tag of the other repository needs is tagged anew.
    let image = job.tree.image("team", None, "pushed since");
    job.tree.tag("team", "b1", &image.digest);
    let needed: Digest = job.tree.image("team/tool", None, "tool 1").digest;
    job.tree.tag("team/tool", "new", &needed);
    let ran = job.layout(&["apply", "plan.json"]);
    assert_told_snapshot!(short(&ran.as_text()), @"
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
    // Another tree is another registry.
    let other = Job::new("plan-other");
    std::fs::copy(job.folder.join("plan.json"), other.folder.join("plan.json")).unwrap();
    assert_told_snapshot!(other.told(&["apply", "plan.json"]).replace(job.root(), "OTHER"), @"
    error: it was made for OTHER, and the command line names another server or owner
    exit 2
    ");
}

#[test]
fn plan_of_saved_inventory_equals_json_plan() {
    let job = Job::new("json");
    let ran = job.layout(&[
        "--apply",
        "--keep-last",
        "4",
        "--output",
        "json",
        "--save-inventory",
        "inventory.json",
    ]);
    let documents: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&ran.out).into_iter().map(Result::unwrap).collect();
    assert_eq!((ran.status, documents.len()), (0, 2), "{ran:?}");
    assert_eq!(documents[1]["schema"], "registry-retention/apply-result/1");
    assert_eq!(documents[1]["plan_digest"], documents[0]["plan_digest"]);
    assert_told_snapshot!(documents[1]["rows"], @r#"[{"outcome":"deleted","package":"team","version":"b1"},{"outcome":"deleted","package":"team/tool","version":"v1.0"},{"outcome":"deleted","package":"team/tool","version":"v1"}]"#);
    let at = documents[0]["planned_at"].as_str().unwrap();
    let again = job.run(&[
        "plan",
        "--inventory",
        "inventory.json",
        "--keep-last",
        "4",
        "--output",
        "json",
        "--at",
        at,
    ]);
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
    // A clock of files ticks slowly: written right after each other, both tags may have the same time.
    job.tree.set_pushed("broken", "v1", Duration::from_secs(60));
    job.tree.image("faulty", Some("v1"), "faulty");
    job.tree.break_tag_link_empty("faulty", "v1");
    job.tree.image("fifo", Some("v1"), "fifo");
    let link = job.tree.tag_link("fifo", "v1");
    std::fs::remove_file(&link).unwrap();
    job.tree.break_fifo(&link);
    let tags = job.tree.tags_folder("team/tool");
    job.tree.break_moved_behind_symlink(&tags);
    assert_told_snapshot!(short(&job.told(&["--keep-last", "1", "--package", "broken"])), @"
    ROOT; dry run: nothing is moved
    broken broken:v1: sha256:HEX has lost its revision link; its bytes are here: `registry-fsck repair` mends it; below all that stay by rank; goes
    broken: 1 image kept, 1 image to go, 3 rows left as they are
      delete v1, 0 h old: broken: sha256:HEX has lost its revision link; its bytes are here: `registry-fsck repair` mends it; below all that stay by rank
    1.40 KiB are needed only by what goes; garbage-collect without --delete-untagged frees them after an apply
    registry-retention plan: packages=1 images_kept=1 images_deleted=1 versions_deleted=1 left=3 broken=1 skipped_packages=0 refused_packages=0 reclaimable_bytes=1432
    exit 0
    ");
    let told = short(&job.told(&["--keep-last", "2", "--fail-on", "broken"]));
    assert_told_snapshot!(told, @"
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
    // Without its link a tag's own manifest is not lost for good.
    let lone = job.tree.image("lone", Some("v1"), "lone");
    job.tree.break_revision_link_missing("lone", &lone.digest);
    assert_told_snapshot!(short(&job.told(&["plan", "--package", "lone"])), @"
    lone: 1 image kept, 0 images to go, 1 row left as it is
      skipped: tag v1 is listed and its manifest has lost its revision link; its bytes are here: `registry-fsck repair` mends it
    registry-retention plan: packages=1 images_kept=1 images_deleted=0 versions_deleted=0 left=1 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package lone is skipped: tag v1 is listed and its manifest has lost its revision link; its bytes are here: `registry-fsck repair` mends it
    exit 4
    ");
    // Lost for good: then it is no reason to wait any more.
    assert_told_snapshot!(job.told(&["plan", "--package", "faulty", "--assume-lost", "faulty:v1"]), @"
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
    assert_told_snapshot!(job.told(&["--apply", "--keep-last", "2", "--package", "team"]), @"
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
    assert_told_snapshot!(job.run(&["--layout", nowhere.to_str().unwrap()]).as_text().replace(nowhere.to_str().unwrap(), "NOWHERE"), @"
    error: cannot open NOWHERE: No such file or directory (os error 2)
    exit 2
    ");
    for name in ["a", "b"] {
        std::fs::create_dir_all(job.folder.join("several").join(name).join("docker/registry/v2")).unwrap();
    }
    assert_told_snapshot!(job.run(&["--layout", "several"]).as_text(), @"
    error: several holds 2 registries: name one of them
    exit 2
    ");
    assert_told_snapshot!(job.told(&["--undo-window"]), @"
    error: --undo-window is for servers: what goes from a tree can be put back until it is collected
    exit 2
    ");
    assert_told_snapshot!(job.told(&["--push-times", "times.json"]), @"
    error: --push-times is for servers: an undo on a tree brings the times back
    exit 2
    ");
    assert_told_snapshot!(job.run(&["--registry", "http://127.0.0.1:1", "--quarantine", "q"]).as_text(), @"
    error: --quarantine and --no-lock go with --layout ROOT
    exit 2
    ");
    let inside = job.tree.repositories().join("a.journal");
    assert_told_snapshot!(job.told(&["--apply", "-q", "--keep-last", "2", "--journal", inside.to_str().unwrap()]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: the journal would lie inside the registry: name another place with --journal
    exit 2
    ");
    let inside = job.tree.repositories().join("quarantine");
    assert_told_snapshot!(job.told(&["--apply", "-q", "--keep-last", "2", "--quarantine", inside.to_str().unwrap()]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: ROOT/docker/registry/v2/repositories/quarantine lies inside the registry: name a folder outside docker/
    exit 2
    ");
    job.tree.break_scheduler_state("{}");
    assert_told_snapshot!(job.told(&["--keep-last", "2"]), @"
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
    let said = |options: &[&str]| {
        let ran = job.layout(&[&["-q", "--package", "multi"], options].concat());
        (ran.status, ran.err)
    };
    let (status, told) = said(&[]);
    assert_eq!(status, 7, "{told}");
    assert!(told.contains("looks like a pull-through cache") && told.contains("--role primary"), "{told}");
    let (status, told) = said(&["--role", "primary"]);
    assert!(status == 0 && !told.contains("cache"), "{status}: {told}");
    let (status, told) = said(&["--role", "cache"]);
    assert!(status == 2 && told.contains("the command line says so"), "{status}: {told}");
    let elsewhere = job.run(&["--registry", "http://127.0.0.1:1", "--role", "primary"]);
    assert!(elsewhere.status == 2 && elsewhere.err.contains("--role goes with --layout"), "{elsewhere:?}");
}

#[test]
fn locked_tree_is_refused() {
    let job = Job::new("lock");
    let lock = std::fs::File::open(job.tree.v2()).unwrap();
    lock.lock().unwrap();
    assert_told_snapshot!(job.told(&["--apply", "-q", "--keep-last", "2"]), @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: another repair, undo or layout retention is at work on ROOT/docker/registry/v2: wait for it
    exit 1
    ");
    assert_eq!(job.journals(), [""; 0]);
    let ran = job.layout(&["--apply", "-q", "--keep-last", "2", "--no-lock"]);
    assert_eq!((ran.status, job.tags("team").len()), (0, 4), "{ran:?}");
}

#[test]
#[ignore = "needs root, to run as somebody else"]
fn user_without_write_access_is_refused_before_changes() {
    use std::os::unix::fs::PermissionsExt as _;

    let job = Job::new("denied");
    std::fs::set_permissions(job.tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let before = job.picture();
    let (armed, planned) = (job.as_nobody(&["--apply"]).as_text(), job.as_nobody(&["plan"]).as_text());
    assert_told_snapshot!(armed, @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    error: this user may not delete here: repositories/team/_manifests/tags/b3 is not writable, or on a read-only file system
    exit 6
    ");
    assert_told_snapshot!(planned, @"
    registry-retention plan: packages=2 images_kept=5 images_deleted=5 versions_deleted=8 left=30 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=12739
    warning: this user may not delete here: repositories/team/_manifests/tags/b3 is not writable, or on a read-only file system
    exit 0
    ");
    assert_eq!(differences(&before, &job.picture()), [""; 0]);
}
