use crate::fields::{NEEDS_CLEANING, clean, iterate};
use crate::{Capture, Entry};
use std::ops::Range;
use std::sync::Arc;

/// What one sink sees of an entry: the record with the meta fields and headers that it asked for.
#[derive(Clone, Debug)]
pub struct RecordView {
    entry: Entry,
    capture: Arc<Capture>,
}

#[derive(Clone, Copy, PartialEq)]
enum Nulls {
    Shown,
    Cut,
}

impl RecordView {
    /// The entry as seen through `capture`.
    pub fn new(entry: Entry, capture: Arc<Capture>) -> Self {
        RecordView { entry, capture }
    }

    /// The whole entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// What this sink asked for.
    pub fn capture(&self) -> &Arc<Capture> {
        &self.capture
    }

    /// The record as one compact JSON object, nulls in place, without a line end.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(Nulls::Shown, &mut out);
        out
    }

    /// The record as `json_encode` gives it after it has been a Lua table: null members are gone.
    pub fn json_without_nulls(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_json_without_nulls(&mut out);
        out
    }

    /// Appends [`RecordView::json_without_nulls`].
    pub fn write_json_without_nulls(&self, out: &mut Vec<u8>) {
        self.write(Nulls::Cut, out);
    }

    /// The captured meta fields: name and JSON text.
    pub fn meta(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let wanted = |name: &str| self.capture.wants_meta(name);
        iterate(self.entry.meta()).filter(move |field| wanted(field.name)).map(|field| (field.name, field.json))
    }

    fn write(&self, nulls: Nulls, out: &mut Vec<u8>) {
        out.reserve(self.entry.bytes().len());
        self.segment(self.entry.head(), nulls, out);
        let feedback = self.entry.feedback();
        value(feedback, !feedback.is_empty(), nulls, out);
        out.extend_from_slice(b",\"meta\":{");
        fields(self.entry.meta(), |name| self.capture.wants_meta(name), nulls, out);
        out.extend_from_slice(b"},\"headers\":{");
        fields(self.entry.headers(), |name| self.capture.wants_header(name), nulls, out);
        out.push(b'}');
        self.segment(self.entry.tail(), nulls, out);
    }

    fn segment(&self, range: Range<usize>, nulls: Nulls, out: &mut Vec<u8>) {
        let bytes = self.entry.bytes();
        let mut from = range.start;
        if nulls == Nulls::Cut {
            for (place, len) in self.entry.cuts().filter(|(place, _)| range.contains(place)) {
                out.extend_from_slice(&bytes[from..place]);
                from = place + len;
            }
        }
        out.extend_from_slice(&bytes[from..range.end]);
    }
}

fn fields(bytes: &[u8], wanted: impl Fn(&str) -> bool, nulls: Nulls, out: &mut Vec<u8>) {
    let mut first = true;
    for field in iterate(bytes).filter(|field| wanted(field.name)) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        // Writing a string into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut *out, field.name);
        out.push(b':');
        value(field.json, field.flags & NEEDS_CLEANING != 0, nulls, out);
    }
}

fn value(json: &[u8], needs_cleaning: bool, nulls: Nulls, out: &mut Vec<u8>) {
    if nulls == Nulls::Cut
        && needs_cleaning
        && let Ok(value) = serde_json::from_slice(json)
    {
        let _ = serde_json::to_writer(out, &clean(value));
        return;
    }
    out.extend_from_slice(json);
}
