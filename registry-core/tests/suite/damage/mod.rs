//! What can be damaged, kind by kind: each test calls one `break_*` method and snapshots the report. What the server answers is in the name of the test.

mod blobs;
mod descriptors;
mod folders;
mod layers;
mod links;
mod manifests;
mod tags;
