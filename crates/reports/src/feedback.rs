use crate::fields::{Fields, Mta, as_rfc3339, groups};
use crate::mime::Multipart;
use crate::{cut, trace};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;
use waybill_types::Timestamp;

/// The most of the complained-about message that a record shows: enough for all headers and the beginning of its text.
const MAX_ORIGINAL: usize = 64 * 1024;
/// Fields that have a place of their own.
const KNOWN: [&str; 13] = [
    "feedback-type",
    "user-agent",
    "version",
    "arrival-date",
    "incidents",
    "original-envelope-id",
    "original-mail-from",
    "reporting-mta",
    "source-ip",
    "authentication-results",
    "original-rcpt-to",
    "reported-domain",
    "reported-uri",
];

/// What somebody thinks of a message (RFC 5965). As JSON it is the member `feedback_report` of a log record: every
/// member is there, in this order.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FeedbackReport {
    /// `abuse`, `fraud`, `not-spam` and others.
    pub feedback_type: String,
    /// The program that made the report.
    pub user_agent: String,
    /// Of the format.
    pub version: String,
    /// When the message came to whom complains.
    #[serde(serialize_with = "as_rfc3339")]
    pub arrival_date: Option<Timestamp>,
    /// How many complaints this one stands for.
    pub incidents: Option<u32>,
    /// The id that the sender gave to the envelope.
    pub original_envelope_id: Option<String>,
    /// The envelope's sender, as the report writes it.
    pub original_mail_from: Option<String>,
    /// Who got the message.
    pub reporting_mta: Option<Mta>,
    /// From which address.
    pub source_ip: Option<String>,
    /// What was found out about who sent it.
    pub authentication_results: Vec<String>,
    /// The envelope's recipients, as the report writes them.
    pub original_rcpto_to: Vec<String>,
    /// Domains that the complaint is about.
    pub reported_domain: Vec<String>,
    /// Addresses of the web that it is about.
    pub reported_uri: Vec<String>,
    /// All other fields: name in lower case, values.
    #[serde(serialize_with = "as_object")]
    pub extensions: Vec<(String, Vec<String>)>,
    /// The message, or its headers.
    pub original_message: Option<String>,
    /// What our own trace header in it says.
    pub supplemental_trace: Option<Value>,
}

impl FeedbackReport {
    pub(crate) fn read(report: &Multipart<'_>) -> Option<Self> {
        let content = report.content("message/feedback-report")?;
        let fields = groups(&content).into_iter().next()?;
        let original = report.content("message/rfc822").or_else(|| report.content("text/rfc822-headers"));
        let others = fields.others(&KNOWN).into_iter();
        let owned = |(name, values): (&str, Vec<&str>)| {
            (name.to_owned(), values.into_iter().map(str::to_owned).collect::<Vec<_>>())
        };
        Some(FeedbackReport {
            // The one field without which it says nothing.
            feedback_type: fields.text("feedback-type")?,
            user_agent: fields.text("user-agent").unwrap_or_default(),
            version: fields.text("version").unwrap_or_default(),
            arrival_date: fields.date("arrival-date").or_else(|| fields.date("received-date")),
            incidents: fields.first("incidents").and_then(|count| count.parse().ok()),
            original_envelope_id: fields.text("original-envelope-id"),
            original_mail_from: fields.text("original-mail-from"),
            reporting_mta: reporter(&fields),
            source_ip: fields.text("source-ip"),
            authentication_results: fields.all("authentication-results"),
            original_rcpto_to: fields.all("original-rcpt-to"),
            reported_domain: fields.all("reported-domain"),
            reported_uri: fields.all("reported-uri"),
            extensions: others.map(owned).collect(),
            supplemental_trace: original.as_deref().and_then(trace::supplemental),
            original_message: original.as_deref().map(as_text),
        })
    }
}

/// Many leave the type out.
fn reporter(fields: &Fields) -> Option<Mta> {
    let mta = fields.mta("reporting-mta")?;
    Some(if mta.mta_type.is_empty() { Mta { mta_type: "dns".into(), ..mta } } else { mta })
}

/// Text with plain line ends, as far as a record shows it.
fn as_text(message: &[u8]) -> String {
    let shown = &message[..message.len().min(MAX_ORIGINAL)];
    let text = String::from_utf8_lossy(shown).replace("\r\n", "\n");
    cut(&text, MAX_ORIGINAL).to_owned()
}

fn as_object<S: Serializer>(fields: &[(String, Vec<String>)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut object = serializer.serialize_map(Some(fields.len()))?;
    for (name, values) in fields {
        object.serialize_entry(name, values)?;
    }
    object.end()
}
