//! Adds to refusals and failures of the library the option that helps and the exit status. The library says what is wrong; it
//! knows neither.

use anyhow::anyhow;
use registry_cli::hints::{lock_failure, quarantine_failure, step_failure};
use registry_core::repair::{RepairReport, StepOutcome, WhyRefused, WhyRemaining, WhyStopped};
use registry_core::tree_writer::{PlaceError, WriteRefusal};

use crate::exit::Failure;

/// Why the tree is not changed at all.
pub fn write_refused(refusal: WriteRefusal) -> Failure {
    match refusal {
        WriteRefusal::Server(server) => Failure::Io(anyhow!(
            "{} (process {}) is at work on this tree, and may be sent what relies on the repair: stop it, or say --online",
            server.program,
            server.pid
        )),
        WriteRefusal::Lock(error) => Failure::Io(anyhow!(lock_failure(&error))),
        WriteRefusal::Quarantine(error) => no_quarantine(error),
        WriteRefusal::JournalInside(_) => Failure::Usage(anyhow!("{refusal} with --journal")),
        other => Failure::Io(other.into()),
    }
}

/// Explains why no folder for the quarantine was found.
pub fn no_quarantine(error: PlaceError) -> Failure {
    Failure::Usage(anyhow!(quarantine_failure(&error)))
}

/// Why a step was not done; `None` if it was done or is only planned.
pub fn why_not_done(outcome: &StepOutcome) -> Option<String> {
    let why = match outcome {
        StepOutcome::Planned | StepOutcome::Done | StepOutcome::There => return None,
        StepOutcome::Spared(why) => why.to_string(),
        StepOutcome::Refused(why @ WhyRefused::Server { .. }) => format!("{why}, or say --online"),
        StepOutcome::Refused(why) => why.to_string(),
        StepOutcome::Failed(why) | StepOutcome::Stopped(WhyStopped::Failed(why)) => step_failure(why),
        StepOutcome::Stopped(why) => why.to_string(),
    };
    Some(why)
}

/// Why a finding stays.
pub fn why_left(why: &WhyRemaining) -> String {
    match why {
        WhyRemaining::Deleted { is_restorable: true } => {
            "--restore-deleted-tags brings it back, --drop-deleted-tags moves the tag aside".into()
        }
        WhyRemaining::Deleted { is_restorable: false } => "--drop-deleted-tags moves the tag aside".into(),
        WhyRemaining::Only => "left out by --only".into(),
        WhyRemaining::Repository => "left out by --repository".into(),
        other => other.to_string(),
    }
}

/// Replaces the causes in a report by texts that name the options of this program.
pub fn add_hints(mut report: RepairReport) -> RepairReport {
    for taken in &mut report.steps {
        let Some(why) = why_not_done(&taken.outcome) else { continue };
        match &mut taken.outcome {
            StepOutcome::Planned | StepOutcome::Done | StepOutcome::There => {}
            StepOutcome::Spared(cause) => *cause = why.into(),
            StepOutcome::Refused(cause) => *cause = why.into(),
            StepOutcome::Failed(cause) => *cause = why.into(),
            StepOutcome::Stopped(cause) => *cause = why.into(),
        }
    }
    for why in report.left.iter_mut().filter_map(|left| left.why.as_mut()) {
        *why = why_left(why).into();
    }
    report
}
