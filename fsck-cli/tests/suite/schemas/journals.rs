//! Journal lines of every kind match their schema. The library writes them here, because a successful repair writes only few kinds.

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;

use registry_core::oci::{Algorithm, Digest};
use registry_core::repair::{Change, FileBefore, JournalOutput, RepairHistory, RepairJournal, StepOutcome};
use serde_json::Value;

use super::SchemaCheck;

/// A journal in memory.
#[derive(Debug, Clone, Default)]
struct MemoryLog(Rc<RefCell<Vec<u8>>>);

impl JournalOutput for MemoryLog {
    fn path(&self) -> Option<&Path> {
        None
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }
}

/// Every kind of change, with and without its optional fields.
fn changes() -> Vec<Change> {
    let digest = Digest::hash(Algorithm::Sha256, b"{}");
    let long = Digest::hash(Algorithm::Sha512, b"{}");
    let modified = "2026-01-02T03:04:05.678Z".parse().unwrap();
    let made = vec!["repositories/app".to_owned(), "repositories/app/_layers".to_owned()];
    let path = "repositories/app/_layers/sha256/00/link".to_owned();
    let before = FileBefore { bytes: b"\xffnot text".to_vec(), mode: 0o644, user: 0, group: 1000, modified };
    vec![
        Change::Aside { made: made.clone(), marker: ".registry-fsck/x/quarantine.json".into() },
        Change::Folder { made: made.clone() },
        Change::Link { path: path.clone(), digest, modified, made: Vec::new(), before: None },
        Change::Link { path: path.clone(), digest: long, modified, made: made.clone(), before: Some(before) },
        Change::Data { path: path.clone(), digest, modified, made: made.clone() },
        Change::Move {
            path: path.clone(),
            to: "x/repositories/app".into(),
            made: made.clone(),
            lacked: Vec::new(),
        },
        Change::Move {
            path,
            to: "x/repositories/app".into(),
            made: made.clone(),
            lacked: vec![digest, long],
        },
        Change::SchedulerState { to: "x/scheduler-state.json".into(), made, written: Some(modified) },
        Change::SchedulerState { to: "x/scheduler-state.json".into(), made: Vec::new(), written: None },
    ]
}

/// Every outcome of a step.
fn outcomes() -> [StepOutcome; 7] {
    let why = || "it moved".to_owned();
    [
        StepOutcome::Planned,
        StepOutcome::Done,
        StepOutcome::There,
        StepOutcome::Spared(why().into()),
        StepOutcome::Refused(why().into()),
        StepOutcome::Failed(why().into()),
        StepOutcome::Stopped(why().into()),
    ]
}

/// A journal with every kind of line.
pub fn journal_text() -> String {
    let memory = MemoryLog::default();
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let (tree, aside) = (Path::new("/srv/docker/registry/v2"), Path::new("/srv"));
    let mut journal = RepairJournal::begin(memory.clone(), tree, aside, at).unwrap();
    let numbers = journal.announce(&changes()).unwrap();
    for (number, outcome) in numbers.into_iter().cycle().zip(outcomes()) {
        journal.note_outcome(number, &outcome).unwrap();
    }
    journal.finish().unwrap();
    let bytes = memory.0.borrow().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn journal_lines_of_every_kind_match_schema() {
    let mut lines = SchemaCheck::new("repair-journal");
    let text = journal_text();
    let all: Vec<Value> = text.lines().map(|line| lines.check(serde_json::from_str(line).unwrap())).collect();
    assert_eq!(all.len(), 1 + changes().len() + outcomes().len());
    assert_eq!(lines.unseen_fields(), [""; 0]);
    assert_eq!(RepairHistory::read(&text).unwrap().changes, changes());
}
