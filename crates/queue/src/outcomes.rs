use crate::configs::Announced;
use crate::divide::{Division, Part};
use crate::records::BatchFacts;
use crate::ways::Path;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::{Fate, Outcome, Route, SessionFacts};
use waybill_queue_core::queues::{Outcome as Settled, SessionId};
use waybill_queue_core::reason::Reason;
use waybill_ready::{Finished, Refused, is_aborted};
use waybill_types::{EnvelopeAddress, MessageId, QueueName, Response};

/// A batch that was tried, and what policy says about its failures.
pub(crate) struct Judged {
    pub(crate) session: SessionId,
    pub(crate) finished: Box<Finished<MessageId>>,
    /// One for each item: how its recipients fared, where they fared differently.
    pub(crate) divisions: Vec<Option<Division>>,
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
    /// Whom the response is for, where that is not everybody.
    pub(crate) recipients: Option<Vec<EnvelopeAddress>>,
    /// What was said to the others.
    pub(crate) others: Vec<Part>,
}

impl Attempt {
    /// No connection came about, for everybody.
    pub(crate) fn refused(refused: &Refused, path: Option<&Path>) -> Self {
        Attempt {
            batch: Arc::new(BatchFacts {
                peer: None,
                facts: SessionFacts::default(),
                session_id: refused.session_id.clone(),
                site: refused.route.site().to_owned(),
                ready_queue: refused.route.ready_queue().clone(),
                protocol: refused.route.protocol(),
                hands_over: refused.route.hands_over(),
                egress: egress(&*refused.route, path),
                provider: path.and_then(|path| path.provider.clone()),
            }),
            response: refused.response.clone(),
            refused: None,
            aborted: false,
            recipients: None,
            others: Vec::new(),
        }
    }
}

fn egress(route: &dyn Route, path: Option<&Path>) -> Option<(Arc<str>, Arc<str>)> {
    path.filter(|_| route.shows_egress()).map(|path| (path.pool.clone(), path.source.clone()))
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
        let Judged { finished, divisions, verdicts, .. } = judged;
        let Finished { items, outcome, peer, facts, session_id, route, .. } = *finished;
        let batch = Arc::new(BatchFacts {
            peer,
            facts,
            session_id,
            site: route.site().to_owned(),
            ready_queue: route.ready_queue().clone(),
            protocol: route.protocol(),
            hands_over: route.hands_over(),
            egress: egress(&*route, path),
            provider: path.and_then(|path| path.provider.clone()),
        });
        let fate = outcome.session;
        let forwards = route.forwards();
        let mut all =
            Outcomes { settled: Vec::with_capacity(items.len()), attempts: Vec::with_capacity(items.len()), fate };
        let mut verdicts = verdicts.into_iter();
        let mut divisions = divisions.into_iter();
        for (item, outcome) in items.into_iter().zip(outcome.outcomes) {
            let verdict = verdicts.next().unwrap_or(Verdict::Stands);
            let division = divisions.next().flatten();
            let aborted = is_aborted(&outcome, fate);
            let mut refused = None;
            let (response, settled) = match (outcome, verdict) {
                // Accepted and thrown away, as at reception.
                (Outcome::Delivered(response), Verdict::Moved(to, _)) if forwards && to.is_null() => {
                    (response, Settled::Delivered)
                }
                (Outcome::Delivered(response), Verdict::Moved(to, _)) if forwards => {
                    (response, Settled::Forwarded { to })
                }
                // Nobody could say where to: it is still ours, and must not be lost.
                (Outcome::Delivered(response), _) if forwards => {
                    (response, Settled::Requeue { reason: Reason::FailedToInsertIntoReadyQueue, delay: Some(pause()) })
                }
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
                // It was made one outcome before.
                (divided @ Outcome::Divided(_), _) => {
                    (divided.response().clone(), Settled::Transient { retry_after: None })
                }
            };
            let (recipients, others) = match division {
                Some(Division { main, others }) => (Some(main), others),
                None => (None, Vec::new()),
            };
            all.settled.push((item, settled));
            let batch = batch.clone();
            all.attempts.push((item, Attempt { batch, response, refused, aborted, recipients, others }));
        }
        all
    }
}
