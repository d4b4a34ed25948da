//! ^C and SIGTERM: while a tree is read, the program says how far it came and ends at once; where something is being changed,
//! or servers are asked, it is asked to stop, says what it knows, and ends at once only when it is told a second time.

use registry_cli::interrupt::{Response, watch as install};
use registry_core::Stop;

const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// Ends the process with 130 when it is interrupted, after saying how far it came: "interrupted while …".
pub fn watch(far: impl Fn() -> String + Send + 'static) {
    watch_and(far, || false);
}

/// Asks questions to servers to stop the first time, so that what was answered is reported; the second time as [`watch`].
pub fn watch_questions(far: impl Fn() -> String + Send + 'static, stop: &Stop) {
    let stop = stop.clone();
    install(PROGRAM, move || {
        if stop.is_stopped() {
            return Response::End(format!("interrupted while {}; nothing was changed", far()));
        }
        stop.stop();
        Response::GoOn(format!("stopping while {}; once more ends it now", far()))
    });
}

/// As [`watch`], but first asks `stop`: where that says that it will be seen to, the process goes on until the next time.
pub fn watch_and(far: impl Fn() -> String + Send + 'static, stop: impl Fn() -> bool + Send + 'static) {
    let mut was_asked = false;
    install(PROGRAM, move || {
        let is_changing = stop();
        if is_changing && !was_asked {
            was_asked = true;
            return Response::GoOn(format!("stopping after {}; once more ends it now", far()));
        }
        let changed = if is_changing { "the journal tells what was changed" } else { "nothing was changed" };
        Response::End(format!("interrupted while {}; {changed}", far()))
    });
}
