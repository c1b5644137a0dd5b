//! The listener's side.

mod acceptors;
mod build;

pub use acceptors::Acceptors;

use crate::KeySource;

/// The options of a listener that are about TLS.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ServerParams {
    /// The chain of certificates (`tls_certificate`); one of our own making when there is none.
    pub certificate: Option<KeySource>,
    /// The key that belongs to the first certificate of the chain (`tls_private_key`).
    pub private_key: Option<KeySource>,
    /// Who must have signed the certificate that the client shows (`tls_required_client_ca`); when there is none, it is
    /// not asked for one.
    pub required_client_ca: Option<KeySource>,
}

impl ServerParams {
    /// Reads and tries everything, so that a mistake is found where it was written. Blocks.
    ///
    /// # Errors
    /// A sentence naming the option, the file and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        build::server_config(self, "localhost", &[]).map(|_| ())
    }
}
