use mlua::{HookTriggers, Lua, VmState};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Instructions between two looks.
const EVERY: u32 = 1_000;

/// Counts the instructions of a state, in all its coroutines.
pub(super) struct Budget {
    allowed: u64,
    used: AtomicU64,
    /// Where it was used up.
    place: Mutex<Option<Place>>,
}

/// A chunk, and the line that ran.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) chunk: String,
    pub(super) line: Option<u32>,
}

impl Budget {
    /// Begins to count.
    pub(super) fn start(lua: &Lua, allowed: u64) -> mlua::Result<Arc<Self>> {
        let budget = Arc::new(Budget { allowed, used: AtomicU64::new(0), place: Mutex::new(None) });
        arm(lua, &budget, EVERY)?;
        Ok(budget)
    }

    /// Where the script was when it had used it up, if it has: whatever the script made of the error.
    pub(super) fn exceeded(&self) -> Option<Place> {
        self.place.lock().clone()
    }

    /// In words.
    pub(super) fn said(&self) -> String {
        format!("ran for more than {} instructions and was stopped", self.allowed)
    }
}

fn arm(lua: &Lua, budget: &Arc<Budget>, every: u32) -> mlua::Result<()> {
    let budget = budget.clone();
    lua.set_global_hook(HookTriggers::new().every_nth_instruction(every), move |lua, frame| {
        if budget.used.fetch_add(u64::from(every), Ordering::Relaxed) < budget.allowed {
            return Ok(VmState::Continue);
        }
        let first = {
            let mut place = budget.place.lock();
            let first = place.is_none();
            place.get_or_insert_with(|| Place {
                chunk: frame.source().short_src.unwrap_or_default().into_owned(),
                line: frame.current_line().and_then(|line| u32::try_from(line).ok()),
            });
            first
        };
        if first {
            // From now on with every instruction: a script that catches the error in a loop must not get the thousand
            // that it needs to start over.
            arm(lua, &budget, 1)?;
        }
        Err(mlua::Error::external(budget.said()))
    })
}
