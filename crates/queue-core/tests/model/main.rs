//! The queues against a naive model: random events, and after each step everything that must hold.
//!
//! A failing seed is printed; keep it in `tests/seeds.txt`, which is run first. `MODEL_SEEDS=5000` runs more of them,
//! `MODEL_SEED=17` runs one and shows its events and actions.

mod check;
mod driver;
mod reference;

use driver::Driver;

/// How many random steps a seed takes before everything is delivered or stopped.
const STEPS: usize = 400;
/// How many seeds a plain `cargo test` runs.
const SEEDS: u64 = 200;

/// Prints the seed of a test that panics.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the model failed with seed {}: add it to tests/seeds.txt", self.0);
        }
    }
}

fn run(seed: u64) {
    let seed = Seed(seed);
    let mut driver = Driver::new(seed.0);
    for _ in 0..STEPS {
        driver.random_step();
    }
    if seed.0.is_multiple_of(2) { driver.deliver_everything() } else { driver.stop() }
}

#[test]
fn seeds_that_once_failed_pass() {
    let seeds = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for seed in seeds {
        run(seed.trim().parse().expect("a seed is a number"));
    }
}

#[test]
fn random_events_never_break_what_must_hold() {
    let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    match number("MODEL_SEED") {
        Some(seed) => run(seed),
        None => (0..number("MODEL_SEEDS").unwrap_or(SEEDS)).for_each(run),
    }
}
