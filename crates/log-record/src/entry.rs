//! The journal entry's layout, version 1. All numbers little endian.
//!
//! ```text
//!  0  u8   version (1)                 36  u32  start of head
//!  1  u8   record type                 40  u32  start of feedback
//!  2  u8   flags, and hops above them  44  u32  start of meta
//!  3  u8   feedback needs cleaning     48  u32  start of headers
//!  4  [16] entry id                    52  u32  start of tail
//! 20  i64  event time, ns              56  u32  start of the cuts
//! 28  i64  created, ns                 60  [16] message id (flag HAS_ID)
//! 76  envelope: tenant, campaign (u16 length, 0xffff = none), sender (u16), recipients (u16 count, u16 each)
//! .. head | feedback | meta fields | header fields | tail | cuts
//! ```
//!
//! Head and tail are JSON text with nulls in place. A cut `(u32 place, u16 length)` names a member whose value is
//! null together with its comma: the text without its cuts is the null-free form. Places count from the start of the
//! entry, so one list serves both segments.

use crate::fields::iterate;
use crate::{LogRecord, RecordType};
use bytes::Bytes;
use waybill_types::{EntryId, MessageId, Timestamp};

/// Length of the fixed part.
pub const HEADER_LEN: usize = 76;
const VERSION: u8 = 1;
const HAS_ID: u8 = 1;
const OF_LOG_MESSAGE: u8 = 2;
/// The upper half of the flags: hops, which nothing but zero was before there were any.
const HOPS_AT: u32 = 4;
const MOST_STORED_HOPS: u8 = u8::MAX >> HOPS_AT;
const NONE: u16 = u16::MAX;

/// The bytes are no entry that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a later version.
    #[error("journal entry of version {0}, this program reads version {VERSION}")]
    Version(u8),
    /// Torn or foreign.
    #[error("journal entry is damaged: {0}")]
    Damaged(&'static str),
}

/// An encoded log record: cheap to clone, parsed on demand.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Bytes,
}

impl Entry {
    /// Encodes a record. Equal records and ids give equal bytes.
    pub fn encode(record: &LogRecord, id: EntryId) -> Self {
        let mut writer = Writer { out: Vec::with_capacity(1024), cuts: Vec::new() };
        writer.fixed(record, id);
        writer.envelope(record);
        let head = writer.place();
        writer.head(record);
        let feedback = writer.place();
        if let Some(report) = &record.feedback_report {
            let _ = serde_json::to_writer(&mut writer.out, report);
            writer.out[3] = 1;
        }
        let meta = writer.place();
        writer.out.extend_from_slice(record.meta.as_bytes());
        let headers = writer.place();
        writer.out.extend_from_slice(record.headers.as_bytes());
        let tail = writer.place();
        writer.tail(record);
        let cuts = writer.place();
        for (i, place) in [head, feedback, meta, headers, tail, cuts].into_iter().enumerate() {
            writer.out[36 + 4 * i..40 + 4 * i].copy_from_slice(&place.to_le_bytes());
        }
        for (place, len) in std::mem::take(&mut writer.cuts) {
            writer.out.extend_from_slice(&place.to_le_bytes());
            writer.out.extend_from_slice(&len.to_le_bytes());
        }
        Entry { bytes: writer.out.into() }
    }

    /// Takes bytes from the journal.
    ///
    /// # Errors
    /// When they were written by a later version or are damaged. Everything that is read later is checked here.
    pub fn decode(bytes: Bytes) -> Result<Self, EntryError> {
        match bytes.first() {
            Some(&VERSION) if bytes.len() >= HEADER_LEN => {}
            Some(&VERSION) | None => return Err(EntryError::Damaged("too short")),
            Some(&other) => return Err(EntryError::Version(other)),
        }
        if RecordType::from_number(bytes[1]).is_none() {
            return Err(EntryError::Damaged("unknown record type"));
        }
        let entry = Entry { bytes };
        let mut last = HEADER_LEN;
        for i in 0..6 {
            let place = entry.start(i);
            if place < last || place > entry.bytes.len() {
                return Err(EntryError::Damaged("segments out of order"));
            }
            last = place;
        }
        if !(entry.bytes.len() - entry.start(5)).is_multiple_of(6) {
            return Err(EntryError::Damaged("torn cuts"));
        }
        if !entry.envelope().is_some_and(Envelope::holds_together) {
            return Err(EntryError::Damaged("torn envelope"));
        }
        let (mut end, head, tail) = (0, entry.head(), entry.tail());
        for (place, len) in entry.cuts() {
            let fits = |text: &std::ops::Range<usize>| text.contains(&place) && place + len <= text.end;
            if place < end || !(fits(&head) || fits(&tail)) {
                return Err(EntryError::Damaged("cut outside the text"));
            }
            end = place + len;
        }
        Ok(entry)
    }

