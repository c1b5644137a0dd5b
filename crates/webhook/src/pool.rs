use crate::link::Link;
use crate::progress::Peer;
use parking_lot::Mutex;

/// The open connections of one endpoint: those of HTTP/1.1 while nobody uses them, those of HTTP/2 always.
#[derive(Default)]
pub(crate) struct Pool {
    links: Mutex<Vec<Link>>,
}

impl Pool {
    /// A connection that is open and still permitted. Others are closed on the way.
    pub(crate) fn take(&self, permitted: impl Fn(&Link) -> bool) -> Option<Link> {
        let mut links = self.links.lock();
        links.retain(|link| link.is_open() && permitted(link));
        // The one that was used last: the others get old and are closed.
        let last = links.last()?;
        match last.share() {
            Some(link) => Some(link),
            None => links.pop(),
        }
    }

    /// A connection can be used again, or by others too.
    pub(crate) fn give(&self, link: Link) {
        let mut links = self.links.lock();
        if link.is_open() && !links.iter().any(|known| known.is(&link)) {
            links.push(link);
        }
    }

    /// A connection is not to be used again. Requests that are under way on it may end.
    pub(crate) fn retire(&self, link: &Link) {
        self.links.lock().retain(|known| !known.is(link));
    }

    /// No connection to this peer is to be used again: it took a request and did not answer. Who holds the name now may be
    /// somewhere else, and each of the others would be waited for in vain.
    pub(crate) fn abandon(&self, peer: Peer) {
        self.links.lock().retain(|known| known.peer() != peer);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        let mut links = self.links.lock();
        links.retain(Link::is_open);
        links.len()
    }
}
