//! How much mail there was: `kumo.configure_accounting_db_path` (contract/kumomta.md section 2.4).
//!
//! A table of SQLite, `accounting(event_time, received, delivered)`, with one row a month: the recipients of every
//! Reception and of every Delivery of mail. Deliveries to hooks are no mail and not counted.
//!
//! Mail never waits for it. The [`Accountant`] is a reader of the journal: it counts what stands there, and writes the
//! sums *and how far it has read* in one transaction of the database. So a crash at any moment, of the daemon or of the
//! machine, neither loses a count nor counts twice, and a database that cannot be written for a while is caught up with.
//!
//! The one crate that knows SQLite. It refuses to know what a policy is, and who else reads the journal.
//!
//! ```
//! use std::sync::Arc;
//! use waybill_accounting::Accountant;
//! # async fn start(store: Arc<dyn waybill_spool::Store>, clock: Arc<dyn waybill_runtime::Clock>,
//! #   stop: waybill_runtime::Stop, tasks: waybill_runtime::Supervisor) -> Result<(), waybill_accounting::Error> {
//! let accountant = Arc::new(Accountant::open("/var/lib/waybill/accounting.db".into(), store, clock).await?);
//! tasks.spawn("accounting", async move { accountant.run(stop).await });
//! # Ok(())
//! # }
//! ```

mod accountant;
mod ledger;
mod tally;

pub use accountant::{Accountant, LONGEST_HOLD};
pub use ledger::Error;
pub use tally::{Tally, is_counted};
