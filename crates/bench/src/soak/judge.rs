//! Compares what everybody was told.

use super::chance::{Chance, Fate};
use super::ledger::{Book, Hook, Kind, Mail};
use super::logs::Files;

/// How often something may come again.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Kills of the daemon.
    pub(crate) kills: usize,
    /// Mails in flight at each.
    pub(crate) mail: usize,
    /// Events in flight at each, for each hook.
    pub(crate) hook: usize,
    /// Settled events that were not saved, for each hook.
    pub(crate) unsaved: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    /// Counts, for the reader.
    pub(crate) facts: Vec<String>,
    /// What is not as promised.
    pub(crate) findings: Vec<String>,
}

/// Findings of one kind that are shown.
const EXAMPLES: usize = 10;

impl Judgement {
    pub(crate) fn print(&self) {
        self.facts.iter().for_each(|fact| println!("{fact}"));
        self.findings.iter().for_each(|finding| println!("FAILED: {finding}"));
    }

    fn all(&mut self, what: &str, found: impl Iterator<Item = String>) {
        let mut found = found.peekable();
        if found.peek().is_none() {
            return;
        }
        let examples: Vec<String> = found.by_ref().take(EXAMPLES).collect();
        let more = found.count();
        self.findings.push(format!("{what}: {} and {more} more", examples.join("; ")));
    }

    fn at_most(&mut self, what: &str, count: usize, most: usize) {
        self.facts.push(format!("{what}: {count}, at most {most} allowed"));
        if count > most {
            self.findings.push(format!("{what}: {count}, which is more than {most}"));
        }
    }
}

/// All that must hold of a run that has come to its end.
pub(crate) fn judge(book: &Book, files: &Files, chance: Chance, bounds: &Bounds) -> Judgement {
    let mut judgement = Judgement::default();
    let accepted = book.mails.values().filter(|mail| mail.accepted.is_some()).count();
    judgement.facts.push(format!(
        "{} kills; {accepted} mails accepted, {} more without an answer, {} refused for now",
        bounds.kills,
        book.mails.len() - accepted,
        book.refused.len()
    ));
    judgement.all("makes no sense", book.nonsense.iter().chain(&files.nonsense).cloned());
    judgement.all("refused for good", book.refused_for_good.iter().cloned());
    mails(&mut judgement, book, chance, bounds);
    duplicates(&mut judgement, book, bounds);
    log_files(&mut judgement, book, files);
    judgement
}

fn mails(judgement: &mut Judgement, book: &Book, chance: Chance, bounds: &Bounds) {
    let known = |mail: &&Mail| mail.accepted.is_none();
    judgement.all(
        "was never offered, or refused, and has events",
        book.mails.values().filter(known).filter(|mail| !book.unanswered.contains(&mail.number)).map(name),
    );
    for hook in Hook::ALL {
        let heard = |mail: &Mail| mail.heard[hook as usize];
        let mails = || book.mails.values();
        judgement.all(
            &format!("{hook:?} heard nothing of its Reception"),
            mails().filter(|mail| !heard(mail).has(Kind::Reception)).map(name),
        );
        judgement.all(
            &format!("{hook:?} heard nothing of its end"),
            mails().filter(|mail| !heard(mail).is_final()).map(name),
        );
        judgement.all(
            &format!("{hook:?} heard of something that nothing here causes"),
            mails().filter(|mail| heard(mail).has(Kind::Other)).map(name),
        );
        let is = |mail: &&Mail, fate: Fate| Fate::of(chance, mail.number) == fate;
        judgement.all(
            &format!("the next hop refused it, {hook:?} heard otherwise"),
            mails().filter(|mail| is(mail, Fate::Refused) == heard(mail).has(Kind::Delivery)).map(name),
        );
        // Only where the daemon was killed between the answer and its event: then the mail was tried again at once.
        let unheard = mails().filter(|mail| is(mail, Fate::PutOff) && !heard(mail).has(Kind::TransientFailure)).count();
        judgement.at_most(
            &format!("mails that the next hop put off, and {hook:?} heard nothing of it"),
            unheard,
            bounds.kills * bounds.mail,
        );
    }
    let taken = |mail: &Mail| book.taken.contains_key(&mail.number);
    judgement.all(
        "delivered, they say, and the next hop has nothing",
        book.mails.values().filter(|mail| mail.heard[0].has(Kind::Delivery) && !taken(mail)).map(name),
    );
    let by_number: std::collections::HashSet<u64> = book.mails.values().map(|mail| mail.number).collect();
    judgement.all(
        "the next hop has what nobody told of",
        book.taken.keys().filter(|number| !by_number.contains(*number)).map(|number| format!("mail {number}")),
    );
}

