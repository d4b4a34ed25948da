//! Signatures in another repository than their images: read, planned and applied, on a registry and on a tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::executor::block_on;
use registry_core::oci::Digest;
use registry_core::registry::Fetched;
use registry_core::retention::{
    Action, ApplyResult, DeleteError, DeletionTime, LetterCase, ListedRow, Listing, NoAnswer, Pattern, Plan,
    PlannedDeletion, Policy, Reader, RowOutcome, Source, SourceKind, UnneededAction, Writer, apply, collect,
    plan,
};

use crate::effects::reading_options;
use crate::model::MemoryJournal;
use crate::support::{PackageBuilder, hours_ago, keep, now, signature_tag};
use crate::verified::verified;

/// A registry that lists only tags, and still serves manifests that no tag names.
struct Registry {
    tags: Mutex<BTreeMap<(String, String), (Digest, i64)>>,
    manifests: BTreeMap<(String, Digest), (String, Vec<u8>)>,
    /// Repositories without tags.
    bare: Vec<String>,
    /// Repositories that answer only the request for their list of tags.
    silent: BTreeSet<String>,
    undeletable: BTreeSet<String>,
    /// A tag that is pushed after the first deletion.
    pushed: Option<(String, String, Digest)>,
}

impl Registry {
    fn new(builders: &[(&str, &PackageBuilder)]) -> Self {
        let (mut tags, mut manifests) = (BTreeMap::new(), BTreeMap::new());
        for (name, builder) in builders {
            for row in &builder.package.rows {
                let digest = builder.package.digest(row.manifest.unwrap());
                let hours = (now().as_second() - row.created_at.unwrap().as_second()) / 3600;
                tags.insert(((*name).to_owned(), row.version.to_string()), (digest, hours));
                manifests.insert(((*name).to_owned(), digest), builder.bytes(&digest).unwrap());
            }
        }
        Self {
            tags: Mutex::new(tags),
            manifests,
            bare: Vec::new(),
            silent: BTreeSet::new(),
            undeletable: BTreeSet::new(),
            pushed: None,
        }
    }

    fn plan(&self, policy: &Policy) -> Plan {
        let source = Source {
            kind: SourceKind::Registry,
            url: "https://r.example".into(),
            owner: None,
            version: None,
        };
        let options =
            registry_core::retention::CollectOptions { only: &policy.packages, ..reading_options() };
        let record = block_on(collect(self, source, &options, now())).unwrap();
        // The plan is made from the record as it is read from a file.
        let text = serde_json::to_string(&record).unwrap();
        let record = registry_core::retention::Record::read(&text).unwrap();
        plan(record.source.clone(), record.packages(), policy, now(), "0.1.0")
    }

    fn apply(&self, plan: &Plan) -> ApplyResult {
        block_on(apply(self, verified(plan), &reading_options(), &mut MemoryJournal::default(), now()))
    }

    fn resolve(&self, package: &str, reference: &str) -> Option<Digest> {
        let tags = self.tags.lock().unwrap();
        let tag = || tags.get(&(package.to_owned(), reference.to_owned())).map(|(digest, _)| *digest);
        reference.parse().ok().or_else(tag)
    }
}

impl Reader for Registry {
    async fn rows(&self, package: Option<&str>) -> Result<Listing, NoAnswer> {
        let tags = self.tags.lock().unwrap();
        let rows = tags.iter().filter(|((name, _), _)| package.is_none_or(|package| package == name));
        let rows = rows.map(|((name, tag), (_, hours))| ListedRow {
            package: name.clone(),
            version: tag.clone(),
            id: None,
            created_at: Some(hours_ago(*hours)),
        });
        Ok(rows.collect::<Vec<_>>().into())
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        Ok(self.bare.clone())
    }

    async fn row(&self, package: &str, version: &str) -> Result<Option<ListedRow>, NoAnswer> {
        Ok(self.rows(Some(package)).await?.rows.into_iter().find(|row| row.version == version))
    }

    async fn manifest(&self, package: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        if self.silent.contains(package) {
            return Err(NoAnswer::new("403 Forbidden"));
        }
        let found = self.resolve(package, reference).and_then(|digest| {
            let (media_type, bytes) = self.manifests.get(&(package.to_owned(), digest))?.clone();
            Some(Fetched { digest, media_type, bytes })
        });
        Ok(found)
    }

    async fn manifest_digest(&self, package: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        Ok(self.manifest(package, reference).await?.map(|found| found.digest))
    }

