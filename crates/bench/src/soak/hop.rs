//! The next hop: an SMTP server that remembers what it took, and sometimes refuses, puts off, hangs or breaks off.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::chance::{Chance, Fate};
use super::flow;
use super::ledger::Ledger;
use super::sender;

/// Longer than the daemon waits for an answer to RCPT.
const HANGS_FOR: Duration = Duration::from_secs(3);
const READ_WITHIN: Duration = Duration::from_secs(120);

/// The server. It ends with the process.
#[derive(Debug)]
pub(crate) struct Hop {
    address: SocketAddr,
}

struct Manner {
    chance: Chance,
    ledger: Arc<Ledger>,
    /// Mails whose first attempt was spoilt.
    seen: Mutex<HashSet<u64>>,
}

impl Hop {
    pub(crate) fn start(chance: Chance, ledger: Arc<Ledger>) -> Result<Hop> {
        let manner = Manner { chance, ledger, seen: Mutex::default() };
        let address = flow::serve("next hop", move |stream| {
            // A daemon that is killed breaks off anywhere.
            let _ = manner.talk(stream);
        })?;
        Ok(Hop { address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Manner {
    /// What happens to this attempt at a mail.
    fn attempt(&self, mail: u64) -> Fate {
        let fate = Fate::of(self.chance, mail);
        let spoils_the_first = matches!(fate, Fate::PutOff | Fate::Hangs | Fate::Breaks);
        let first = spoils_the_first && self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(mail);
        if fate == Fate::Refused || first { fate } else { Fate::Taken }
    }

    fn talk(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_WITHIN))?;
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        let mut say = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes());
        say("220 hop.example ESMTP")?;
        let (mut mail, mut fate) = (None, Fate::Taken);
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let command = line.trim_end();
            let verb = command.get(..4).unwrap_or(command).to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => say("250-hop.example\r\n250-PIPELINING\r\n250 8BITMIME")?,
                "RCPT" => {
                    let number = sender::number_of(command).with_context(|| format!("no mail of ours: {command}"))?;
                    (mail, fate) = (Some(number), self.attempt(number));
                    match fate {
                        Fate::Refused => say("550 5.1.1 nobody of that name")?,
                        Fate::PutOff => say("451 4.2.1 later")?,
                        Fate::Hangs => {
                            std::thread::sleep(HANGS_FOR);
                            return Ok(());
                        }
                        Fate::Taken | Fate::Breaks => say("250 2.1.5 fine")?,
                    }
                }
                "DATA" if matches!(fate, Fate::Refused | Fate::PutOff) || mail.is_none() => {
                    say("503 5.5.1 no recipient")?;
                }
                "DATA" => {
                    say("354 go ahead")?;
                    skip_data(&mut reader)?;
                    if fate == Fate::Breaks {
                        return Ok(());
                    }
                    if let Some(mail) = mail.take() {
                        self.ledger.taken(mail);
                    }
                    say("250 2.0.0 taken")?;
                }
                "QUIT" => return Ok(say("221 bye")?),
                "MAIL" | "RSET" => {
                    (mail, fate) = (None, Fate::Taken);
                    say("250 2.1.0 fine")?;
                }
                _ => say("250 2.0.0 fine")?,
            }
        }
    }
}

fn skip_data(reader: &mut impl BufRead) -> Result<()> {
    let mut line = Vec::new();
    while line != b".\r\n" {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            anyhow::bail!("broken off in the data");
        }
    }
    Ok(())
}
