use crate::failure::Failure;
use crate::many::Many;
use crate::metered::Wire;
use crate::one::One;
use crate::progress::Peer;
use waybill_runtime::Supervisor;
use waybill_webhook_core::Limits;

/// A connection that can take a request.
pub(crate) enum Link {
    /// HTTP/1.1.
    One(Box<One>),
    /// HTTP/2.
    Many(Many),
}

impl Link {
    /// Agrees on HTTP over a wire.
    pub(crate) async fn open(
        wire: Box<dyn Wire>,
        http2: bool,
        peer: Peer,
        limits: &Limits,
        supervisor: &Supervisor,
    ) -> Result<Link, Failure> {
        Ok(match http2 {
            true => Link::Many(Many::open(wire, peer, limits, supervisor).await?),
            false => Link::One(Box::new(One::new(wire, peer))),
        })
    }

    pub(crate) fn peer(&self) -> Peer {
        match self {
            Link::One(one) => one.peer(),
            Link::Many(many) => many.peer(),
        }
    }
}
