//! Templates of `webhook-custom`: text with `{{ a.b }}` in it. No code, no filters, no includes, nothing is rendered twice
//! (contract/kong-event-hooks.md section 2; docs/adr/0018 says why this is no template engine).

use crate::path::{Found, follow, steps};
use serde_json::Value;
use std::fmt;

/// A template that was checked. `Debug` shows nothing of its text, in which a token may stand.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({} pieces)", self.pieces.len())
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field { steps: Vec<String>, raw: bool },
}

/// How what `{{ }}` shows is written. `{* *}` writes it as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escape {
    /// As it is: an encoder comes behind.
    None,
    /// As the inside of a JSON string.
    Json,
}

/// A template that is refused, or cannot be rendered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// A tag without its end.
    #[error("the tag at character {0} does not end")]
    Unterminated(usize),
    /// A tag that holds no path.
    #[error("the tag at character {0} holds no path such as a.b.0: letters, digits, _, - and dots, at most 16 steps")]
    Path(usize),
    /// A tag of a template engine.
    #[error("the tag at character {0} would be code or an include; only {{{{ path }}}} and {{* path *}} are known")]
    Code(usize),
    /// More text than a template may have.
    #[error("the template has {0} bytes, at most {LONGEST} are taken")]
    TooLong(usize),
    /// The path leads through something without fields.
    #[error("{path:?} leads through {through:?}, which is {kind} and has no fields")]
    Through {
        /// The whole path.
        path: String,
        /// The part that has no fields.
        through: String,
        /// What it is.
        kind: &'static str,
    },
    /// More would come out than may be sent.
    #[error("the text grows beyond {0} bytes")]
    Output(usize),
}

/// Bytes of a template.
const LONGEST: usize = 64 * 1024;

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is refused; places are counted in characters from 1.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError::TooLong(text.len()));
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, kind)) = next_tag(rest) {
            let at = text[..text.len() - rest.len()].chars().count() + rest[..before].chars().count() + 1;
            let (open, close, raw) = match kind {
                b'{' => ("{{", "}}", false),
                b'*' => ("{*", "*}", true),
                _ => return Err(TemplateError::Code(at)),
            };
            let (text, tag) = rest.split_at(before);
            let tag = &tag[open.len()..];
            let end = tag.find(close).ok_or(TemplateError::Unterminated(at))?;
            let steps = steps(tag[..end].trim()).ok_or(TemplateError::Path(at))?;
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            pieces.push(Piece::Field { steps, raw });
            rest = &tag[end + close.len()..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template { pieces })
    }

    /// A text without tags.
    pub fn literal(text: &str) -> Self {
        Template { pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// The text for these fields, at most `limit` bytes. A missing field is empty.
    ///
    /// # Errors
    /// When a path leads through something without fields, or the text grows too long.
    pub fn render(&self, fields: &Value, escape: Escape, limit: usize) -> Result<String, TemplateError> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field { steps, raw } => {
                    let text = shown(fields, steps)?;
                    match escape {
                        Escape::Json if !raw => out.push_str(&json_inside(&text)),
                        Escape::Json | Escape::None => out.push_str(&text),
                    }
                }
            }
            if out.len() > limit {
                return Err(TemplateError::Output(limit));
            }
        }
        Ok(out)
    }
}

/// Where the next tag begins, and its second character. `{%`, `{(` , `{[`, `{#` begin code in the engines that templates
/// may come from; `{-` and the like are text.
fn next_tag(text: &str) -> Option<(usize, u8)> {
    let pairs = text.as_bytes().windows(2).enumerate();
    pairs.filter(|(_, pair)| pair[0] == b'{').find_map(|(at, pair)| match pair[1] {
        kind @ (b'{' | b'*' | b'%' | b'(' | b'#') => Some((at, kind)),
        // `{[ include ]}` and not the JSON text `{["`, which is none, nor `{[1`.
        kind @ b'[' if text[at + 2..].starts_with(' ') => Some((at, kind)),
        _ => None,
    })
}

