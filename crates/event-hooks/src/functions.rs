use futures::future::BoxFuture;
use serde_json::{Map, Value};

/// Runs the functions of the handler `lambda`.
///
/// # Contract
/// - Chunks are strangers' code: they run where they can reach nothing but what the contract gives them, within limits of
///   their own, and `run` ends within one whatever they do.
/// - `check` runs nothing.
pub trait Functions: Send + Sync + 'static {
    /// Whether every chunk compiles.
    ///
    /// # Errors
    /// Which does not, and why; no line of it.
    fn check<'a>(&'a self, chunks: &'a [String]) -> BoxFuture<'a, Result<(), String>>;

    /// Runs them in order, each with what the one before returned; gives what the last returned. The event has come
    /// through so many webhooks, and what the functions send counts on from there.
    ///
    /// # Errors
    /// Which failed, with its line.
    fn run<'a>(
        &'a self,
        chunks: &'a [String],
        data: &'a Map<String, Value>,
        event: &'a str,
        source: &'a str,
        hops: u8,
    ) -> BoxFuture<'a, Result<Value, String>>;
}
