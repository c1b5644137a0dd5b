use crate::failure;
use std::sync::Arc;
use tokio::time::timeout;
use waybill_delivery::{ConnectContext, ConnectError};
use waybill_policy::{Args, Epoch, PolicyHost, PolicyObject, Value};
use waybill_types::{QueueName, format_duration};

/// Makes the script's objects.
#[derive(Clone)]
pub(crate) struct Constructor {
    pub(crate) host: Arc<dyn PolicyHost>,
    /// The event.
    pub(crate) name: Arc<str>,
}

/// An object, and which policy it is of.
pub(crate) struct Made {
    pub(crate) object: Box<dyn PolicyObject>,
    pub(crate) epoch: Epoch,
}

impl Constructor {
    pub(crate) async fn make(&self, context: &ConnectContext) -> Result<Made, ConnectError> {
        // Before it is made: what is read again meanwhile is noticed the next time.
        let epoch = self.host.epoch();
        let made = self.host.construct(&self.name, representative(&context.representative));
        match timeout(context.watchdog, made).await {
            Ok(made) => Ok(Made { object: made.map_err(failure::connect)?, epoch }),
            Err(_) => {
                let limit = format_duration(context.watchdog);
                Err(failure::connect(format_args!("{} took longer than {limit}", self.name)))
            }
        }
    }

    /// Whether the policy was read again since.
    pub(crate) fn is_past(&self, epoch: Epoch) -> bool {
        self.host.epoch() != epoch
    }
}

/// Domain, tenant and campaign; the routing domain is not part of what constructors know.
fn representative(queue: &QueueName) -> Args {
    let parts = queue.parts();
    vec![Value::from(parts.domain), Value::from(parts.tenant), Value::from(parts.campaign)]
}
