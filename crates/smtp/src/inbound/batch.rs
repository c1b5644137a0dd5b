//! How the recipients of a transaction become messages.

use super::config::BatchHandling;
use waybill_policy::{PolicyError, Value};
use waybill_types::EnvelopeAddress;

type Batches = Vec<Vec<EnvelopeAddress>>;

/// What the listener's configuration says.
pub(super) fn by_default(handling: BatchHandling, recipients: Vec<EnvelopeAddress>) -> Batches {
    let mut batches: Batches = Vec::new();
    for recipient in recipients {
        let same = |batch: &&mut Vec<EnvelopeAddress>| batch[0].domain() == recipient.domain();
        match batches.iter_mut().find(same).filter(|_| handling == BatchHandling::BatchByDomain) {
            Some(batch) => batch.push(recipient),
            None => batches.push(vec![recipient]),
        }
    }
    batches
}

/// What `smtp_server_split_transaction` returned: a list of lists of addresses, `None` for nil.
///
/// # Errors
/// When it is something else, or does not hold each recipient exactly once: whoever is left out would lose the
/// message after our 250.
pub(super) fn chosen(returned: &Value, recipients: &[EnvelopeAddress]) -> Result<Option<Batches>, PolicyError> {
    let items = match returned {
        Value::Nil => return Ok(None),
        value => list(value)?,
    };
    let batches = items.iter().map(|batch| list(batch)?.iter().map(address).collect());
    let mut batches: Batches = batches.collect::<Result<_, PolicyError>>()?;
    batches.retain(|batch| !batch.is_empty());
    let mut theirs: Vec<_> = batches.iter().flatten().collect();
    let mut ours: Vec<_> = recipients.iter().collect();
    theirs.sort();
    ours.sort();
    if theirs != ours {
        return Err(PolicyError::unusable("the batches do not hold each recipient exactly once"));
    }
    Ok(Some(batches))
}

fn list(value: &Value) -> Result<Vec<Value>, PolicyError> {
    match value {
        Value::List(items) => Ok(items.clone()),
        Value::Json(json) => match json.as_array() {
            Some(items) => Ok(items.iter().cloned().map(Value::Json).collect()),
            None => Err(unusable()),
        },
        _ => Err(unusable()),
    }
}

fn address(value: &Value) -> Result<EnvelopeAddress, PolicyError> {
    let parse = |text: &str| text.parse().map_err(PolicyError::unusable);
    match value {
        Value::Address(address) => Ok(address.clone()),
        Value::Bytes(bytes) => parse(std::str::from_utf8(bytes).map_err(PolicyError::unusable)?),
        Value::Json(serde_json::Value::String(text)) => parse(text),
        _ => Err(unusable()),
    }
}

fn unusable() -> PolicyError {
    PolicyError::unusable("expected a list of lists of addresses, or nil")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn addresses(texts: &[&str]) -> Vec<EnvelopeAddress> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn recipients_are_split_or_grouped_by_their_exact_domain() {
        let recipients = addresses(&["a@x.example", "b@y.example", "c@x.example", "d@X.example"]);
        assert_eq!(by_default(BatchHandling::BifurcateAlways, recipients.clone()).len(), 4);
        let grouped = by_default(BatchHandling::BatchByDomain, recipients);
        let expected: [&[&str]; 3] = [&["a@x.example", "c@x.example"], &["b@y.example"], &["d@X.example"]];
        assert_eq!(grouped, expected.map(addresses));
    }

    #[test]
    fn a_script_may_split_as_it_likes_as_long_as_nobody_is_lost() {
        let recipients = addresses(&["a@x.example", "b@y.example"]);
        let chosen = |value| chosen(&value, &recipients);
        let batches = chosen(Value::Json(json!([["b@y.example", "a@x.example"]]))).unwrap().unwrap();
        assert_eq!(batches, [addresses(&["b@y.example", "a@x.example"])]);
        let listed = recipients.iter().map(|address| Value::List(vec![Value::Address(address.clone())]));
        assert_eq!(chosen(Value::List(listed.collect())).unwrap().unwrap().len(), 2);
        assert_eq!(chosen(Value::Nil).unwrap(), None);
        for wrong in [
            json!([["a@x.example"]]),
            json!([["a@x.example", "b@y.example", "b@y.example"]]),
            json!([["a@x.example"], ["c@z.example"]]),
            json!({}),
            json!(["a@x.example"]),
            json!([[5]]),
        ] {
            assert!(chosen(Value::Json(wrong.clone())).is_err(), "{wrong}");
        }
    }
}
