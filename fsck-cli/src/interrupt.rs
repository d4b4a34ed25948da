//! ^C and SIGTERM: nothing was changed, so the program says how far it came and ends at once.

use std::io::Write as _;

/// Ends the process with 130 when it is interrupted, after saying how far it came: "interrupted while …".
pub fn watch(far: impl Fn() -> String + Send + 'static) {
    let installed = ctrlc::set_handler(move || {
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let _ =
            writeln!(std::io::stderr(), "\nregistry-fsck: interrupted while {}; nothing was changed", far());
        std::process::exit(i32::from(crate::exit::INTERRUPTED));
    });
    if let Err(error) = installed {
        tracing::warn!("interrupts will not say how far this came: {error}");
    }
}
