//! Builds a message of parts: bodies, headers, attachments.

use super::request::{Attachment, Mailbox, Parts};
use super::templates::{Field, TemplateError, Templates, Variables};
use super::trace::is_header_name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address;
use mail_builder::headers::date::Date;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::headers::{HeaderType, message_id::MessageId};
use mail_builder::mime::{BodyPart, MimePart};
use mail_parser::{HeaderForm, MessageParser};

/// Headers whose value is a list of addresses: encoded as a whole, a name in another alphabet would take the address
/// with it.
const ADDRESSES: [&str; 6] = ["From", "Sender", "Reply-To", "To", "Cc", "Bcc"];
/// Headers that the structure of the message decides about.
const STRUCTURE: [&str; 2] = ["Content-Type", "Content-Transfer-Encoding"];

/// The parts of a request, compiled.
pub(crate) struct Builder {
    text: Option<Field>,
    amp: Option<Field>,
    html: Option<Field>,
    headers: Vec<(String, Field)>,
    from: Option<(Field, Option<Field>)>,
    reply_to: Option<(Field, Option<Field>)>,
    subject: Option<Field>,
    attachments: Vec<(Attachment, Vec<u8>)>,
}

/// Whom a message is built for.
pub(crate) struct Envelope<'a> {
    pub(crate) email: &'a str,
    pub(crate) name: Option<&'a str>,
    /// Without angle brackets.
    pub(crate) message_id: String,
    /// Unix seconds.
    pub(crate) date: i64,
}

impl Builder {
    /// Compiles everything that is a template.
    ///
    /// # Errors
    /// A sentence about the first part that makes no sense.
    pub(crate) fn compile(parts: Parts, templates: &mut Templates) -> Result<Self, String> {
        if parts.text_body.is_none() && parts.html_body.is_none() {
            return Err("content: at least one of text_body and html_body is needed".to_owned());
        }
        let mut headers = Vec::with_capacity(parts.headers.len());
        for (name, value) in &parts.headers {
            if !is_header_name(name) {
                return Err(format!("content.headers: {name:?} is no header name"));
            }
            if STRUCTURE.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                return Err(format!("content.headers: {name} is made by the content itself"));
            }
            if name.eq_ignore_ascii_case("MIME-Version") {
                continue;
            }
            let label = format!("content.headers['{name}']");
            let field = templates.add(&label, &label, value).map_err(text)?;
            // mail-builder adds those that it does not find in its own spelling.
            let known = ["Message-ID", "Date"].into_iter().find(|known| known.eq_ignore_ascii_case(name));
            headers.push((known.unwrap_or(name).to_owned(), field));
        }
        let mut body = |label: &str, name: &str, source: &Option<String>| match source {
            Some(source) => templates.add(label, name, source).map(Some).map_err(text),
            None => Ok(None),
        };
        let text_body = body("content.text_body", "text_body.txt", &parts.text_body)?;
        let html = body("content.html_body", "html_body.html", &parts.html_body)?;
        let amp = body("content.amp_html_body", "amp_html_body.html", &parts.amp_html_body)?;
        let subject = body("content.subject", "subject", &parts.subject)?;
        let mut mailbox = |label: &str, mailbox: &Option<Mailbox>| match mailbox {
            Some(Mailbox { email, name }) => {
                let address = body(&format!("content.{label}.email"), &format!("{label}.email"), &Some(email.clone()))?;
                let name = body(&format!("content.{label}.name"), &format!("{label}.name"), name)?;
                Ok::<_, String>(address.map(|address| (address, name)))
            }
            None => Ok(None),
        };
        let (from, reply_to) = (mailbox("from", &parts.from)?, mailbox("reply_to", &parts.reply_to)?);
        let attachments = parts.attachments.into_iter().enumerate().map(decode).collect::<Result<_, _>>()?;
        Ok(Builder { text: text_body, amp, html, headers, from, reply_to, subject, attachments })
    }

    /// The message for one recipient.
    ///
    /// # Errors
    /// A sentence about what cannot be rendered or would break a header.
    pub(crate) fn build(&self, to: &Envelope<'_>, templates: &Templates, vars: &Variables) -> Result<Vec<u8>, String> {
        let render = |field: &Field| templates.render(field, vars).map_err(text);
        let line = |name: &str, field: &Field| one_line(name, render(field)?);
        let mut message = MessageBuilder::new();
        for (name, mailbox) in [("From", &self.from), ("Reply-To", &self.reply_to)] {
            if let Some((email, display)) = mailbox {
                let display = display.as_ref().map(|field| line(name, field)).transpose()?;
                message = message.header(name, Address::new_address(display, line(name, email)?));
            }
        }
        if let Some(subject) = &self.subject {
            message = message.header("Subject", Text::new(line("Subject", subject)?));
        }
        for (name, field) in &self.headers {
            message = message.header(name.clone(), header(name, line(name, field)?)?);
        }
        let has = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if !has("To") {
            let name = to.name.map(|name| one_line("To", name.to_owned())).transpose()?;
            message = message.header("To", Address::new_address(name, to.email.to_owned()));
        }
        // mail-builder would look at the wall clock and the host name for these.
        if !has("Date") {
            message = message.header("Date", Date::new(to.date));
        }
        if !has("Message-ID") {
            message = message.header("Message-ID", MessageId::new(to.message_id.clone()));
        }
        message = message.header("MIME-Version", Raw::new("1.0"));
        message.body(self.structure(&render)?).write_to_vec().map_err(|error| error.to_string())
    }

    /// `mixed(alternative(text, amp, related(html, inline files)), files)`, with only the layers that are needed.
    fn structure(&self, render: &dyn Fn(&Field) -> Result<String, String>) -> Result<MimePart<'_>, String> {
        let (inline, attached): (Vec<_>, Vec<_>) =
            self.attachments.iter().partition(|(file, _)| file.content_id.is_some() && self.html.is_some());
        let mut alternatives = Vec::new();
        if let Some(text) = &self.text {
            alternatives.push(MimePart::new("text/plain", render(text)?));
        }
        // Before the HTML: a reader that knows AMP looks there, one that does not takes the last part it knows.
        if let Some(amp) = &self.amp {
            alternatives.push(MimePart::new("text/x-amp-html", render(amp)?));
        }
        if let Some(html) = &self.html {
            let html = MimePart::new("text/html", render(html)?);
            alternatives.push(wrap("multipart/related", html, inline.into_iter().map(file)));
        }
        let body = match <[MimePart<'_>; 1]>::try_from(alternatives) {
            Ok([only]) => only,
            Err(several) => MimePart::new("multipart/alternative", several),
        };
        Ok(wrap("multipart/mixed", body, attached.into_iter().map(file)))
    }
}

