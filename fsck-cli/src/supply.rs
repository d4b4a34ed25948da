//! Where `repair --from` gets missing bytes: the path of another tree, or the address of a registry.

use std::path::Path;

use anyhow::anyhow;
use registry_cli::connection::{Budget, runtime};
use registry_core::repair::{RegistrySupply, Supply, TreeSupply};
use registry_core::storage::{Located, locate_one};
use registry_core::text::escape;

use crate::args::RepairArgs;
use crate::connect;
use crate::exit::Failure;

/// A supply, and the runtime that it needs as long as it is used.
#[derive(Debug)]
pub struct Opened {
    /// Answers while this lives.
    pub supply: Box<dyn Supply>,
    _runtime: Option<tokio::runtime::Runtime>,
}

/// Opens what `--from` names, for the repair of a tree.
///
/// # Errors
/// When it cannot be used or reached, or is the tree itself.
pub fn open(args: &RepairArgs, from: &str, repaired: &Located) -> Result<Opened, Failure> {
    if from.starts_with("http://") || from.starts_with("https://") {
        return registry(args, from);
    }
    let located = locate_one(Path::new(from)).map_err(Failure::of_locate)?;
    let real = |one: &Located| one.v2.canonicalize().ok();
    if real(&located).is_some_and(|v2| real(repaired) == Some(v2)) {
        let from = escape(from);
        return Err(Failure::Usage(anyhow!(
            "--from {from} is the tree that is repaired: name another one, or the address of a registry"
        )));
    }
    let supply = TreeSupply::open(&located)
        .map_err(|error| Failure::Io(anyhow!("cannot open {}: {error}", escape(from))))?;
    Ok(Opened { supply: Box::new(supply), _runtime: None })
}

fn registry(args: &RepairArgs, address: &str) -> Result<Opened, Failure> {
    let runtime = runtime().map_err(Failure::Io)?;
    let entered = runtime.enter();
    let http = connect::http(&args.connection, &args.common, Budget::default()).map_err(Failure::Usage)?;
    let client = connect::client(&http, &args.connection, address).map_err(Failure::Usage)?;
    if let Some(warning) = client.warning() {
        tracing::warn!("{warning}");
    }
    runtime.block_on(client.ping()).map_err(|error| Failure::Io(error.into()))?;
    drop(entered);
    let supply = RegistrySupply::new(client, runtime.handle().clone());
    Ok(Opened { supply: Box::new(supply), _runtime: Some(runtime) })
}
