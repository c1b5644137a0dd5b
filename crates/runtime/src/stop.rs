use tokio::sync::watch;

/// Asks for a stop. Dropping it asks too.
#[derive(Debug)]
pub struct StopSource {
    stop: watch::Sender<bool>,
}

/// Tells whether a stop was asked for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    stop: watch::Receiver<bool>,
}

impl StopSource {
    /// A source and its first listener.
    pub fn new() -> (StopSource, Stop) {
        let (sender, receiver) = watch::channel(false);
        (StopSource { stop: sender }, Stop { stop: receiver })
    }

    /// Asks for a stop.
    pub fn request(&self) {
        self.stop.send_replace(true);
    }

    /// Another listener.
    pub fn listen(&self) -> Stop {
        Stop { stop: self.stop.subscribe() }
    }
}

impl Stop {
    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        *self.stop.borrow() || self.stop.has_changed().is_err()
    }

    /// Waits until a stop is asked for. Cancel safe.
    pub async fn requested(&mut self) {
        // An error means that the source is gone: that is a stop too.
        let _ = self.stop.wait_for(|stop| *stop).await;
    }
}
