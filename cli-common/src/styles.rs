//! The styles of text for a person; taken out again where it goes to no terminal.

use anstyle::{AnsiColor, Style};

/// What is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// What is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// What may be passed over.
pub const DIM: Style = Style::new().dimmed();
