//! Why nothing goes in a package, with the option that helps. The library says what is wrong and knows no options.

use registry_core::retention::{Loss, NotPlanned, PackagePlan, Refusal, Skip};
use registry_core::text::escape;

/// Why nothing goes in a package, and what helps; `None` where it was planned.
pub(super) fn reason(package: &PackagePlan) -> Option<String> {
    let reason = package.reason.as_deref()?;
    let hint = package.why.as_ref().and_then(|why| hint(why, &package.name));
    Some(hint.map_or_else(|| reason.to_owned(), |hint| format!("{reason}; {hint}")))
}

fn hint(why: &NotPlanned, package: &str) -> Option<String> {
    let hint = match why {
        NotPlanned::Skipped(
            Skip::TagWithoutDigest { tag } | Skip::TagWithoutManifest { tag, lost: Loss::Manifest },
        ) => {
            return Some(escape(&format!("if it is lost for good, say --assume-lost {package}:{tag}")));
        }
        NotPlanned::Refused(Refusal::TooManyOfPackage { .. }) => "--max-delete-percent says how many may go",
        NotPlanned::Refused(Refusal::TooManyOfRun { .. }) => "--max-delete says how many may go",
        NotPlanned::Refused(Refusal::NoneStays) => "--allow-empty says that this is meant",
        NotPlanned::Refused(Refusal::CopiedTimes { .. }) => {
            "rank by something that the copy kept (--rank-by semver or created), or copy again with times (cp -a, rsync -a)"
        }
        NotPlanned::Refused(Refusal::ReversedPushes(_)) => {
            "--push-times FILE gives what an undo put back its original times, --rank-by created ranks by build, and \
             --accept-push-order says that this order is meant"
        }
        NotPlanned::Skipped(_) | NotPlanned::Refused(_) => return None,
    };
    Some(hint.to_owned())
}