    /// The bytes, as they stand in the journal.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its id, minted when it was encoded.
    pub fn id(&self) -> EntryId {
        EntryId::from_bytes(self.array(4))
    }

    /// What happened.
    pub fn kind(&self) -> RecordType {
        RecordType::from_number(self.bytes[1]).unwrap_or(RecordType::Delayed)
    }

    /// When it happened.
    pub fn event_time(&self) -> Timestamp {
        Timestamp::from_nanos(i64::from_le_bytes(self.array(20)))
    }

    /// When the message came to be.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_nanos(i64::from_le_bytes(self.array(28)))
    }

    /// The message it tells of.
    pub fn message_id(&self) -> Option<MessageId> {
        (self.bytes[2] & HAS_ID != 0).then(|| MessageId::from_bytes(self.array(60)))
    }

    /// Whether the message it tells of is itself a log message.
    pub fn is_of_log_message(&self) -> bool {
        self.bytes[2] & OF_LOG_MESSAGE != 0
    }

    /// Through how many webhooks what it tells of has come; 15 stands for more, too.
    pub fn hops(&self) -> u8 {
        self.bytes[2] >> HOPS_AT
    }

    /// Tenant of the message.
    pub fn tenant(&self) -> Option<&str> {
        self.envelope()?.tenant
    }

    /// Campaign of the message.
    pub fn campaign(&self) -> Option<&str> {
        self.envelope()?.campaign
    }

    /// Envelope sender of the record.
    pub fn sender(&self) -> &str {
        self.envelope().map_or("", |envelope| envelope.sender)
    }

    /// Envelope recipients of the record.
    pub fn recipients(&self) -> Vec<&str> {
        self.envelope().and_then(|envelope| envelope.recipients().collect()).unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.bytes[at..at + N]);
        out
    }

    fn start(&self, segment: usize) -> usize {
        u32::from_le_bytes(self.array(36 + 4 * segment)) as usize
    }

    pub(crate) fn head(&self) -> std::ops::Range<usize> {
        self.start(0)..self.start(1)
    }

    pub(crate) fn feedback(&self) -> &[u8] {
        &self.bytes[self.start(1)..self.start(2)]
    }

    pub(crate) fn meta(&self) -> &[u8] {
        &self.bytes[self.start(2)..self.start(3)]
    }

    pub(crate) fn headers(&self) -> &[u8] {
        &self.bytes[self.start(3)..self.start(4)]
    }

    pub(crate) fn tail(&self) -> std::ops::Range<usize> {
        self.start(4)..self.start(5)
    }

    /// Place and length of each null member.
    pub(crate) fn cuts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.bytes[self.start(5)..].chunks_exact(6).map(|cut| {
            let place = u32::from_le_bytes([cut[0], cut[1], cut[2], cut[3]]);
            (place as usize, usize::from(u16::from_le_bytes([cut[4], cut[5]])))
        })
    }

    /// One captured meta field, as JSON text.
    pub fn meta_field(&self, name: &str) -> Option<&[u8]> {
        iterate(self.meta()).find(|field| field.name == name).map(|field| field.json)
    }

    /// The envelope; `None` where it is torn in front of the recipients.
    fn envelope(&self) -> Option<Envelope<'_>> {
        let mut reader = Reader(&self.bytes[HEADER_LEN..self.start(0)]);
        Some(Envelope {
            tenant: reader.optional()?,
            campaign: reader.optional()?,
            sender: reader.optional()??,
            count: reader.number()?,
            rest: reader,
        })
    }
}

/// What an entry knows of the envelope.
struct Envelope<'a> {
    tenant: Option<&'a str>,
    campaign: Option<&'a str>,
    sender: &'a str,
    /// So many recipients stand in the rest.
    count: u16,
    rest: Reader<'a>,
}

impl<'a> Envelope<'a> {
    /// The recipients, read one by one; `None` in the place of one that is torn.
    fn recipients(mut self) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.count).map(move |_| self.rest.optional().flatten())
    }

    fn holds_together(self) -> bool {
        self.recipients().all(|recipient| recipient.is_some())
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entry({} {}, {} bytes)", self.kind(), self.id(), self.bytes.len())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_at_checked(2)?;
        self.0 = rest;
        Some(u16::from_le_bytes([number[0], number[1]]))
    }

    fn optional(&mut self) -> Option<Option<&'a str>> {
        let len = self.number()?;
        if len == NONE {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(usize::from(len))?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(text).ok()?))
    }
}

struct Writer {
    out: Vec<u8>,
    cuts: Vec<(u32, u16)>,
}

impl Writer {
    fn place(&self) -> u32 {
        u32::try_from(self.out.len()).unwrap_or(u32::MAX)
    }

