use crate::failure;
use crate::session::LuaSession;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use waybill_delivery::{
    BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Route, RouteQuery, Session,
};
use waybill_policy::{Args, PolicyHost, Value};
use waybill_queue_core::config::CustomLuaSection;
use waybill_types::{QueueName, ReadyQueueName, format_duration};

/// Delivers to objects that a script constructs: the `custom_lua` section of a queue's `protocol`.
#[derive(Clone)]
pub struct CustomLua {
    host: Arc<dyn PolicyHost>,
}

impl CustomLua {
    /// With the policy whose events are the constructors.
    pub fn new(host: Arc<dyn PolicyHost>) -> Self {
        CustomLua { host }
    }
}

impl DeliveryProtocol for CustomLua {
    fn name(&self) -> &'static str {
        "custom_lua"
    }

    fn route(&self, query: &RouteQuery<'_>) -> Result<Arc<dyn Route>, ConfigError> {
        let section = CustomLuaSection::deserialize(query.section)
            .map_err(|error| ConfigError(format!("protocol.custom_lua: {error}").into()))?;
        let ready_queue = query.ready_queue(&format!("lua:{}", section.constructor));
        Ok(Arc::new(LuaRoute {
            host: self.host.clone(),
            ready_queue,
            batch: section.batch_policy(),
            constructor: section.constructor.into(),
        }))
    }
}

struct LuaRoute {
    host: Arc<dyn PolicyHost>,
    ready_queue: ReadyQueueName,
    batch: BatchPolicy,
    constructor: Arc<str>,
}

impl Route for LuaRoute {
    fn ready_queue(&self) -> &ReadyQueueName {
        &self.ready_queue
    }

    fn batch(&self) -> BatchPolicy {
        self.batch
    }

    fn protocol(&self) -> &'static str {
        "Lua"
    }

    fn connect(&self, context: ConnectContext) -> BoxFuture<'_, Result<Box<dyn Session>, ConnectError>> {
        async move {
            let made = self.host.construct(&self.constructor, representative(&context.representative));
            let object = match tokio::time::timeout(context.watchdog, made).await {
                Ok(made) => made.map_err(failure::connect)?,
                Err(_) => {
                    let limit = format_duration(context.watchdog);
                    return Err(failure::connect(format_args!("{} took longer than {limit}", self.constructor)));
                }
            };
            let session = LuaSession::new(object, self.constructor.clone(), self.batch, context);
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }
}

/// Domain, tenant and campaign; the routing domain is not part of what constructors know.
fn representative(queue: &QueueName) -> Args {
    let parts = queue.parts();
    vec![Value::from(parts.domain), Value::from(parts.tenant), Value::from(parts.campaign)]
}
