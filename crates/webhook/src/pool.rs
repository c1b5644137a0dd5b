use crate::link::Link;
use crate::many::Many;
use crate::one::One;
use crate::progress::Peer;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use waybill_runtime::Supervisor;

/// The open connections of one endpoint: those of HTTP/1.1 while nobody uses them, those of HTTP/2 always. Dropped, it
/// closes those that nobody uses.
pub(crate) struct Pool {
    links: Arc<Mutex<Links>>,
    supervisor: Supervisor,
    idle: Duration,
}

#[derive(Default)]
struct Links {
    /// The one that was used last stands last: the others get old and are closed.
    ones: Vec<(Box<One>, Instant)>,
    many: Vec<Many>,
    /// Is there while a task looks after them; it hears when this is dropped with the pool.
    keeper: Option<oneshot::Sender<()>>,
}

impl Pool {
    /// The supervisor owns the task that closes connections which nobody has used for so long.
    pub(crate) fn new(supervisor: Supervisor, idle: Duration) -> Self {
        Pool { links: Arc::default(), supervisor, idle }
    }

    /// A connection that is open and still permitted. Others are closed on the way.
    pub(crate) fn take(&self, permitted: impl Fn(Peer) -> bool) -> Option<Link> {
        let mut links = self.links.lock();
        links.many.retain(|many| many.is_open() && permitted(many.peer()));
        if let Some(many) = links.many.last() {
            return Some(Link::Many(many.clone()));
        }
        links.ones.retain_mut(|(one, _)| one.is_open() && permitted(one.peer()));
        links.ones.pop().map(|(one, _)| Link::One(one))
    }

    /// A connection can be used again.
    pub(crate) fn give(&self, one: Box<One>) {
        let mut links = self.links.lock();
        links.ones.push((one, Instant::now()));
        if links.keeper.is_none() {
            let (alive, gone) = oneshot::channel();
            links.keeper = Some(alive);
            let (kept, idle) = (Arc::downgrade(&self.links), self.idle);
            self.supervisor.spawn("idle webhook connections", keep(kept, gone, idle));
        }
    }

    /// A connection can be used by others too.
    pub(crate) fn share(&self, many: &Many) {
        let mut links = self.links.lock();
        if many.is_open() && !links.many.iter().any(|known| known.is(many)) {
            links.many.push(many.clone());
        }
    }

    /// A connection is not to be used again. Requests that are under way on it may end.
    pub(crate) fn retire(&self, many: &Many) {
        self.links.lock().many.retain(|known| !known.is(many));
    }

    /// No connection to this peer is to be used again: it took a request and did not answer. Who holds the name now may be
    /// somewhere else, and each of the others would be waited for in vain.
    pub(crate) fn abandon(&self, peer: Peer) {
        let mut links = self.links.lock();
        links.ones.retain(|(one, _)| one.peer() != peer);
        links.many.retain(|many| many.peer() != peer);
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        let mut links = self.links.lock();
        links.many.retain(Many::is_open);
        links.ones.retain_mut(|(one, _)| one.is_open());
        links.many.len() + links.ones.len()
    }
}

/// Closes connections of HTTP/1.1 that nobody has used for so long, as long as there are any.
async fn keep(links: Weak<Mutex<Links>>, mut gone: oneshot::Receiver<()>, idle: Duration) {
    let mut due = Instant::now() + idle;
    loop {
        tokio::select! {
            _ = &mut gone => return,
            () = sleep_until(due) => {}
        }
        let Some(links) = links.upgrade() else { return };
        let mut links = links.lock();
        links.ones.retain(|(_, since)| since.elapsed() < idle);
        match links.ones.first() {
            Some((_, since)) => due = *since + idle,
            None => {
                links.keeper = None;
                return;
            }
        }
    }
}
