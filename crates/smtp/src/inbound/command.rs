use super::reply::Reply;
use waybill_types::EnvelopeAddress;

/// A command line, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Command<'a> {
    Ehlo(&'a str),
    Helo(&'a str),
    Mail(EnvelopeAddress, Params<'a>),
    Rcpt(EnvelopeAddress, Params<'a>),
    Data,
    Rset,
    Noop,
    Vrfy,
    StartTls,
    Auth(&'a str, Option<&'a str>),
    Xclient(&'a str),
    Quit,
}

/// What follows an address: `KEYWORD` or `KEYWORD=VALUE`, in order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Params<'a>(pub(crate) Vec<(&'a str, Option<&'a str>)>);

impl<'a> Command<'a> {
    /// Reads a line.
    ///
    /// # Errors
    /// The reply to a line that is no command, or none that we know.
    pub(crate) fn parse(line: &'a str) -> Result<Self, Reply> {
        // Also a bare CR or LF: two lines for one server must not be one line for another.
        if line.chars().any(char::is_control) {
            return Err(Reply::syntax());
        }
        let line = line.trim_end_matches(' ');
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let alone = |command| if rest.is_empty() { Ok(command) } else { Err(Reply::syntax()) };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => Ok(Command::Ehlo(domain(rest)?)),
            "HELO" => Ok(Command::Helo(domain(rest)?)),
            "MAIL" => {
                let (sender, params) = path(rest, "FROM:", bad_sender)?;
                Ok(Command::Mail(sender, params))
            }
            "RCPT" => {
                let (recipient, params) = path(rest, "TO:", bad_recipient)?;
                if recipient.is_null() { Err(bad_recipient()) } else { Ok(Command::Rcpt(recipient, params)) }
            }
            "DATA" => alone(Command::Data),
            "RSET" => alone(Command::Rset),
            "QUIT" => alone(Command::Quit),
            "NOOP" => Ok(Command::Noop),
            "STARTTLS" => alone(Command::StartTls),
            "VRFY" => Ok(Command::Vrfy),
            "XCLIENT" => Ok(Command::Xclient(rest)),
            "AUTH" => {
                let mut words = rest.split(' ').filter(|word| !word.is_empty());
                let command = Command::Auth(words.next().unwrap_or_default(), words.next());
                if words.next().is_none() { Ok(command) } else { Err(Reply::syntax()) }
            }
            _ => Err(Reply::new(502, "5.5.1 no such command here")),
        }
    }
}

pub(crate) fn bad_sender() -> Reply {
    Reply::new(501, "5.1.7 this is no address to send from")
}

pub(crate) fn bad_recipient() -> Reply {
    Reply::new(501, "5.1.3 this is no address to send to")
}

/// The name of a client: whatever looks like a name (an international one in its ASCII form, RFC 6531 section 3.7.1)
/// or an address literal. It goes into headers, so nothing that has a meaning there.
fn domain(text: &str) -> Result<&str, Reply> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._[]:+".contains(c);
    let text = text.trim_start_matches(' ');
    if (1..=255).contains(&text.len()) && text.chars().all(good) { Ok(text) } else { Err(Reply::syntax()) }
}

/// `FROM:<local@domain> PARAMS`; the angle brackets may be missing, a source route is skipped (RFC 5321 appendix C).
fn path<'a>(rest: &'a str, keyword: &str, bad: fn() -> Reply) -> Result<(EnvelopeAddress, Params<'a>), Reply> {
    let rest = rest.trim_start_matches(' ');
    let (word, behind) = rest.split_at_checked(keyword.len()).ok_or_else(Reply::syntax)?;
    if !word.eq_ignore_ascii_case(keyword) {
        return Err(Reply::syntax());
    }
    let behind = behind.trim_start_matches(' ');
    let (text, params) = match behind.strip_prefix('<') {
        Some(inner) => {
            let end = closing_bracket(inner).ok_or_else(bad)?;
            (without_route(&inner[..end]), &inner[end + 1..])
        }
        None => behind.split_at(behind.find(' ').unwrap_or(behind.len())),
    };
    let null = text.is_empty() && behind.starts_with("<>");
    let address: EnvelopeAddress = text.parse().map_err(|_| bad())?;
    if (address.is_null() && !null) || !(params.is_empty() || params.starts_with(' ')) {
        return Err(bad());
    }
    let params = params.split(' ').filter(|word| !word.is_empty());
    Ok((address, Params(params.map(|word| word.split_once('=').map_or((word, None), |(k, v)| (k, Some(v)))).collect())))
}

/// Where the `>` stands that is not inside quotes.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn without_route(path: &str) -> &str {
    match path.split_once(':') {
        Some((route, mailbox)) if route.starts_with('@') => mailbox,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(line: &str) -> Result<(String, usize), u16> {
        match Command::parse(line) {
            Ok(Command::Mail(sender, params)) => Ok((sender.to_string(), params.0.len())),
            Ok(other) => panic!("{other:?}"),
            Err(reply) => Err(reply.code),
        }
    }

    #[test]
    fn addresses_are_found_in_all_their_forms() {
        for (line, sender, params) in [
            ("MAIL FROM:<a@example.com>", "a@example.com", 0),
            ("mail from: <a@example.com>  SIZE=5 BODY=8BITMIME ", "a@example.com", 2),
            ("MAIL FROM:a@example.com SIZE=5", "a@example.com", 1),
            ("MAIL FROM:<>", "", 0),
            ("MAIL FROM:<> SMTPUTF8", "", 1),
            ("MAIL FROM:<\"a> b\"@example.com>", "\"a> b\"@example.com", 0),
            ("MAIL FROM:<\"a\\\">\"@example.com> X", "\"a\\\">\"@example.com", 1),
            ("MAIL FROM:<@relay.example,@b.example:a@example.com>", "a@example.com", 0),
            ("MAIL FROM:<josé@example.com>", "josé@example.com", 0),
        ] {
            assert_eq!(mail(line), Ok((sender.to_owned(), params)), "{line}");
        }
    }

    #[test]
    fn odd_lines_get_their_reply() {
        for (line, code) in [
            ("MAIL FROM:<bad", 501),
            ("MAIL FROM:", 501),
            ("MAIL FROM:<a@example.com>SIZE=5", 501),
            ("MAIL FROM:<@relay.example:>", 501),
            ("MAIL FROM:<a@example.com>\nRCPT TO:<b@example.com>", 501),
            ("MAIL", 501),
            ("MAIL TO:<a@example.com>", 501),
            ("MAIL FRÖM:<a@example.com>", 501),
            ("EHLO", 501),
            ("EHLO a b", 501),
            ("EHLO (x)", 501),
            ("EHLO bücher.example", 501),
            ("HELO evil;id", 501),
            ("DATA now", 501),
            ("QUIT 1", 501),
            ("RCPT TO:<>", 501),
            ("FOO", 502),
            ("", 502),
            ("HELP", 502),
            ("STARTTLS now", 501),
            ("AUTH PLAIN a b", 501),
            ("BDAT 5 LAST", 502),
            ("É", 502),
        ] {
            assert_eq!(Command::parse(line).unwrap_err().code, code, "{line:?}");
        }
        assert_eq!(Command::parse("noop whatever"), Ok(Command::Noop));
        assert_eq!(Command::parse("QUIT "), Ok(Command::Quit));
        assert_eq!(Command::parse("EHLO [IPv6:::1]"), Ok(Command::Ehlo("[IPv6:::1]")));
    }
}
