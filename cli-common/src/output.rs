//! Answers on standard output, in the form that was asked for.

use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::args::{Format, Printing, When};

/// Prints an answer: itself as JSON, or the text that `write` makes of it.
///
/// # Errors
/// When it cannot be written. A reader that went away is no error: `… | head` is fine.
pub fn print(
    printing: Printing,
    answer: &impl Serialize,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    print_text(printing.color, |out| match printing.output {
        Format::Json => registry_core::printable::write(answer, out),
        Format::Text => write(out),
    })
}

/// Prints a text, whose styles are taken out where they are not wanted.
///
/// # Errors
/// As [`print()`].
pub fn print_text(color: When, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let choice = match color {
        When::Auto => AutoStream::choice(&io::stdout()),
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    let mut out = BufWriter::with_capacity(64 << 10, AutoStream::new(io::stdout(), choice));
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
