//! Options that a command takes, as all do, and that mean nothing to it: refused, never passed over.

use anyhow::anyhow;
use registry_cli::connection::Connection;

use crate::args::Common;
use crate::exit::Failure;

/// Refuses common options that mean nothing to a command which goes by a journal or a quarantine; `whole` tells why it
/// takes no part of that.
///
/// # Errors
/// When there is one.
pub fn refuse(command: &str, whole: &str, common: &Common) -> Result<(), Failure> {
    let why = if !common.repository.is_empty() {
        format!("--repository cannot go with {command}: {whole}")
    } else if common.metrics.are_wanted() {
        format!("{command} writes no metrics: those of scan tell of the same registry")
    } else if common.jobs.jobs.is_some() {
        format!("--jobs cannot go with {command}: it does one thing after the other")
    } else {
        return Ok(());
    };
    Err(Failure::Usage(anyhow!(why)))
}

/// Refuses to be told how a registry is reached where none is.
///
/// # Errors
/// When `from` names none, and something tells how.
pub fn refuse_connection(from: Option<&str>, connection: &Connection) -> Result<(), Failure> {
    let is_url = from.is_some_and(|from| from.starts_with("http://") || from.starts_with("https://"));
    let named = [
        (connection.user.is_some(), "--user"),
        (connection.password_file.is_some(), "--password-file"),
        (connection.authfile.is_some(), "--authfile"),
        (!connection.token_service.is_empty(), "--token-service"),
        (connection.ca_file.is_some(), "--ca-file"),
    ];
    match named.into_iter().find(|(is_given, _)| *is_given && !is_url) {
        None => Ok(()),
        Some((_, option)) => Err(Failure::Usage(anyhow!(
            "{option} is for a registry that --from names by its URL: name it, or leave {option} out"
        ))),
    }
}
