//! The log record: what happened to a message, encoded once and shown to every sink in its own cut.
//!
//! A [`LogRecord`] is the model; [`Entry`] is its encoding, the very bytes that stand in the journal; a
//! [`RecordView`] is what one sink sees of an entry: the JSON object of contract/kumomta.md section 4.1 with only
//! the meta fields and headers that this sink's [`Capture`] asks for.
//!
//! Pure: no clock, no files. Nothing here decides who receives a record.
//!
//! ```
//! use waybill_log_record::{Capture, Entry, LogRecord, RecordType, RecordView};
//! use waybill_types::{IdMint, Response, Timestamp};
//! let now = Timestamp::from_secs(1_700_000_000);
//! let record = LogRecord::new(RecordType::Reception, now, Response::plain(250, ""), "node");
//! let entry = Entry::encode(&record, IdMint::random().entry(now));
//! let view = RecordView::new(entry, Capture::nothing().into());
//! assert!(view.json().starts_with(br#"{"type":"Reception","id":"","sender":"","#));
//! ```

mod capture;
mod entry;
mod fields;
mod record;
mod record_type;
mod view;

pub use capture::{Capture, Pattern};
pub use entry::{Entry, EntryError, HEADER_LEN};
pub use fields::{Fields, FieldsBuilder};
pub use record::{LogRecord, PeerAddress, SourceAddress, TlsFacts};
pub use record_type::RecordType;
pub use view::RecordView;
