//! Somebody who sends mail.

use super::wait::LIMIT;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

/// A conversation with the daemon's SMTP listener.
pub(crate) struct Smtp {
    stream: BufReader<TcpStream>,
}

/// An answer of one or several lines.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// Without the code.
    pub(crate) lines: Vec<String>,
}

/// A mail to send.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    sender: String,
    recipients: Vec<String>,
    headers: Vec<String>,
    body: String,
}

impl Mail {
    pub(crate) fn to(recipient: &str) -> Mail {
        Mail {
            sender: "sender@example.com".into(),
            recipients: vec![recipient.to_owned()],
            headers: Vec::new(),
            body: "body".into(),
        }
    }

    /// One transaction for all of them.
    pub(crate) fn to_all(recipients: impl IntoIterator<Item = String>) -> Mail {
        Mail { recipients: recipients.into_iter().collect(), ..Mail::to("") }
    }

    pub(crate) fn from(mut self, sender: &str) -> Mail {
        self.sender = sender.to_owned();
        self
    }

    pub(crate) fn header(mut self, line: &str) -> Mail {
        self.headers.push(line.to_owned());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<String>) -> Mail {
        self.body = body.into();
        self
    }

    fn content(&self) -> String {
        let headers: String = self.headers.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{headers}\r\n{}\r\n", self.body)
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join("\n"))
    }

    /// The ids of what was accepted.
    pub(crate) fn ids(&self) -> Vec<String> {
        // Many ids take several lines.
        let text = self.lines.join(" ");
        let ids = text.strip_prefix("OK ids=").unwrap_or_else(|| panic!("no ids in {text:?}"));
        ids.split(' ').map(str::to_owned).collect()
    }
}

impl Smtp {
    /// Connects, hears the banner and says EHLO.
    pub(crate) fn connect(server: SocketAddr) -> io::Result<Smtp> {
        let mut smtp = Smtp::open(server)?;
        smtp.expect(220)?;
        smtp.ask("EHLO client.example", 250)?;
        Ok(smtp)
    }

    /// Only connects.
    pub(crate) fn open(server: SocketAddr) -> io::Result<Smtp> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Smtp { stream: BufReader::new(stream) })
    }

    /// Sends a mail and returns the ids; anything but a 250 for all of it is a failure.
    pub(crate) fn send(&mut self, mail: &Mail) -> Vec<String> {
        let reply = self.offer(mail).expect("a conversation");
        assert_eq!(reply.code, 250, "{}", reply.text());
        reply.ids()
    }

    /// Sends a mail and returns what is said to its content.
    pub(crate) fn offer(&mut self, mail: &Mail) -> io::Result<Reply> {
        let international = [&mail.sender].into_iter().chain(&mail.recipients).any(|address| !address.is_ascii());
        let parameter = if international { " SMTPUTF8" } else { "" };
        self.ask(&format!("MAIL FROM:<{}>{parameter}", mail.sender), 250)?;
        for recipient in &mail.recipients {
            self.ask(&format!("RCPT TO:<{recipient}>"), 250)?;
        }
        self.ask("DATA", 354)?;
        self.say(&format!("{}.", stuffed(&mail.content())))
    }

    /// Says a line and hears the answer.
    pub(crate) fn say(&mut self, line: &str) -> io::Result<Reply> {
        self.write(format!("{line}\r\n").as_bytes())?;
        self.hear()
    }

    /// Says a line that must be answered with this code.
    pub(crate) fn ask(&mut self, line: &str, code: u16) -> io::Result<Reply> {
        let reply = self.say(line)?;
        if reply.code == code { Ok(reply) } else { Err(io::Error::other(format!("{line}: {}", reply.text()))) }
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Hears an answer.
    pub(crate) fn hear(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.ok_or_else(|| io::Error::other(format!("no answer of SMTP: {line}")))?;
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, lines });
            }
        }
    }

    fn expect(&mut self, code: u16) -> io::Result<()> {
        let reply = self.hear()?;
        if reply.code == code { Ok(()) } else { Err(io::Error::other(reply.text())) }
    }
}

/// A dot at the start of a line is doubled, so that none ends the mail early.
fn stuffed(content: &str) -> String {
    let lines = content.split_inclusive("\r\n");
    lines.map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() }).collect()
}
