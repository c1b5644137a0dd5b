use parking_lot::Mutex;
use std::sync::Arc;
use waybill_spool::Health;

/// What is wrong with the store, if anything. Failing is worse than being full.
#[derive(Debug, Default)]
pub(crate) struct HealthCell(Mutex<Troubles>);

#[derive(Debug, Default)]
struct Troubles {
    failing: Option<Arc<str>>,
    full: Option<Arc<str>>,
}

impl HealthCell {
    pub(crate) fn get(&self) -> Health {
        let troubles = self.0.lock();
        match (&troubles.failing, &troubles.full) {
            (Some(why), _) => Health::Failing(why.clone()),
            (None, Some(why)) => Health::DiskFull(why.clone()),
            (None, None) => Health::Ok,
        }
    }

    /// Writing fails, or works again.
    pub(crate) fn set_failing(&self, why: Option<&str>) {
        self.0.lock().failing = why.map(Arc::from);
    }

    /// There is no room, or there is again.
    pub(crate) fn set_full(&self, why: Option<String>) {
        let mut troubles = self.0.lock();
        match (&troubles.full, &why) {
            (None, Some(why)) => tracing::warn!("{why}; no mail is received until there is room"),
            (Some(_), None) => tracing::info!("there is room on the disk again"),
            _ => {}
        }
        troubles.full = why.map(Arc::from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_is_told_before_full() {
        let health = HealthCell::default();
        assert_eq!(health.get(), Health::Ok);
        health.set_full(Some("full".into()));
        health.set_failing(Some("failing"));
        assert_eq!(health.get(), Health::Failing("failing".into()));
        health.set_failing(None);
        assert_eq!(health.get(), Health::DiskFull("full".into()));
        health.set_full(None);
        assert_eq!(health.get(), Health::Ok);
    }
}