    async fn recorded_digest(&self, _: &str, _: &str) -> Result<Option<Digest>, NoAnswer> {
        Ok(None)
    }

    async fn config(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        Ok(None)
    }
}

impl Writer for Registry {
    async fn delete(&self, doomed: &PlannedDeletion<'_>) -> Result<DeletionTime, DeleteError> {
        if self.undeletable.contains(doomed.version) {
            return Err(DeleteError::Failed("500 Internal Server Error".into()));
        }
        let mut tags = self.tags.lock().unwrap();
        tags.remove(&(doomed.package.to_owned(), doomed.version.to_owned()));
        if let Some((package, tag, digest)) = &self.pushed {
            tags.insert((package.clone(), tag.clone()), (*digest, 0));
        }
        Ok(DeletionTime::Now)
    }

    async fn put(&self, _: &str, _: &str, _: &str, _: &[u8]) -> Result<(), NoAnswer> {
        Err(NoAnswer::new("405 Method Not Allowed"))
    }
}

/// Images v1 to v3 of `app`, with a signature of each and a signature of that signature in `signatures`.
fn signed() -> (PackageBuilder, PackageBuilder, Vec<Digest>) {
    let (mut app, mut signatures) = (PackageBuilder::new(), PackageBuilder::new());
    let subjects: Vec<Digest> =
        (1..=3).map(|number| app.push_image(&format!("v{number}"), 400 - number)).collect();
    for (number, subject) in subjects.iter().enumerate() {
        let first = signatures.image(&format!("first {number}"));
        signatures.tag(&signature_tag(*subject), first, 300);
        let second = signatures.image(&format!("second {number}"));
        signatures.tag(&signature_tag(first), second, 300);
    }
    (app, signatures, subjects)
}

fn prune(keep_last: u32) -> Policy {
    let mut policy = keep(keep_last);
    (policy.orphan_signatures, policy.grace) = (UnneededAction::Prune, 0);
    policy
}

/// The rows that a plan deletes, as package and version.
fn deleted_rows(plan: &Plan) -> Vec<(&str, &str)> {
    let rows = plan
        .packages
        .iter()
        .flat_map(|package| package.versions.iter().map(|row| (package.name.as_str(), row)));
    rows.filter(|(_, row)| row.action == Action::Delete)
        .map(|(package, row)| (package, row.version.as_str()))
        .collect()
}

fn outcomes(applied: &ApplyResult, builders: [&PackageBuilder; 2]) -> String {
    let lines: Vec<String> = applied
        .rows
        .iter()
        .map(|row| {
            format!(
                "{:?} {}:{} {}",
                row.outcome,
                row.package,
                row.version,
                row.reason.as_ref().map(ToString::to_string).unwrap_or_default()
            )
            .trim()
            .to_owned()
        })
        .collect();
    builders.iter().fold(lines.join("\n"), |text, builder| builder.name_digests(&text))
}

