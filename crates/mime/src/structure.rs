//! What people see of a message: a text, a page, attachments.

use crate::headers;
use crate::ids::ids;
use crate::params::Params;
use crate::part::{Part, Path};

/// The flat view of a tree. Every part that is no multipart is in one place of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Structure {
    /// The first text/plain that is no attachment.
    pub text: Option<Path>,
    /// The first text/html that is no attachment.
    pub html: Option<Path>,
    /// The first text/x-amp-html that is no attachment.
    pub amp_html: Option<Path>,
    /// All others.
    pub attachments: Vec<Found>,
}

/// An attachment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Where it is.
    pub path: Path,
    /// The name that it is to be saved under: of Content-Disposition, otherwise of Content-Type.
    pub file_name: Option<String>,
    /// Whether it is to be shown within the text.
    pub inline: bool,
    /// Without brackets.
    pub content_id: Option<String>,
    /// The type in lower case, without parameters.
    pub content_type: String,
}

impl Part {
    /// The flat view of this part and what is below it, in order. A part whose type says nothing that can be read is an
    /// attachment.
    pub fn structure(&self) -> Structure {
        let mut structure = Structure::default();
        self.walk(&mut Vec::new(), &mut structure);
        structure
    }

    fn walk(&self, path: &mut Path, structure: &mut Structure) {
        if self.children().len() > 0 {
            for (at, child) in self.children().enumerate() {
                path.push(at);
                child.walk(path, structure);
                path.pop();
            }
            return;
        }
        let (kind, disposition) = (self.kind(), self.disposition());
        let is_attachment = disposition.as_ref().is_some_and(|disposition| disposition.value == "attachment");
        let place = match kind.as_str() {
            "text/plain" => Some(&mut structure.text),
            "text/html" => Some(&mut structure.html),
            "text/x-amp-html" => Some(&mut structure.amp_html),
            _ => None,
        };
        match place.filter(|place| place.is_none() && !is_attachment) {
            Some(place) => *place = Some(path.clone()),
            None => structure.attachments.push(self.found(path.clone(), kind, disposition)),
        }
    }

    fn found(&self, path: Path, content_type: String, disposition: Option<Params>) -> Found {
        let named = |params: &Params, parameter: &str| params.get(parameter).map(str::to_owned);
        let name = disposition.as_ref().and_then(|disposition| named(disposition, "filename"));
        let other = || self.content_type().ok().and_then(|kind| named(&kind, "name"));
        let id = headers::first(self.headers(), "Content-ID");
        Found {
            path,
            file_name: name.or_else(other),
            inline: disposition.is_some_and(|disposition| disposition.value == "inline"),
            content_id: id.and_then(|id| ids("Content-ID", id.raw()).ok()).and_then(|ids| ids.into_iter().next()),
            content_type,
        }
    }
}
