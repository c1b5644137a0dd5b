//! Why a message is where it is: every return to a scheduled queue says so, and the records show it.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a message was put into its scheduled queue. The names are the `insert_context` of contract section 3:
        /// scripts compare them.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The exact word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => stringify!($name),)*
                }
            }
        }
    };
}

reasons! {
    /// It has just been accepted.
    Received,
    /// It was found in the spool at the start.
    Enumerated,
    /// Its own schedule names a later time.
    ScheduledForLater,
    /// An operator suspended the ready queue.
    ReadyQueueWasSuspended,
    /// The queue's or the path's `max_message_rate`.
    MessageRateThrottle,
    /// The policy's `throttle_insert_ready_queue` delayed it.
    ThrottledByThrottleInsertReadyQueue,
    /// The ready queue had no room.
    ReadyQueueWasFull,
    /// It could not become ready for another reason.
    FailedToInsertIntoReadyQueue,
    /// Its queue could not be named.
    MessageGetQueueNameFailed,
    /// An operator moved it.
    AdminRebind,
    /// Its time has come.
    DueTimeWasReached,
    /// The ready queue became smaller.
    MaxReadyWasReducedByConfigUpdate,
    /// Memory is short.
    ReadyQueueWasDelayedDueToLowMemory,
    /// The domain takes no mail.
    FailedDueToNullMx,
    /// No host of the domain has an address.
    MxResolvedToZeroHosts,
    /// A host of the domain is prohibited.
    MxWasProhibited,
    /// All hosts of the domain are passed over.
    MxWasSkipped,
    /// The path could not connect too many times in a row.
    TooManyConnectionFailures,
    /// The peer took only some recipients.
    TooManyRecipients,
    /// The path's `max_connection_rate`.
    ConnectionRateThrottle,
    /// An attempt failed for now, and its record has been written.
    LoggedTransientFailure,
    /// The ready queue was given up.
    ReadyQueueWasReaped,
    /// The session that held it is gone.
    DispatcherDrop,
    /// The peer closed before it was this message's turn.
    PeerClosedConnection,
    /// The queue's protocol is another one now.
    ProtocolChanged,
    /// The store is not well.
    SpoolUnhealthy,
    /// The source is not well.
    SourceIsUnhealthyAndSuspended,
}

impl Reason {
    /// True where an attempt was made for the message, so that `attempts` grows and the schedule applies.
    pub const fn is_attempt(self) -> bool {
        matches!(self, Reason::LoggedTransientFailure | Reason::TooManyConnectionFailures)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many reasons a [`Reasons`] keeps: more than one trip from queue to queue collects.
const KEPT: usize = 8;

/// The reasons of one trip, in the order in which they arose, each once. Eight bytes, no allocation.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Reasons {
    kept: [Option<Reason>; KEPT],
}

impl Reasons {
    /// No reason yet.
    pub const fn new() -> Self {
        Reasons { kept: [None; KEPT] }
    }

    /// Adds a reason unless it is there. The ninth different one is dropped: the first eight explain enough.
    pub fn add(&mut self, reason: Reason) {
        for place in &mut self.kept {
            match place {
                Some(kept) if *kept == reason => return,
                Some(_) => {}
                None => {
                    *place = Some(reason);
                    return;
                }
            }
        }
    }

    /// The same list with one more.
    #[must_use]
    pub fn with(mut self, reason: Reason) -> Self {
        self.add(reason);
        self
    }

    /// All, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Reason> + '_ {
        self.kept.iter().map_while(|place| *place)
    }

    /// True when the reason is one of them.
    pub fn contains(&self, reason: Reason) -> bool {
        self.iter().any(|kept| kept == reason)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.kept[0].is_none()
    }
}

impl From<Reason> for Reasons {
    fn from(reason: Reason) -> Self {
        Reasons::new().with(reason)
    }
}

/// `A, B`, as in `Context: A, B. Next due in 31s at ...`.
impl fmt::Display for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, reason) in self.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            f.write_str(reason.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reasons({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_contract() {
        let contract = "Received, Enumerated, ScheduledForLater, ReadyQueueWasSuspended, MessageRateThrottle, \
            ThrottledByThrottleInsertReadyQueue, ReadyQueueWasFull, FailedToInsertIntoReadyQueue, \
            MessageGetQueueNameFailed, AdminRebind, DueTimeWasReached, MaxReadyWasReducedByConfigUpdate, \
            ReadyQueueWasDelayedDueToLowMemory, FailedDueToNullMx, MxResolvedToZeroHosts, MxWasProhibited, \
            MxWasSkipped, TooManyConnectionFailures, TooManyRecipients, ConnectionRateThrottle, \
            LoggedTransientFailure, ReadyQueueWasReaped, DispatcherDrop, PeerClosedConnection, ProtocolChanged, \
            SpoolUnhealthy, SourceIsUnhealthyAndSuspended";
        let ours: Vec<String> = Reason::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(ours.join(", "), contract);
    }

    #[test]
    fn reasons_are_kept_once_in_the_order_they_arose() {
        let mut reasons = Reasons::from(Reason::ReadyQueueWasSuspended);
        reasons.add(Reason::ReadyQueueWasFull);
        reasons.add(Reason::ReadyQueueWasSuspended);
        assert_eq!(reasons.to_string(), "ReadyQueueWasSuspended, ReadyQueueWasFull");
        assert!(reasons.contains(Reason::ReadyQueueWasFull) && !reasons.contains(Reason::Received));
        assert_eq!(Reasons::new().to_string(), "");
        assert!(Reasons::new().is_empty());
    }

    #[test]
    fn a_list_is_eight_bytes_and_never_overflows() {
        assert_eq!(size_of::<Reasons>(), 8);
        let mut reasons = Reasons::new();
        for reason in Reason::ALL {
            reasons.add(*reason);
        }
        assert_eq!(reasons.iter().count(), 8);
    }
}
