use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

macro_rules! record_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What kind of event a record tells of. The numbers stand in the journal: never reuse one.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum RecordType { $($(#[$doc])* $name = $number,)* }

        impl RecordType {
            /// All of them, in the order of the contract.
            pub const ALL: &'static [RecordType] = &[$(RecordType::$name,)*];

            /// The word in the record's `type` field.
            pub const fn as_str(self) -> &'static str {
                match self { $(RecordType::$name => stringify!($name),)* }
            }

            /// From the number that stands in the journal.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(RecordType::$name),)* _ => None }
            }
        }
    };
}

record_types! {
    /// A message was accepted.
    Reception = 1,
    /// A message was delivered.
    Delivery = 2,
    /// A message failed for good.
    Bounce = 3,
    /// A delivery failed and will be tried again.
    TransientFailure = 4,
    /// A message grew too old.
    Expiration = 5,
    /// An operator bounced a message.
    AdminBounce = 6,
    /// An asynchronous bounce (RFC 3464) came back.
    OOB = 7,
    /// A complaint (RFC 5965) came in.
    Feedback = 8,
    /// We refused a command or message on SMTP.
    Rejection = 9,
    /// An operator moved a message to another queue.
    AdminRebind = 10,
    /// A message accepted into the deferred queue was routed.
    DeferredInjectionRebind = 11,
    /// A message went to the scheduled queue without having failed.
    Delayed = 12,
    /// A message left for another node.
    XferOut = 13,
    /// A message came from another node.
    XferIn = 14,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RecordType {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = RecordType::ALL.iter().find(|kind| kind.as_str() == text);
        found.copied().ok_or_else(|| {
            let names: Vec<_> = RecordType::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("unknown record type `{text}`, expected one of {}", names.join(", "))
        })
    }
}
