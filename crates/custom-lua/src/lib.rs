//! The `custom_lua` protocol: batches go to an object that a script constructs.
//!
//! Written only against `delivery` and `policy`. It refuses to know Lua, HTTP or what a hook is; it neither logs
//! outcomes nor retries.
//!
//! # What a script's answer means
//!
//! With `batch_size = 1` the script gets `connection:send(message)`; above 1 it gets `connection:send_batch(messages)`,
//! even for a single message.
//!
//! | the script | each message of the call | session |
//! |---|---|---|
//! | returns a text or a number | delivered, code 200, with that text | kept |
//! | `kumo.reject(400..499, text)` | transient, with that code, text and `retry_after` | kept; closed after 421 |
//! | `kumo.reject` with any other code | permanent, with that code and text | kept |
//! | returns nil, false or anything else | transient 400, no peer | closed |
//! | raises any other error, or lacks the method | transient 400, no peer | closed |
//! | takes longer than the watchdog | transient 451 4.4.1, no peer | broken |
//! | its constructor fails | transient 400, no peer | none |
//!
//! A session that failed is never used for another batch: the next events get a new one.
//!
//! # One result for each message
//!
//! Ours: `send_batch` may return a list with exactly one result for each message of the batch, in order. A result is
//!
//! - a text or number: delivered, code 200, with that text; or
//! - a table with
//!   - `code`: a whole number from 100 to 999. 200 to 299 is delivered, 400 to 499 is transient, anything else is
//!     permanent. May be left out when `delivered` is true; then it is 200.
//!   - `delivered`: optional. True says the same as a code from 200 to 299, false as any other code; a contradiction is
//!     an error.
//!   - `text` or `message`, not both: what the record says. Empty when it is left out.
//!   - `retry_after`: for a transient result, the least wait before the next try, in seconds or as `"30s"`. A text that
//!     is no duration (an HTTP date that a script passed on) is ignored, and so is one beside any other result.
//!
//! A list of another length, an entry that is nil, false or anything else, and a field with another name or type are an
//! error: the whole batch is transient with code 400 and a text that names what is wrong. Code 421 closes the session
//! after the batch.
//!
//! ```lua
//! function connection:send_batch(messages)
//!   local results = {}
//!   for i, message in ipairs(messages) do
//!     local response = post(message)
//!     results[i] = { code = response:status_code(), text = response:status_reason() }
//!   end
//!   return results
//! end
//! ```
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use waybill_custom_lua::CustomLua;
//! use waybill_delivery::{DeliveryProtocol, Destination, Egress, RouteQuery};
//! use waybill_policy::ScriptedPolicy;
//! use waybill_types::QueueName;
//!
//! let protocol = CustomLua::new(Arc::new(ScriptedPolicy::new()));
//! let section = serde_json::json!({"constructor": "make.webhook", "batch_size": 100});
//! let queue = QueueName::new("webhook.log_hook");
//! let (destination, egress) = (Destination::local(&queue), Egress::default());
//! let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
//! let route = protocol.route(&query).unwrap();
//! assert_eq!(route.ready_queue().as_str(), "unspecified->webhook.log_hook@lua:make.webhook");
//! ```

mod constructor;
mod failure;
mod protocol;
mod results;
mod session;

pub use protocol::CustomLua;
