//! Values with parameters: Content-Type, Content-Disposition, Content-Transfer-Encoding (RFC 2045 section 5.1, RFC 2231).

use mail_builder::headers::Header as _;
use mail_builder::headers::content_type::ContentType;
use mail_parser::MessageParser;

use crate::error::Error;
use crate::headers::unfolded;

/// Bytes of a header that are taken apart. A file name of 255 characters, coded at its longest, has room.
const LONGEST: usize = 4096;

/// A value and what is said about it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Params {
    /// `text/plain` or `attachment`, in lower case.
    pub value: String,
    /// Names in lower case, values decoded; in the order of the header.
    pub parameters: Vec<(String, String)>,
}

impl Params {
    /// A value without parameters.
    pub fn new(value: impl Into<String>) -> Params {
        Params { value: value.into(), parameters: Vec::new() }
    }

    /// Reads the value of the header `name`.
    ///
    /// # Errors
    /// When there is no such value in it, or it is longer than anybody writes.
    pub fn parse(name: &str, raw: &[u8]) -> Result<Params, Error> {
        if raw.len() > LONGEST {
            return Err(Error::value(format!("{name} is longer than the {LONGEST} bytes that are read of it")));
        }
        let section = [b"X: ", raw.trim_ascii(), b"\r\n\r\n"].concat();
        let parsed = MessageParser::new().header_content_type("X").parse_headers(&section[..]);
        let found = parsed.as_ref().and_then(|message| message.header("X")).and_then(|value| value.as_content_type());
        let Some(found) = found.filter(|found| !found.ctype().is_empty()) else {
            let text = String::from_utf8_lossy(raw.trim_ascii());
            return Err(Error::value(format!("{name}: '{}' is no value such as text/plain", text.escape_debug())));
        };
        let value = match found.subtype() {
            Some(subtype) => format!("{}/{subtype}", found.ctype()),
            None => found.ctype().to_owned(),
        };
        let mut params = Params::new(value.to_ascii_lowercase());
        for parameter in found.attributes().unwrap_or_default() {
            let name = parameter.name.to_ascii_lowercase();
            // The language of a value, which RFC 2231 writes into it, is none of ours.
            let is_language = name.strip_suffix("-language").is_some_and(|of| !of.is_empty());
            if !is_language && params.get(&name).is_none() {
                params.parameters.push((name, parameter.value.to_string()));
            }
        }
        Ok(params)
    }

    /// The same of what a caller gives for a header.
    ///
    /// # Errors
    /// Likewise, and when it would be more than one header.
    pub(crate) fn given(name: &str, text: &str) -> Result<Params, Error> {
        Params::parse(name, unfolded(name, text)?.as_bytes())
    }

    /// The parameter of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// With this parameter and no other of its name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.parameters.push((name.to_owned(), value.into())),
        }
    }

    /// The value as it stands behind the colon of the header `name`, folded; parameters beyond ASCII as RFC 2231 has them.
    ///
    /// # Errors
    /// When the value or a parameter's name is no token, or a parameter has a line end in it.
    pub fn render(&self, name: &str) -> Result<String, Error> {
        if !self.value.split('/').all(is_token) {
            return Err(Error::value(format!(
                "{name}: '{}' is no value such as text/plain",
                self.value.escape_debug()
            )));
        }
        let mut built = ContentType::new(self.value.as_str());
        for (key, value) in &self.parameters {
            if !is_token(key) {
                return Err(Error::value(format!("{name}: '{}' is no name of a parameter", key.escape_debug())));
            }
            if value.contains(['\r', '\n', '\0']) {
                return Err(Error::value(format!("{name}: the parameter {key} has a line end in it")));
            }
            built = built.attribute(key.as_str(), value.as_str());
        }
        let mut out = Vec::new();
        built.write_header(&mut out, name.len() + 2);
        let text = String::from_utf8(out).map_err(|error| Error::value(format!("{name}: {error}")))?;
        Ok(text.trim_end().to_owned())
    }
}

/// RFC 2045 section 5.1.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> Params {
        Params::parse("Content-Type", raw.as_bytes()).unwrap()
    }

    #[test]
    fn values_and_parameters_come_apart_in_every_spelling() {
        let plain = parse(" Text/Plain; Charset=\"UTF-8\"; format=flowed\r\n");
        assert_eq!(
            (plain.value.as_str(), plain.get("charset"), plain.get("format")),
            ("text/plain", Some("UTF-8"), Some("flowed"))
        );
        assert_eq!(
            parse("attachment; filename*=UTF-8'de'Jahresabschlu%C3%9F.pdf").get("filename"),
            Some("Jahresabschluß.pdf")
        );
        assert_eq!(
            parse("attachment; filename*0*=iso-8859-1''caf%E9; filename*1=\".txt\"").get("filename"),
            Some("café.txt")
        );
        assert_eq!(parse("attachment; filename=\"=?utf-8?q?caf=C3=A9?=\"").get("filename"), Some("café"));
        assert_eq!(parse("base64").value, "base64");
        assert!(Params::parse("Content-Type", b" ; charset=x").is_err());
        assert!(Params::parse("Content-Type", b"").is_err());
    }

    #[test]
    fn what_is_written_reads_back() {
        for value in ["plain", "with \"quotes\" and \\", "Jahresabschluß, 2024; final.pdf", &"lang ".repeat(60)] {
            let mut params = Params::new("attachment");
            params.set("filename", value);
            params.set("size", "12");
            let written = params.render("Content-Disposition").unwrap();
            assert!(written.split("\r\n").all(|line| line.len() <= 78) && written.is_ascii(), "{written}");
            let read = parse(&written);
            assert_eq!((read.get("filename"), read.get("size")), (Some(value), Some("12")), "{written}");
        }
    }

    #[test]
    fn what_would_be_another_header_is_refused() {
        let mut params = Params::new("text/plain");
        params.set("charset", "x\r\nBcc: a@b");
        assert!(params.render("Content-Type").is_err());
        for value in ["", "text", "a/b/c", "text/plain\r\nX: y", "te xt/plain", "text/"] {
            let rendered = Params::new(value).render("Content-Type");
            assert_eq!(rendered.is_ok(), matches!(value, "text" | "a/b/c"), "{value}");
        }
        let long = format!("text/plain; a={}", "x".repeat(LONGEST));
        assert!(Params::parse("Content-Type", long.as_bytes()).is_err());
    }
}
