use waybill_types::Timestamp;

/// How many attempts may be under way: one more for each round that went well, half as many after a sign of overload
/// (additive increase, multiplicative decrease, as TCP does it).
#[derive(Clone, Debug)]
pub struct Concurrency {
    limit: f64,
    most: u32,
    decreased: Option<Timestamp>,
}

/// Where an endpoint begins: a slow start, so that a restart is no storm.
const FIRST: f64 = 2.0;

impl Concurrency {
    /// At most this many, at least 1.
    pub fn new(most: u32) -> Self {
        let most = most.max(1);
        Concurrency { limit: FIRST.min(f64::from(most)), most, decreased: None }
    }

    /// How many may be under way now.
    pub fn limit(&self) -> u32 {
        // Between 1 and `most`, so that the cast loses nothing but the fraction.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a u32")]
        let whole = self.limit as u32;
        whole.clamp(1, self.most)
    }

    /// An attempt went well while `busy` were under way. A limit that nobody reaches is not raised: it would be a
    /// number without any proof behind it.
    pub fn well(&mut self, busy: u32) {
        if busy >= self.limit() {
            self.limit = (self.limit + 1.0 / self.limit).min(f64::from(self.most));
        }
    }

    /// An attempt that began at `started` met a sign of overload. Attempts that were under way together are one sign.
    pub fn overloaded(&mut self, started: Timestamp, now: Timestamp) {
        if self.decreased.is_none_or(|decreased| started >= decreased) {
            self.limit = (self.limit / 2.0).max(1.0);
            self.decreased = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    /// Rounds in which as many are under way as may be.
    fn rounds(concurrency: &mut Concurrency, rounds: usize) {
        for _ in 0..rounds {
            let busy = concurrency.limit();
            (0..busy).for_each(|_| concurrency.well(busy));
        }
    }

    #[test]
    fn it_grows_by_about_one_a_round_up_to_the_most() {
        let mut concurrency = Concurrency::new(10);
        assert_eq!(concurrency.limit(), 2);
        rounds(&mut concurrency, 3);
        assert!((4..=5).contains(&concurrency.limit()), "{}", concurrency.limit());
        rounds(&mut concurrency, 30);
        assert_eq!(concurrency.limit(), 10);
    }

    #[test]
    fn overload_halves_it_once_for_all_that_were_under_way_together() {
        let mut concurrency = Concurrency::new(16);
        rounds(&mut concurrency, 60);
        for _ in 0..16 {
            concurrency.overloaded(at(5), at(9));
        }
        assert_eq!(concurrency.limit(), 8);
        concurrency.overloaded(at(9), at(12));
        assert_eq!(concurrency.limit(), 4);
        (20..40).for_each(|second| concurrency.overloaded(at(second), at(second)));
        assert_eq!(concurrency.limit(), 1);
    }

    #[test]
    fn an_endpoint_that_is_hardly_used_proves_nothing() {
        let mut concurrency = Concurrency::new(10);
        (0..1000).for_each(|_| concurrency.well(1));
        assert_eq!(concurrency.limit(), 2);
    }
}
