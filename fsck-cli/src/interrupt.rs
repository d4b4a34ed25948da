//! ^C and SIGTERM: while a tree is read, the program says how far it came and ends at once; where something is being changed,
//! or servers are asked, it is asked to stop, says what it knows, and ends at once only when it is told a second time.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::Stop;

/// Ends the process with 130 when it is interrupted, after saying how far it came: "interrupted while …".
pub fn watch(far: impl Fn() -> String + Send + 'static) {
    watch_and(far, || false);
}

/// Asks questions to servers to stop the first time, so that what was answered is reported; the second time as [`watch`].
pub fn watch_questions(far: impl Fn() -> String + Send + 'static, stop: &Stop) {
    let stop = stop.clone();
    let installed = ctrlc::set_handler(move || {
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let mut err = std::io::stderr();
        if stop.is_stopped() {
            let _ = writeln!(err, "\nregistry-fsck: interrupted while {}; nothing was changed", far());
            std::process::exit(i32::from(crate::exit::INTERRUPTED));
        }
        stop.stop();
        let _ = writeln!(err, "\nregistry-fsck: stopping while {}; once more ends it now", far());
    });
    warn(installed);
}

fn warn(installed: Result<(), ctrlc::Error>) {
    if let Err(error) = installed {
        tracing::warn!("interrupts will not say how far this came: {error}");
    }
}

/// As [`watch`], but first asks `stop`: where that says that it will be seen to, the process goes on until the next time.
pub fn watch_and(far: impl Fn() -> String + Send + 'static, stop: impl Fn() -> bool + Send + 'static) {
    let was_asked = AtomicBool::new(false);
    let installed = ctrlc::set_handler(move || {
        let is_changing = stop();
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let mut err = std::io::stderr();
        if is_changing && !was_asked.swap(true, Ordering::Relaxed) {
            let _ = writeln!(err, "\nregistry-fsck: stopping after {}; once more ends it now", far());
            return;
        }
        let changed = if is_changing { "the journal tells what was changed" } else { "nothing was changed" };
        let _ = writeln!(err, "\nregistry-fsck: interrupted while {}; {changed}", far());
        std::process::exit(i32::from(crate::exit::INTERRUPTED));
    });
    warn(installed);
}
