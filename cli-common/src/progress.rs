//! A progress line on standard error. It polls a message; the work that it shows does not know of it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::When;

/// How often the line is redrawn.
const TICK: Duration = Duration::from_millis(120);

/// A progress line, which is shown until this is dropped.
#[derive(Debug, Default)]
pub struct ProgressLine {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressLine {
    /// Shows what `message` returns for the time since the start, if `progress`, `is_quiet` and the terminal allow it.
    pub fn show(
        progress: When,
        is_quiet: bool,
        message: impl Fn(Duration) -> String + Send + 'static,
    ) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let is_wanted = match progress {
            When::Always => true,
            When::Never => false,
            When::Auto => !is_quiet && is_terminal,
        };
        if !is_wanted {
            return Self::default();
        }
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            if is_terminal { draw_line(&flag, &message) } else { print_lines(&flag, &message) }
        });
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

/// Without a terminal: prints a whole line every 5 seconds, and one at the end.
fn print_lines(stop: &AtomicBool, message: &dyn Fn(Duration) -> String) {
    let started = Instant::now();
    let print = || writeln!(std::io::stderr(), "{}", message(started.elapsed()));
    let mut printed_at = started;
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(TICK);
        if printed_at.elapsed() > Duration::from_secs(5) {
            let _ = print();
            printed_at = Instant::now();
        }
    }
    let _ = print();
}

fn draw_line(stop: &AtomicBool, message: &dyn Fn(Duration) -> String) {
    let started = Instant::now();
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
