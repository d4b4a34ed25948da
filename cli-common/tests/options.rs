//! docs/options.md tells of every option that the programs share, and of no other.

use std::collections::BTreeSet;

use clap::{Args as _, Command};
use registry_cli::args::{Jobs, Messages, Printing};
use registry_cli::connection::Connection;
use registry_cli::metrics::MetricsPlaces;

#[test]
fn the_page_tells_of_every_shared_option() {
    let mut command = Command::new("program");
    for augment in [
        Connection::augment_args,
        Jobs::augment_args,
        Printing::augment_args,
        Messages::augment_args,
        MetricsPlaces::augment_args,
    ] {
        command = augment(command);
    }
    let options: BTreeSet<String> = command
        .get_arguments()
        .flat_map(|argument| {
            let aliases = argument.get_all_aliases().unwrap_or_default();
            argument.get_long().into_iter().chain(aliases).map(|name| format!("--{name}")).collect::<Vec<_>>()
        })
        .collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md"))
        .expect("the page");
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let told: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`'))
        .filter_map(|piece| piece.split_whitespace().next())
        .filter(|word| word.starts_with("--"))
        .map(str::to_owned)
        .collect();
    assert_eq!(told, options);
    assert!(options.contains("--token-file") && options.len() > 10, "{options:?}");
}
