//! The progress of a repair: its line on the terminal, and what a signal does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::HumanCount;
use registry_cli::progress::ProgressLine;
use registry_core::repair;
use registry_core::storage::ScanProgress;

use crate::args::RepairArgs;
use crate::{interrupt, scan};

/// The progress of a repair.
#[derive(Debug, Default)]
pub(super) struct RepairProgress {
    pub(super) scan: Arc<ScanProgress>,
    pub(super) steps: Arc<repair::StepProgress>,
    /// Whether steps are being done: a signal stops them after the current batch.
    pub(super) is_changing: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
}

impl RepairProgress {
    fn message(&self) -> impl Fn(std::time::Duration) -> String + Send + 'static {
        let (scan, steps) = (Arc::clone(&self.scan), Arc::clone(&self.steps));
        move |elapsed| {
            if steps.total() == steps.done() {
                return scan::progress_message(&scan, elapsed);
            }
            format!("repairing: {} of {} steps", HumanCount(steps.done()), HumanCount(steps.total()))
        }
    }

    /// On a signal, ends the process at once while nothing is changed, else after the current batch of steps.
    pub(super) fn watch(&self) {
        let message = self.message();
        let (steps, is_changing) = (Arc::clone(&self.steps), Arc::clone(&self.is_changing));
        let stopped = Arc::clone(&self.stopped);
        interrupt::watch_changes(
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

    /// Shows the progress line, if one is wanted.
    pub(super) fn show(&self, args: &RepairArgs) -> ProgressLine {
        args.common.progress_line(self.message())
    }

    /// Whether a signal stopped the steps.
    pub(super) fn was_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
