//! Many seeds.

use std::env;
use std::panic::catch_unwind;

use super::{SEED, run};

/// The number of seeds that `cargo test` runs.
const RUNS: u64 = 800;

/// After so many failures, the next ones show nothing new.
const MAX_FAILURES: usize = 10;

/// The number in an environment variable.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// `TOWNHALL_SIMULATION_SEED` replays one seed. `TOWNHALL_SIMULATION_RUNS` says how many are run, and
/// `TOWNHALL_SIMULATION_FIRST` where they begin.
#[test]
fn the_server_keeps_its_promises_whatever_peers_and_the_system_do() {
    if let Some(seed) = number(SEED) {
        run(seed);
        return;
    }
    let first = number("TOWNHALL_SIMULATION_FIRST").unwrap_or(0);
    let runs = number("TOWNHALL_SIMULATION_RUNS").unwrap_or(RUNS);
    let fails = |seed: &u64| catch_unwind(|| run(*seed)).is_err();
    let failures: Vec<_> = (first..first + runs).filter(fails).take(MAX_FAILURES).collect();
    assert!(failures.is_empty(), "these seeds fail: {failures:?}");
}

#[test]
fn a_seed_always_leads_to_the_same_events() {
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "{seed}");
    }
}
