//! `kumo.counter_series`: counts of the last minutes or hours that all states share, by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mlua::{Lua, Table, UserData, UserDataMethods, Value};
use parking_lot::Mutex;
use serde::Deserialize;
use waybill_types::{Timestamp, serde_duration, text};

use super::config::options;
use super::system::duration;
use crate::engine::Engine;
use crate::error::raise;
use crate::location;

/// Buckets that a series may have: a day of seconds.
const MOST_BUCKETS: usize = 86_400;
/// More names than this, and those whose counts have all aged out are forgotten.
const MANY: usize = 10_000;

/// The series of an engine, by name.
#[derive(Default)]
pub(crate) struct Counters(Mutex<HashMap<String, Series>>);

/// A series; clones are the same.
#[derive(Clone)]
struct Series(Arc<Mutex<Ring>>);

/// Counts of spans of time of equal length, the oldest of which give way to the newest.
#[derive(Debug)]
struct Ring {
    buckets: Vec<u64>,
    /// Seconds that a bucket counts.
    size: u64,
    /// Which span since the epoch the newest bucket counts.
    newest: u64,
}

impl Ring {
    fn new(count: usize, size: u64, first: u64, now: Timestamp) -> Ring {
        let mut ring = Ring { buckets: vec![0; count], size, newest: 0 };
        ring.newest = ring.span(now);
        *ring.current(now) = first;
        ring
    }

    fn span(&self, now: Timestamp) -> u64 {
        u64::try_from(now.secs()).unwrap_or(0) / self.size
    }

    fn place(&self, span: u64) -> usize {
        // Less than the length, which is one.
        usize::try_from(span % self.buckets.len() as u64).unwrap_or(0)
    }

    /// What has aged out is zero from now on. A clock that was set back adds to the newest.
    fn rotate(&mut self, now: Timestamp) {
        let span = self.span(now);
        let passed = span.saturating_sub(self.newest).min(self.buckets.len() as u64);
        for back in 0..passed {
            let place = self.place(span - back);
            self.buckets[place] = 0;
        }
        self.newest = self.newest.max(span);
    }

    fn current(&mut self, now: Timestamp) -> &mut u64 {
        self.rotate(now);
        let place = self.place(self.newest);
        &mut self.buckets[place]
    }

    /// The total of the newest buckets that together count at least so long; of all when there are fewer.
    fn sum(&mut self, now: Timestamp, over: Duration) -> u64 {
        self.rotate(now);
        let seconds = over.as_secs().saturating_add(u64::from(over.subsec_nanos() > 0));
        let count = seconds.div_ceil(self.size).clamp(1, self.buckets.len() as u64);
        let newest = (0..count).map(|back| self.buckets[self.place(self.newest.saturating_sub(back))]);
        newest.fold(0, u64::saturating_add)
    }
}

/// What a script says of a series.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of name, num_buckets, bucket_size, initial_value")]
struct Shape {
    #[serde(deserialize_with = "text::name")]
    name: String,
    num_buckets: usize,
    #[serde(with = "serde_duration")]
    bucket_size: Duration,
    #[serde(default)]
    initial_value: u64,
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    module.set("define", lua.create_function(define)?)?;
    kumo.set("counter_series", module)
}

/// The series of that name: what there is when it has this shape, otherwise a new one.
fn define(lua: &Lua, shape: Value) -> mlua::Result<Series> {
    let shape: Shape = options(lua, "kumo.counter_series.define", &shape)?;
    if !(1..=MOST_BUCKETS).contains(&shape.num_buckets) {
        let at = location::caller(lua);
        return Err(raise(format!(
            "{at}: kumo.counter_series.define('{}'): num_buckets: expected 1 to {MOST_BUCKETS}, got {}",
            shape.name, shape.num_buckets
        )));
    }
    let size = shape.bucket_size.as_secs() + u64::from(shape.bucket_size.subsec_nanos() > 0);
    let size = size.max(1);
    let engine = engine(lua)?;
    let now = engine.inner().settings.clock.now();
    let mut all = engine.inner().counters.0.lock();
    if all.len() >= MANY && !all.contains_key(&shape.name) {
        all.retain(|_, series| series.0.lock().sum(now, Duration::MAX) > 0);
    }
    let known = all.get(&shape.name).filter(|series| {
        let ring = series.0.lock();
        (ring.buckets.len(), ring.size) == (shape.num_buckets, size)
    });
    if let Some(known) = known {
        return Ok(known.clone());
    }
    let ring = Ring::new(shape.num_buckets, size, shape.initial_value, now);
    let series = Series(Arc::new(Mutex::new(ring)));
    all.insert(shape.name, series.clone());
    Ok(series)
}

fn engine(lua: &Lua) -> mlua::Result<Engine> {
    Engine::of(lua).ok_or_else(|| raise("the policy engine is shutting down"))
}

impl Series {
    fn with<T>(&self, lua: &Lua, f: impl FnOnce(&mut Ring, Timestamp) -> T) -> mlua::Result<T> {
        let now = engine(lua)?.inner().settings.clock.now();
        Ok(f(&mut self.0.lock(), now))
    }
}

/// A count, which is no less than nothing.
fn count(method: &str, value: i64) -> mlua::Result<u64> {
    u64::try_from(value).map_err(|_| raise(format!("series:{method}: expected a number from 0 on, got {value}")))
}

impl UserData for Series {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("increment", |lua, this, value: i64| {
            let more = count("increment", value)?;
            this.with(lua, |ring, now| {
                let current = ring.current(now);
                *current = current.saturating_add(more);
            })
        });
        methods.add_method("delta", |lua, this, value: i64| {
            this.with(lua, |ring, now| {
                let current = ring.current(now);
                *current = current.saturating_add_signed(value);
            })
        });
        methods.add_method("observe", |lua, this, value: i64| {
            let value = count("observe", value)?;
            this.with(lua, |ring, now| *ring.current(now) = value)
        });
        methods.add_method("sum", |lua, this, ()| this.with(lua, |ring, now| ring.sum(now, Duration::MAX)));
        methods.add_method("sum_over", |lua, this, span: Value| {
            let span = duration(lua, span)?;
            this.with(lua, |ring, now| ring.sum(now, span))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn counts_age_out_bucket_by_bucket() {
        let mut ring = Ring::new(3, 10, 1, at(1000));
        *ring.current(at(1009)) += 1;
        *ring.current(at(1010)) += 10;
        *ring.current(at(1025)) += 100;
        assert_eq!(ring.sum(at(1029), Duration::MAX), 112);
        assert_eq!(ring.sum(at(1029), Duration::from_millis(1)), 100);
        assert_eq!(ring.sum(at(1029), Duration::from_secs(11)), 110);
        assert_eq!(ring.sum(at(1030), Duration::MAX), 110);
        assert_eq!(ring.sum(at(1049), Duration::MAX), 100);
        assert_eq!(ring.sum(at(9999), Duration::MAX), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_loses_nothing() {
        let mut ring = Ring::new(2, 10, 5, at(1000));
        *ring.current(at(10)) += 1;
        assert_eq!(ring.sum(at(1000), Duration::MAX), 6);
        *ring.current(at(-5)) = u64::MAX;
        *ring.current(at(1010)) = 1;
        assert_eq!(ring.sum(at(1010), Duration::MAX), u64::MAX);
    }
}
