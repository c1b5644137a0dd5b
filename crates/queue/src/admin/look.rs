use crate::driver::Driver;
use crate::inbox::News;
use crate::manager::Shared;
use tokio::sync::oneshot;
use waybill_types::Timestamp;

type What = dyn FnOnce(&mut Driver, Timestamp) + Send;

/// A look at the queues, between two turns of the driver.
pub(crate) struct Look(Box<What>);

impl Look {
    pub(crate) fn take(self, driver: &mut Driver, now: Timestamp) {
        (self.0)(driver, now);
    }
}

impl Shared {
    /// Looks at the queues. `None` when nobody drives them any more. What is done there must be quick: mail waits.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        what: impl FnOnce(&mut Driver, Timestamp) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let look = Look(Box::new(move |driver, now| {
            // Whoever asked may have gone.
            let _ = answer.send(what(driver, now));
        }));
        self.tell(News::Look(look)).await;
        answered.await.ok()
    }
}
