use super::Ctl;
use super::args::{Bounce, Criteria, Rebind, Suspend, SuspendReadyQ, Which};
use super::table::{column, table};
use crate::Misuse;
use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Map, Value, json};

const BOUNCE: &str = "/api/admin/bounce/v1";
const SUSPEND: &str = "/api/admin/suspend/v1";
const SUSPEND_READY: &str = "/api/admin/suspend-ready-q/v1";

impl Ctl {
    pub(super) async fn bounce(&self, bounce: Bounce) -> Result<String> {
        let Bounce { which, routing_domain, queue_names, reason, duration, suppress_logging } = bounce;
        let mut body = criteria(&which, [("routing_domain", routing_domain)], &queue_names)?;
        body.insert("reason".into(), reason.into());
        body.insert("suppress_logging".into(), suppress_logging.into());
        put(&mut body, "duration", duration);
        self.post(BOUNCE, &body).await
    }

    pub(super) async fn suspend(&self, suspend: Suspend) -> Result<String> {
        let Suspend { which, queue_names, reason, duration } = suspend;
        let mut body = criteria(&which, [], &queue_names)?;
        body.insert("reason".into(), reason.into());
        put(&mut body, "duration", duration);
        self.post(SUSPEND, &body).await
    }

    pub(super) async fn suspend_ready(&self, suspend: SuspendReadyQ) -> Result<String> {
        let mut body = Map::from_iter([
            ("name".to_owned(), Value::from(suspend.name)),
            ("reason".to_owned(), Value::from(suspend.reason)),
        ]);
        put(&mut body, "duration", suspend.duration);
        self.post(SUSPEND_READY, &body).await
    }

    pub(super) async fn rebind(&self, rebind: Rebind) -> Result<String> {
        let Rebind { which, routing_domain, reason, data, set, trigger_rebind_event, always_flush, suppress_logging } =
            rebind;
        let mut body = criteria(&which, [("routing_domain", routing_domain)], &[])?;
        body.insert("data".into(), data_of(data.as_deref(), &set)?.into());
        body.insert("reason".into(), reason.into());
        for (name, given) in [
            ("trigger_rebind_event", trigger_rebind_event),
            ("always_flush", always_flush),
            ("suppress_logging", suppress_logging),
        ] {
            body.insert(name.into(), given.into());
        }
        self.post("/api/admin/rebind/v1", &body).await
    }

    pub(super) async fn cancel(&self, path: &str, Which { id }: Which) -> Result<String> {
        Ok(self.tell(Method::DELETE, path, &json!({"id": id})).await?)
    }

    /// As text unless JSON is asked for, whoever reads it.
    pub(super) async fn bounce_list(&self) -> Result<String> {
        if self.json {
            return self.get(BOUNCE).await;
        }
        let all: Vec<Value> = self.client.get(BOUNCE).await?;
        let rows = all.iter().map(|entry| {
            let mut row = order(entry);
            row.push(column(&entry["total_bounced"]));
            row
        });
        Ok(table(&["ID", "QUEUES", "REASON", "ENDS IN", "BOUNCED"], rows, "no bounces are in force"))
    }

    pub(super) async fn suspend_list(&self) -> Result<String> {
        if !self.wants_table() {
            return self.get(SUSPEND).await;
        }
        let all: Vec<Value> = self.client.get(SUSPEND).await?;
        let none = "no scheduled queues are suspended";
        Ok(table(&["ID", "QUEUES", "REASON", "ENDS IN"], all.iter().map(order), none))
    }

    pub(super) async fn suspend_ready_list(&self) -> Result<String> {
        if !self.wants_table() {
            return self.get(SUSPEND_READY).await;
        }
        let all: Vec<Value> = self.client.get(SUSPEND_READY).await?;
        let row = |entry: &Value| ["id", "name", "reason", "duration"].map(|key| column(&entry[key])).to_vec();
        Ok(table(&["ID", "READY QUEUE", "REASON", "ENDS IN"], all.iter().map(row), "no ready queues are suspended"))
    }
}

fn order(entry: &Value) -> Vec<String> {
    let parts = ["campaign", "tenant", "domain", "routing_domain"];
    let given = parts.iter().filter(|part| entry[**part].is_string());
    let which: Vec<String> = given.map(|part| format!("{part}={}", column(&entry[*part]))).collect();
    let which = if which.is_empty() { "-".to_owned() } else { which.join(" ") };
    vec![column(&entry["id"]), which, column(&entry["reason"]), column(&entry["duration"])]
}

/// The criteria as the API takes them. A command that names none, and does not say that it means everything, is a slip.
pub(super) fn criteria<const N: usize>(
    which: &Criteria,
    more: [(&str, Option<String>); N],
    queue_names: &[String],
) -> Result<Map<String, Value>> {
    let mut body = Map::new();
    for (name, value) in [("domain", &which.domain), ("campaign", &which.campaign), ("tenant", &which.tenant)] {
        put(&mut body, name, value.clone());
    }
    for (name, value) in more {
        put(&mut body, name, value);
    }
    if !queue_names.is_empty() {
        body.insert("queue_names".into(), queue_names.into());
    }
    if body.is_empty() && !which.everything {
        bail!(Misuse::new(
            "nothing says which queues: name a --domain, --tenant, --campaign or another criterion, or say --everything"
        ));
    }
    Ok(body)
}

fn put(body: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

fn data_of(json: Option<&str>, set: &[String]) -> Result<Map<String, Value>> {
    let mut data = match json {
        Some(json) => serde_json::from_str(json).map_err(|error| {
            Misuse::new(format!("--data is no JSON object: {error}; expected {{\"NAME\": \"TEXT\"}}"))
        })?,
        None => Map::new(),
    };
    if let Some((name, value)) = data.iter().find(|(_, value)| !value.is_string()) {
        bail!(Misuse::new(format!("--data: the value of {name:?} has to be a text, not {value}")));
    }
    for pair in set {
        let Some((name, value)) = pair.split_once('=') else {
            bail!(Misuse::new(format!("--set {pair:?}: expected NAME=VALUE")));
        };
        data.insert(name.to_owned(), value.into());
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_queues_or_says_everything() {
        let nothing = Criteria::default();
        let error = criteria(&nothing, [], &[]).unwrap_err().to_string();
        assert!(error.contains("--everything"), "{error}");
        let everything = Criteria { everything: true, ..Criteria::default() };
        assert!(criteria(&everything, [], &[]).unwrap().is_empty());
        let names = ["a.example".to_owned()];
        let body = criteria(&nothing, [("routing_domain", Some("r".into()))], &names).unwrap();
        assert_eq!(Value::Object(body), json!({"routing_domain": "r", "queue_names": ["a.example"]}));
    }

    #[test]
    fn data_and_set_come_together_as_texts() {
        let data = data_of(Some(r#"{"a": "1"}"#), &["b=2=3".into()]).unwrap();
        assert_eq!(Value::Object(data), json!({"a": "1", "b": "2=3"}));
        assert!(data_of(Some(r#"{"a": 1}"#), &[]).unwrap_err().to_string().contains("has to be a text"));
        assert!(data_of(Some("[]"), &[]).is_err() && data_of(None, &["x".into()]).is_err());
    }

    #[test]
    fn an_order_is_shown_by_what_it_is_about() {
        let entry = json!({"id": "i", "campaign": null, "tenant": "t", "domain": "d", "reason": "r", "duration": "1m"});
        assert_eq!(order(&entry), ["i", "tenant=t domain=d", "r", "1m"]);
    }
}
