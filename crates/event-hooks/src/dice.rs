use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What jitter is drawn with. It is thrown once or twice an attempt.
pub(crate) struct Dice(Mutex<StdRng>);

impl Dice {
    /// The same seed gives the same throws.
    pub(crate) fn new(seed: u64) -> Self {
        Dice(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A number in `0..1`.
    pub(crate) fn throw(&self) -> f64 {
        self.0.lock().random()
    }
}
