use crate::Tally;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;
use waybill_spool::StoreError;
use waybill_types::Offset;

/// Somebody else's transaction is waited for this long; then the write is tried again later.
const BUSY: Duration = Duration::from_secs(5);

/// The table that KumoMTA's tools know. One that is there already is used as it is.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS accounting (
  event_time DATETIME NOT NULL PRIMARY KEY,
  received INTEGER NOT NULL,
  delivered INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS waybill_accounting_position (
  journal TEXT NOT NULL PRIMARY KEY,
  position INTEGER NOT NULL
);
";

/// Any day and time of the month finds its row, however whoever made the table wrote it.
const ADD: &str = "UPDATE accounting SET received = received + ?2, delivered = delivered + ?3
 WHERE strftime('%Y-%m', event_time) = ?1";
const BEGIN: &str = "INSERT INTO accounting (event_time, received, delivered) VALUES (?1 || '-01 00:00:00', ?2, ?3)";
const FIND: &str = "SELECT position FROM waybill_accounting_position WHERE journal = ?1";
const KEEP: &str = "INSERT INTO waybill_accounting_position (journal, position) VALUES (?1, ?2)
 ON CONFLICT (journal) DO UPDATE SET position = excluded.position";

/// Why nothing could be counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened, is none of SQLite's, or has a table `accounting` of another form.
    #[error("open the accounting database {}: {why}", path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// What SQLite says, or the system.
        why: String,
    },
    /// The database takes nothing: the same call may succeed later.
    #[error("write the accounting database: {0}")]
    Write(#[from] rusqlite::Error),
    /// The journal cannot be read.
    #[error("read the journal: {0}")]
    Journal(#[from] StoreError),
}

/// The database, and how far one journal is counted in it.
pub(crate) struct Ledger {
    connection: Connection,
    /// Several daemons may share a file.
    journal: String,
    position: Offset,
}

impl Ledger {
    /// Opens the file or makes it. Of a journal that it does not know all before `tail` is not counted.
    pub(crate) fn open(path: &Path, journal: Uuid, tail: Offset) -> Result<Self, Error> {
        let failed = |why: String| Error::Open { path: path.to_owned(), why };
        let memory = path == Path::new(":memory:");
        if let Some(folder) = path.parent().filter(|_| !memory) {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        }
        let opened = if memory { Connection::open_in_memory() } else { Connection::open(path) };
        let journal = journal.to_string();
        let found = opened.and_then(|connection| {
            connection.busy_timeout(BUSY)?;
            connection.execute_batch(TABLES)?;
            // Says at once when the columns are others.
            drop((connection.prepare(ADD)?, connection.prepare(BEGIN)?));
            let known: Option<i64> = connection.query_row(FIND, params![journal], |row| row.get(0)).optional()?;
            let position = known.and_then(|known| u64::try_from(known).ok()).map_or(tail, Offset);
            if known.is_none() {
                connection.execute(KEEP, params![journal, number(position.0)])?;
            }
            Ok((connection, position))
        });
        let (connection, position) = found.map_err(|error| failed(error.to_string()))?;
        Ok(Ledger { connection, journal, position })
    }

    /// The first event that is not counted.
    pub(crate) const fn position(&self) -> Offset {
        self.position
    }

    /// Adds sums of what stands between [`Ledger::position`] and `next`, and that they are in: both or nothing.
    ///
    /// Where the database is elsewhere than we believe (a commit that failed and was none the less, a backup that was put
    /// back) nothing is added, and the position is what the database says.
    pub(crate) fn add(&mut self, tally: &Tally, next: Offset) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known: Option<i64> =
            transaction.prepare_cached(FIND)?.query_row(params![self.journal], |row| row.get(0)).optional()?;
        let known = known.and_then(|known| u64::try_from(known).ok()).map_or(self.position, Offset);
        if known != self.position {
            self.position = known;
            return Ok(());
        }
        for (month, sums) in tally.months() {
            let (received, delivered) = (number(sums.received), number(sums.delivered));
            let found = transaction.prepare_cached(ADD)?.execute(params![month, received, delivered])?;
            if found == 0 {
                transaction.prepare_cached(BEGIN)?.execute(params![month, received, delivered])?;
            }
        }
        transaction.prepare_cached(KEEP)?.execute(params![self.journal, number(next.0)])?;
        transaction.commit()?;
        self.position = next;
        Ok(())
    }
}

