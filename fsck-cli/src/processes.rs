//! Processes at work on a tree, as reports tell of them.

use registry_core::repair::Server;
use registry_core::storage::Serving;

/// A process as the report tells of it.
pub fn server(serving: &Serving) -> Server {
    let Serving { pid, job, is_read_only, .. } = *serving;
    Server { pid, program: serving.program.clone(), job, is_read_only, doubt: serving.doubt.clone() }
}
