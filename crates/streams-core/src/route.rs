//! Ways between logs: filters, and egress webhooks that call an ingress webhook of the same daemon.

use crate::{Id, Kind};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What leads messages of one log into another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    /// What leads them: a filter or an egress webhook.
    pub by: Id,
    /// The log that is read.
    pub from: Id,
    /// The log that is written.
    pub to: Id,
}

/// The way on which messages of `to` come back into `from`, if there is one: with an edge from the first to the second it
/// would never end. Empty where both are the same log.
pub fn way_back(edges: &[Edge], from: Id, to: Id) -> Option<Vec<Id>> {
    // For each log that messages of `to` reach: what led them there, and from where.
    let mut reached: BTreeMap<Id, Option<Edge>> = BTreeMap::from([(to, None)]);
    let mut open = vec![to];
    while let Some(log) = open.pop() {
        if log == from {
            let mut way = Vec::new();
            let mut at = log;
            while let Some(Some(edge)) = reached.get(&at) {
                way.push(edge.by);
                at = edge.from;
            }
            way.reverse();
            return Some(way);
        }
        for edge in edges.iter().filter(|edge| edge.from == log) {
            if let Entry::Vacant(new) = reached.entry(edge.to) {
                new.insert(Some(*edge));
                open.push(edge.to);
            }
        }
    }
    None
}

/// The ingress webhook that a destination names, whatever the host: an id is nobody else's.
pub fn ingress_in(destination: &str) -> Option<Id> {
    let path = destination.split(['?', '#']).next()?;
    let (_, id) = path.trim_end_matches('/').rsplit_once("/ingress_webhook/")?;
    Id::parse(Kind::Ingress, id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(number: u8) -> Id {
        Id::mint(Kind::Log, 0, [number; 16])
    }

    fn edge(by: u8, from: u8, to: u8) -> Edge {
        Edge { by: Id::mint(Kind::Filter, 0, [by; 16]), from: log(from), to: log(to) }
    }

    #[test]
    fn a_destination_that_is_an_ingress_webhook_is_known_by_its_path() {
        let id = Id::mint(Kind::Ingress, 7, [9; 16]);
        for url in ["http://127.0.0.1:8000", "https://mail.example/behind/a/proxy"] {
            for rest in ["", "/", "?x=1"] {
                assert_eq!(ingress_in(&format!("{url}/ingress_webhook/{id}{rest}")), Some(id));
            }
        }
        assert_eq!(ingress_in("https://hooks.example/ingress_webhook/x"), None);
        assert_eq!(ingress_in("https://hooks.example/"), None);
    }

    #[test]
    fn a_way_that_leads_back_is_found_and_told() {
        let edges = [edge(1, 1, 2), edge(2, 2, 3), edge(3, 2, 4), edge(4, 4, 2)];
        assert_eq!(way_back(&edges, log(3), log(1)), Some(vec![edges[0].by, edges[1].by]));
        assert_eq!(way_back(&edges, log(1), log(3)), None, "forward only");
        assert_eq!(way_back(&edges, log(5), log(5)), Some(vec![]), "a log into itself");
        assert_eq!(way_back(&edges, log(5), log(1)), None, "and a circle on the way does not hold it up");
        assert_eq!(way_back(&[], log(1), log(2)), None);
    }
}
