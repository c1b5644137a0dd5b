//! Mail that is a report about other mail: bounce messages and complaints, where the recipient's domain wants them
//! logged.

use super::ReportHandling;
use super::relay::GET_LISTENER_DOMAIN;
use super::reply::Reply;
use super::session::{Session, Transaction};
use serde_json::value::to_raw_value;
use waybill_log_record::{LogRecord, RecordType};
use waybill_reports::{DeliveryReport, Report};
use waybill_spool::{Incoming, Keep};
use waybill_types::EnvelopeAddress;

/// Records that one transaction can cause: as many as a report has recipients for us, however many the transaction has.
const MAX_RECORDS: usize = 1000;

/// The report that came with a transaction, and what each recipient's domain wants done with such a one.
pub(super) struct Recognised {
    report: Report,
    /// Domains that were asked already: a transaction may have a thousand recipients there.
    known: Vec<(String, ReportHandling)>,
    /// Records that it may still cause.
    left: usize,
}

impl Session {
    /// The report in message data, where anybody may want one.
    pub(super) fn recognise(&self, data: &[u8]) -> Option<Recognised> {
        let wanted = self.shared.policy.handles(GET_LISTENER_DOMAIN) && waybill_reports::claims_to_be_one(data);
        let report = if wanted { waybill_reports::parse(data) } else { None };
        report.map(|report| Recognised { report, known: Vec::new(), left: MAX_RECORDS })
    }

    /// Whoever let mail in only to be logged gets nothing else.
    ///
    /// # Errors
    /// The refusal of the whole transaction: its one reply cannot say whom it is for.
    pub(super) async fn only_reports(
        &self,
        transaction: &Transaction,
        recognised: Option<&mut Recognised>,
    ) -> Result<(), Reply> {
        if !transaction.recipients.iter().any(|recipient| recipient.reports_only) {
            return Ok(());
        }
        let Some(recognised) = recognised else {
            return Err(self.no_relaying());
        };
        for recipient in &transaction.recipients {
            let wanted = !recipient.reports_only
                || recognised.handling(self, &recipient.address).await? != ReportHandling::Ignore;
            if !wanted {
                return Err(self.no_relaying());
            }
        }
        Ok(())
    }

    /// Puts what a report says into the records of the message that brought it, and keeps the message only for those
    /// who want it.
    pub(super) async fn log_report(
        &self,
        incoming: &mut Incoming,
        recognised: Option<&mut Recognised>,
    ) -> Result<(), Reply> {
        let Some(recognised) = recognised else {
            return Ok(());
        };
        let recipients = incoming.message.recipients();
        let (mut logged, mut kept) = (false, Vec::new());
        for recipient in &recipients {
            let handling = recognised.handling(self, recipient).await?;
            logged |= handling != ReportHandling::Ignore;
            if handling != ReportHandling::LogThenDrop {
                kept.push(recipient.clone());
            }
        }
        if !logged {
            return Ok(());
        }
        match &recognised.report {
            // It says all that the Reception would.
            Report::Feedback(report) => {
                // One complaint is one record, however many recipients it was sent to here.
                if recognised.left > 0 {
                    recognised.left = 0;
                    incoming.record.kind = RecordType::Feedback;
                    // Members that are texts, numbers and lists of them: it cannot fail.
                    incoming.record.feedback_report = to_raw_value(report).ok();
                }
            }
            Report::Delivery(report) => {
                let to = recipients.first().map(ToString::to_string).unwrap_or_default();
                incoming.reports = self.bounces(report, &to).take(recognised.left).collect();
            }
        }
        recognised.left -= incoming.reports.len();
        if kept.is_empty() {
            incoming.keep = Keep::RecordsOnly;
        } else if kept.len() < recipients.len() {
            incoming.message.set_recipients(kept);
        }
        Ok(())
    }

    /// One record for each recipient that a bounce message gives up.
    fn bounces(&self, report: &DeliveryReport, to: &str) -> impl Iterator<Item = LogRecord> {
        let reporter = report.per_message.reporting_mta.as_ref().map(|mta| mta.name.as_str()).unwrap_or_default();
        report.failed().map(move |recipient| {
            let mut record = self.record(RecordType::OOB, recipient.response());
            record.sender = to.to_owned();
            record.recipients = vec![recipient.address().to_owned()];
            if let Some(peer) = record.peer_address.as_mut() {
                peer.name = reporter.to_owned();
            }
            if let Some(tried) = recipient.last_attempt_date {
                record.event_time = tried;
            }
            record
        })
    }
}

impl Recognised {
    /// What the domain of this recipient wants done.
    async fn handling(&mut self, session: &Session, recipient: &EnvelopeAddress) -> Result<ReportHandling, Reply> {
        let name = recipient.domain().unwrap_or_default().to_lowercase();
        if let Some((_, handling)) = self.known.iter().find(|(known, _)| *known == name) {
            return Ok(*handling);
        }
        let domain = session.listener_domain(recipient).await?;
        let handling = match self.report {
            Report::Delivery(_) => domain.log_oob,
            Report::Feedback(_) => domain.log_arf,
        };
        self.known.push((name, handling));
        Ok(handling)
    }
}
