//! Processes at work on a tree, as reports and errors tell of them.

use anyhow::anyhow;
use registry_core::repair::Server;
use registry_core::storage::Serving;

/// A process as the report tells of it.
pub fn server(serving: &Serving) -> Server {
    let Serving { pid, job, is_read_only, .. } = *serving;
    Server { pid, program: serving.program.clone(), job, is_read_only, doubt: serving.doubt.clone() }
}

/// What is said of a collector at work.
pub fn collecting(collector: &Serving) -> anyhow::Error {
    let Serving { program, pid, doubt, .. } = collector;
    match doubt {
        None => anyhow!("{program} (process {pid}) is collecting garbage on this tree: wait for its end"),
        Some(why) => anyhow!(
            "{program} (process {pid}) is collecting garbage, on this tree or another ({why}): wait for its end, or look as \
             root to tell"
        ),
    }
}
