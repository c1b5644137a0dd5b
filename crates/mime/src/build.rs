//! A message from a text, a page and attachments, arranged as mail readers expect it.

use crate::error::Error;
use crate::make::Attachment;
use crate::part::Part;

/// Collects what a message is made of.
#[derive(Clone, Default, Debug)]
pub struct Builder {
    text: Option<Part>,
    html: Option<Part>,
    inline: Vec<Part>,
    attached: Vec<Part>,
    stable: bool,
}

/// When a message was made, and what it is called.
#[derive(Clone, Debug)]
pub struct Origin {
    /// RFC 5322 section 3.3.
    pub date: String,
    /// Without brackets.
    pub message_id: String,
}

impl Builder {
    /// The text; a second one takes its place.
    ///
    /// # Errors
    /// As [`Part::text`].
    pub fn text_plain(&mut self, text: &str) -> Result<(), Error> {
        self.text = Some(Part::text("text/plain", text)?);
        Ok(())
    }

    /// The page; a second one takes its place.
    ///
    /// # Errors
    /// As [`Part::text`].
    pub fn text_html(&mut self, html: &str) -> Result<(), Error> {
        self.html = Some(Part::text("text/html", html)?);
        Ok(())
    }

    /// One more attachment. One that is inline and has an id belongs to the page.
    ///
    /// # Errors
    /// As [`Part::binary`].
    pub fn attach(&mut self, kind: &str, bytes: &[u8], how: Option<&Attachment>) -> Result<(), Error> {
        let attached = Attachment::default();
        let part = Part::binary(kind, bytes, Some(how.unwrap_or(&attached)))?;
        self.attach_part(part);
        Ok(())
    }

    /// One more attachment, as it is.
    pub fn attach_part(&mut self, part: Part) {
        let inline = part.disposition().is_some_and(|disposition| disposition.value == "inline");
        let named = crate::headers::first(part.headers(), "Content-ID").is_some();
        if inline && named { &mut self.inline } else { &mut self.attached }.push(part);
    }

    /// Whether boundaries and what is added is the same each time: for tests of scripts.
    pub fn set_stable_content(&mut self, stable: bool) {
        self.stable = stable;
    }

    /// Whether it is.
    pub fn is_stable(&self) -> bool {
        self.stable
    }

    /// `mixed(alternative(text, related(html, inline)), attachments)`, with only the layers that are needed, and
    /// MIME-Version, Date and Message-ID. Without text and page the first layer is an empty text.
    ///
    /// # Errors
    /// When there is too much in it.
    pub fn build(self, origin: &Origin) -> Result<Part, Error> {
        let Builder { text, html, inline, attached, stable } = self;
        let layer = |name: &str, mut parts: Vec<Part>| {
            if parts.len() == 1
                && let Some(only) = parts.pop()
            {
                return Ok(only);
            }
            let boundary = stable.then(|| format!("{name}-boundary"));
            Part::multipart(&format!("multipart/{name}"), parts, boundary.as_deref())
        };
        // Without a page nothing shows what belongs to it.
        let (related, attached) = match html.is_some() {
            true => (inline, attached),
            false => (Vec::new(), inline.into_iter().chain(attached).collect()),
        };
        let page = match html {
            Some(html) => Some(layer("related", std::iter::once(html).chain(related).collect())?),
            None => None,
        };
        let mut seen: Vec<Part> = text.into_iter().chain(page).collect();
        if seen.is_empty() {
            seen.push(Part::text("text/plain", "")?);
        }
        let seen = layer("alternative", seen)?;
        let mut message = layer("mixed", std::iter::once(seen).chain(attached).collect())?;
        message.set_header("MIME-Version", "1.0");
        message.set_header("Date", &Part::header_text("Date", &origin.date)?);
        message.set_header("Message-ID", &crate::render_ids("Message-ID", std::slice::from_ref(&origin.message_id))?);
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin { date: "Thu, 1 Jan 1970 00:00:00 +0000".into(), message_id: "stable@localhost".into() }
    }

    fn kinds(part: &Part) -> String {
        let kind = part.content_type().unwrap().value;
        let below: Vec<String> = part.children().map(kinds).collect();
        if below.is_empty() { kind } else { format!("{kind}({})", below.join(" ")) }
    }

    fn build(fill: impl FnOnce(&mut Builder)) -> Part {
        let mut builder = Builder::default();
        builder.set_stable_content(true);
        fill(&mut builder);
        let built = builder.build(&origin()).unwrap();
        let bytes = built.to_bytes().unwrap();
        let read = Part::parse(bytes.clone().into()).unwrap();
        assert_eq!((read.to_bytes().unwrap(), kinds(&read)), (bytes, kinds(&built)));
        read
    }

    #[test]
    fn only_the_layers_that_are_needed_are_there() {
        let pixel = Attachment { inline: true, content_id: Some("pixel".into()), ..Attachment::default() };
        assert_eq!(kinds(&build(|_| ())), "text/plain");
        assert_eq!(kinds(&build(|b| b.text_html("<p>").unwrap())), "text/html");
        let both = |b: &mut Builder| {
            b.text_plain("x").unwrap();
            b.text_html("<p>").unwrap();
        };
        assert_eq!(kinds(&build(both)), "multipart/alternative(text/plain text/html)");
        let all = |b: &mut Builder| {
            both(b);
            b.attach("image/gif", b"GIF", Some(&pixel)).unwrap();
            b.attach("application/pdf", b"%PDF", None).unwrap();
        };
        assert_eq!(
            kinds(&build(all)),
            "multipart/mixed(multipart/alternative(text/plain multipart/related(text/html image/gif)) application/pdf)"
        );
        let no_page = |b: &mut Builder| b.attach("image/gif", b"GIF", Some(&pixel)).unwrap();
        assert_eq!(kinds(&build(no_page)), "multipart/mixed(text/plain image/gif)");
    }

    #[test]
    fn stable_content_is_the_same_each_time() {
        let fill = |b: &mut Builder| {
            b.text_plain("Hello").unwrap();
            let how = Attachment { file_name: Some("binary.dat".into()), ..Attachment::default() };
            b.attach("application/octet-stream", b"\xbb\xaa", Some(&how)).unwrap();
        };
        let text = String::from_utf8(build(fill).to_bytes().unwrap()).unwrap();
        assert_eq!(
            text,
            "Content-Type: multipart/mixed; boundary=\"mixed-boundary\"\r\nMIME-Version: 1.0\r\n\
             Date: Thu, 1 Jan 1970 00:00:00 +0000\r\nMessage-ID: <stable@localhost>\r\n\r\n\
             --mixed-boundary\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\n\r\nHello\r\n\
             --mixed-boundary\r\nContent-Type: application/octet-stream; name=\"binary.dat\"\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"binary.dat\"\r\n\r\n\
             u6o=\r\n\r\n--mixed-boundary--\r\n"
        );
    }
}
