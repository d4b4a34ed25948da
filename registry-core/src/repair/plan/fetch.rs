//! Asks another registry which of the missing bytes it has. The run fetches them.

use super::Planner;
use crate::audit::{Audit, Code};
use crate::graph::Graph;
use crate::oci::Digest;
use crate::oci::manifest::MAX_BYTES;
use crate::repair::left_out::WhyRemaining;
use crate::repair::propose;
use crate::repair::sizes::DeclaredSizes;
use crate::repair::step::RepairStep;

impl<S> Planner<'_, S> {
    /// Plans to fetch the missing bytes that the other registry has.
    pub(super) fn plan_fetches(&mut self, graph: &mut Graph, audit: &Audit) -> Vec<RepairStep> {
        let Some(supply) = self.supply else { return Vec::new() };
        let mut steps = Vec::new();
        let missing = propose::fetch_steps(audit, graph, self.scope);
        let sizes = DeclaredSizes::from_graph(graph, missing.iter().filter_map(|step| step.digest));
        for mut step in missing {
            let Some(digest) = step.digest else { continue };
            if !self.asked.insert(digest) {
                continue;
            }
            let repository = step.repository.as_deref().unwrap_or_default();
            let is_manifest = matches!(
                step.code,
                Some(
                    Code::TagTargetMissing
                        | Code::ChildMissing
                        | Code::RevisionLinkInvalid
                        | Code::RevisionLinkMismatch
                )
            );
            let found = if is_manifest {
                let is_right = |bytes: &Vec<u8>| {
                    bytes.len() as u64 <= MAX_BYTES && Digest::hash(digest.algorithm(), bytes) == digest
                };
                let found = supply.manifest(repository, &digest);
                found.map(|bytes| bytes.filter(is_right).map(|bytes| (bytes.len() as u64, Some(bytes))))
            } else {
                supply.size(repository, &digest).map(|size| size.map(|size| (size, None)))
            };
            match found {
                Ok(Some((size, bytes))) => {
                    let declared =
                        bytes.is_none().then(|| sizes.contradicting(graph, &digest, size)).flatten();
                    if let Some(needed) = declared {
                        let why =
                            WhyRemaining::OtherSize { supply: supply.name().into(), bytes: size, needed };
                        self.withheld.insert(step.path, why);
                        continue;
                    }
                    step.bytes = size;
                    step.message = format!("{}; {} has it", step.message, supply.name());
                    self.simulated.add_bytes(graph, &digest, size, bytes.as_deref(), self.options.now);
                    self.planned.insert((step.action, step.path.clone()));
                    steps.push(step);
                }
                Ok(None) => {
                    let why = WhyRemaining::NotThereEither { supply: supply.name().into() };
                    self.withheld.insert(step.path, why);
                }
                Err(error) => self.unanswered.push(format!("{}: {error}", step.path)),
            }
        }
        steps
    }
}
