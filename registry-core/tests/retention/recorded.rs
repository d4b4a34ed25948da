//! Plans of inventories recorded from real servers.

use registry_core::retention::{Action, Plan, PlanExpectations, Record, plan};

use crate::support::{keep, now};

#[path = "../../examples/plan_inventory.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod example;

fn recorded(profile: &str) -> Plan {
    let path = format!("{}/../fixtures/inventories/forgejo-{profile}.json", env!("CARGO_MANIFEST_DIR"));
    let record = Record::read(&std::fs::read_to_string(path).unwrap()).unwrap();
    let policy = keep(10);
    plan(record.source.clone(), record.packages(), &policy, "2026-11-24T12:00:00Z".parse().unwrap(), "0.1.0")
}

fn lines(plan: &Plan) -> String {
    let mut lines = Vec::new();
    for package in &plan.packages {
        let (kept, deleted) = (package.images_kept, package.images_deleted);
        lines.push(format!(
            "{} {:?} kept {kept} deleted {deleted} {:?}",
            package.name, package.state, package.reason
        ));
        for row in package.versions.iter().filter(|row| row.action == Action::Delete) {
            lines.push(format!("  {} undoable {:?}: {}", row.version, row.undoable, row.reasons.join("; ")));
        }
    }
    lines.push(serde_json::to_string(&plan.summary).unwrap());
    lines.join("\n")
}

#[test]
fn inventory_of_forgejo_15_0_3_is_planned() {
    insta::assert_snapshot!(lines(&recorded("v15")), @r#"
    api Planned kept 10 deleted 2 None
      v2 undoable Some(false): rank 11, beyond newest 10
      v1 undoable Some(false): rank 12, beyond newest 10
    kms-website Planned kept 10 deleted 2 None
      da2beec7 undoable Some(true): rank 11, beyond newest 10
      25a99140 undoable Some(true): rank 12, beyond newest 10
    team/app Planned kept 3 deleted 0 None
    tools Planned kept 6 deleted 0 None
    {"packages":4,"images_kept":29,"images_deleted":4,"versions_deleted":4,"left":56,"broken":0,"skipped_packages":0,"refused_packages":0,"reclaimable_bytes":11181}
    "#);
}

#[test]
fn inventory_of_forgejo_11_0_15_is_planned() {
    insta::assert_snapshot!(lines(&recorded("v11")), @r#"
    api Planned kept 10 deleted 2 None
      v2 undoable Some(false): rank 11, beyond newest 10
      v1 undoable Some(false): rank 12, beyond newest 10
    kms-website Planned kept 10 deleted 2 None
      da2beec7 undoable Some(true): rank 11, beyond newest 10
      25a99140 undoable Some(true): rank 12, beyond newest 10
    team/app Planned kept 3 deleted 0 None
    tools Planned kept 6 deleted 0 None
    {"packages":4,"images_kept":29,"images_deleted":4,"versions_deleted":4,"left":56,"broken":0,"skipped_packages":0,"refused_packages":0,"reclaimable_bytes":11181}
    "#);
}

#[test]
fn edited_plan_has_another_digest() {
    let mut plan = recorded("v15");
    assert_eq!(plan.own_digest().to_string(), plan.plan_digest);
    plan.packages[0].versions[0].action = Action::Delete;
    assert_ne!(plan.own_digest().to_string(), plan.plan_digest);
}

#[test]
fn example_plans_an_inventory() {
    let path = format!("{}/../fixtures/inventories/forgejo-v15.json", env!("CARGO_MANIFEST_DIR"));
    insta::assert_snapshot!(example::doomed(path.as_ref(), 11, now()).unwrap().join("\n"), @"
    api:v1: rank 12, beyond newest 11
    kms-website:25a99140: rank 12, beyond newest 11
    ");
}

#[test]
fn verification_refuses_every_changed_foreign_or_old_plan() {
    let plan = recorded("v15");
    let error = |plan: &Plan, version: &str, later: i64| {
        let now = plan.planned_at + jiff::SignedDuration::from_secs(later);
        let expected = PlanExpectations { tool_version: version, now, max_age: 3600 };
        plan.verify(&expected).err().map(|error| error.to_string())
    };
    for later in [-300, 0, 3600] {
        assert_eq!(error(&plan, "0.1.0", later), None);
    }
    let mut edited = plan.clone();
    edited.packages[0].versions[0].action = Action::Delete;
    let reason = |why: &str| {
        let mut edited = plan.clone();
        edited.packages[0].versions[0].reasons = vec![why.to_owned()];
        edited
    };
    let mut other = plan.clone();
    other.schema = "registry-retention/plan/2".into();
    let mut unexplained = plan.clone();
    unexplained.packages[0].versions[0].why.clear();
    let errors = [
        error(&edited, "0.1.0", 0),
        error(&reason("of mine"), "0.1.0", 0),
        error(&unexplained, "0.1.0", 0),
        error(&other, "0.1.0", 0),
        error(&plan, "0.2.0", 0),
        error(&plan, "0.1.0", -301),
        error(&plan, "0.1.0", 3601),
    ];
    let errors: Vec<String> = errors.into_iter().map(|error| error.expect("refused")).collect();
    insta::assert_snapshot!(errors.join("\n"), @r#"
    it was changed after it was planned; plan anew
    it was changed after it was planned; plan anew
    it was changed after it was planned; plan anew
    its schema is "registry-retention/plan/2", and "registry-retention/plan/1" is the only one known
    version 0.1.0 of this program planned it, and this is 0.2.0; plan anew
    it was planned at 2026-11-24T12:00:00Z, which is in the future; is the clock of this machine right?
    it was made 3601 s ago, and 3600 s is the most; plan anew
    "#);
}

/// Earlier releases wrote reasons only as text.
#[test]
fn plan_without_reason_codes_is_read_and_verified() {
    let mut plan = recorded("v11");
    for package in &mut plan.packages {
        package.why = None;
        package.versions.iter_mut().for_each(|row| row.why.clear());
    }
    plan.plan_digest = plan.own_digest().to_string();
    let text = serde_json::to_string(&plan).unwrap();
    assert!(!text.contains("\"why\""));
    let read: Plan = serde_json::from_str(&text).unwrap();
    let expected = PlanExpectations { tool_version: "0.1.0", now: plan.planned_at, max_age: 0 };
    assert_eq!(read, plan);
    read.verify(&expected).unwrap();
}
