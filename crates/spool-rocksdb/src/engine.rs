use crate::columns::Change;

/// What the threads that write need of the database. The tests put one in between that fails and waits as it is told.
pub(crate) trait Engine: Send + Sync + 'static {
    /// Hands changes to the operating system: all of them or none, in their order.
    fn write(&self, changes: &[Change]) -> Result<(), String>;

    /// Returns when all that was written before the call is on the disk.
    fn sync(&self) -> Result<(), String>;

    /// After a failed write: tries to write something small, and does what it takes to make that work. Everything that
    /// was written successfully is still there, else it is [`Recovery::Lost`].
    fn recover(&self) -> Result<(), Recovery>;
}

/// Why writing does not work again.
#[derive(Debug)]
pub(crate) enum Recovery {
    /// Not yet: worth another try.
    NotYet(String),
    /// What was written is not all there any more.
    Lost(String),
}
