/// What records say of a session beside its peer, where the protocol has such things.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SessionFacts {
    /// Where the peer sees us come from.
    pub source: Option<SourceFacts>,
    /// TLS of the connection.
    pub tls: Option<TlsSession>,
}

/// The near end of a connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceFacts {
    /// The address that the peer sees, `ip:port`; the port is 0 where only a proxy knows it.
    pub address: String,
    /// The proxy's own address, where there is one.
    pub server: Option<String>,
    /// What was spoken with it: `haproxy` or `socks5`.
    pub protocol: Option<&'static str>,
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
