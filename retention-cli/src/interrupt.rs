//! ^C and SIGTERM. The first signal stops a run after the current step, so that it reports what was done; the second ends the
//! process at once. While a tree is only read, signals have their default effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_cli::interrupt::{self, Response};
use registry_core::Stop;
use registry_core::repair::StepProgress;

/// Whether a signal asked this process to stop.
static WAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on, a signal stops these steps on a tree.
pub fn watch_steps(steps: &Arc<StepProgress>) {
    let steps = Arc::clone(steps);
    install(move || steps.stop());
}

/// From now on, a signal asks the requests to servers to stop, through the returned value.
pub fn watch_servers() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    install(move || asked.stop());
    stop
}

fn install(ask_to_stop: impl Fn() + Send + 'static) {
    interrupt::handle_signals(env!("CARGO_PKG_NAME"), move || {
        if WAS_STOPPED.swap(true, Ordering::Relaxed) {
            return Response::End("ended at once; the journal tells what was done".into());
        }
        ask_to_stop();
        Response::GoOn("stopping after the steps under way; once more ends it now".into())
    });
}

/// Whether a signal asked this process to stop.
pub fn was_stopped() -> bool {
    WAS_STOPPED.load(Ordering::Relaxed)
}
