//! Reading a server on which some tags do not answer.

use std::collections::BTreeMap;

use futures::executor::block_on;
use registry_core::oci::Digest;
use registry_core::registry::Fetched;
use registry_core::retention::{
    Action, CollectOptions, ListedRow, Listing, NoAnswer, Plan, Policy, Reader, collect, plan,
};

use crate::effects::source;
use crate::support::{PackageBuilder, hours_ago, keep, now, sha};

/// A server: a list of tags, the answers by reference, and the recorded digests of tags.
#[derive(Default)]
struct Answers {
    rows: Vec<(String, i64)>,
    manifests: BTreeMap<String, Result<Fetched, String>>,
    records: BTreeMap<String, Digest>,
}

impl Answers {
    fn from_builder(builder: &PackageBuilder) -> Self {
        let mut answers = Self::default();
        for row in &builder.package.rows {
            let digest = builder.package.digest(row.manifest.unwrap());
            let (media_type, bytes) = builder.bytes(&digest).unwrap();
            let hours = (now().as_second() - row.created_at.unwrap().as_second()) / 3600;
            answers.rows.push((row.version.to_string(), hours));
            for reference in [row.version.to_string(), digest.to_string()] {
                answers.manifests.insert(
                    reference,
                    Ok(Fetched { digest, media_type: media_type.clone(), bytes: bytes.clone() }),
                );
            }
        }
        answers
    }

    fn plan(&self, policy: &Policy) -> Plan {
        let how = CollectOptions { in_flight: 3, cache: None, built_at: false, only: &[] };
        let record = block_on(collect(self, source(), &how, now())).unwrap();
        plan(record.source.clone(), record.packages(), policy, now(), "0.1.0")
    }
}

impl Reader for Answers {
    async fn rows(&self, _: Option<&str>) -> Result<Listing, NoAnswer> {
        let row = |(version, hours): &(String, i64)| ListedRow {
            package: "app".into(),
            version: version.clone(),
            id: Some(1000 - u64::try_from(*hours).unwrap()),
            created_at: Some(hours_ago(*hours)),
        };
        Ok(self.rows.iter().map(row).collect::<Vec<_>>().into())
    }

    async fn unlisted_packages(&self) -> Result<Vec<String>, NoAnswer> {
        Ok(Vec::new())
    }

    async fn row(&self, _: &str, _: &str) -> Result<Option<ListedRow>, NoAnswer> {
        Ok(None)
    }

    async fn manifest(&self, _: &str, reference: &str) -> Result<Option<Fetched>, NoAnswer> {
        match self.manifests.get(reference).cloned() {
            None => Ok(None),
            Some(Err(why)) => Err(NoAnswer::new(why)),
            Some(Ok(found)) => Ok(Some(found)),
        }
    }

    async fn manifest_digest(&self, _: &str, reference: &str) -> Result<Option<Digest>, NoAnswer> {
        Ok(self.manifest("", reference).await?.map(|found| found.digest))
    }

    async fn recorded_digest(&self, _: &str, version: &str) -> Result<Option<Digest>, NoAnswer> {
        Ok(self.records.get(version).copied())
    }

    async fn config(&self, _: &str, _: &Digest) -> Result<Option<Vec<u8>>, NoAnswer> {
        Ok(None)
    }
}

fn text(plan: &Plan) -> String {
    let package = &plan.packages[0];
    let reason = package.reason.iter().map(|why| format!("skipped: {why}"));
    let rows = package
        .versions
        .iter()
        .map(|row| format!("{:?} {}: {}", row.action, row.version, row.reasons.join("; ")));
    let broken = package.broken.iter().map(|tag| format!("broken: {tag}"));
    reason.chain(rows).chain(broken).collect::<Vec<_>>().join("\n")
}

/// Registry 2.8 lists tags whose manifest was deleted by digest, and does not tell which digest they named.
#[test]
fn listed_tag_without_known_digest_can_be_assumed_lost() {
    let mut answers = Answers::from_builder(&PackageBuilder::with_images(3));
    answers.manifests.remove("v3");
    insta::assert_snapshot!(text(&answers.plan(&keep(1))), @"
    skipped: tag v3 is listed, and what it names is not known
    Leave v3: the package is skipped
    Leave v2: the package is skipped
    Leave v1: the package is skipped
    ");
    let mut policy = keep(1);
    policy.assume_lost.insert("app:v3".into());
    insta::assert_snapshot!(text(&answers.plan(&policy)), @"
    Leave v3: its digest is not known
    Keep v2: newest 1 of 1
    Delete v1: rank 2, beyond newest 1
    broken: v3
    ");
}

/// A tag that is not served names a digest that another row serves, whichever is listed first.
#[test]
fn unserved_tag_is_read_through_another_row_of_its_digest() {
    let mut builder = PackageBuilder::with_images(2);
    let newest = builder.image("v2/image");
    for tag in ["a-first", "z-last"] {
        builder.tag(tag, newest, 50);
    }
    for lost in ["a-first", "z-last"] {
        let mut answers = Answers::from_builder(&builder);
        answers.manifests.remove(lost);
        answers.manifests.remove(&newest.to_string());
        answers.records.insert(lost.into(), newest);
        let plan = answers.plan(&keep(1));
        assert_eq!(plan.packages[0].reason, None, "{lost}");
        assert_eq!(plan.summary.versions_deleted, 1);
        // A failing request for the digest does not skip the package either: its bytes are known.
        answers.manifests.insert(newest.to_string(), Err("502 Bad Gateway".into()));
        assert_eq!(answers.plan(&keep(1)), plan);
    }
}

#[test]
fn skip_reason_does_not_depend_on_the_order_of_the_listing() {
    let mut answers = Answers::from_builder(&PackageBuilder::with_images(4));
    for tag in ["v2", "v3"] {
        answers.manifests.insert(tag.into(), Err("502 Bad Gateway".into()));
    }
    let one = answers.plan(&keep(1));
    assert!(one.packages[0].versions.iter().all(|row| row.action == Action::Leave));
    answers.rows.reverse();
    assert_eq!(answers.plan(&keep(1)), one);
}

/// 2.8 signs schema 1 anew at each GET, so that the answer has another hash each time:
/// <https://github.com/distribution/distribution/issues/4358>
#[test]
fn schema_1_signed_anew_at_each_answer_stays_and_skips_no_package() {
    let mut answers = Answers::from_builder(&PackageBuilder::with_images(3));
    let (digest, bytes) = (sha("what was pushed"), br#"{"schemaVersion":1,"name":"app","tag":"old","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}"#);
    let media_type = "application/vnd.docker.distribution.manifest.v1+prettyjws".to_owned();
    answers.rows.push(("old".into(), 900));
    for reference in ["old".to_owned(), digest.to_string()] {
        let found = Fetched { digest, media_type: media_type.clone(), bytes: bytes.to_vec() };
        answers.manifests.insert(reference, Ok(found));
    }
    insta::assert_snapshot!(text(&answers.plan(&keep(1))), @"
    Keep v3: newest 1 of 1
    Delete v2: rank 2, beyond newest 1
    Delete v1: rank 3, beyond newest 1
    Keep old: schema 1, which this server signs anew at each answer, so that its bytes cannot be checked
    ");
    // A wrong hash of any other manifest skips the package.
    for reference in ["old".to_owned(), digest.to_string()] {
        let found = Fetched { digest, media_type: media_type.clone(), bytes: b"{}".to_vec() };
        answers.manifests.insert(reference, Ok(found));
    }
    assert!(text(&answers.plan(&keep(1))).starts_with("skipped: "));
}