fn wrap<'x>(kind: &'static str, first: MimePart<'x>, rest: impl Iterator<Item = MimePart<'x>>) -> MimePart<'x> {
    let mut rest = rest.peekable();
    if rest.peek().is_none() {
        return first;
    }
    MimePart::new(kind, std::iter::once(first).chain(rest).collect::<Vec<_>>())
}

fn file((file, data): &(Attachment, Vec<u8>)) -> MimePart<'_> {
    let part = MimePart::new(file.content_type.as_str(), BodyPart::Binary(data.as_slice().into()));
    match (&file.content_id, &file.file_name) {
        (Some(id), _) => part.inline().cid(id.trim_matches(['<', '>']).to_owned()),
        (None, name) => part.attachment(name.as_deref().unwrap_or("attachment")),
    }
}

fn decode((index, file): (usize, Attachment)) -> Result<(Attachment, Vec<u8>), String> {
    let wrong = |what: &str| format!("content.attachments[{index}].{what}");
    let data = if file.base64 {
        let packed: Vec<u8> = file.data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        STANDARD.decode(packed).map_err(|_| wrong("data: this is not base64"))?
    } else {
        file.data.as_bytes().to_vec()
    };
    let clean = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    if !clean(&file.content_type) || !file.content_type.is_ascii() {
        return Err(wrong("content_type: this is no content type"));
    }
    if !file.content_id.as_deref().is_none_or(clean) {
        return Err(wrong("content_id: this is no content id"));
    }
    Ok((file, data))
}

fn text(error: TemplateError) -> String {
    error.to_string()
}

/// A value with a line break in it would write headers of its own.
fn one_line(name: &str, value: String) -> Result<String, String> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.contains(['\r', '\n', '\0']) {
        return Err(format!("header {name}: its value has a line break in it"));
    }
    Ok(value.to_owned())
}

fn header(name: &str, value: String) -> Result<HeaderType<'static>, String> {
    let known = ADDRESSES.iter().any(|known| known.eq_ignore_ascii_case(name));
    if value.is_ascii() {
        return Ok(Raw::new(value).into());
    }
    if !known {
        return Ok(Text::new(value).into());
    }
    let line = format!("To: {value}\r\n\r\n");
    let parsed = MessageParser::new().header_address("To").parse_headers(line.as_bytes());
    let values = parsed.iter().flat_map(|message| message.header_as("To", HeaderForm::Addresses));
    let addresses: Vec<Address<'static>> = values
        .filter_map(|value| value.into_address())
        .flat_map(|list| list.into_list())
        .filter_map(|one| {
            let name = one.name.map(|name| name.into_owned());
            Some(Address::new_address(name, one.address?.into_owned()))
        })
        .collect();
    if addresses.is_empty() {
        return Err(format!("header {name}: its value is no list of addresses"));
    }
    Ok(Address::new_list(addresses).into())
}
