//! Connects to registries, with their credentials.

use registry_cli::connection::{Budget, Connection};
use registry_cli::credentials::{
    self, CredentialPlaces, FORGEJO, REGISTRY, SecretWithoutUser, find_credentials,
};
use registry_core::registry::{Client, Http};

use crate::args::Common;

/// Where the credentials of a registry are looked for.
pub const REGISTRY_PLACES: CredentialPlaces<'_> =
    CredentialPlaces { variables: &[REGISTRY], nameless: SecretWithoutUser::InVariables("token") };
/// Where the credentials of a Forgejo server are looked for.
pub const FORGEJO_PLACES: CredentialPlaces<'_> =
    CredentialPlaces { variables: &[FORGEJO, REGISTRY], nameless: SecretWithoutUser::Token("token") };

/// Makes the HTTP transport as the command line sets it up.
///
/// # Errors
/// When it cannot be made.
pub fn make_http(connection: &Connection, common: &Common, budget: Budget) -> anyhow::Result<Http> {
    connection.new_http(env!("CARGO_PKG_NAME"), common.jobs, budget)
}

/// Makes a client of a registry, with its credentials. Sends no request.
///
/// # Errors
/// When the address or the credentials cannot be used.
pub fn make_client(http: &Http, connection: &Connection, address: &str) -> anyhow::Result<Client> {
    let credentials = find_credentials(connection, &credentials::credential_host(address), REGISTRY_PLACES)?;
    Ok(Client::new(http, address, credentials)?)
}
