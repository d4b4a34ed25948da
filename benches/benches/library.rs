//! Benchmarks of the library: parsing a manifest, scanning a small tree, auditing its graph. Comparisons of whole programs are
//! in `registry-benches run`.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use registry_benches::tree::{Shape, generate};
use registry_core::audit::{AuditOptions, audit};
use registry_core::oci::Manifest;
use registry_core::storage::{OpenOptions, ScanOptions, ScanProgress, Symlinks, Tree, locate};

fn bench_manifest(criterion: &mut Criterion) {
    let layer = format!(
        r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":123456,"digest":"sha256:{}"}}"#,
        "ab".repeat(32)
    );
    let layers = [layer.as_str(); 8].join(",");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{layer},"layers":[{layers}]}}"#
    );
    let mut group = criterion.benchmark_group("manifest");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("parse an image of 8 layers", |bencher| {
        bencher.iter(|| Manifest::parse(black_box(text.as_bytes())));
    });
    group.finish();
}

fn bench_tree(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = generate(folder.path(), &Shape::new(10, 20)).expect("a tree");
    let located = locate(folder.path(), Symlinks::Refuse).registries;
    let tree = Tree::open(&located[0], &OpenOptions::default()).expect("a tree");
    let progress = ScanProgress::default();
    let mut group = criterion.benchmark_group("tree");
    group.throughput(Throughput::Elements(made.files)).sample_size(20);
    group.bench_function("scan", |bencher| bencher.iter(|| tree.scan(&ScanOptions::default(), &progress)));
    let graph = tree.scan(&ScanOptions::default(), &progress);
    let options = AuditOptions::new(Timestamp::MAX);
    group.bench_function("audit", |bencher| {
        bencher.iter(|| audit(black_box(&graph), "bench", &options));
    });
    group.finish();
}

criterion_group!(benches, bench_manifest, bench_tree);
criterion_main!(benches);
