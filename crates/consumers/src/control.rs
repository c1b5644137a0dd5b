use crate::layout::DeadLetter;
use tokio::sync::{mpsc, oneshot};
use waybill_journal_core::{ConsumerStatus, LaneOrder};

/// Commands that wait for a runner; whoever asks waits when there are more.
const COMMANDS: usize = 16;

/// Which dead letters are to be tried again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chosen {
    /// Only those with this reason.
    pub reason: Option<String>,
    /// Only that of this event.
    pub offset: Option<u64>,
}

impl Chosen {
    /// Whether it is one of them.
    pub fn has(&self, letter: &DeadLetter) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == letter.reason)
            && self.offset.is_none_or(|offset| offset == letter.offset.0)
    }
}

/// What a runner is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(bool, oneshot::Sender<()>),
    Status(oneshot::Sender<ConsumerStatus>),
    Redrive(Chosen, oneshot::Sender<()>),
    Cancel(oneshot::Sender<()>),
    Order(LaneOrder, oneshot::Sender<()>),
    EndOrder(u128, oneshot::Sender<()>),
}

/// Tells a runner what to do. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Control(mpsc::Sender<Command>);

/// The runner has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the consumer does not run any more")]
pub struct Gone;

impl Control {
    pub(crate) fn channel() -> (Control, mpsc::Receiver<Command>) {
        let (sender, receiver) = mpsc::channel(COMMANDS);
        (Control(sender), receiver)
    }

    /// Has it rest until [`Control::resume`], across restarts too.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn pause(&self) -> Result<(), Gone> {
        self.ask(|answer| Command::Pause(true, answer)).await
    }

    /// Has it go on.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn resume(&self) -> Result<(), Gone> {
        self.ask(|answer| Command::Pause(false, answer)).await
    }

    /// How it stands, lane by lane.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn status(&self) -> Result<ConsumerStatus, Gone> {
        self.ask(Command::Status).await
    }

    /// Has dead letters tried again: those that are there now, some at a time, beside everything else. A letter goes
    /// when it is known what came of it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn redrive(&self, chosen: Chosen) -> Result<(), Gone> {
        self.ask(|answer| Command::Redrive(chosen, answer)).await
    }

    /// Has a replay end now. What it has in flight is finished; nothing of it stays.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn cancel(&self) -> Result<(), Gone> {
        self.ask(Command::Cancel).await
    }

    /// Gives an order about its lanes, those that are not there yet included. Done when it reaches everything that comes
    /// from then on; what is there already follows. A restart ends it.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn order(&self, order: LaneOrder) -> Result<(), Gone> {
        self.ask(|answer| Command::Order(order, answer)).await
    }

    /// Ends an order before its time.
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn end_order(&self, id: u128) -> Result<(), Gone> {
        self.ask(|answer| Command::EndOrder(id, answer)).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Gone> {
        let (answer, answered) = oneshot::channel();
        self.0.send(command(answer)).await.map_err(|_| Gone)?;
        answered.await.map_err(|_| Gone)
    }
}
