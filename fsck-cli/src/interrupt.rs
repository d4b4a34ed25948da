//! ^C and SIGTERM: a scan writes nothing, so it says how far it came and ends at once.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use registry_core::storage::Progress;

static WATCHED: OnceLock<Arc<Progress>> = OnceLock::new();

/// Ends the process with 130 when it is interrupted, after saying how far `progress` came.
pub fn watch(progress: &Arc<Progress>) {
    if WATCHED.set(Arc::clone(progress)).is_err() {
        return;
    }
    let installed = ctrlc::set_handler(|| {
        if let Some(progress) = WATCHED.get() {
            // Whoever reads standard error may be gone; that must not keep the process alive.
            let _ = writeln!(
                std::io::stderr(),
                "\nregistry-fsck: interrupted while {}, after {} files; nothing was changed",
                progress.phase().describe(),
                progress.files()
            );
        }
        std::process::exit(i32::from(crate::exit::INTERRUPTED));
    });
    if let Err(error) = installed {
        tracing::warn!("interrupts will not say how far the scan came: {error}");
    }
}
