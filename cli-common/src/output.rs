//! Prints answers to standard output, as text or JSON.

use std::io::{self, BufWriter, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::args::{Format, Printing, When};

/// Prints an answer: as JSON, or as the text that `write` writes.
///
/// # Errors
/// When the answer cannot be written. A closed pipe is not an error, so `… | head` works.
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

/// Prints a text, without its styles where colour is not wanted.
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
