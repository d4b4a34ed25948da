//! Refuses common options that mean nothing to a command, instead of ignoring them.

use anyhow::anyhow;
use registry_cli::connection::Connection;

use crate::args::Common;
use crate::exit::Failure;
use crate::supply;

/// Refuses common options that mean nothing to a command for a journal or a quarantine. `why_whole` says why the command
/// cannot be limited to some repositories.
///
/// # Errors
/// When there is such an option.
pub fn refuse_unused(command: &str, why_whole: &str, common: &Common) -> Result<(), Failure> {
    let why = if !common.repository.is_empty() {
        format!("--repository cannot go with {command}: {why_whole}")
    } else if common.metrics.are_wanted() {
        format!("{command} writes no metrics: those of scan tell of the same registry")
    } else if common.jobs.jobs.is_some() {
        format!("--jobs cannot go with {command}: it does one thing after the other")
    } else {
        return Ok(());
    };
    Err(Failure::Usage(anyhow!(why)))
}

/// Refuses options for reaching a registry if `--from` names none.
///
/// # Errors
/// When `from` is no URL, and there is such an option.
pub fn refuse_connection(from: Option<&str>, connection: &Connection) -> Result<(), Failure> {
    let is_url = from.is_some_and(supply::is_url);
    let options = [
        (connection.user.is_some(), "--user"),
        (connection.password_file.is_some(), "--password-file"),
        (connection.authfile.is_some(), "--authfile"),
        (!connection.token_service.is_empty(), "--token-service"),
        (connection.ca_file.is_some(), "--ca-file"),
    ];
    match options.into_iter().find(|(is_given, _)| *is_given && !is_url) {
        None => Ok(()),
        Some((_, option)) => Err(Failure::Usage(anyhow!(
            "{option} is for a registry that --from names by its URL: name it, or leave {option} out"
        ))),
    }
}
