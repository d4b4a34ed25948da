//! How far a repair has come, on a line of the terminal, and what an interrupt does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanCount;
use registry_cli::progress::ProgressLine;
use registry_core::repair;
use registry_core::storage::ScanProgress;

use crate::args::RepairArgs;
use crate::{interrupt, scan};

/// How far a repair has come.
#[derive(Debug, Default)]
pub(super) struct RepairProgress {
    pub(super) scan: Arc<ScanProgress>,
    pub(super) steps: Arc<repair::StepProgress>,
    /// Whether steps are done now: an interrupt stops them after the batch that is under way.
    pub(super) is_changing: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl RepairProgress {
    fn message(&self) -> impl Fn(std::time::Duration) -> String + Send + 'static {
        let (scan, steps) = (Arc::clone(&self.scan), Arc::clone(&self.steps));
        move |elapsed| {
            if steps.total() == steps.done() {
                return scan::message(&scan, elapsed);
            }
            format!("repairing: {} of {} steps", HumanCount(steps.done()), HumanCount(steps.total()))
        }
    }

    /// Meets an interrupt: at once while nothing is changed, else after the batch of steps.
    pub(super) fn watch(&self) {
        let message = self.message();
        let (steps, is_changing) = (Arc::clone(&self.steps), Arc::clone(&self.is_changing));
        let stopped = Arc::clone(&self.stopped);
        interrupt::watch_and(
            move || message(std::time::Duration::from_secs(1)),
            move || {
                let is_changing = is_changing.load(Ordering::Relaxed);
                if is_changing {
                    stopped.store(true, Ordering::Relaxed);
                    steps.stop();
                }
                is_changing
            },
        );
    }

    /// A line on the terminal that tells it.
    pub(super) fn line(&self, args: &RepairArgs) -> ProgressLine {
        args.common.progress_line(self.message())
    }

    /// Whether steps were stopped by an interrupt.
    pub(super) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
