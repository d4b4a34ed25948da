//! ^C and SIGTERM: the first stops a run after the step under way, so that what was done is told; the second ends the process
//! at once. While a tree is only read, signals do what the system lets them do.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::Stop;
use registry_core::repair::Progress;

use crate::{exit, render};

/// Whether this process was told to stop: signals are sent to the whole of it.
static WAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on a signal stops these steps on a tree.
pub fn watch(steps: &Arc<Progress>) {
    let steps = Arc::clone(steps);
    install(move || steps.stop());
}

/// From now on a signal asks what works on servers to stop.
pub fn watch_servers() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    install(move || asked.stop());
    stop
}

fn install(ask: impl Fn() + Send + 'static) {
    let installed = ctrlc::set_handler(move || {
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let mut err = std::io::stderr();
        if WAS_STOPPED.swap(true, Ordering::Relaxed) {
            let _ = writeln!(err, "\nregistry-retention: ended at once; the journal tells what was done");
            std::process::exit(i32::from(exit::INTERRUPTED));
        }
        ask();
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
