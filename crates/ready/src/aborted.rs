use crate::is_cut_off;
use waybill_delivery::{BatchOutcome, Fate, Outcome};
use waybill_types::Response;

/// Whether the watchdog or an administrator stopped the session in this batch (contract section 5.4): nobody knows how
/// far it came. Sessions have no word of their own for that: they answer with this response, and break.
pub fn is_aborted(outcome: &Outcome, fate: Fate) -> bool {
    let Outcome::Transient(response, _) = outcome else { return false };
    fate == Fate::Broken && (is_of_watchdog(response) || is_cut_off(response))
}

/// Whether it was the watchdog that ended the session with this batch.
pub fn stopped_by_watchdog(batch: &BatchOutcome) -> bool {
    let stopped = |outcome: &Outcome| matches!(outcome, Outcome::Transient(response, _) if is_of_watchdog(response));
    batch.session == Fate::Broken && batch.outcomes.iter().any(stopped)
}

fn is_of_watchdog(response: &Response) -> bool {
    response.code == 451 && response.text().starts_with("4.4.1 dispatcher watchdog aborted")
}
