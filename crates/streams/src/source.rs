use crate::events::EventsLog;
use crate::log::{Found, Taken, Taker, UserLog};
use tokio::sync::watch;
use waybill_spool::StoreError;
use waybill_streams_core::{Id, Message, View};
use waybill_types::Offset;

/// A log that can be read: a user's, or the built-in one.
#[derive(Clone)]
pub(crate) enum Source {
    User(UserLog),
    Events(EventsLog),
}

/// The end of a log, as it moves.
pub(crate) enum End {
    User(watch::Receiver<u64>),
    Events(watch::Receiver<Offset>),
}

impl End {
    /// The offset behind the last message that readers may see.
    pub(crate) fn now(&self) -> u64 {
        match self {
            End::User(end) => *end.borrow(),
            End::Events(end) => end.borrow().0,
        }
    }

    /// Waits until it is beyond `offset`. Cancel safe. Never done when nobody moves it any more.
    pub(crate) async fn beyond(&mut self, offset: u64) {
        let moved = match self {
            End::User(end) => end.wait_for(|end| *end > offset).await.is_ok(),
            End::Events(end) => end.wait_for(|end| end.0 > offset).await.is_ok(),
        };
        if !moved {
            std::future::pending::<()>().await;
        }
    }
}

impl Source {
    pub(crate) fn id(&self) -> Id {
        match self {
            Source::User(log) => log.log().log_id,
            Source::Events(log) => log.id(),
        }
    }

    /// Whose it is, with all that hangs on it.
    pub(crate) fn tenant(&self) -> Option<String> {
        match self {
            Source::User(log) => log.log().tenant,
            Source::Events(_) => None,
        }
    }

    pub(crate) fn end(&self) -> End {
        match self {
            Source::User(log) => End::User(log.end()),
            Source::Events(log) => End::Events(log.end()),
        }
    }

    pub(crate) async fn read(&self, from: u64, most: usize, bytes: usize) -> Result<Found, StoreError> {
        match self {
            Source::User(log) => log.read(from, most, bytes).await,
            Source::Events(log) => log.read(from, most, bytes).await,
        }
    }

    /// The same, into something.
    pub(crate) async fn read_into<T: Taker>(
        &self,
        from: u64,
        most: usize,
        bytes: usize,
        mut taker: T,
    ) -> Result<Taken<T>, StoreError> {
        match self {
            Source::User(log) => log.read_into(from, most, bytes, taker).await,
            Source::Events(log) => {
                let found = log.read(from, most, bytes).await?;
                found.messages.iter().for_each(|(offset, message)| taker.take(*offset, &message.borrowed()));
                Ok(Taken { taker, count: found.messages.len(), next: found.next })
            }
        }
    }

    pub(crate) async fn first_from(&self, from: u64) -> Result<Option<(u64, Message)>, StoreError> {
        match self {
            Source::User(log) => log.first_from(from).await,
            Source::Events(log) => Ok(log.read(from, 1, 1).await?.messages.pop()),
        }
    }

    /// The first offset whose message is of this time (microseconds) or later; the end where there is none. Right where times
    /// grow with offsets, as they do unless publishers name others.
    pub(crate) async fn at_time(&self, time: i64) -> Result<u64, StoreError> {
        let (mut low, mut high) = (0, self.end().now());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.first_from(middle).await? {
                Some((offset, message)) if offset < high && message.time < time => low = offset + 1,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    pub(crate) async fn last(&self) -> Result<Option<(u64, Message)>, StoreError> {
        match self {
            Source::User(log) => log.last().await,
            Source::Events(log) => log.last().await,
        }
    }

    /// What a status tells of the log, for somebody who stands at `next`.
    pub(crate) async fn view(&self, next: u64) -> Result<View, StoreError> {
        let end = self.end().now();
        let available = self.last().await?.map(|(offset, _)| offset);
        let oldest = if next < end { self.first_from(next).await?.map(|(_, message)| message.time) } else { None };
        Ok(View { end, available, oldest })
    }
}
