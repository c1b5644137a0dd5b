//! The thread that syncs. It is not the one that writes, so that nobody waits behind the fsync of others: what is
//! written while one is under way is covered by the next.

use crate::engine::SyncError;
use crate::shared::Shared;
use crate::stats::add;

/// Syncs until nothing more will be written and all is on the disk.
pub(crate) fn run(shared: &Shared) {
    while let Some(group) = shared.progress.next_sync() {
        add(&shared.counters.syncs, 1);
        match shared.engine.sync() {
            Ok(()) => {
                let answers = shared.progress.complete(group);
                // Before anybody is told: who committed an event may expect to read it.
                shared.visibility.lock().synced(group);
                for (ticket, committed) in answers {
                    ticket.answer(Ok(committed));
                }
            }
            // A sync that was refused makes the next write fail as well, so a failed write explains only one that was
            // not tried.
            Err(SyncError::NotTried(_)) if shared.progress.is_explained_by_a_failed_write() => {}
            Err(SyncError::NotTried(why) | SyncError::Refused(why)) => {
                shared.disk_is_lying(&format!("failed to sync the spool: {why}"));
                break;
            }
        }
    }
    shared.progress.give_up();
}
