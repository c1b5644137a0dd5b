//! The Authenticated Received Chain (RFC 8617): what each host on the way found out, each sealed by the host.

mod seal;
mod sets;
mod verify;

pub use seal::SealError;
pub use verify::{Chain, ChainStatus};

/// The longest chain that counts: RFC 8617, section 4.2.1.
pub const MOST_SETS: usize = 50;

const RESULTS: &str = "ARC-Authentication-Results";
const MESSAGE: &str = "ARC-Message-Signature";
const SEAL: &str = "ARC-Seal";
