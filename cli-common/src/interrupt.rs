//! Handles ^C and SIGTERM. Each program decides whether a signal ends it at once or asks it to stop.

use std::io::Write as _;

use crate::exit::INTERRUPTED;

/// What a program does about a signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Print this; the run ends by itself.
    GoOn(String),
    /// Print this, and end the process at once with status 130.
    End(String),
}

/// Calls `respond` for each signal from now on, and does what it answers.
pub fn handle_signals(program: &'static str, mut respond: impl FnMut() -> Response + Send + 'static) {
    let installed = ctrlc::set_handler(move || {
        let response = respond();
        let (Response::GoOn(text) | Response::End(text)) = &response;
        // A closed standard error must not keep the process alive.
        let _ = writeln!(std::io::stderr(), "\n{program}: {text}");
        if matches!(response, Response::End(_)) {
            std::process::exit(i32::from(INTERRUPTED));
        }
    });
    if let Err(error) = installed {
        tracing::warn!("an interrupt will end this at once: {error}");
    }
}
