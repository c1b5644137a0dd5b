use rustls::crypto::{CryptoProvider, ring};

/// Makes *ring* the process's cryptography unless another part of it has chosen already.
///
/// reqwest panics without a provider when it builds its own TLS configuration, which it does for
/// `accept_invalid_certs`.
pub(crate) fn install_crypto_provider() {
    if CryptoProvider::get_default().is_none() {
        // Losing a race to another caller is as good as winning it.
        let _ = ring::default_provider().install_default();
    }
}
