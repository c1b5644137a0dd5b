//! Mail for the daemon: postfix's smtp-source at full speed, and a sender that keeps a pace.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Bytes of each message.
pub(crate) const MESSAGE_SIZE: u64 = 2048;
/// Sessions at a time.
pub(crate) const SESSIONS: u64 = 20;
/// Debian's package puts smtp-source here, which is on no user's path.
pub(crate) const SBIN: &str = "/usr/sbin";

/// Sends so many messages over [`SESSIONS`] sessions as fast as they are taken; returns how long that took.
pub(crate) fn smtp_source(address: SocketAddr, messages: u64) -> Result<Duration> {
    let mut command = Command::new(format!("{SBIN}/smtp-source"));
    command.args(["-d", "-s", &SESSIONS.to_string(), "-m", &messages.to_string(), "-l", &MESSAGE_SIZE.to_string()]);
    command.args(["-f", "sender@bench.example", "-t", "recipient@bench.example"]);
    command.arg(format!("inet:{}:{}", address.ip(), address.port()));
    command.stdin(Stdio::null());
    let started = Instant::now();
    let output = command.output().context("run smtp-source")?;
    if !output.status.success() {
        bail!("smtp-source: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(started.elapsed())
}

/// Sends `per_second` messages a second, evenly, for a time; returns how many there were. A message whose time has passed is sent
/// at once, so a daemon that cannot keep up is not spared.
pub(crate) fn paced(address: SocketAddr, per_second: f64, duration: Duration) -> Result<u64> {
    let per_session = per_second / SESSIONS as f64;
    let threads: Vec<_> = (0..SESSIONS)
        .map(|number| {
            // Sessions begin one after the other, so that they do not send in step.
            let offset = Duration::from_secs_f64(number as f64 / per_second);
            thread::spawn(move || session(address, Duration::from_secs_f64(1.0 / per_session), offset, duration))
        })
        .collect();
    let mut sent = 0;
    for thread in threads {
        sent += thread.join().map_err(|_| anyhow::anyhow!("a paced session panicked"))??;
    }
    Ok(sent)
}

fn session(address: SocketAddr, every: Duration, offset: Duration, duration: Duration) -> Result<u64> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    expect(&mut reader, "220")?;
    say(&mut writer, &mut reader, "EHLO bench.example\r\n", "250")?;
    let body = body();
    let started = Instant::now();
    let mut sent = 0;
    loop {
        let due = offset + every.mul_f64(sent as f64);
        if due >= duration {
            break;
        }
        thread::sleep(due.saturating_sub(started.elapsed()));
        say(&mut writer, &mut reader, "MAIL FROM:<sender@bench.example>\r\n", "250")?;
        say(&mut writer, &mut reader, "RCPT TO:<recipient@bench.example>\r\n", "250")?;
        say(&mut writer, &mut reader, "DATA\r\n", "354")?;
        say(&mut writer, &mut reader, &body, "250")?;
        sent += 1;
    }
    say(&mut writer, &mut reader, "QUIT\r\n", "221")?;
    Ok(sent)
}

fn body() -> String {
    let mut body = "From: <sender@bench.example>\r\nTo: <recipient@bench.example>\r\nSubject: paced\r\n\r\n".to_owned();
    while (body.len() as u64) < MESSAGE_SIZE {
        body.push_str("The quick brown fox jumps over the lazy dog, again and again.\r\n");
    }
    body.push_str(".\r\n");
    body
}

fn say(writer: &mut TcpStream, reader: &mut impl BufRead, text: &str, code: &str) -> Result<()> {
    writer.write_all(text.as_bytes())?;
    expect(reader, code).with_context(|| format!("after {:?}", text.lines().next().unwrap_or_default()))
}

fn expect(reader: &mut impl BufRead, wanted: &str) -> Result<()> {
    let (code, text) = hear(reader)?;
    if code.to_string() != wanted {
        bail!("the daemon said {code} {text:?}");
    }
    Ok(())
}

/// Reads a reply, whose last line has a space behind its code: the code, and the text of all lines.
pub(crate) fn hear(reader: &mut impl BufRead) -> std::io::Result<(u16, String)> {
    let (mut line, mut text) = (String::new(), String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let said = line.trim_end();
        let code = said.get(..3).and_then(|code| code.parse().ok());
        let code = code.ok_or_else(|| std::io::Error::other(format!("no answer of SMTP: {said}")))?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(said.get(4..).unwrap_or_default());
        if said.as_bytes().get(3) != Some(&b'-') {
            return Ok((code, text));
        }
    }
}
