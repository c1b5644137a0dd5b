//! Reads a request body within a limit, and lets a client whose body is not wanted live to read why.

use crate::reply::Refusal;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::fmt::Display;
use std::time::Duration;
use waybill_types::Objects;

/// The text that KumoMTA's clients know for a body over the limit.
const TOO_LONG: &str = "Failed to buffer the request body: length limit exceeded";
/// A client must have sent its body by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// So much of a body that is not wanted is read and dropped: a connection closed under a client that still sends is
/// reset, and the client never sees the answer.
const DRAIN_LIMIT: usize = 16 * 1024 * 1024;
/// And for so long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The whole body, at most `limit` bytes of it. Behind the decompression layer that is the length after decompression,
/// of which never more than one piece beyond the limit is in memory.
pub(crate) async fn read(headers: &HeaderMap, mut body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let too_long = || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG);
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        discard(headers, body).await;
        return Err(too_long());
    }
    let collect = async {
        let mut collected = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Refusal::new(StatusCode::BAD_REQUEST, format!("Failed to buffer the request body: {error}"))
            })?;
            if let Some(data) = frame.data_ref() {
                if data.len() > limit - collected.len() {
                    return Ok(None);
                }
                collected.extend_from_slice(data);
            }
        }
        Ok(Some(collected.freeze()))
    };
    match tokio::time::timeout(BODY_TIMEOUT, collect).await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => {
            drain(body).await;
            Err(too_long())
        }
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time")),
    }
}

/// A body that is a JSON object. A list is none, nor is one within it: an order without a word of which queues it is about
/// would be one about all of them.
pub(crate) fn object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let object = serde_path_to_error::deserialize(Objects::new(&mut reader))
        .map_err(|error| unread(error.inner().classify(), &error))?;
    reader.end().map_err(|error| unread(error.classify(), &error))?;
    Ok(object)
}

/// In the words in which KumoMTA's clients know it: 400 for what is no JSON, 422 for what is not meant.
fn unread(category: Category, error: &dyn Display) -> Refusal {
    match category {
        Category::Data => {
            let text = format!("Failed to deserialize the JSON body into the target type: {error}");
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Refusal::new(StatusCode::BAD_REQUEST, format!("Failed to parse the request body as JSON: {error}"))
        }
    }
}

/// Reads what the client still sends, and drops it: to be done before a request is refused unread.
pub(crate) async fn discard(headers: &HeaderMap, body: Body) {
    // With `Expect: 100-continue` the client waits for our word before it sends anything.
    if !headers.contains_key(header::EXPECT) {
        drain(body).await;
    }
}

async fn drain(mut body: Body) {
    let read = async {
        let mut left = DRAIN_LIMIT;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whether it ended or not: the answer goes out now.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, read).await;
}
