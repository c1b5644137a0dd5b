use crate::{Answer, LookupError, Mx, Resolver, Tlsa};
use futures::future::BoxFuture;
use parking_lot::RwLock;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// The resolver of a daemon: everybody holds this one, and policy may put another behind it at any time. Questions
/// that were asked before are answered by the one they were put to.
#[derive(Clone)]
pub struct SharedResolver(Arc<RwLock<Arc<dyn Resolver>>>);

impl SharedResolver {
    /// Starts with this one.
    pub fn new(resolver: impl Resolver) -> Self {
        SharedResolver(Arc::new(RwLock::new(Arc::new(resolver))))
    }

    /// From now on this one is asked.
    pub fn set(&self, resolver: Arc<dyn Resolver>) {
        *self.0.write() = resolver;
    }

    /// The one that is asked now.
    pub fn current(&self) -> Arc<dyn Resolver> {
        self.0.read().clone()
    }
}

macro_rules! pass_on {
    ($method:ident, $arg:ty, $record:ty) => {
        fn $method<'a>(&'a self, asked: $arg) -> BoxFuture<'a, Result<Answer<$record>, LookupError>> {
            let current = self.current();
            Box::pin(async move { current.$method(asked).await })
        }
    };
}

impl Resolver for SharedResolver {
    pass_on!(mx, &'a str, Mx);
    pass_on!(ipv4, &'a str, Ipv4Addr);
    pass_on!(ipv6, &'a str, Ipv6Addr);
    pass_on!(txt, &'a str, Vec<u8>);
    pass_on!(tlsa, &'a str, Tlsa);

    fn validated(&self) -> Arc<dyn Resolver> {
        self.current().validated()
    }

    fn ptr(&self, address: IpAddr) -> BoxFuture<'_, Result<Answer<String>, LookupError>> {
        let current = self.current();
        Box::pin(async move { current.ptr(address).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Zones;
    use futures::executor::block_on;

    #[test]
    fn the_resolver_behind_it_can_be_changed() {
        let shared = SharedResolver::new(Zones::default());
        let clone = shared.clone();
        let ask = |shared: &SharedResolver| block_on(shared.ipv4("a.example")).unwrap().records;
        assert_eq!(ask(&clone), Vec::<Ipv4Addr>::new());
        shared.set(Arc::new(Zones::parse(["a.example. A 192.0.2.1"]).unwrap()));
        assert_eq!(ask(&clone), ["192.0.2.1".parse::<Ipv4Addr>().unwrap()]);
    }
}
