//! ^C and SIGTERM while things are moved aside: the first stops after the steps under way, so that what was done is told; the
//! second ends the process at once. Until things are moved, and on servers, signals do what the system lets them do.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::repair::Progress;

use crate::{exit, render};

/// Whether this process was told to stop: signals are sent to the whole of it.
static WAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on a signal stops these steps.
pub fn watch(steps: &Arc<Progress>) {
    let steps = Arc::clone(steps);
    let installed = ctrlc::set_handler(move || {
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let mut err = std::io::stderr();
        if WAS_STOPPED.swap(true, Ordering::Relaxed) {
            let _ = writeln!(err, "\nregistry-retention: ended at once; the journal tells what was moved");
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        steps.stop();
        let _ =
            writeln!(err, "\nregistry-retention: stopping after the steps under way; once more ends it now");
    });
    if let Err(error) = installed {
        render::warn(&format!("an interrupt will end this at once: {error}"));
    }
}

/// Whether something was stopped so.
pub fn was_stopped() -> bool {
    WAS_STOPPED.load(Ordering::Relaxed)
}
