use crate::reply::Refusal;
use axum::http::StatusCode;
use std::sync::Arc;
use waybill_spool::{Intake, IntakeState};

/// Refuses while mail is not taken, in the words that load balancers and injectors know.
pub(crate) fn check(intake: &dyn Intake) -> Result<(), Refusal> {
    let why: Arc<str> = match intake.state() {
        IntakeState::Open => return Ok(()),
        IntakeState::ShuttingDown => "shutting down".into(),
        IntakeState::WaitingForSpool => "waiting for spool startup".into(),
        IntakeState::LoadShedding => "load shedding".into(),
        IntakeState::DiskFull(_) => "storage is too full".into(),
        IntakeState::SpoolFailing(why) => why,
    };
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, &*why))
}
