//! ^C and SIGTERM. What is under way, and whether it is ended at once or asked to stop, is the programs' matter.

use std::io::Write as _;

use crate::exit::INTERRUPTED;

/// What a program does about a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// This is printed, and the run ends by itself.
    GoOn(String),
    /// This is printed, and the process ends at once with 130.
    End(String),
}

/// From now on signals are answered so.
pub fn watch(program: &'static str, mut respond: impl FnMut() -> Response + Send + 'static) {
    let installed = ctrlc::set_handler(move || {
        let response = respond();
        let (Response::GoOn(text) | Response::End(text)) = &response;
        // Whoever reads standard error may be gone; that must not keep the process alive.
        let _ = writeln!(std::io::stderr(), "\n{program}: {text}");
        if matches!(response, Response::End(_)) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    if let Err(error) = installed {
        tracing::warn!("an interrupt will end this at once: {error}");
    }
}
