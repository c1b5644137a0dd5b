use crate::ready::{BatchPolicy, PathLimits};
use waybill_types::ReadyQueueName;

/// One way out: a ready queue and what it goes by.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// Its name, `SOURCE->SITE@PROTOCOL`.
    pub ready_queue: ReadyQueueName,
    /// Its limits.
    pub limits: PathLimits,
    /// How its batches form.
    pub batch: BatchPolicy,
}

/// Where a queue's messages go: one way out for each source of its pool, each with a weight.
#[derive(Clone, PartialEq, Debug)]
pub struct Route {
    choices: Vec<(Choice, u32)>,
}

impl Route {
    /// The only way.
    pub fn single(choice: Choice) -> Self {
        Route { choices: vec![(choice, 1)] }
    }

    /// Several ways; those of weight 0 are never taken. `None` where no way is left.
    pub fn weighted(choices: impl IntoIterator<Item = (Choice, u32)>) -> Option<Self> {
        let choices: Vec<_> = choices.into_iter().filter(|(_, weight)| *weight > 0).collect();
        if choices.is_empty() { None } else { Some(Route { choices }) }
    }

    /// The ways, in the order of the pool.
    pub fn choices(&self) -> impl Iterator<Item = &Choice> {
        self.choices.iter().map(|(choice, _)| choice)
    }

    pub(super) fn len(&self) -> usize {
        self.choices.len()
    }

    pub(super) fn choice(&self, index: usize) -> &Choice {
        &self.choices[index].0
    }
}

/// Whose turn it is: weighted round robin that spreads the heavy ones between the light ones.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Turns {
    credits: Vec<i64>,
}

impl Turns {
    /// The choices in the order in which they should be asked for room now.
    pub(super) fn order(&mut self, route: &Route) -> Vec<usize> {
        // Nearly every route has one way only.
        if route.len() == 1 {
            return vec![0];
        }
        self.credits.resize(route.len(), 0);
        let mut order: Vec<usize> = (0..route.len()).collect();
        let weight = |index: usize| i64::from(route.choices[index].1);
        order.sort_by_key(|index| std::cmp::Reverse(self.credits[*index] + weight(*index)));
        order
    }

    /// This one had room.
    pub(super) fn taken(&mut self, route: &Route, index: usize) {
        if route.len() == 1 {
            return;
        }
        let mut total = 0;
        for (credit, (_, weight)) in self.credits.iter_mut().zip(&route.choices) {
            *credit += i64::from(*weight);
            total += i64::from(*weight);
        }
        if let Some(credit) = self.credits.get_mut(index) {
            *credit -= total;
        }
        // A way that has been full for long must not be owed more than a round when it opens again.
        for credit in &mut self.credits {
            *credit = (*credit).clamp(-total, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str) -> Choice {
        let ready_queue = ReadyQueueName::new(name);
        Choice { ready_queue, limits: PathLimits::default(), batch: BatchPolicy::single() }
    }

    fn take(turns: &mut Turns, route: &Route, closed: &[usize]) -> usize {
        let index = turns.order(route).into_iter().find(|index| !closed.contains(index)).unwrap();
        turns.taken(route, index);
        index
    }

    #[test]
    fn ways_are_taken_by_weight_and_well_mixed() {
        let route = Route::weighted([(choice("a"), 5), (choice("b"), 1), (choice("c"), 1), (choice("d"), 0)]).unwrap();
        let mut turns = Turns::default();
        let taken: Vec<usize> = (0..7).map(|_| take(&mut turns, &route, &[])).collect();
        assert_eq!(taken, [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(route.choices().count(), 3);
    }

    #[test]
    fn a_way_that_was_full_does_not_take_everything_afterwards() {
        let route = Route::weighted([(choice("a"), 1), (choice("b"), 1)]).unwrap();
        let mut turns = Turns::default();
        for _ in 0..100 {
            assert_eq!(take(&mut turns, &route, &[0]), 1);
        }
        let taken: Vec<usize> = (0..8).map(|_| take(&mut turns, &route, &[])).collect();
        assert!(taken.iter().filter(|index| **index == 0).count() <= 6, "{taken:?}");
    }

    #[test]
    fn a_pool_without_weight_is_no_route() {
        assert_eq!(Route::weighted([(choice("a"), 0)]), None);
    }
}
