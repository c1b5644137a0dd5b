use super::reply::Reply;
use super::session::Session;
use tokio_rustls::TlsAcceptor;
use waybill_log_record::TlsFacts;

impl Session {
    /// RFC 3207. The handshake itself is the connection's business.
    pub(super) async fn starttls(&mut self) -> Result<Reply, Reply> {
        if self.tls.is_some() {
            return Err(Reply::new(503, "5.5.1 this connection is encrypted already"));
        }
        if self.more_came {
            // Plain text that would be read as if it had come encrypted: somebody in the middle may have put it there.
            return Err(Reply::new(501, "5.5.1 nothing may follow STARTTLS before its answer").closing());
        }
        match self.shared.acceptors.get(&self.params.tls, &self.host).await {
            Ok(acceptor) => {
                self.handshake = Some(acceptor);
                Ok(Reply::new(220, "2.0.0 ready for TLS"))
            }
            Err(why) => {
                tracing::error!(why, "STARTTLS is refused");
                Err(Reply::new(454, "4.7.0 TLS is not available right now"))
            }
        }
    }

    /// What the next bytes of the connection are for, when they are for a handshake. Given once.
    pub(super) fn take_handshake(&mut self) -> Option<TlsAcceptor> {
        self.handshake.take()
    }

    /// The connection is encrypted from here on, and nothing that the client said before counts (RFC 3207 section
    /// 4.2): anybody might have said it.
    ///
    /// # Errors
    /// The last word to the client, when policy does not want it as what it is without its XCLIENT.
    pub(super) async fn secured(&mut self, facts: TlsFacts) -> Result<(), Reply> {
        self.set_meta("tls_cipher", facts.cipher.as_deref());
        self.set_meta("tls_protocol_version", facts.protocol_version.as_deref());
        self.set_meta("tls_peer_subject_name", facts.peer_subject_name.clone());
        self.tls = Some(facts);
        self.reintroduce(self.real).await
    }
}
