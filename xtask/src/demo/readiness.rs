//! The lines of the daemon's stderr that tools depend on.

use std::net::SocketAddr;

/// A line with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// `PROTOCOL listener on ADDRESS`, with the port that was really opened.
    Listening {
        /// `smtp`, `http` or `https`.
        protocol: String,
        /// Where.
        address: SocketAddr,
    },
    /// `initialization complete`.
    Initialized,
}

/// The meaning of a line, if it has one. Whatever the log's format puts before the words does not matter.
pub(super) fn notice(line: &str) -> Option<Notice> {
    let line = line.trim_end();
    if line.ends_with("initialization complete") {
        return Some(Notice::Initialized);
    }
    let (before, address) = line.rsplit_once(" listener on ")?;
    let protocol = before.rsplit(' ').next()?.to_owned();
    Some(Notice::Listening { protocol, address: address.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_tells_its_protocol_and_address() {
        let expected = Notice::Listening { protocol: "smtp".into(), address: ([127, 0, 0, 1], 2525).into() };
        assert_eq!(notice("smtp listener on 127.0.0.1:2525"), Some(expected.clone()));
        assert_eq!(notice("2026-11-23T18:26:01Z INFO main waybill: smtp listener on 127.0.0.1:2525\n"), Some(expected));
        assert!(
            matches!(notice("http listener on [::1]:80"), Some(Notice::Listening { protocol, .. }) if protocol == "http")
        );
    }

    #[test]
    fn the_end_of_the_start_is_noticed() {
        assert_eq!(notice("INFO initialization complete"), Some(Notice::Initialized));
    }

    #[test]
    fn other_lines_mean_nothing() {
        for line in ["", "smtp listener on nowhere", "opening the smtp listener", "initialization complete soon"] {
            assert_eq!(notice(line), None, "{line}");
        }
    }
}
