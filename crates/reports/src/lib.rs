//! Reports that come as mail: what became of a message we sent ([`DeliveryReport`], RFC 3464) and what somebody thinks
//! of one ([`FeedbackReport`], RFC 5965, "ARF").
//!
//! Pure. Whoever can send us mail can send us these, so everything is counted and cut: no input costs more than a few
//! times its size, and nothing nests. It says what a report claims; whether to believe it is the caller's business.
//!
//! ```
//! let mail = "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n\
//!     --b\r\n\r\nA complaint.\r\n\
//!     --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n--b--\r\n";
//! let Some(waybill_reports::Report::Feedback(report)) = waybill_reports::parse(mail.as_bytes()) else { panic!() };
//! assert_eq!(report.feedback_type, "abuse");
//! assert!(waybill_reports::parse(b"Subject: hello\r\n\r\nhow are you?").is_none());
//! ```

mod delivery;
mod feedback;
mod fields;
mod mime;
mod trace;

pub use delivery::{DeliveryReport, Diagnostic, FinalRecipient, PerMessage, PerRecipient};
pub use feedback::FeedbackReport;
pub use fields::Mta;

/// A report.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    /// What became of a message: RFC 3464.
    Delivery(DeliveryReport),
    /// What somebody thinks of a message: RFC 5965.
    Feedback(FeedbackReport),
}

/// Reads a mail as a report; `None` when it is other mail, or too broken to say anything.
pub fn parse(mail: &[u8]) -> Option<Report> {
    let report = mime::Multipart::of_report(mail)?;
    FeedbackReport::read(&report).map(Report::Feedback).or_else(|| DeliveryReport::read(&report).map(Report::Delivery))
}

/// Whether a mail says that it is a report. Looks at the headers only.
pub fn claims_to_be_one(mail: &[u8]) -> bool {
    mime::is_report(mail)
}

/// `text`, at most `len` bytes of it.
pub(crate) fn cut(text: &str, len: usize) -> &str {
    &text[..text.floor_char_boundary(len)]
}
