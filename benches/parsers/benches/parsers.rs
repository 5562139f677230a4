//! What it costs to get messages out of the same bytes.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use criterion::{criterion_group, criterion_main};
use townhall_parsers::{all, client_messages};

fn parsers(c: &mut Criterion) {
    for (kind, text) in [("binary", false), ("text", true)] {
        let mut group = c.benchmark_group(kind);
        for (size, count) in [(20, 1000), (1 << 10, 64), (64 << 10, 4)] {
            group.throughput(Throughput::ElementsAndBytes {
                elements: count as u64,
                bytes: (size * count) as u64,
            });
            for mut parser in all(&client_messages(text, size, count)) {
                group.bench_function(BenchmarkId::new(parser.name(), size), |b| {
                    b.iter(|| parser.parse(count, &mut |message| _ = black_box(message)));
                });
            }
        }
    }
}

criterion_group!(benches, parsers);
criterion_main!(benches);
