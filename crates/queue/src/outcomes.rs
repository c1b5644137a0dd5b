use crate::admin::is_cut_off;
use crate::configs::Announced;
use crate::records::BatchFacts;
use crate::ways::Path;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{Fate, Outcome};
use waybill_queue_core::queues::{Outcome as Settled, SessionId};
use waybill_queue_core::reason::Reason;
use waybill_ready::Finished;
use waybill_types::{MessageId, QueueName, Response};

/// A batch that was tried, and what policy says about its failures.
pub(crate) struct Judged {
    pub(crate) session: SessionId,
    pub(crate) finished: Box<Finished<MessageId>>,
    /// One for each item.
    pub(crate) verdicts: Vec<Verdict>,
}

/// What `requeue_message` says about another try.
pub(crate) enum Verdict {
    /// As the outcome says.
    Stands,
    /// There is none.
    Refused(Response),
    /// In another queue.
    Moved(QueueName, Announced),
}

/// What was said about a message, for its record.
pub(crate) struct Attempt {
    pub(crate) batch: Arc<BatchFacts>,
    pub(crate) response: Response,
    /// Policy refused another try.
    pub(crate) refused: Option<Response>,
    /// The watchdog stopped it: nobody knows how far it came.
    pub(crate) aborted: bool,
}

/// A batch in the words of the core, and what there is to say about each message of it.
pub(crate) struct Outcomes {
    pub(crate) settled: Vec<(MessageId, Settled)>,
    pub(crate) attempts: Vec<(MessageId, Attempt)>,
    pub(crate) fate: Fate,
}

impl Outcomes {
    /// `pause` draws how long a message waits after the watchdog.
    pub(crate) fn of(judged: Judged, path: Option<&Path>, mut pause: impl FnMut() -> Duration) -> Self {
        let Judged { finished, verdicts, .. } = judged;
        let Finished { items, outcome, peer, session_id, route, .. } = *finished;
        let batch = Arc::new(BatchFacts {
            peer,
            session_id,
            site: route.site().to_owned(),
            ready_queue: route.ready_queue().clone(),
            protocol: route.protocol(),
            egress: path.filter(|_| route.shows_egress()).map(|path| (path.pool.clone(), path.source.clone())),
            provider: path.and_then(|path| path.provider.clone()),
        });
        let fate = outcome.session;
        let mut all =
            Outcomes { settled: Vec::with_capacity(items.len()), attempts: Vec::with_capacity(items.len()), fate };
        let mut verdicts = verdicts.into_iter();
        for (item, outcome) in items.into_iter().zip(outcome.outcomes) {
            let verdict = verdicts.next().unwrap_or(Verdict::Stands);
            let aborted = is_aborted(&outcome, fate);
            let mut refused = None;
            let (response, settled) = match (outcome, verdict) {
                (Outcome::Delivered(response), _) => (response, Settled::Delivered),
                (Outcome::Permanent(response), _) => (response, Settled::Permanent),
                (Outcome::Transient(response, _), _) if aborted => {
                    (response, Settled::Requeue { reason: Reason::DispatcherDrop, delay: Some(pause()) })
                }
                (Outcome::Transient(response, _), Verdict::Refused(by_policy)) => {
                    refused = Some(by_policy);
                    (response, Settled::Permanent)
                }
                (Outcome::Transient(response, _), Verdict::Moved(to, _)) => (response, Settled::Moved { to }),
                (Outcome::Transient(response, retry_after), Verdict::Stands) => {
                    (response, Settled::Transient { retry_after })
                }
            };
            all.settled.push((item, settled));
            all.attempts.push((item, Attempt { batch: batch.clone(), response, refused, aborted }));
        }
        all
    }
}

/// Whether the watchdog or an administrator stopped the session in this batch (contract section 5.4). Sessions have no word of their own for
/// that: they answer with this response, and break.
pub(crate) fn is_aborted(outcome: &Outcome, fate: Fate) -> bool {
    let Outcome::Transient(response, _) = outcome else { return false };
    let watchdog = response.code == 451 && response.text().starts_with("4.4.1 dispatcher watchdog aborted");
    fate == Fate::Broken && (watchdog || is_cut_off(response))
}
