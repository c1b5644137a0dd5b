//! One name for a set of hosts, so that domains with the same hosts share a ready queue, its limits and its
//! connections: `(alt1|alt2)?.mx.example.com` for `mx.example.com`, `alt1.mx.example.com` and `alt2.mx.example.com`.
//!
//! Labels are laid over each other from the right. Where hosts differ the name lists what they have, in order; a `?`
//! says that some have nothing there.

use std::collections::BTreeSet;

/// The site name of a set of hosts. The order in which they are given does not matter.
pub fn site_name<'a>(hosts: impl IntoIterator<Item = &'a str>) -> String {
    let hosts: BTreeSet<String> = hosts.into_iter().map(normal).collect();
    let columns = columns(&hosts);
    let mut words: Vec<String> = columns.iter().rev().map(Column::to_string).collect();
    words.retain(|word| !word.is_empty());
    words.join(".")
}

/// Whether another set of hosts has the same site name. The name says what stands at each place, not what stands
/// beside what: `(a|b).(x|y)` is `a.x` and `b.y`, but also `a.y` and `b.x`.
///
/// Whoever sends mail by site name has to tell such sets apart: the other set may be a stranger's.
pub fn is_ambiguous<'a>(hosts: impl IntoIterator<Item = &'a str>) -> bool {
    let hosts: BTreeSet<String> = hosts.into_iter().map(normal).collect();
    columns(&hosts).iter().filter(|column| column.choices() > 1).count() > 1
}

fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What the hosts have at one place, counted from the right.
struct Column<'a> {
    labels: BTreeSet<&'a str>,
    missing: bool,
}

impl Column<'_> {
    fn choices(&self) -> usize {
        self.labels.len() + usize::from(self.missing)
    }
}

impl std::fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<&str> = self.labels.iter().copied().collect();
        match (labels.as_slice(), self.missing) {
            ([only], false) => f.write_str(only),
            (_, missing) => write!(f, "({}){}", labels.join("|"), if missing { "?" } else { "" }),
        }
    }
}

fn columns(hosts: &BTreeSet<String>) -> Vec<Column<'_>> {
    let split: Vec<Vec<&str>> = hosts.iter().map(|host| host.rsplit('.').collect()).collect();
    let width = split.iter().map(Vec::len).max().unwrap_or(0);
    let column = |place| Column {
        labels: split.iter().filter_map(|host: &Vec<&str>| host.get(place).copied()).collect(),
        missing: split.iter().any(|host| host.len() <= place),
    };
    (0..width).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_differ_in_one_label_are_rolled_up() {
        for (hosts, name) in [
            (&["mx.example.com"][..], "mx.example.com"),
            (&["MX2.example.com.", "mx1.example.com"], "(mx1|mx2).example.com"),
            (
                &["gmail-smtp-in.l.google.com", "alt1.gmail-smtp-in.l.google.com", "alt2.gmail-smtp-in.l.google.com"],
                "(alt1|alt2)?.gmail-smtp-in.l.google.com",
            ),
            (&["mta5.am0.yahoodns.net", "mta7.am0.yahoodns.net"], "(mta5|mta7).am0.yahoodns.net"),
            (&["a.x.example", "b.y.example"], "(a|b).(x|y).example"),
        ] {
            assert_eq!(site_name(hosts.iter().copied()), name);
            assert_eq!(site_name(hosts.iter().rev().copied()), name, "the order does not matter");
        }
    }

    #[test]
    fn a_name_that_two_sets_share_is_ambiguous() {
        let (one, other) = (["a.x.example", "b.y.example"], ["a.y.example", "b.x.example"]);
        assert_eq!(site_name(one), site_name(other));
        assert!(is_ambiguous(one) && is_ambiguous(other));
        assert!(!is_ambiguous(["mx1.example.com", "mx2.example.com"]));
        assert!(!is_ambiguous(["mx.example.com", "alt1.mx.example.com"]));
    }
}
