//! An SMTP client of the smallest kind, so that the demo needs no other.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::mail::Mail;

/// For each answer; the daemon syncs the mail to disk before the last one.
const PATIENCE: Duration = Duration::from_secs(30);
const SENDER: &str = "demo@sender.example";

/// Sends one mail on a connection of its own and returns the answer that accepted it.
pub(super) fn send(server: SocketAddr, mail: &Mail) -> Result<String> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE).with_context(|| format!("connect to {server}"))?;
    stream.set_nodelay(true).context("send commands at once")?;
    stream.set_read_timeout(Some(PATIENCE)).context("limit the wait for answers")?;
    let mut dialog = Dialog { connection: BufReader::new(stream) };
    dialog.expect(220)?;
    dialog.ask("EHLO demo.sender.example", 250)?;
    dialog.ask(&format!("MAIL FROM:<{SENDER}>"), 250)?;
    dialog.ask(&format!("RCPT TO:<{}>", mail.recipient), 250)?;
    dialog.ask("DATA", 354)?;
    let accepted = dialog.ask(&format!("{}.", stuffed(&content(mail))), 250)?;
    dialog.ask("QUIT", 221)?;
    Ok(accepted)
}

fn content(mail: &Mail) -> String {
    let Mail { recipient, subject, .. } = mail;
    format!(
        "From: Demo <{SENDER}>\r\nTo: <{recipient}>\r\nSubject: {subject}\r\nX-Demo: cargo xtask demo\r\n\r\n\
         This mail is expected to end as: {}.\r\n",
        mail.outcome
    )
}

/// A dot at the start of a line is doubled, so that none ends the mail early.
fn stuffed(content: &str) -> String {
    content
        .split_inclusive("\r\n")
        .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() })
        .collect()
}

struct Dialog {
    connection: BufReader<TcpStream>,
}

impl Dialog {
    fn ask(&mut self, command: &str, wanted: u16) -> Result<String> {
        self.connection.get_mut().write_all(format!("{command}\r\n").as_bytes()).context("write to the SMTP server")?;
        self.expect(wanted).with_context(|| format!("after `{}`", command.lines().next().unwrap_or_default()))
    }

    /// Reads an answer of one or several lines and returns its last.
    fn expect(&mut self, wanted: u16) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.connection.read_line(&mut line).context("read the SMTP server's answer")? == 0 {
                bail!("the SMTP server closed the connection");
            }
            let line = line.trim_end();
            if line.get(3..4) == Some("-") {
                continue;
            }
            if !line.starts_with(&wanted.to_string()) {
                bail!("the SMTP server answered `{line}` instead of {wanted}");
            }
            return Ok(line.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    use super::super::mail::HANDFUL;
    use super::*;

    /// A server that gives these answers and returns what it was told.
    fn server(answers: &'static [&'static str]) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let dialog = thread::spawn(move || {
            let mut connection = BufReader::new(listener.accept().unwrap().0);
            let mut heard = String::new();
            for answer in answers {
                connection.get_mut().write_all(answer.as_bytes()).unwrap();
                let from = heard.len();
                let in_data = answer.starts_with("354");
                while connection.read_line(&mut heard).unwrap() > 0 && in_data && !heard[from..].ends_with("\r\n.\r\n")
                {
                }
            }
            heard
        });
        (address, dialog)
    }

    #[test]
    fn a_mail_is_handed_over_and_the_answer_returned() {
        let answers = &[
            "220 hi\r\n",
            "250-demo Aloha\r\n250 8BITMIME\r\n",
            "250 ok\r\n",
            "250 ok\r\n",
            "354 go\r\n",
            "250 OK ids=1\r\n",
            "221 bye\r\n",
        ];
        let (address, dialog) = server(answers);
        assert_eq!(send(address, &HANDFUL[0]).unwrap(), "250 OK ids=1");
        let heard = dialog.join().unwrap();
        for line in ["RCPT TO:<ada@delivered.example>\r\n", "Subject: The first one\r\n", "\r\n.\r\nQUIT\r\n"] {
            assert!(heard.contains(line), "{line:?} in {heard}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_the_command_it_answers() {
        let (address, dialog) = server(&["220 hi\r\n", "250 hi\r\n", "550 5.7.1 relaying not permitted\r\n"]);
        let error = format!("{:#}", send(address, &HANDFUL[0]).unwrap_err());
        assert!(error.contains("MAIL FROM") && error.contains("relaying not permitted"), "{error}");
        dialog.join().unwrap();
    }

    #[test]
    fn dots_at_the_start_of_a_line_are_doubled() {
        assert_eq!(stuffed(".\r\na.b\r\n..c\r\n"), "..\r\na.b\r\n...c\r\n");
    }
}
