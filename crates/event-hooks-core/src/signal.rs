use crate::Event;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waybill_types::{EntryId, Timestamp};

/// Something that happened and is no log record: an entry of the stream `signals`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Signal {
    /// Minted when it was appended, and so also when that was.
    pub id: EntryId,
    /// Where it comes from, `endpoint`.
    pub source: String,
    /// What it is, `failing`.
    pub event: String,
    /// When it happened, in nanoseconds.
    #[serde(rename = "time")]
    nanos: i64,
    /// Whose it is, where it is of a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is about: ids of hooks, hashes of URLs of endpoints. A hook of that id or on that endpoint is not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// The fields.
    pub data: Map<String, Value>,
}

/// The encoding that [`Signal::encode`] writes; another one is for another version of this program.
const VERSION: u8 = 1;

impl Signal {
    /// One of nobody in particular and about nothing.
    pub fn new(id: EntryId, source: &str, event: &str, time: Timestamp, data: Map<String, Value>) -> Self {
        let (source, event) = (source.to_owned(), event.to_owned());
        Signal { id, source, event, nanos: time.nanos(), tenant: None, about: Vec::new(), data }
    }

    /// Of a tenant.
    #[must_use]
    pub fn of(self, tenant: Option<&str>) -> Self {
        Signal { tenant: tenant.map(str::to_owned), ..self }
    }

    /// About these.
    #[must_use]
    pub fn about(self, what: impl IntoIterator<Item = String>) -> Self {
        Signal { about: what.into_iter().collect(), ..self }
    }

    /// When it happened.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_nanos(self.nanos)
    }

    /// As hooks see it. `id` is the text of [`Signal::id`].
    pub fn as_event<'a>(&'a self, id: &'a str) -> Event<'a> {
        let tenant = self.tenant.as_deref();
        Event { id, source: &self.source, event: &self.event, time: self.time(), tenant, data: &self.data }
    }

    /// As it stands in the stream: a byte for the version of the encoding, then JSON.
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        // Texts, numbers and a map with texts for keys: this cannot fail.
        out.extend(serde_json::to_vec(self).unwrap_or_default());
        out.into()
    }

    /// What [`Signal::encode`] gave; `None` for anything else.
    pub fn decode(entry: &[u8]) -> Option<Self> {
        match entry.split_first() {
            Some((&VERSION, json)) => serde_json::from_slice(json).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use waybill_types::IdMint;

    #[test]
    fn a_signal_comes_out_of_the_stream_as_it_went_in_and_torn_ones_do_not() {
        let now = Timestamp::from_nanos(1_700_000_000_123_456_789);
        let data = json!({"endpoint": "h", "attempts": 3, "last_response": null});
        let data = data.as_object().unwrap().clone();
        let signal = Signal::new(IdMint::new([7; 8]).entry(now), "endpoint", "failing", now, data)
            .of(Some("t1"))
            .about(["h".to_owned()]);
        let entry = signal.encode();
        assert_eq!(Signal::decode(&entry).as_ref(), Some(&signal));
        let event = signal.as_event("x");
        assert_eq!((event.source, event.event, event.time, event.tenant), ("endpoint", "failing", now, Some("t1")));
        for len in 0..entry.len() {
            assert_eq!(Signal::decode(&entry[..len]), None, "{len}");
        }
        let mut other = entry.to_vec();
        other[0] = 2;
        assert_eq!(Signal::decode(&other), None, "an encoding that is not ours");
    }
}
