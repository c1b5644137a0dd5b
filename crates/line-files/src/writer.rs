//! The thread that writes.
//!
//! It takes a burst of items, compresses them into their segments, and when no more are waiting puts everything
//! where a reader can see it. When the disk refuses, it takes nothing more: the backlog fills, callers wait, and what
//! was taken stays here until it is written.

use crate::directory;
use crate::metrics::{Metrics, add, count};
use crate::nag::Nag;
use crate::segment::Segment;
use crate::settings::Settings;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use waybill_runtime::Clock;
use waybill_types::Timestamp;

/// Items taken at once: they are in nobody's backlog any more, so not too many.
const BURST: usize = 1024;
/// Compressed bytes that may wait in memory before they are written although more records are waiting.
const WRITE_OUT_AT: usize = 1 << 20;
/// Under constant load a reader waits no longer than this, the records of a rare type included.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The wait after the first refusal of the disk; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// No wait for the disk is longer than this.
const LONGEST_RETRY: Duration = Duration::from_secs(10);

/// Where a line goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The place, as an index into [`Settings::places`].
    pub place: usize,
    /// What a file begins with when such a line opens it; empty, or ended by a line end.
    pub header: Arc<str>,
}

/// What becomes of items.
///
/// # Contract
/// - `route` names a place that the settings have; it gives the same each time.
/// - `line` always has an answer, ended by a line end: an item that was taken must not be lost. It neither waits nor
///   blocks, and tells its own trouble.
pub trait Lines: Send + 'static {
    /// What callers hand over.
    type Item: Send + 'static;

    /// Where an item's line goes; `None` when it goes nowhere.
    fn route(&self, item: &Self::Item) -> Option<Route>;

    /// The line.
    fn line(&mut self, item: &Self::Item, now: Timestamp, metrics: &Metrics) -> Vec<u8>;
}

/// What comes through the backlog.
pub(crate) enum Item<T> {
    /// To write.
    Line(T),
    /// Tell when everything before this can be read.
    Flush(oneshot::Sender<()>),
}

/// What the disk refused.
struct Refusal {
    what: String,
    error: io::Error,
}

/// A wait for a disk that refused.
struct Trouble {
    next: Timestamp,
    delay: Duration,
    attempts: u64,
}

pub(crate) struct Writer<L: Lines> {
    settings: Settings,
    lines: L,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    inbox: mpsc::Receiver<Item<L::Item>>,
    /// By place.
    segments: Vec<Option<Segment>>,
    /// Taken from the inbox and not in a segment yet.
    taken: VecDeque<Item<L::Item>>,
    flushed: Timestamp,
    trouble: Option<Trouble>,
    disk_nag: Nag,
}

impl<L: Lines> Writer<L> {
    pub(crate) fn new(
        settings: Settings,
        lines: L,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        inbox: mpsc::Receiver<Item<L::Item>>,
    ) -> Self {
        let segments = settings.places.iter().map(|_| None).collect();
        let flushed = clock.now();
        Writer {
            settings,
            lines,
            clock,
            metrics,
            inbox,
            segments,
            taken: VecDeque::new(),
            flushed,
            trouble: None,
            disk_nag: Nag::default(),
        }
    }

    /// Writes until the inbox is closed and empty, then finishes all files.
    pub(crate) async fn run(mut self) {
        // A burst is no larger than the backlog: at most twice `back_pressure` records are in memory.
        let burst = BURST.min(self.inbox.max_capacity());
        let mut incoming = Vec::new();
        let mut open = true;
        while open || self.trouble.is_some() {
            tokio::select! {
                biased;
                () = self.due() => {}
                count = self.inbox.recv_many(&mut incoming, burst), if open && self.trouble.is_none() => {
                    open = count > 0;
                    self.taken.extend(incoming.drain(..));
                }
            }
            let result = self.step(!open);
            self.judge(result);
        }
    }

