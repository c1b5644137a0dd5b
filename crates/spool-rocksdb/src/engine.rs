use crate::columns::Change;

/// What the threads that write need of the database. The tests put one in between that fails and waits as it is told.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Hands changes to the operating system: all of them or none, in their order.
    fn write(&self, changes: &[Change]) -> Result<(), String>;

    /// The same if it can be done at once. Whoever cannot tell does not do it.
    fn write_at_once(&self, _changes: &[Change]) -> AtOnce {
        AtOnce::NotNow
    }

    /// Returns when all that was written before the call is on the disk.
    fn sync(&self) -> Result<(), SyncError>;

    /// After a failed write: tries to write something small, and does what it takes to make that work. Everything that
    /// was written successfully is still there, else it is [`Recovery::Lost`].
    fn recover(&self) -> Result<(), Recovery>;
}

/// What came of a write that was not to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AtOnce {
    /// It is done.
    Written,
    /// It would have had to wait.
    NotNow,
    /// It failed, for a reason that the next write will name.
    Failed,
}

/// Why a sync failed.
#[derive(Debug)]
pub(crate) enum SyncError {
    /// The system was asked, and could not: nobody knows what is on the disk, and asking again would only hide it.
    Refused(String),
    /// The database did not ask, as it does after a write that failed.
    NotTried(String),
}

impl SyncError {
    /// What the database says.
    pub(crate) fn why(self) -> String {
        match self {
            SyncError::Refused(why) | SyncError::NotTried(why) => why,
        }
    }
}

/// Why writing does not work again.
#[derive(Debug)]
pub(crate) enum Recovery {
    /// Not yet: worth another try.
    NotYet(String),
    /// What was written is not all there any more.
    Lost(String),
}
