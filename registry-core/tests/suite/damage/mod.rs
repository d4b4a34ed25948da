//! What can be damaged, kind by kind: one builder call, one report. What the server answers is in the name of the test.

mod blobs;
mod descriptors;
mod folders;
mod layers;
mod links;
mod manifests;
mod tags;
