//! ^C and SIGTERM: where nothing was changed, the program says how far it came and ends at once; where something is being
//! changed, it is asked to stop at the next safe place, and ends at once only when it is told a second time.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends the process with 130 when it is interrupted, after saying how far it came: "interrupted while …".
pub fn watch(far: impl Fn() -> String + Send + 'static) {
    watch_and(far, || false);
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
    if let Err(error) = installed {
        tracing::warn!("interrupts will not say how far this came: {error}");
    }
}
