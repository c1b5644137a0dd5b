//! The header that a proxy puts before a connection, versions 1 and 2 of the PROXY protocol. Pure.

use super::Ends;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, CRLF included.
const MAX_V1: usize = 107;
/// The most bytes that we read behind the fixed part of version 2: addresses, and what else the proxy wants to tell.
const MAX_V2: usize = 4096;
const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED: usize = 16;

/// What the bytes so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Header {
    /// The beginning of one.
    Incomplete,
    /// A whole one.
    Whole {
        /// Its length; what follows is the client's.
        len: usize,
        /// The two ends as the proxy saw them; `None` when it speaks for itself.
        ends: Option<Ends>,
    },
}

/// Reads a header off the beginning of a connection.
///
/// # Errors
/// What is wrong: this is no such header, whatever may follow.
pub(crate) fn parse(input: &[u8]) -> Result<Header, &'static str> {
    if begins(input, V2) {
        return version_2(input);
    }
    if begins(input, V1) {
        return version_1(input);
    }
    Err("it begins in another way")
}

/// Whether this is, or may become, something that starts with `start`.
fn begins(input: &[u8], start: &[u8]) -> bool {
    let len = input.len().min(start.len());
    input[..len] == start[..len]
}

fn version_1(input: &[u8]) -> Result<Header, &'static str> {
    let head = &input[..input.len().min(MAX_V1)];
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if head.len() == MAX_V1 { Err("the line does not end") } else { Ok(Header::Incomplete) };
    };
    let line = std::str::from_utf8(&head[..end]).map_err(|_| "the line is no ASCII")?;
    let words: Vec<&str> = line.split(' ').collect();
    let ends = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", peer, via, peer_port, via_port] => {
            let ip = |text: &str| text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| "it has no IPv4 address");
            Some(ends(ip(peer)?, port(peer_port)?, ip(via)?, port(via_port)?))
        }
        ["PROXY", "TCP6", peer, via, peer_port, via_port] => {
            let ip = |text: &str| text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| "it has no IPv6 address");
            Some(ends(ip(peer)?, port(peer_port)?, ip(via)?, port(via_port)?))
        }
        _ => return Err("the line is not made of protocol, two addresses and two ports"),
    };
    Ok(Header::Whole { len: end + 2, ends })
}

fn port(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or("it has no port")
}

fn version_2(input: &[u8]) -> Result<Header, &'static str> {
    let Some((fixed, rest)) = input.split_at_checked(V2_FIXED) else {
        return Ok(Header::Incomplete);
    };
    let len = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if len > MAX_V2 {
        return Err("it is too long");
    }
    let local = match fixed[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err("its version or command is unknown"),
    };
    let Some(body) = rest.get(..len) else {
        return Ok(Header::Incomplete);
    };
    let ends = match fixed[13] {
        _ if local => None,
        0x00 => None,
        0x11 => Some(addresses::<4>(body)?),
        0x21 => Some(addresses::<16>(body)?),
        _ => return Err("it is of no TCP connection"),
    };
    Ok(Header::Whole { len: V2_FIXED + len, ends })
}

/// Source, destination, source port, destination port.
fn addresses<const N: usize>(body: &[u8]) -> Result<Ends, &'static str>
where
    IpAddr: From<[u8; N]>,
{
    let short = "its addresses are cut short";
    let (peer, rest) = body.split_first_chunk::<N>().ok_or(short)?;
    let (via, rest) = rest.split_first_chunk::<N>().ok_or(short)?;
    let &[a, b, c, d, ..] = rest else { return Err(short) };
    Ok(ends((*peer).into(), u16::from_be_bytes([a, b]), (*via).into(), u16::from_be_bytes([c, d])))
}

fn ends(peer: IpAddr, peer_port: u16, via: IpAddr, via_port: u16) -> Ends {
    Ends::new(SocketAddr::new(peer, peer_port), SocketAddr::new(via, via_port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(len: usize, ends: Option<(&str, &str)>) -> Result<Header, &'static str> {
        let ends = ends.map(|(peer, via)| Ends::new(peer.parse().unwrap(), via.parse().unwrap()));
        Ok(Header::Whole { len, ends })
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &len, body].concat()
    }

    #[test]
    fn version_1_is_a_line() {
        let parse = |text: &str| parse(text.as_bytes());
        let ends = Some(("192.0.2.1:56324", "198.51.100.9:443"));
        assert_eq!(parse("PROXY TCP4 192.0.2.1 198.51.100.9 56324 443\r\nEHLO x\r\n"), whole(45, ends));
        let ends = Some(("[2001:db8::1]:1", "[::1]:25"));
        assert_eq!(parse("PROXY TCP6 2001:db8::1 ::1 1 25\r\n"), whole(33, ends));
        let mapped = Some(("192.0.2.1:1", "192.0.2.2:25"));
        assert_eq!(parse("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 25\r\n"), whole(51, mapped));
        assert_eq!(parse("PROXY UNKNOWN\r\n"), whole(15, None));
        assert_eq!(parse("PROXY UNKNOWN ::1 ::1 1 2\r\n"), whole(27, None));
        for wrong in [
            "EHLO client.example\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.9 56324 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.9 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.9 56324 443 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.9 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        let endless = format!("PROXY TCP4 {}", "x".repeat(200));
        assert_eq!(parse(&endless), Err("the line does not end"));
        assert_eq!(parse(&endless[..106]), Ok(Header::Incomplete));
    }

    #[test]
    fn version_2_is_binary() {
        let four = [192, 0, 2, 1, 198, 51, 100, 9, 0xdc, 0x04, 0, 25];
        assert_eq!(parse(&v2(0x21, 0x11, &four)), whole(28, Some(("192.0.2.1:56324", "198.51.100.9:25"))));
        let extended = [&four[..], &[4, 0, 1, 0]].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &extended)), whole(32, Some(("192.0.2.1:56324", "198.51.100.9:25"))));
        let peer: Ipv6Addr = "2001:db8::1".parse().unwrap();
        let six = [&peer.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &[0, 1, 0, 25]].concat();
        assert_eq!(parse(&v2(0x21, 0x21, &six)), whole(52, Some(("[2001:db8::1]:1", "[::1]:25"))));
        assert_eq!(parse(&v2(0x20, 0x00, &[])), whole(16, None));
        assert_eq!(parse(&v2(0x20, 0x11, &four)), whole(28, None), "the proxy speaks for itself");
        assert_eq!(parse(&v2(0x21, 0x00, &[])), whole(16, None));
        for (wrong, why) in [
            (v2(0x11, 0x11, &four), "its version or command is unknown"),
            (v2(0x22, 0x11, &four), "its version or command is unknown"),
            (v2(0x21, 0x12, &four), "it is of no TCP connection"),
            (v2(0x21, 0x31, &[0; 216]), "it is of no TCP connection"),
            (v2(0x21, 0x11, &four[..11]), "its addresses are cut short"),
            (v2(0x21, 0x21, &four), "its addresses are cut short"),
            (v2(0x21, 0x11, &[0; 4097]), "it is too long"),
        ] {
            assert_eq!(parse(&wrong), Err(why));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_harm_and_pieces_make_no_difference(
            start in prop_oneof![Just(&b""[..]), Just(V1), Just(V2), Just(&b"PROXY TCP4 1.1.1.1 2.2.2.2 3 4\r\n"[..])],
            rest in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let input = [start, &rest].concat();
            let all = parse(&input);
            for len in 0..input.len() {
                match parse(&input[..len]) {
                    Ok(Header::Incomplete) => {}
                    decided => prop_assert_eq!(decided, all),
                }
            }
        }
    }
}
