//! The styles of printed text. They are left out when the output is not a terminal.

use anstyle::{AnsiColor, Style};

/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What needs attention.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// What is in order.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What may be skipped.
pub const DIM: Style = Style::new().dimmed();