fn shown(fields: &Value, steps: &[String]) -> Result<String, TemplateError> {
    match follow(fields, steps) {
        Found::Missing | Found::Value(Value::Null) => Ok(String::new()),
        Found::Value(Value::String(text)) => Ok(text.clone()),
        Found::Value(value) => Ok(value.to_string()),
        Found::Through(depth) => {
            let through = &steps[..depth];
            let kind = match follow(fields, through) {
                Found::Value(Value::String(_)) => "a string",
                Found::Value(Value::Number(_)) => "a number",
                _ => "a boolean",
            };
            Err(TemplateError::Through { path: steps.join("."), through: through.join("."), kind })
        }
    }
}

/// As it stands between the quotes of a JSON string.
fn json_inside(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str, fields: &Value) -> Result<String, TemplateError> {
        Template::parse(template)?.render(fields, Escape::None, 1000)
    }

    #[test]
    fn a_tag_looks_up_dotted_fields_and_list_items_by_number_with_white_space_as_you_like() {
        let fields = json!({"a": {"b": [{"c": "x"}, 7]}, "n": null, "t": true});
        assert_eq!(render("{{a.b.0.c}}-{{  a.b.1 }}-{{\ta.b\n}}", &fields).unwrap(), r#"x-7-[{"c":"x"},7]"#);
        assert_eq!(render("[{{ t }}{{ n }}]", &fields).unwrap(), "[true]");
    }

    #[test]
    fn a_missing_field_is_empty_and_so_is_what_would_be_below_it() {
        assert_eq!(render("<{{ a }}{{ a.b.c }}{{ l.9 }}{{ l.x }}>", &json!({"l": [1]})).unwrap(), "<>");
    }

    #[test]
    fn going_through_a_scalar_is_an_error_that_names_the_path() {
        let error = render("{{ a.b.c }}", &json!({"a": {"b": "text"}})).unwrap_err();
        assert_eq!(error.to_string(), r#""a.b.c" leads through "a.b", which is a string and has no fields"#);
    }

    #[test]
    fn values_are_escaped_for_json_and_raw_tags_are_not() {
        let template = Template::parse(r#"{"text":"{{ v }}","all":{* o *}}"#).unwrap();
        let fields = json!({"v": "say \"hi\"\r\n\u{1}", "o": {"k": [1]}});
        let text = template.render(&fields, Escape::Json, 1000).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, json!({"text": "say \"hi\"\r\n\u{1}", "all": {"k": [1]}}));
    }

    #[test]
    fn nothing_is_rendered_twice() {
        let fields = json!({"v": "{{ secret }}{* secret *}", "secret": "hunter2"});
        assert_eq!(render("{{ v }}", &fields).unwrap(), "{{ secret }}{* secret *}");
    }

    #[test]
    fn unterminated_tags_code_and_includes_are_refused_with_their_place() {
        assert_eq!(Template::parse("é{{ a"), Err(TemplateError::Unterminated(2)));
        assert_eq!(Template::parse("{{ a }} {* b }}"), Err(TemplateError::Unterminated(9)));
        assert_eq!(Template::parse(r#"{% os.execute("id") %}"#), Err(TemplateError::Code(1)));
        assert_eq!(Template::parse("x{( /etc/passwd )}"), Err(TemplateError::Code(2)));
        assert_eq!(Template::parse("{[ x ]}"), Err(TemplateError::Code(1)));
        assert_eq!(Template::parse("{# x #}"), Err(TemplateError::Code(1)));
        for path in ["", " ", "a..b", ".a", "a b", r#"entity["__index"]"#, "a()", "a | upper", "{ a"] {
            assert_eq!(Template::parse(&format!("{{{{{path}}}}}")), Err(TemplateError::Path(1)), "{path:?}");
        }
        assert!(Template::parse(&format!("{{{{{}}}}}", "a.".repeat(40) + "a")).is_err());
    }

    #[test]
    fn json_braces_are_text() {
        assert_eq!(render(r#"{"a":{"b":[{"c":1}]}}"#, &json!({})).unwrap(), r#"{"a":{"b":[{"c":1}]}}"#);
    }

    #[test]
    fn a_template_and_what_comes_out_of_it_have_an_end() {
        assert_eq!(Template::parse(&"x".repeat(65_537)), Err(TemplateError::TooLong(65_537)));
        let template = Template::parse(&"{{ a }}".repeat(100)).unwrap();
        let error = template.render(&json!({"a": "x".repeat(100)}), Escape::None, 5000).unwrap_err();
        assert_eq!(error, TemplateError::Output(5000));
    }
}