/// <https://github.com/sigstore/cosign/issues/2045>, <https://github.com/kyverno/kyverno/issues/2504>
#[test]
fn signatures_are_deleted_after_their_images_in_another_repository() {
    let (app, signatures, _) = signed();
    let registry = Registry::new(&[("z-app", &app), ("signatures", &signatures)]);
    assert_eq!(deleted_rows(&registry.plan(&prune(5))), []);
    let plan = registry.plan(&prune(1));
    assert_eq!(deleted_rows(&plan).len(), 6);
    let applied = registry.apply(&plan);
    insta::assert_snapshot!(outcomes(&applied, [&app, &signatures]), @"
    Deleted z-app:v1
    Deleted z-app:v2
    Deleted signatures:sha256-<v2/image>.sig
    Deleted signatures:sha256-<v1/image>.sig
    Deleted signatures:sha256-<first 0>.sig
    Deleted signatures:sha256-<first 1>.sig
    ");
    assert_eq!(applied.stopped, None);
    let left = registry.tags.lock().unwrap().len();
    assert_eq!(left, 3);
}

#[test]
fn spared_image_spares_its_signatures_in_another_repository() {
    let (app, signatures, subjects) = signed();
    let mut registry = Registry::new(&[("app", &app), ("signatures", &signatures)]);
    let plan = registry.plan(&prune(1));
    registry.undeletable.insert("v1".into());
    insta::assert_snapshot!(outcomes(&registry.apply(&plan), [&app, &signatures]), @"
    Failed app:v1 500 Internal Server Error
    Deleted app:v2
    Deleted signatures:sha256-<v2/image>.sig
    Spared signatures:sha256-<v1/image>.sig <v1/image> is still there in app
    Spared signatures:sha256-<first 0>.sig sha256-<v1/image>.sig stays, which needs it
    Deleted signatures:sha256-<first 1>.sig
    ");
    // The image of a deleted tag gets another tag during the run.
    let mut registry = Registry::new(&[("app", &app), ("signatures", &signatures)]);
    registry.pushed = Some(("app".into(), "again".into(), subjects[1]));
    let applied = registry.apply(&plan);
    let spared: Vec<&str> = applied
        .rows
        .iter()
        .filter(|row| row.outcome == RowOutcome::Spared)
        .map(|row| row.package.as_str())
        .collect();
    assert_eq!(spared, ["signatures"; 2], "{applied:#?}");
}

#[test]
fn subject_in_unselected_untagged_or_silent_repository_keeps_its_signatures() {
    let (app, signatures, subjects) = signed();
    let mut policy = prune(1);
    policy.packages.push(Pattern::new("signatures", LetterCase::Ignored).unwrap());
    let registry = Registry::new(&[("app", &app), ("signatures", &signatures)]);
    assert_eq!(deleted_rows(&registry.plan(&policy)), []);
    // All tags of the repository were deleted, and its manifests still answer.
    let mut registry = Registry::new(&[("app", &app), ("signatures", &signatures)]);
    registry.tags.lock().unwrap().retain(|(package, _), _| package != "app");
    registry.bare.push("app".into());
    assert_eq!(deleted_rows(&registry.plan(&prune(1))), []);
    // A package that signs its own images, and has a signature of an image that only a silent repository may have.
    let mut own = PackageBuilder::new();
    let newest = own.push_image("w1", 10);
    for subject in [newest, subjects[0]] {
        let one = own.image(&signature_tag(subject));
        own.tag(&signature_tag(subject), one, 300);
    }
    let mut registry = Registry::new(&[("app", &app), ("own", &own)]);
    registry.tags.lock().unwrap().retain(|(package, _), _| package == "own");
    assert_eq!(deleted_rows(&registry.plan(&prune(1))), [("own", signature_tag(subjects[0]).as_str())]);
    registry.bare.push("app".into());
    assert_eq!(deleted_rows(&registry.plan(&prune(1))), []);
    registry.silent.insert("app".into());
    assert_eq!(deleted_rows(&registry.plan(&prune(1))), []);
}

/// See <https://github.com/eumel8/cosignwebhook/issues/44>
#[cfg(feature = "storage")]
#[test]
fn signatures_on_a_tree_are_deleted_after_their_images_in_another_repository() {
    use registry_core::retention::layout::ReadOptions;
    use registry_fixtures::TreeBuilder;

    use crate::layout::{DAY, open, own, planned, record};
    use crate::layout_laws::{LayoutJournal, applied};

    let mut tree = TreeBuilder::new();
    tree.image("tools/img", Some("v1"), "tools");
    for number in 1..=3_u32 {
        let tag = format!("v{number}");
        let image = tree.image("team/app", Some(&tag), &tag);
        let subject = own(&image.digest);
        for repository in ["signatures", "tools/img"] {
            tree.image(repository, Some(&signature_tag(subject)), &format!("{repository} {tag}"));
        }
    }
    tree.age_all(90 * DAY);
    for number in 1..=3_u32 {
        tree.set_pushed("team/app", &format!("v{number}"), DAY * (50 - number));
    }
    assert_eq!(deleted_rows(&planned(&record(&tree), &prune(5))), []);
    let mut only = prune(1);
    only.packages.push(Pattern::new("tools/*", LetterCase::Ignored).unwrap());
    let reading = ReadOptions { built_at: false, only: &only.packages };
    let some = open(&tree).record(&reading, jiff::Timestamp::now()).unwrap();
    assert_eq!(deleted_rows(&planned(&some, &only)), []);
    let plan = planned(&record(&tree), &prune(1));
    assert_eq!(deleted_rows(&plan).len(), 6, "{plan:#?}");
    let done = applied(&tree, &plan, &mut LayoutJournal::default());
    assert_eq!((done.count(RowOutcome::Deleted), &done.stopped), (6, &None), "{done:#?}");
    assert_eq!(deleted_rows(&planned(&record(&tree), &prune(1))), []);
}
