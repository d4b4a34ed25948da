//! Registries that this program asks: how, and with which credentials.

use registry_cli::connection::{Budget, Connection};
use registry_cli::credentials::{self, FORGEJO, Nameless, Places, REGISTRY, find};
use registry_core::registry::{Client, Http};

use crate::args::Common;

/// Where credentials of a registry are looked for.
pub const OF_REGISTRY: Places<'_> =
    Places { variables: &[REGISTRY], nameless: Nameless::InVariables("token") };
/// Where those of a Forgejo are.
pub const OF_FORGEJO: Places<'_> =
    Places { variables: &[FORGEJO, REGISTRY], nameless: Nameless::Token("token") };

/// Makes the transport that the command line asks for.
///
/// # Errors
/// When it cannot be made.
pub fn http(connection: &Connection, common: &Common, budget: Budget) -> anyhow::Result<Http> {
    connection.http(env!("CARGO_PKG_NAME"), common.jobs, budget)
}

/// A client of a registry with the credentials for it. Asks nobody.
///
/// # Errors
/// When the address or something that holds credentials cannot be used.
pub fn client(http: &Http, connection: &Connection, address: &str) -> anyhow::Result<Client> {
    let credentials = find(connection, &credentials::host(address), OF_REGISTRY)?;
    Ok(Client::new(http, address, credentials)?)
}
