//! What a container registry holds, what names what in it, and what is wrong with it.
//!
//! A registry is a graph: tags name manifests, an index names child manifests, a manifest names a config and layers.
//! [`storage`] reads a registry:2 tree from disk, [`graph`] holds what it found, [`audit`] answers which references
//! do not hold. The library prints nothing, reads no environment, never exits and never panics on input. The clock is an argument.
//!
//! # Audit a tree
//!
//! ```
//! # use {jiff::Timestamp, registry_core::audit::{AuditOptions, audit_tree}, registry_core::storage::Tree};
//! let tree = Tree::open_at("../fixtures/trees/children-tagged-elsewhere-after-gc-m-2.8.2")?;
//! let audit = audit_tree(&tree, &AuditOptions::new(Timestamp::now()));
//! for tag in &audit.broken_tags {
//!     println!("{}:{} cannot be pulled", tag.repository, tag.tag);
//! }
//! # assert_eq!(audit.broken_tags.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Repair a tree
//!
//! The steps are planned, looked at, and done through a [`TreeWriter`](tree_writer::TreeWriter), which refuses while something else
//! is at work on the tree. Each step is checked again on the disk, and written to a journal by which [`repair::Undo`] takes it back.
//!
//! ```no_run
//! # use {jiff::Timestamp, registry_core::{audit::AuditOptions, repair::{self, FileLog, StepProgress}}};
//! # use registry_core::{storage::{OpenOptions, Tree, locate_one}, tree_writer::{Access, TreeWriter}};
//! let (located, now) = (locate_one("/var/lib/registry")?, Timestamp::now());
//! let mut writer = TreeWriter::open(&located, None, Access::default(), now)?;
//! let tree = Tree::open(&located, &OpenOptions::default())?;
//! let plan = repair::plan_tree(&tree, &AuditOptions::new(now));
//! for step in plan.steps() {
//!     println!("{}: {}", step.path, step.message);
//! }
//! let journal = || FileLog::create("repair.journal");
//! let outcomes = repair::apply(&mut writer, &plan, journal, None, &StepProgress::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Probe a live registry
//!
//! ```no_run
//! # use {jiff::Timestamp, registry_core::probe::{ProbeOptions, ProbeState, probe}};
//! # use registry_core::registry::{Client, Credentials, Http, Settings};
//! # async fn example() -> Result<(), registry_core::registry::Error> {
//! let http = Http::new(Settings::default())?;
//! let client = Client::new(&http, "https://registry.example.com", Credentials::Anonymous)?;
//! let mut state = ProbeState::new(&client.address());
//! let judgement = probe(&client, &ProbeOptions::new(Timestamp::now()), &mut state).await;
//! for finding in &judgement.audit.findings {
//!     println!("{}: {}", finding.code, finding.message);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Plan retention
//!
//! A plan is data for a person to review. [`retention::apply`] acts on one that [`retention::Plan::verify`] let pass.
//! [`retention::RegistrySource`] takes the place of [`forgejo::Forgejo`] for any other OCI registry.
//!
//! ```no_run
//! # use {jiff::Timestamp, registry_core::forgejo::{Forgejo, ForgejoAccount}};
//! # use registry_core::{registry::{Http, Settings}, retention::{Policy, ServerPlanning, plan_server}};
//! # async fn example(token: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let http = Http::new(Settings::default())?;
//! let account = ForgejoAccount { owner: "team".into(), user: None, token: Some(token.into()) };
//! let forgejo = Forgejo::connect(&http, "https://git.example.com", &account).await?;
//! let policy = Policy::keep_last(10)?;
//! let how = ServerPlanning::new(&policy, Timestamp::now(), env!("CARGO_PKG_VERSION"));
//! let plan = plan_server(&forgejo, forgejo.source(), &how).await?.plan;
//! for package in &plan.packages {
//!     println!("{}: {} images would go", package.name, package.images_deleted);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Whole programs are in `registry-core/examples`.

pub mod audit;
#[cfg(any(feature = "storage", feature = "remote"))]
mod cause;
pub mod collector;
#[cfg(feature = "remote")]
pub mod forgejo;
pub mod graph;
pub mod oci;
pub mod path;
pub mod printable;
pub mod probe;
#[cfg(feature = "remote")]
pub mod registry;
#[cfg(feature = "storage")]
pub mod repair;
pub mod retention;
#[cfg(feature = "schema")]
pub mod schema;
mod serve;
#[cfg(feature = "remote")]
mod stop;
#[cfg(feature = "storage")]
pub mod storage;
pub mod text;
#[cfg(feature = "storage")]
pub mod tree_writer;

#[cfg(feature = "remote")]
pub use stop::Stop;
