//! Adds to the reasons of the library the option that helps. The library says what is wrong; it knows no options.

use registry_cli::hints::step_failure;
use registry_core::repair::WhyStopped;
use registry_core::retention::{
    AppliedRow, ApplyResult, Loss, PackagePlan, Refusal, Skip, Stopped, WhyHalted, WhyNotDeleted,
    WhyNotPlanned,
};
use registry_core::text::escape;

/// Why nothing goes in a package, with the option that helps; `None` if the package was planned.
pub(super) fn package_reason(package: &PackagePlan) -> Option<String> {
    let reason = package.reason.as_deref()?;
    let hint = package.why.as_ref().and_then(|why| package_hint(why, &package.name));
    Some(hint.map_or_else(|| reason.to_owned(), |hint| format!("{reason}; {hint}")))
}

fn package_hint(why: &WhyNotPlanned, package: &str) -> Option<String> {
    let hint = match why {
        WhyNotPlanned::Skipped(
            Skip::TagWithoutDigest { tag } | Skip::TagWithoutManifest { tag, lost: Loss::Manifest },
        ) => {
            return Some(escape(&format!("if it is lost for good, say --assume-lost {package}:{tag}")));
        }
        WhyNotPlanned::Refused(Refusal::TooManyOfPackage { .. }) => {
            "--max-delete-percent says how many may go"
        }
        WhyNotPlanned::Refused(Refusal::TooManyOfRun { .. }) => "--max-delete says how many may go",
        WhyNotPlanned::Refused(Refusal::NoneStays) => "--allow-empty says that this is meant",
        WhyNotPlanned::Refused(Refusal::CopiedTimes { .. }) => {
            "rank by something that the copy kept (--rank-by semver or created), or copy again with times (cp -a, rsync -a)"
        }
        WhyNotPlanned::Refused(Refusal::ReversedPushes(_)) => {
            "--push-times FILE gives what an undo put back its original times, --rank-by created ranks by build, and \
             --accept-push-order says that this order is meant"
        }
        WhyNotPlanned::Skipped(_) | WhyNotPlanned::Refused(_) => return None,
    };
    Some(hint.to_owned())
}

/// The reason of a row that stays, with a colon before it; empty without a reason.
pub(super) fn reason_suffix(row: &AppliedRow) -> String {
    row.reason.as_ref().map_or_else(String::new, |why| format!(": {}", row_reason(why)))
}

/// Why a row stays, with the option that helps.
fn row_reason(why: &WhyNotDeleted) -> String {
    match why {
        WhyNotDeleted::Failed(why) => step_failure(why),
        WhyNotDeleted::Halted(why) => halt_reason(why),
        other => other.to_string(),
    }
}

/// Why a run on a tree halted, with the option that helps.
pub(super) fn halt_reason(why: &WhyHalted) -> String {
    match why {
        WhyHalted::Stopped(WhyStopped::Failed(why)) => step_failure(why),
        other => other.to_string(),
    }
}

/// Replaces the causes in a result by texts that name the options of this program.
pub fn add_hints(mut applied: ApplyResult) -> ApplyResult {
    for why in applied.rows.iter_mut().filter_map(|row| row.reason.as_mut()) {
        *why = row_reason(why).into();
    }
    if let Some(Stopped::Halted(why)) = &mut applied.stopped {
        *why = halt_reason(why).into();
    }
    applied
}