    fn fixed(&mut self, record: &LogRecord, id: EntryId) {
        let mut flags = 0;
        if record.id.is_some() {
            flags |= HAS_ID;
        }
        if record.of_log_message {
            flags |= OF_LOG_MESSAGE;
        }
        flags |= record.hops.min(MOST_STORED_HOPS) << HOPS_AT;
        self.out.extend_from_slice(&[VERSION, record.kind as u8, flags, 0]);
        self.out.extend_from_slice(id.as_bytes());
        self.out.extend_from_slice(&record.event_time.nanos().to_le_bytes());
        self.out.extend_from_slice(&record.created.nanos().to_le_bytes());
        self.out.extend_from_slice(&[0; 24]);
        let id = record.id.map_or([0; 16], |id| *id.as_bytes());
        self.out.extend_from_slice(&id);
    }

    fn envelope(&mut self, record: &LogRecord) {
        self.short(record.tenant.as_deref());
        self.short(record.campaign.as_deref());
        self.short(Some(&record.sender));
        let count = u16::try_from(record.recipients.len()).unwrap_or(u16::MAX);
        self.out.extend_from_slice(&count.to_le_bytes());
        for recipient in record.recipients.iter().take(usize::from(count)) {
            self.short(Some(recipient));
        }
    }

    /// A text of at most 65,534 bytes; longer ones (no address or tenant is) are cut at a character.
    fn short(&mut self, text: Option<&str>) {
        let Some(text) = text else {
            self.out.extend_from_slice(&NONE.to_le_bytes());
            return;
        };
        let text = &text[..text.floor_char_boundary(usize::from(NONE) - 1)];
        self.out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
    }

    fn head(&mut self, r: &LogRecord) {
        self.raw("{\"type\":\"");
        self.raw(r.kind.as_str());
        self.raw("\",\"id\":\"");
        if let Some(id) = &r.id {
            self.raw(&id.to_string());
        }
        self.raw("\",\"sender\":");
        self.json(&r.sender);
        self.raw(",\"recipient\":");
        match r.recipients.as_slice() {
            [] => self.raw("\"\""),
            [one] => self.json(one),
            many => self.json(many),
        }
        self.raw(",\"queue\":");
        self.json(&r.queue);
        self.raw(",\"site\":");
        self.json(&r.site);
        self.raw(&format!(",\"size\":{},\"response\":{{\"code\":{}", r.size, r.response.code));
        self.member("enhanced_code", r.response.enhanced_code.as_ref());
        self.raw(",\"content\":");
        self.json(&r.response.content);
        self.member("command", r.response.command.as_ref());
        self.raw("}");
        self.member("peer_address", r.peer_address.as_ref());
        self.raw(&format!(",\"timestamp\":{},\"event_time\":\"{}\"", r.event_time.secs(), r.event_time));
        self.raw(&format!(",\"created\":{},\"created_time\":\"{}\"", r.created.secs(), r.created));
        self.raw(&format!(",\"num_attempts\":{},\"bounce_classification\":", r.num_attempts));
        self.json(&r.bounce_classification);
        self.member("egress_pool", r.egress_pool.as_ref());
        self.member("egress_source", r.egress_source.as_ref());
        self.member("source_address", r.source_address.as_ref());
        match r.feedback_report {
            Some(_) => self.raw(",\"feedback_report\":"),
            None => self.member::<()>("feedback_report", None),
        }
    }

    fn tail(&mut self, r: &LogRecord) {
        self.member("delivery_protocol", r.delivery_protocol.as_ref());
        self.member("reception_protocol", r.reception_protocol.as_ref());
        self.raw(",\"nodeid\":");
        self.json(&r.nodeid);
        self.unless_unset("tls_cipher", r.tls.cipher.as_ref());
        self.unless_unset("tls_protocol_version", r.tls.protocol_version.as_ref());
        self.unless_unset("tls_peer_subject_name", r.tls.peer_subject_name.as_ref());
        self.unless_unset("provider_name", r.provider_name.as_ref());
        self.unless_unset("session_id", r.session_id.as_ref());
        self.raw("}");
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn json<T: serde::Serialize + ?Sized>(&mut self, value: &T) {
        // Writing strings, numbers and lists of them into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.out, value);
    }

    fn unless_unset<T: serde::Serialize>(&mut self, name: &str, value: Option<&T>) {
        if value.is_some() {
            self.member(name, value);
        }
    }

    /// `,"name":value`, or `,"name":null` with a cut over all of it.
    fn member<T: serde::Serialize>(&mut self, name: &str, value: Option<&T>) {
        let start = self.place();
        self.raw(",\"");
        self.raw(name);
        self.raw("\":");
        match value {
            Some(value) => self.json(value),
            None => {
                self.raw("null");
                self.cuts.push((start, u16::try_from(self.place() - start).unwrap_or(0)));
            }
        }
    }
}
