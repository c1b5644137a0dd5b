use crate::fields::{Fields, Mta, as_rfc3339, groups};
use crate::mime::Multipart;
use serde::Serialize;
use waybill_types::{EnhancedCode, Response, Timestamp};

/// What became of a message (RFC 3464). As JSON it is what scripts get: what the report does not say is left out.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeliveryReport {
    /// About the message as a whole.
    pub per_message: PerMessage,
    /// About each recipient.
    pub per_recipient: Vec<PerRecipient>,
}

/// What a report says once.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct PerMessage {
    /// The id that the sender gave to the envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_envelope_id: Option<String>,
    /// Who reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reporting_mta: Option<Mta>,
    /// Who made a report of what another mail system said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsn_gateway: Option<Mta>,
    /// From whom the reporter got the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_from_mta: Option<Mta>,
    /// When it got it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_rfc3339")]
    pub arrival_date: Option<Timestamp>,
}

/// An address, as a report names it: `rfc822; user@example.com`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FinalRecipient {
    /// How to read the address; nearly always `rfc822`.
    pub recipient_type: String,
    /// The address, without angle brackets.
    pub recipient: String,
}

/// What a server said: `smtp; 550 5.1.1 user unknown`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Diagnostic {
    /// How to read it; nearly always `smtp`.
    pub diagnostic_type: String,
    /// The words.
    pub diagnostic: String,
}

/// What a report says about one recipient.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PerRecipient {
    /// To whom the sender sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_recipient: Option<FinalRecipient>,
    /// Whom it was for in the end.
    pub final_recipient: FinalRecipient,
    /// `failed`, `delayed`, `delivered`, `relayed`, `expanded`.
    pub action: String,
    /// The enhanced code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<EnhancedCode>,
    /// Who refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_mta: Option<Mta>,
    /// In which words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnostic_code: Option<Diagnostic>,
    /// When it was last tried.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_rfc3339")]
    pub last_attempt_date: Option<Timestamp>,
    /// How the reporter's log calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_log_id: Option<String>,
    /// Until when it will be tried.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_rfc3339")]
    pub will_retry_until: Option<Timestamp>,
}

impl DeliveryReport {
    pub(crate) fn read(report: &Multipart<'_>) -> Option<Self> {
        let content =
            report.content("message/delivery-status").or_else(|| report.content("message/global-delivery-status"))?;
        let groups = groups(&content);
        // The first group is about the message; some leave it out.
        let about_message = groups.first().filter(|group| group.first("final-recipient").is_none());
        let per_recipient: Vec<_> = groups.iter().filter_map(PerRecipient::read).collect();
        if about_message.is_none() && per_recipient.is_empty() {
            return None;
        }
        let per_message = about_message.map(PerMessage::read).unwrap_or_default();
        Some(DeliveryReport { per_message, per_recipient })
    }

    /// The recipients that did not get the message and will not.
    pub fn failed(&self) -> impl Iterator<Item = &PerRecipient> {
        self.per_recipient.iter().filter(|recipient| recipient.action == "failed")
    }
}

impl PerMessage {
    fn read(fields: &Fields) -> Self {
        PerMessage {
            original_envelope_id: fields.text("original-envelope-id"),
            reporting_mta: fields.mta("reporting-mta"),
            dsn_gateway: fields.mta("dsn-gateway"),
            received_from_mta: fields.mta("received-from-mta"),
            arrival_date: fields.date("arrival-date"),
        }
    }
}

impl PerRecipient {
    fn read(fields: &Fields) -> Option<Self> {
        let diagnostic = fields.typed("diagnostic-code");
        Some(PerRecipient {
            original_recipient: recipient(fields, "original-recipient"),
            final_recipient: recipient(fields, "final-recipient")?,
            // A word, and with some reporters a comment behind it.
            action: fields.first("action")?.split_whitespace().next()?.to_ascii_lowercase(),
            status: fields.first("status").and_then(status),
            remote_mta: fields.mta("remote-mta"),
            diagnostic_code: diagnostic.map(|(diagnostic_type, diagnostic)| Diagnostic { diagnostic_type, diagnostic }),
            last_attempt_date: fields.date("last-attempt-date"),
            final_log_id: fields.text("final-log-id"),
            will_retry_until: fields.date("will-retry-until"),
        })
    }

    /// The address that the sender knows.
    pub fn address(&self) -> &str {
        &self.original_recipient.as_ref().unwrap_or(&self.final_recipient).recipient
    }

    /// What the server said to it, as far as the report tells: code 550 unless the words begin with another.
    pub fn response(&self) -> Response {
        let words = self.diagnostic_code.as_ref().map_or(self.action.as_str(), |code| code.diagnostic.as_str());
        let (code, text) = coded(words).unwrap_or((550, words));
        let said = Response::new(code, text).enhanced_code;
        Response { enhanced_code: said.or(self.status), ..Response::plain(code, text) }
    }
}

fn recipient(fields: &Fields, name: &str) -> Option<FinalRecipient> {
    let (kind, address) = fields.typed(name)?;
    let recipient = address.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(&address).trim();
    let recipient_type = if kind.is_empty() { "rfc822".into() } else { kind };
    Some(FinalRecipient { recipient_type, recipient: recipient.to_owned() }).filter(|found| !found.recipient.is_empty())
}

/// `5.1.1`, maybe with a comment behind it.
fn status(text: &str) -> Option<EnhancedCode> {
    Response::new(550, format!("{} ", text.split_whitespace().next()?)).enhanced_code
}

/// `550 5.1.1 user unknown`, `550-5.1.1 …`: the code of a refusal and what follows it.
fn coded(words: &str) -> Option<(u16, &str)> {
    let (digits, rest) = words.split_at_checked(3)?;
    let code = digits.parse().ok().filter(|code| (400..600).contains(code))?;
    match rest.chars().next() {
        None => Some((code, rest)),
        Some(' ' | '-') => Some((code, rest[1..].trim_start())),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(diagnostic: Option<&str>, status_text: &str) -> String {
        let recipient = PerRecipient {
            original_recipient: None,
            final_recipient: FinalRecipient { recipient_type: "rfc822".into(), recipient: "a@x".into() },
            action: "failed".into(),
            status: status(status_text),
            remote_mta: None,
            diagnostic_code: diagnostic
                .map(|words| Diagnostic { diagnostic_type: "smtp".into(), diagnostic: words.into() }),
            last_attempt_date: None,
            final_log_id: None,
            will_retry_until: None,
        };
        let response = recipient.response();
        let enhanced = response.enhanced_code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        format!("{} {enhanced} {}", response.code, response.content)
    }

    #[test]
    fn the_response_is_what_the_server_said() {
        for (diagnostic, status, expected) in [
            (Some("550 5.1.1 user unknown"), "5.1.1", "550 5.1.1 5.1.1 user unknown"),
            (Some("452 4.2.2 full"), "5.0.0 (gave up)", "452 4.2.2 4.2.2 full"),
            (Some("550-5.1.1 no 550 5.1.1 such user"), "5.1.1", "550 5.1.1 5.1.1 no 550 5.1.1 such user"),
            (Some("550"), "5.1.1", "550 5.1.1 "),
            (Some("user unknown"), "5.1.1", "550 5.1.1 user unknown"),
            (Some("250 fine"), "x", "550 - 250 fine"),
            (Some("5500 x"), "5.1", "550 - 5500 x"),
            (Some("55é"), "", "550 - 55é"),
            (None, "5.4.1", "550 5.4.1 failed"),
        ] {
            assert_eq!(response(diagnostic, status), expected);
        }
    }
}
