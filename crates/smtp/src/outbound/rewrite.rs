//! Policy's word about what a server answered: `smtp_client_rewrite_delivery_status`
//! (contract/kumomta.md section 3).

use super::failure::judged;
use waybill_delivery::Outcome;
use waybill_policy::{PolicyError, PolicyHost, Value};
use waybill_spool::Message;
use waybill_types::{QueueName, Response};

/// Called for each different answer that a message got.
const EVENT: &str = "smtp_client_rewrite_delivery_status";

/// The outcome as policy wants it counted. What no server said (a lost connection, an address that cannot be written)
/// stays as it is, and so does everything where policy fails or gives no code.
pub(super) async fn rewritten(policy: &dyn PolicyHost, message: &Message, outcome: Outcome) -> Outcome {
    if !policy.handles(EVENT) {
        return outcome;
    }
    let asked = Asked { policy, message };
    match outcome {
        Outcome::Divided(parts) => asked.each(parts).await,
        one => asked.one(one).await,
    }
}

struct Asked<'a> {
    policy: &'a dyn PolicyHost,
    message: &'a Message,
}

impl Asked<'_> {
    /// Recipients who heard the same fare alike: policy is asked once for them.
    async fn each(&self, parts: Vec<Outcome>) -> Outcome {
        let mut known: Vec<(Outcome, Outcome)> = Vec::new();
        let mut all = Vec::with_capacity(parts.len());
        for part in parts {
            let answered = match known.iter().find(|(heard, _)| *heard == part) {
                Some((_, answered)) => answered.clone(),
                None => {
                    let answered = self.one(part.clone()).await;
                    known.push((part, answered.clone()));
                    answered
                }
            };
            all.push(answered);
        }
        Outcome::of_recipients(all)
    }

    async fn one(&self, outcome: Outcome) -> Outcome {
        let response = outcome.response();
        // Only what a server says is an answer to a command.
        if response.command.is_none() {
            return outcome;
        }
        match self.code(response).await {
            Ok(Some(code)) if code != response.code => judged(Response { code, ..response.clone() }).unwrap_or(outcome),
            Ok(_) => outcome,
            Err(error) => {
                let message = self.message.id();
                tracing::error!(%message, %response, "{EVENT}: {error}; the answer counts as it was given");
                outcome
            }
        }
    }

    async fn code(&self, response: &Response) -> Result<Option<u16>, PolicyError> {
        let queue = self.message.queue_name().map_err(PolicyError::unusable)?;
        let returned = self.policy.call(EVENT, arguments(response, &queue)).await?;
        let code = match returned.first() {
            Value::Nil => return Ok(None),
            Value::Int(code) => u16::try_from(*code).ok(),
            _ => None,
        };
        code.filter(|code| judged(Response::plain(*code, "")).is_some()).map(Some).ok_or_else(|| {
            let given = returned.first();
            PolicyError::unusable(format_args!("expected nil or a code of 200 to 299 or 400 to 599, got {given:?}"))
        })
    }
}

fn arguments(response: &Response, queue: &QueueName) -> Vec<Value> {
    let parts = queue.parts();
    let response = Value::from(response.to_string().as_str());
    vec![response, parts.domain.into(), parts.tenant.into(), parts.campaign.into(), parts.routing_domain.into()]
}
