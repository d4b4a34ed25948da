//! ^C and SIGTERM: the first stops a run after the step under way, so that what was done is told; the second ends the process
//! at once. While a tree is only read, signals do what the system lets them do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_cli::interrupt::{self, Response};
use registry_core::Stop;
use registry_core::repair::StepProgress;

/// Whether this process was told to stop: signals are sent to the whole of it.
static WAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on a signal stops these steps on a tree.
pub fn watch(steps: &Arc<StepProgress>) {
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
    interrupt::watch(env!("CARGO_PKG_NAME"), move || {
        if WAS_STOPPED.swap(true, Ordering::Relaxed) {
            return Response::End("ended at once; the journal tells what was done".into());
        }
        ask();
        Response::GoOn("stopping after the steps under way; once more ends it now".into())
    });
}

/// Whether something was stopped so.
pub fn was_stopped() -> bool {
    WAS_STOPPED.load(Ordering::Relaxed)
}
