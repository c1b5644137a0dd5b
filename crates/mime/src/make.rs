//! New parts.

use bytes::Bytes;
use uuid::Uuid;

use crate::body::{code_bytes, code_text};
use crate::error::Error;
use crate::headers;
use crate::ids::render_ids;
use crate::params::Params;
use crate::part::Part;

/// How a part is to be shown.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Attachment {
    /// The name that it is to be saved under.
    pub file_name: Option<String>,
    /// Within the text rather than beside it.
    pub inline: bool,
    /// What the text calls it, without brackets.
    pub content_id: Option<String>,
}

impl Part {
    /// A part of text, in UTF-8.
    ///
    /// # Errors
    /// When the type is none.
    pub fn text(kind: &str, text: &str) -> Result<Part, Error> {
        let mut params = Params::given("Content-Type", kind)?;
        params.set("charset", if text.is_ascii() { "us-ascii" } else { "utf-8" });
        let coded = code_text(text);
        let mut part = Part::leaf(Bytes::new(), coded.body);
        part.set_header("Content-Type", &params.render("Content-Type")?);
        if coded.name != "7bit" {
            part.set_header("Content-Transfer-Encoding", coded.name);
        }
        Ok(part)
    }

    /// A part of bytes, in base64.
    ///
    /// # Errors
    /// When the type, the file name or the id would be no header.
    pub fn binary(kind: &str, bytes: &[u8], how: Option<&Attachment>) -> Result<Part, Error> {
        let mut params = Params::given("Content-Type", kind)?;
        let coded = code_bytes(bytes);
        let mut part = Part::leaf(Bytes::new(), coded.body);
        if let Some(name) = how.and_then(|how| how.file_name.as_deref()) {
            // For readers that look nowhere else.
            params.set("name", name);
        }
        part.set_header("Content-Type", &params.render("Content-Type")?);
        part.set_header("Content-Transfer-Encoding", coded.name);
        if let Some(how) = how {
            let mut disposition = Params::new(if how.inline { "inline" } else { "attachment" });
            if let Some(name) = &how.file_name {
                disposition.set("filename", name.as_str());
            }
            part.set_header("Content-Disposition", &disposition.render("Content-Disposition")?);
            if let Some(id) = &how.content_id {
                part.set_header("Content-ID", &render_ids("Content-ID", std::slice::from_ref(id))?);
            }
        }
        Ok(part)
    }

    /// A multipart of parts; a boundary is made where none is given.
    ///
    /// # Errors
    /// When the type is that of no multipart, the boundary is none (RFC 2046 section 5.1.1), or there is too much in it.
    pub fn multipart(kind: &str, parts: Vec<Part>, boundary: Option<&str>) -> Result<Part, Error> {
        let mut params = Params::given("Content-Type", kind)?;
        if !params.value.starts_with("multipart/") {
            return Err(Error::NotMultipart(params.value));
        }
        let made = boundary.map_or_else(self::boundary, str::to_owned);
        if !is_boundary(&made) {
            return Err(Error::value(format!(
                "'{}' is no boundary: 1 to 70 letters, digits, spaces and '()+_,-./:=?, no space at the end",
                made.escape_debug()
            )));
        }
        params.set("boundary", made);
        let mut multipart = Part::leaf(Bytes::new(), Bytes::new());
        multipart.set_header("Content-Type", &params.render("Content-Type")?);
        parts.into_iter().try_for_each(|part| multipart.append(part))?;
        Ok(multipart)
    }

    /// The value of a header, checked and written as a header of this name has it: text in one line, beyond ASCII as
    /// encoded words.
    ///
    /// # Errors
    /// When the name is none, or the value would be more than one header.
    pub fn header_text(name: &str, value: &str) -> Result<String, Error> {
        Ok(crate::encode(name, headers::unfolded(name, value)?.trim_ascii()))
    }
}

/// RFC 2046 section 5.1.1.
fn is_boundary(boundary: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&boundary.len()) && boundary.bytes().all(known) && !boundary.ends_with(' ')
}

/// One that stands in no part: nobody can guess it.
pub(crate) fn boundary() -> String {
    Uuid::new_v4().simple().to_string()
}
