use parking_lot::Mutex;
use std::net::SocketAddr;
use waybill_webhook_core::Stage;

/// How far an attempt has come: what is told when its time is up.
#[derive(Debug)]
pub(crate) struct Progress(Mutex<(Stage, Peer)>);

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Peer {
    /// The endpoint's address, unless a proxy looks it up.
    pub(crate) address: Option<SocketAddr>,
    /// The proxy's.
    pub(crate) proxy: Option<SocketAddr>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Progress(Mutex::new((Stage::Waiting, Peer::default())))
    }

    pub(crate) fn enter(&self, stage: Stage) {
        self.0.lock().0 = stage;
    }

    pub(crate) fn peer(&self, peer: Peer) {
        self.0.lock().1 = peer;
    }

    pub(crate) fn get(&self) -> (Stage, Peer) {
        *self.0.lock()
    }
}
