//! A line on standard error that says what a scan is doing. It polls counters; the scan does not know of it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use registry_core::storage::{Phase, Progress};

use crate::args::{Common, When};

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// The line, as long as this lives.
#[derive(Debug, Default)]
pub struct Line {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Line {
    /// Shows a line for `progress` if the command line and the terminal agree to it.
    pub fn show(common: &Common, progress: &Arc<Progress>) -> Self {
        let wanted = match common.progress {
            When::Always => true,
            When::Never => false,
            When::Auto => !common.quiet && std::io::stderr().is_terminal(),
        };
        if !wanted {
            return Self::default();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, progress) = (Arc::clone(&stop), Arc::clone(progress));
        let forced = common.progress == When::Always && !std::io::stderr().is_terminal();
        let thread = std::thread::spawn(move || draw(&flag, &progress, forced));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn draw(stop: &AtomicBool, progress: &Progress, forced: bool) {
    let started = Instant::now();
    if forced {
        // No terminal to draw on: whole lines, now and then.
        let mut said = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            if said.elapsed() > Duration::from_secs(5) {
                let _ = writeln!(std::io::stderr(), "{}", message(progress, started.elapsed()));
                said = Instant::now();
            }
        }
        let _ = writeln!(std::io::stderr(), "{}", message(progress, started.elapsed()));
        return;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    while !stop.load(Ordering::Relaxed) {
        bar.set_message(message(progress, started.elapsed()));
        bar.tick();
        std::thread::sleep(TICK);
    }
    bar.finish_and_clear();
}

fn message(progress: &Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let phase = progress.phase();
    if phase == Phase::Content {
        let (bytes, total) = (progress.bytes(), progress.bytes_total());
        return format!("{}: {} of {}", phase.describe(), HumanBytes(bytes), HumanBytes(total));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate to look at"
    )]
    let rate = (progress.files() as f64 / seconds) as u64;
    format!("{}: {} files, {} a second", phase.describe(), HumanCount(progress.files()), HumanCount(rate))
}
