//! Every target, chosen by `WAYBILL_FUZZ_TARGET`.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::LazyLock;
use waybill_fuzz_targets::{Mutator, Target, find};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("WAYBILL_FUZZ_TARGET").expect("WAYBILL_FUZZ_TARGET names the target");
    find(&name).unwrap_or_else(|| panic!("there is no target {name}"))
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

// libFuzzer knows bytes; the words that mean something to a target come from the target.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 4 != 0 {
        return fuzzer_mutate(data, size, max_size);
    }
    let made = Mutator::new(u64::from(seed)).next(&[data[..size].to_vec()], TARGET.words);
    let len = made.len().min(max_size);
    data[..len].copy_from_slice(&made[..len]);
    len
});
