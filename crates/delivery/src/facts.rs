/// What records say of a session beside its peer, where the protocol has such things.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionFacts {
    /// The address that we came from, `ip:port`.
    pub source_address: Option<String>,
    /// TLS of the connection.
    pub tls: Option<TlsSession>,
}

/// TLS of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSession {
    /// The cipher's name.
    pub cipher: String,
    /// Such as `TLSv1.3`.
    pub protocol_version: String,
    /// The subject of the peer's certificate, part by part: `CN=mx.example.com`.
    pub peer_subject_name: Vec<String>,
}