fn duplicates(judgement: &mut Judgement, book: &Book, bounds: &Bounds) {
    for hook in Hook::ALL {
        let again = book.events[hook as usize].values().map(|event| event.times as usize - 1).sum();
        judgement.at_most(
            &format!("events that {hook:?} took again"),
            again,
            bounds.kills * (bounds.unsaved + bounds.hook),
        );
        let ends = book.ends[hook as usize].saturating_sub(book.mails.len());
        judgement.at_most(&format!("mails that ended again for {hook:?}"), ends, bounds.kills * bounds.mail);
    }
    let again = book.taken.values().map(|times| *times as usize - 1).sum();
    judgement.at_most("mails that the next hop took again", again, bounds.kills * bounds.mail);
}

/// The last files are whole, as the daemon that wrote them was stopped in good order. Others may end anywhere.
fn log_files(judgement: &mut Judgement, book: &Book, files: &Files) {
    judgement.facts.push(format!(
        "{} records in {} log files, {} of which end where a daemon was killed",
        files.records, files.files, files.cut_off
    ));
    judgement.all(
        "the log files tell of what nobody knows",
        files
            .mails
            .iter()
            .filter(|(id, _)| !book.mails.contains_key(*id))
            .map(|(_, (number, _))| format!("mail {number}")),
    );
    let last = book.mails.iter().filter(|(_, mail)| mail.accepted == Some(book.life));
    judgement.all(
        "accepted in the last life, and not wholly in the log files",
        last.filter(|(id, _)| {
            !files.mails.get(*id).is_some_and(|(_, kinds)| kinds.has(Kind::Reception) && kinds.is_final())
        })
        .map(|(_, mail)| name(mail)),
    );
}

fn name(mail: &Mail) -> String {
    format!("mail {}", mail.number)
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Arrival, Ledger, key};
    use super::*;

    const BOUNDS: Bounds = Bounds { kills: 1, mail: 1, hook: 1, unsaved: 1 };

    /// The number of a mail that the next hop just takes.
    fn plain(chance: Chance) -> u64 {
        (1..).find(|number| Fate::of(chance, *number) == Fate::Taken).unwrap()
    }

    fn arrive(ledger: &Ledger, hook: Hook, id: &str, mail: u64, kind: Kind) {
        let (id, body) = (format!("{id}{kind:?}"), format!("{id}{kind:?}"));
        ledger.arrived(hook, &Arrival { webhook_id: &id, body: body.as_bytes(), message_id: "id", mail, kind });
    }

    fn story(skip: Option<(Hook, Kind)>, taken: u32) -> Judgement {
        let (chance, ledger, mut files) = (Chance::new(1), Ledger::default(), Files::default());
        let mail = plain(chance);
        ledger.offered(mail);
        ledger.accepted("id", mail);
        (0..taken).for_each(|_| ledger.taken(mail));
        let (_, kinds) = files.mails.entry(key("id")).or_insert_with(|| (mail, super::super::ledger::Kinds::default()));
        for kind in [Kind::Reception, Kind::Delivery] {
            kinds.add(kind);
            for hook in Hook::ALL.into_iter().filter(|hook| skip != Some((*hook, kind))) {
                arrive(&ledger, hook, "e", mail, kind);
            }
        }
        judge(&ledger.take(), &files, chance, &BOUNDS)
    }

    #[test]
    fn a_mail_whose_story_is_complete_is_as_promised() {
        assert_eq!(story(None, 1).findings, Vec::<String>::new());
    }

    #[test]
    fn whatever_is_missing_is_found() {
        for hook in Hook::ALL {
            for kind in [Kind::Reception, Kind::Delivery] {
                let findings = story(Some((hook, kind)), 1).findings;
                assert!(findings.iter().any(|finding| finding.contains(&format!("{hook:?} heard"))), "{findings:?}");
            }
        }
        assert!(story(None, 0).findings[0].contains("the next hop has nothing"));
    }

    #[test]
    fn more_duplicates_than_are_allowed_are_found() {
        assert_eq!(story(None, 2).findings, Vec::<String>::new());
        assert!(story(None, 3).findings[0].contains("took again: 2, which is more than 1"));
    }

    #[test]
    fn what_nobody_offered_is_found() {
        let ledger = Ledger::default();
        ledger.refused(7, 451, "later");
        arrive(&ledger, Hook::Steady, "e", 7, Kind::Reception);
        let findings = judge(&ledger.take(), &Files::default(), Chance::new(1), &BOUNDS).findings;
        assert!(findings[0].contains("was never offered, or refused"), "{findings:?}");
    }
}
