//! Two small protocols: `maildir_path` writes each message into a folder, `null` throws it away.
//!
//! # Maildir
//!
//! `{maildir_path=TEMPLATE, dir_mode=.., file_mode=..}`: one file for each recipient, written to `tmp/`, synced, then
//! renamed into `new/` (<https://cr.yp.to/proto/maildir.html>). Folders are created as needed. A message with several
//! recipients becomes visible only when the files of all of them are complete.
//!
//! The template is MiniJinja's. It knows
//!
//! | name | what it is |
//! |---|---|
//! | `local_part`, `domain_part`, `email` | of the recipient; the domain in lower case |
//! | `queue`, `campaign`, `tenant`, `domain`, `routing_domain` | of the message's scheduled queue; a part that it lacks is undefined |
//! | `meta` | the message's meta |
//!
//! A path belongs to the operator, values belong to strangers. What a `{{ .. }}` inserts may be part of a name and
//! nothing more: when it is empty, `.` or `..`, holds a `/` or a NUL, or when a `..` comes about in another way, the
//! message is refused for good (550). `{{ local_part | replace("/", "_") }}` makes do with such addresses. A template
//! that fails in another way (an undefined name, say) is the operator's to mend: the message is tried again.
//!
//! `dir_mode` and `file_mode` are the bits of the mode as a number, in Lua `tonumber('750', 8)`; they apply to what is
//! created, whatever the umask. Without them the umask decides.
//!
//! ```
//! use waybill_delivery::{DeliveryProtocol, Destination, Egress, RouteQuery};
//! use waybill_maildir::Maildir;
//! use waybill_types::{QueueName, Timestamp};
//!
//! let protocol = Maildir::new(|| Timestamp::from_secs(1_700_000_000));
//! let section = serde_json::json!({"maildir_path": "/var/mail/{{ domain_part }}/{{ local_part }}"});
//! let queue = QueueName::new("t1@example.com");
//! let (destination, egress) = (Destination::local(&queue), Egress::default());
//! let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
//! let route = protocol.route(&query).unwrap();
//! let name = "unspecified->example.com@maildir:/var/mail/{{ domain_part }}/{{ local_part }}";
//! assert_eq!(route.ready_queue().as_str(), name);
//! ```

mod file;
mod modes;
mod name;
mod null;
mod protocol;
mod store;
mod template;

pub use null::NullProtocol;
pub use protocol::Maildir;
