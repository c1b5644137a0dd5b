use data_encoding::BASE64;
use futures::future::BoxFuture;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;

/// What a function asks to be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, …; whoever sends it decides which there are.
    pub method: String,
    /// Whither, as the script wrote it.
    pub url: String,
    /// Headers, as the script wrote them.
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(serialize_with = "encoded", deserialize_with = "decoded")]
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers by their lower-case names; of several with one name the values joined by commas.
    pub headers: BTreeMap<String, String>,
    /// The beginning of the body.
    #[serde(serialize_with = "encoded", deserialize_with = "decoded")]
    pub body: Vec<u8>,
}

/// Sends what functions ask for.
///
/// # Contract
/// - Nothing in a request was checked: method, URL, headers and body are a stranger's. Whoever sends it checks the address
///   that is dialled, the headers, and the size of the answer.
/// - It ends within a time limit of its own. Dropping the future gives the request up.
/// - An answer with any status is an answer. An error is one line for the script's author, without secrets of the daemon.
pub trait Outbound: Send + Sync + 'static {
    /// Sends one request, on account of an event that has come through so many webhooks.
    fn send(&self, request: Request, hops: u8) -> BoxFuture<'_, Result<Answer, String>>;
}

// Frames are JSON, and a body need not be text.
fn encoded<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(bytes))
}

fn decoded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text.as_bytes()).map_err(de::Error::custom)
}
