//! Tests that put a disk of their own under the store, or look at its files.

mod faults;
mod trimming;

use crate::database::Database;
use crate::engine::{AtOnce, Engine, Recovery, SyncError};
use crate::open;
use crate::options::{Options, Room};
use crate::store::RocksStore;
use parking_lot::{Condvar, Mutex};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A disk that does as it is told, on top of a real database.
#[derive(Default)]
struct Disk {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// Times that a sync failure was reported.
    reported: AtomicU32,
    /// Writes that were done by whoever waited for them.
    at_once: AtomicU32,
}

#[derive(Default)]
struct Orders {
    writes_fail: bool,
    /// Writes have to wait.
    is_busy: bool,
    /// As after a write that failed.
    syncs_fail: bool,
    refuses_syncs: bool,
    /// Syncs stop at a gate, and how many stand there.
    gate_closed: bool,
    at_gate: u32,
    /// So many may pass all the same.
    passes: u32,
    /// What was written is gone when it recovers.
    forgets: bool,
}

impl Disk {
    fn order(&self, give: impl FnOnce(&mut Orders)) {
        give(&mut self.orders.lock());
        self.changed.notify_all();
    }

    /// Waits until a sync stands at the gate.
    fn wait_for_a_sync(&self) {
        self.changed.wait_while(&mut self.orders.lock(), |orders| orders.at_gate == 0);
    }

    /// Whether a sync stands at the gate. Then it does until somebody opens it or lets one pass.
    fn is_at_gate(&self) -> bool {
        let orders = self.orders.lock();
        orders.at_gate > orders.passes
    }

    fn reported(&self) -> u32 {
        self.reported.load(Ordering::SeqCst)
    }

    fn at_once(&self) -> u32 {
        self.at_once.load(Ordering::SeqCst)
    }

    /// A store on this disk.
    fn store(self: &Arc<Self>, path: &Path) -> RocksStore {
        self.store_with(path, false)
    }

    fn store_with(self: &Arc<Self>, path: &Path, flush: bool) -> RocksStore {
        let mut options = Options::new(path);
        (options.room, options.data_room) = (Room::NONE, Room::NONE);
        let disk = self.clone();
        options.on_sync_failure = Arc::new(move |_| {
            disk.reported.fetch_add(1, Ordering::SeqCst);
        });
        let disk = self.clone();
        let between = |database| Arc::new(OnDisk { disk, database }) as Arc<dyn Engine>;
        RocksStore::new(open::open(options, between).unwrap(), flush)
    }
}

struct OnDisk {
    disk: Arc<Disk>,
    database: Arc<Database>,
}

impl Engine for OnDisk {
    fn write(&self, changes: &[crate::columns::Change]) -> Result<(), String> {
        if self.disk.orders.lock().writes_fail {
            return Err("the disk does not write".to_owned());
        }
        self.database.write(changes)
    }

    fn write_at_once(&self, changes: &[crate::columns::Change]) -> AtOnce {
        let (writes_fail, is_busy) = {
            let orders = self.disk.orders.lock();
            (orders.writes_fail, orders.is_busy)
        };
        match (writes_fail, is_busy) {
            (true, _) => AtOnce::Failed,
            (false, true) => AtOnce::NotNow,
            (false, false) => {
                self.disk.at_once.fetch_add(1, Ordering::SeqCst);
                self.database.write_at_once(changes)
            }
        }
    }

    fn sync(&self) -> Result<(), SyncError> {
        {
            let mut orders = self.disk.orders.lock();
            orders.at_gate += 1;
            self.disk.changed.notify_all();
            self.disk.changed.wait_while(&mut orders, |orders| orders.gate_closed && orders.passes == 0);
            orders.at_gate -= 1;
            orders.passes = orders.passes.saturating_sub(1);
            if orders.refuses_syncs {
                return Err(SyncError::Refused("the disk does not sync".to_owned()));
            }
            if orders.syncs_fail {
                return Err(SyncError::NotTried("the log has an error".to_owned()));
            }
        }
        self.database.sync()
    }

    fn recover(&self) -> Result<(), Recovery> {
        let orders = self.disk.orders.lock();
        if orders.forgets {
            return Err(Recovery::Lost("the disk forgot".to_owned()));
        }
        if orders.writes_fail {
            return Err(Recovery::NotYet("the disk still does not write".to_owned()));
        }
        drop(orders);
        self.database.recover()
    }
}