/// SQLite has no unsigned numbers.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_log_record::{Entry, LogRecord, RecordType};
    use waybill_types::{IdMint, Response, Timestamp};

    const HERE: Uuid = Uuid::from_u128(1);
    const THERE: Uuid = Uuid::from_u128(2);

    fn received(month: &str, recipients: usize) -> Tally {
        let time = Timestamp::parse_rfc3339(&format!("{month}-15T12:00:00Z")).unwrap();
        let mut record = LogRecord::new(RecordType::Reception, time, Response::plain(250, ""), "node");
        record.recipients = vec!["a@x.example".to_owned(); recipients];
        let mut tally = Tally::default();
        tally.count(&Entry::encode(&record, IdMint::random().entry(time)));
        tally
    }

    fn rows(path: &Path) -> Vec<(String, i64, i64)> {
        let connection = Connection::open(path).unwrap();
        let mut query = connection.prepare("SELECT * FROM accounting ORDER BY event_time").unwrap();
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_month_has_one_row_and_the_position_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/accounting.db");
        let mut ledger = Ledger::open(&path, HERE, Offset(7)).unwrap();
        assert_eq!(ledger.position(), Offset(7), "what was before is not counted");
        ledger.add(&received("2026-10", 2), Offset(9)).unwrap();
        ledger.add(&received("2026-10", 1), Offset(10)).unwrap();
        ledger.add(&received("2026-11", 1), Offset(12)).unwrap();
        drop(ledger);
        let expected = [("2026-10-01 00:00:00".to_owned(), 3, 0), ("2026-11-01 00:00:00".to_owned(), 1, 0)];
        assert_eq!(rows(&path), expected);
        assert_eq!(Ledger::open(&path, HERE, Offset(99)).unwrap().position(), Offset(12));
    }

    #[test]
    fn two_daemons_count_into_one_file_without_knowing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounting.db");
        let mut here = Ledger::open(&path, HERE, Offset(5)).unwrap();
        let mut there = Ledger::open(&path, THERE, Offset(0)).unwrap();
        here.add(&received("2026-11", 1), Offset(6)).unwrap();
        there.add(&received("2026-11", 2), Offset(2)).unwrap();
        assert_eq!(rows(&path), [("2026-11-01 00:00:00".to_owned(), 3, 0)]);
        assert_eq!((here.position(), there.position()), (Offset(6), Offset(2)));
    }

    #[test]
    fn a_table_that_is_there_goes_on_whatever_its_days_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounting.db");
        let table = "CREATE TABLE accounting (event_time TEXT, received INT, delivered INT);
            INSERT INTO accounting VALUES ('2026-11-03T00:00:00Z', 40, 30)";
        Connection::open(&path).unwrap().execute_batch(table).unwrap();
        let mut ledger = Ledger::open(&path, HERE, Offset(0)).unwrap();
        ledger.add(&received("2026-11", 2), Offset(1)).unwrap();
        assert_eq!(rows(&path), [("2026-11-03T00:00:00Z".to_owned(), 42, 30)]);
    }

    #[test]
    fn what_is_no_such_database_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (text, other) = (folder.path().join("text"), folder.path().join("other.db"));
        std::fs::write(&text, "no database at all, and longer than the head of one, so that there is no doubt of it")
            .unwrap();
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE accounting (day TEXT)").unwrap();
        for (path, why) in [
            (&text, "not a database"),
            (&other, "no such column: received"),
            (&folder.path().join("text/x"), "File exists"),
        ] {
            let error = Ledger::open(path, HERE, Offset(0)).err().unwrap().to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn what_the_database_says_it_has_is_not_added_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounting.db");
        let mut first = Ledger::open(&path, HERE, Offset(0)).unwrap();
        let mut late = Ledger::open(&path, HERE, Offset(0)).unwrap();
        first.add(&received("2026-11", 1), Offset(4)).unwrap();
        late.add(&received("2026-11", 1), Offset(4)).unwrap();
        assert_eq!((late.position(), rows(&path)[0].1), (Offset(4), 1));
    }

    #[test]
    fn a_write_that_fails_leaves_sums_and_position_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounting.db");
        let mut ledger = Ledger::open(&path, HERE, Offset(0)).unwrap();
        ledger.connection.busy_timeout(Duration::ZERO).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        ledger.add(&received("2026-11", 1), Offset(1)).unwrap_err();
        assert_eq!(ledger.position(), Offset(0));
        other.execute_batch("ROLLBACK").unwrap();
        ledger.add(&received("2026-11", 1), Offset(1)).unwrap();
        assert_eq!(rows(&path), [("2026-11-01 00:00:00".to_owned(), 1, 0)]);
    }
}
