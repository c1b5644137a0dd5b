//! EHLO, its older form and its LMTP form, and what the server says it can do.

use super::failure::{Refusal, Step};
use super::reply::Reply;
use super::settings::Settings;
use super::wire::Wire;

/// What a server offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Capabilities {
    pub(super) pipelining: bool,
    pub(super) eight_bit: bool,
    pub(super) smtputf8: bool,
    pub(super) starttls: bool,
    pub(super) auth_plain: bool,
}

impl Capabilities {
    fn of(reply: &Reply) -> Self {
        let mut offered = Capabilities::default();
        // The first line is the server's name.
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty()).map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("PIPELINING") => offered.pipelining = true,
                Some("8BITMIME") => offered.eight_bit = true,
                Some("SMTPUTF8") => offered.smtputf8 = true,
                Some("STARTTLS") => offered.starttls = true,
                // `AUTH=PLAIN` is how it was written before RFC 2554.
                Some("AUTH") => offered.auth_plain |= words.any(|mechanism| mechanism == "PLAIN"),
                _ => {}
            }
        }
        offered
    }
}

/// Greets, and hears what the server can do. One that does not know EHLO is greeted as in 1982.
pub(super) async fn greet(wire: &mut Wire, settings: &Settings) -> Result<Capabilities, Refusal> {
    let verb = if settings.lmtp() { "LHLO" } else { "EHLO" };
    let reply = say(wire, settings, verb).await?;
    if reply.is_positive() {
        return Ok(Capabilities::of(&reply));
    }
    let knows_no_ehlo = (500..510).contains(&reply.code) && !settings.lmtp();
    if knows_no_ehlo && say(wire, settings, "HELO").await?.is_positive() {
        return Ok(Capabilities::default());
    }
    Err(Refusal::Said { step: Step::Greeting, reply })
}

async fn say(wire: &mut Wire, settings: &Settings, verb: &str) -> Result<Reply, Refusal> {
    let limit = settings.path.ehlo_timeout;
    let line = format!("{verb} {}\r\n", settings.ehlo_domain);
    wire.send(line.as_bytes(), Step::Greeting, limit).await?;
    Ok(wire.reply(Step::Greeting, limit).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_offers_what_its_reply_lists() {
        let lines = ["mx.example greets you", "PIPELINING", "size 10", "8bitmime", "AUTH LOGIN plain", "STARTTLS"];
        let offered = Capabilities::of(&Reply { code: 250, lines: lines.map(str::to_owned).to_vec() });
        let expected =
            Capabilities { pipelining: true, eight_bit: true, smtputf8: false, starttls: true, auth_plain: true };
        assert_eq!(offered, expected);
    }

    #[test]
    fn a_name_is_no_offer() {
        let lines = ["PIPELINING", "AUTH LOGIN", "AUTH=LOGIN CRAM-MD5"];
        let offered = Capabilities::of(&Reply { code: 250, lines: lines.map(str::to_owned).to_vec() });
        assert_eq!(offered, Capabilities::default());
    }
}
