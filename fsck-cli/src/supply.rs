//! Opens the source of missing bytes for `repair --from`: another tree, or a registry.

use std::path::Path;

use anyhow::anyhow;
use registry_cli::connection::{Budget, new_runtime};
use registry_core::repair::{RegistrySupply, Supply, TreeSupply};
use registry_core::storage::{LocatedRegistry, locate_one};
use registry_core::text::escape;

use crate::args::RepairArgs;
use crate::connect;
use crate::exit::Failure;

/// A supply, with the runtime that it needs.
#[derive(Debug)]
pub struct OpenSupply {
    /// Usable until this struct is dropped.
    pub supply: Box<dyn Supply>,
    _runtime: Option<tokio::runtime::Runtime>,
}

/// Opens the tree or registry of `--from`, for the repair of a tree.
///
/// # Errors
/// When it cannot be used or reached, or is the repaired tree itself.
pub fn open(args: &RepairArgs, from: &str, repaired: &LocatedRegistry) -> Result<OpenSupply, Failure> {
    if is_url(from) {
        return open_registry(args, from);
    }
    let located = locate_one(Path::new(from)).map_err(Failure::from_locate)?;
    let real_path = |located: &LocatedRegistry| located.v2.canonicalize().ok();
    if real_path(&located).is_some_and(|path| real_path(repaired) == Some(path)) {
        let from = escape(from);
        return Err(Failure::Usage(anyhow!(
            "--from {from} is the tree that is repaired: name another one, or the address of a registry"
        )));
    }
    let supply = TreeSupply::open(&located)
        .map_err(|error| Failure::Io(anyhow!("cannot open {}: {error}", escape(from))))?;
    Ok(OpenSupply { supply: Box::new(supply), _runtime: None })
}

/// Whether the value of `--from` is the URL of a registry, and not a path.
pub fn is_url(from: &str) -> bool {
    from.starts_with("http://") || from.starts_with("https://")
}

fn open_registry(args: &RepairArgs, address: &str) -> Result<OpenSupply, Failure> {
    let runtime = new_runtime().map_err(Failure::Io)?;
    let entered = runtime.enter();
    let http =
        connect::make_http(&args.connection, &args.common, Budget::default()).map_err(Failure::Usage)?;
    let client = connect::make_client(&http, &args.connection, address).map_err(Failure::Usage)?;
    if let Some(warning) = client.warning() {
        tracing::warn!("{warning}");
    }
    runtime.block_on(client.ping()).map_err(|error| Failure::Io(error.into()))?;
    drop(entered);
    let supply = RegistrySupply::new(client, runtime.handle().clone());
    Ok(OpenSupply { supply: Box::new(supply), _runtime: Some(runtime) })
}
