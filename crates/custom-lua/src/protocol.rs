use crate::constructor::Constructor;
use crate::session::LuaSession;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::sync::Arc;
use waybill_delivery::{
    BatchPolicy, ConfigError, ConnectContext, ConnectError, DeliveryProtocol, Route, RouteQuery, Session,
};
use waybill_policy::PolicyHost;
use waybill_queue_core::config::CustomLuaSection;
use waybill_types::ReadyQueueName;

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
            ready_queue,
            batch: section.batch_policy(),
            constructor: Constructor { host: self.host.clone(), name: section.constructor.into() },
        }))
    }
}

struct LuaRoute {
    ready_queue: ReadyQueueName,
    batch: BatchPolicy,
    constructor: Constructor,
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
            let made = self.constructor.make(&context).await?;
            let session = LuaSession::new(made, self.constructor.clone(), self.batch, context);
            Ok(Box::new(session) as Box<dyn Session>)
        }
        .boxed()
    }
}
