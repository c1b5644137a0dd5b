use super::leases::{Leases, Waiter};
use super::{Lease, Nudge, SharedLimits, SharedRate, Waiting};
use crate::ready::ReadyId;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use waybill_types::{NumberMap, ThrottleSpec, Timestamp};

/// From so many rates on, the rested ones are forgotten now and then: names may be made per tenant.
const MANY: usize = 256;

/// What a rate counts; the same name may stand for one of each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    /// Messages that leave.
    Messages,
    /// Messages that a source is chosen for.
    Selections,
}

/// A driver of queues, until it is dropped.
pub(crate) struct Membership {
    pub(super) shared: SharedLimits,
    pub(super) member: u64,
}

#[derive(Default)]
pub(super) struct Table {
    limits: HashMap<Arc<str>, Leases>,
    rates: HashMap<(Kind, Arc<str>), SharedRate>,
    /// At so many rates the rested ones are forgotten.
    sweep_at: usize,
    members: NumberMap<u64, Member>,
    next: u64,
}

struct Member {
    nudge: Option<Nudge>,
    /// Queues that a connection was handed to.
    called: Vec<(ReadyId, Arc<str>)>,
}

impl Membership {
    /// A connection under a limit, or a place in its line, kept in `waits`. Where it already stands there, it stays.
    pub(crate) fn take_or_wait(
        &self,
        name: &Arc<str>,
        limit: u32,
        queue: ReadyId,
        waits: &mut Option<Waiting>,
    ) -> Option<Lease> {
        let waiter = Waiter { member: self.member, queue, limit };
        let stands = waits.as_ref().filter(|waiting| waiting.name == *name).map(|waiting| waiting.ticket);
        let ticket = {
            let mut table = self.shared.table();
            if table.limits.entry(name.clone()).or_default().take(limit) {
                return Some(Lease { shared: self.shared.clone(), name: name.clone() });
            }
            table.stand(name, stands, waiter)
        };
        if stands.is_none() {
            // Leaves another line, if it stood in one.
            *waits = Some(Waiting { shared: self.shared.clone(), name: name.clone(), ticket });
        }
        None
    }

    /// Connections that were handed to queues of this driver since the last call.
    pub(crate) fn called(&self) -> Vec<(ReadyId, Lease)> {
        let called = self.shared.table().members.get_mut(&self.member).map(|member| std::mem::take(&mut member.called));
        let leases = called.into_iter().flatten();
        leases.map(|(queue, name)| (queue, Lease { shared: self.shared.clone(), name })).collect()
    }

    /// When so many can pass under a rate.
    pub(crate) fn turn(&self, of: Kind, name: &Arc<str>, now: Timestamp, spec: &ThrottleSpec, count: u64) -> Timestamp {
        self.shared.table().rate(of, name, now).turn(now, spec, count)
    }

    /// How many can pass now under a rate.
    pub(crate) fn available(&self, of: Kind, name: &Arc<str>, now: Timestamp, spec: &ThrottleSpec) -> u64 {
        self.shared.table().rate(of, name, now).available(now, spec)
    }

    /// So many pass now, or at the turn that was said.
    pub(crate) fn book(&self, of: Kind, name: &Arc<str>, now: Timestamp, spec: &ThrottleSpec, count: u64) {
        self.shared.table().rate(of, name, now).book(now, spec, count);
    }

    /// So many that were booked do not pass.
    pub(crate) fn give_back(&self, of: Kind, name: &Arc<str>, now: Timestamp, spec: &ThrottleSpec, count: u64) {
        self.shared.table().rate(of, name, now).give_back(now, spec, count);
    }

    pub(crate) fn give_back_one(
        &self,
        of: Kind,
        name: &Arc<str>,
        now: Timestamp,
        spec: &ThrottleSpec,
        booked: &ThrottleSpec,
    ) {
        self.shared.table().rate(of, name, now).give_back_one(now, spec, booked);
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let nudges = self.shared.table().leave(self.member);
        nudges.into_iter().for_each(|nudge| nudge());
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Membership({})", self.member)
    }
}

impl Table {
    pub(super) fn join(&mut self, nudge: Option<Nudge>) -> u64 {
        self.next += 1;
        self.members.insert(self.next, Member { nudge, called: Vec::new() });
        self.next
    }

    fn leave(&mut self, member: u64) -> Vec<Nudge> {
        self.limits.values_mut().for_each(|leases| leases.drop_member(member));
        self.limits.retain(|_, leases| !leases.is_unused());
        let promised = self.members.remove(&member).map(|member| member.called).unwrap_or_default();
        promised.into_iter().filter_map(|(_, name)| self.give_back(&name)).collect()
    }

    fn stand(&mut self, name: &Arc<str>, stands: Option<u64>, waiter: Waiter) -> u64 {
        let ticket = stands.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.limits.entry(name.clone()).or_default().stand(ticket, waiter);
        ticket
    }

    pub(super) fn leave_line(&mut self, name: &Arc<str>, ticket: u64) {
        if let Some(leases) = self.limits.get_mut(name) {
            leases.leave(ticket);
            if leases.is_unused() {
                self.limits.remove(name);
            }
        }
    }

    /// A connection is free: the first in line has it. Whoever drives that queue is to be nudged.
    pub(super) fn give_back(&mut self, name: &Arc<str>) -> Option<Nudge> {
        let leases = self.limits.get_mut(name)?;
        leases.give_back();
        let Some(waiter) = leases.pass_on() else {
            if leases.is_unused() {
                self.limits.remove(name);
            }
            return None;
        };
        let member = self.members.get_mut(&waiter.member)?;
        member.called.push((waiter.queue, name.clone()));
        member.nudge.clone()
    }

    fn rate(&mut self, of: Kind, name: &Arc<str>, now: Timestamp) -> &mut SharedRate {
        if self.rates.len() >= self.sweep_at.max(MANY) {
            // A rested rate is like a new one.
            self.rates.retain(|_, rate| rate.rested_at() > now);
            self.sweep_at = self.rates.len() * 2;
        }
        self.rates.entry((of, name.clone())).or_default()
    }
}

#[cfg(test)]
impl Table {
    pub(super) fn rates(&self) -> usize {
        self.rates.len()
    }
}
