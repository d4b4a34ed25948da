//! ^C and SIGTERM. While a tree is read, a signal ends the program at once, after saying how far it came. While a tree is changed
//! or servers are asked, the first signal asks the program to stop and report; the second signal ends it at once.

use registry_cli::interrupt::{Response, handle_signals as install};
use registry_core::Stop;
use registry_core::registry::Http;

const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// On a signal, says how far the program came ("interrupted while …") and ends it with status 130.
pub fn watch_reading(describe: impl Fn() -> String + Send + 'static) {
    watch_changes(describe, || false);
}

/// On the first signal, asks for no more requests, so that the answers so far are reported; the second is as in
/// [`watch_reading`].
pub fn watch_requests(http: &Http, stop: &Stop) {
    let http = http.clone();
    let describe = move || format!("asking, after {} requests", http.requests_sent());
    let stop = stop.clone();
    install(PROGRAM, move || {
        if stop.is_stopped() {
            return Response::End(format!("interrupted while {}; nothing was changed", describe()));
        }
        stop.stop();
        Response::GoOn(format!("stopping while {}; once more ends it now", describe()))
    });
}

/// As [`watch_reading`], but calls `stop` first. If that returns true, changes are under way and will stop: the process goes on
/// until the next signal.
pub fn watch_changes(
    describe: impl Fn() -> String + Send + 'static,
    stop: impl Fn() -> bool + Send + 'static,
) {
    let mut was_asked = false;
    install(PROGRAM, move || {
        let is_changing = stop();
        if is_changing && !was_asked {
            was_asked = true;
            return Response::GoOn(format!("stopping after {}; once more ends it now", describe()));
        }
        let changed = if is_changing { "the journal tells what was changed" } else { "nothing was changed" };
        Response::End(format!("interrupted while {}; {changed}", describe()))
    });
}