    /// When there is something to do although no record comes.
    fn due(&self) -> BoxFuture<'static, ()> {
        let due = match &self.trouble {
            Some(trouble) => Some(trouble.next),
            None => self.segments.iter().flatten().filter_map(Segment::expires).min(),
        };
        due.map_or_else(|| std::future::pending().boxed(), |due| self.clock.sleep_until(due))
    }

    fn step(&mut self, last: bool) -> Result<(), Refusal> {
        let now = self.clock.now();
        for target in 0..self.segments.len() {
            let is_due = |segment: &Segment| segment.is_ended() || segment.expires().is_some_and(|at| at <= now);
            if self.segments[target].as_ref().is_some_and(is_due) {
                self.end(target)?;
            }
        }
        self.write_taken()?;
        if last {
            (0..self.segments.len()).try_for_each(|target| self.end(target))
        } else if self.inbox.is_empty() || now.since(self.flushed) >= FLUSH_EVERY || now < self.flushed {
            self.flushed = now;
            self.flush()
        } else {
            Ok(())
        }
    }

    fn write_taken(&mut self) -> Result<(), Refusal> {
        while let Some(item) = self.taken.pop_front() {
            match item {
                Item::Line(item) => match self.append(&item) {
                    Ok(Some(target)) => self.settle(target)?,
                    Ok(None) => {}
                    Err(refusal) => {
                        self.taken.push_front(Item::Line(item));
                        return Err(refusal);
                    }
                },
                Item::Flush(reply) => {
                    if let Err(refusal) = self.flush() {
                        self.taken.push_front(Item::Flush(reply));
                        return Err(refusal);
                    }
                    // Whoever asked may have gone.
                    let _ = reply.send(());
                }
            }
        }
        Ok(())
    }

    /// Puts a line into its segment, which is opened when there is none; gives the place.
    fn append(&mut self, item: &L::Item) -> Result<Option<usize>, Refusal> {
        let Some(route) = self.lines.route(item) else { return Ok(None) };
        if self.segments[route.place].as_ref().is_some_and(Segment::is_ended) {
            self.end(route.place)?;
        }
        let segment = match self.segments[route.place].take() {
            Some(segment) => segment,
            None => self.open(route.place, &route.header)?,
        };
        let line = self.lines.line(item, self.clock.now(), &self.metrics);
        let segment = self.segments[route.place].insert(segment);
        segment.append(&line).map_err(|error| refusal("compress into", segment.path(), error))?;
        count(&self.metrics.records);
        add(&self.metrics.bytes, line.len() as u64);
        Ok(Some(route.place))
    }

    fn open(&self, target: usize, header: &str) -> Result<Segment, Refusal> {
        let place = &self.settings.places[target];
        let now = self.clock.now();
        let (file, path) = directory::create(&place.dir, &place.suffix, now)
            .map_err(|error| refusal("create a file in", &place.dir, error))?;
        let expires = self.settings.max_segment_duration.map(|age| now + age);
        let begun = Segment::begin(file, path, self.settings.compression_level, expires);
        let mut segment = begun.map_err(|error| refusal("compress in", &place.dir, error))?;
        segment.append(header.as_bytes()).map_err(|error| refusal("compress in", &place.dir, error))?;
        count(&self.metrics.segments);
        Ok(segment)
    }

    /// Ends a segment that is full; writes out one that holds much.
    fn settle(&mut self, target: usize) -> Result<(), Refusal> {
        let Some(segment) = &mut self.segments[target] else { return Ok(()) };
        if segment.size() >= self.settings.max_file_size {
            self.end(target)
        } else if segment.waiting() >= WRITE_OUT_AT {
            segment.write_out(&self.metrics).map_err(|error| refusal("write to", segment.path(), error))
        } else {
            Ok(())
        }
    }

    fn end(&mut self, target: usize) -> Result<(), Refusal> {
        if let Some(segment) = &mut self.segments[target] {
            segment.end(&self.metrics).map_err(|error| refusal("finish", segment.path(), error))?;
            self.segments[target] = None;
        }
        Ok(())
    }

    /// Makes everything readable that can be; gives the first refusal.
    fn flush(&mut self) -> Result<(), Refusal> {
        let mut result = Ok(());
        for segment in self.segments.iter_mut().flatten() {
            if let Err(error) = segment.flush(&self.metrics) {
                result = result.and_then(|()| Err(refusal("write to", segment.path(), error)));
            }
        }
        result
    }

    /// Says what is wrong, once a minute, and when to try again.
    fn judge(&mut self, result: Result<(), Refusal>) {
        let Err(Refusal { what, error }) = result else {
            if let Some(Trouble { attempts, .. }) = self.trouble.take() {
                tracing::info!("log files are written again after {attempts} failed attempts");
            }
            return;
        };
        let now = self.clock.now();
        let (delay, attempts) = match &self.trouble {
            Some(trouble) => ((trouble.delay * 2).min(LONGEST_RETRY), trouble.attempts + 1),
            None => (FIRST_RETRY, 1),
        };
        self.trouble = Some(Trouble { next: now + delay, delay, attempts });
        count(&self.metrics.disk_failures);
        if self.disk_nag.is_due(now).is_some() {
            tracing::error!(attempts, "failed to {what}: {error}; lines wait until it works");
        }
        // One bad disk must not hide from readers what the others hold.
        let _ = self.flush();
    }
}

fn refusal(doing: &str, path: &Path, error: io::Error) -> Refusal {
    Refusal { what: format!("{doing} {}", path.display()), error }
}
