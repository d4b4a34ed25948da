//! A line on standard error that says what is being done. It polls; what it tells of does not know of it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::When;

/// How often the line is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// The line, as long as this lives.
#[derive(Debug, Default)]
pub struct ProgressLine {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressLine {
    /// Shows what `message` says after so much time, if the command line and the terminal agree to it.
    pub fn show(
        progress: When,
        is_quiet: bool,
        message: impl Fn(Duration) -> String + Send + 'static,
    ) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let wanted = match progress {
            When::Always => true,
            When::Never => false,
            When::Auto => !is_quiet && is_terminal,
        };
        if !wanted {
            return Self::default();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let forced = progress == When::Always && !is_terminal;
        let thread = std::thread::spawn(move || draw(&flag, &message, forced));
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn draw(stop: &AtomicBool, message: &dyn Fn(Duration) -> String, forced: bool) {
    let started = Instant::now();
    if forced {
        // No terminal to draw on: whole lines, now and then.
        let mut said = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TICK);
            if said.elapsed() > Duration::from_secs(5) {
                let _ = writeln!(std::io::stderr(), "{}", message(started.elapsed()));
                said = Instant::now();
            }
        }
        let _ = writeln!(std::io::stderr(), "{}", message(started.elapsed()));
        return;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    while !stop.load(Ordering::Relaxed) {
        bar.set_message(message(started.elapsed()));
        bar.tick();
        std::thread::sleep(TICK);
    }
    bar.finish_and_clear();
}
