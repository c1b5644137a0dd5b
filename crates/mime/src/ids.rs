//! Message ids: what stands between angle brackets in Message-ID, References and Content-ID (RFC 5322 section 3.6.4).

use mail_parser::{HeaderForm, MessageParser};

use crate::error::Error;
use crate::fold::encode;

/// The ids of a header, without their brackets.
///
/// # Errors
/// When there is none, or something that is none.
pub fn ids(name: &str, raw: &[u8]) -> Result<Vec<String>, Error> {
    let section = [b"X: ", raw.trim_ascii(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::new().header_id("X").parse_headers(&section[..]);
    let value = parsed.as_ref().and_then(|m| m.header_as("X", HeaderForm::MessageIds).into_iter().next());
    let found: Vec<String> =
        value.and_then(|v| v.into_text_list()).into_iter().flatten().map(|id| id.into_owned()).collect();
    if found.is_empty() {
        return Err(Error::value(format!("{name} holds no id such as <part@domain>")));
    }
    found.iter().try_for_each(|id| check(name, id))?;
    Ok(found)
}

fn check(name: &str, id: &str) -> Result<(), Error> {
    let wrong = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>');
    if id.is_empty() || id.contains(wrong) {
        return Err(Error::value(format!("{name}: '{}' is no id such as part@domain", id.escape_debug())));
    }
    Ok(())
}

/// The header's value: each in brackets, which it may have already.
///
/// # Errors
/// Likewise.
pub fn render_ids(name: &str, ids: &[String]) -> Result<String, Error> {
    let bare = |id: &String| {
        let id = id.trim_matches(' ');
        id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id).to_owned()
    };
    let ids: Vec<String> = ids.iter().map(bare).collect();
    if ids.is_empty() {
        return Err(Error::value(format!("{name} holds no id such as <part@domain>")));
    }
    ids.iter().try_for_each(|id| check(name, id))?;
    let value = ids.iter().map(|id| format!("<{id}>")).collect::<Vec<_>>().join(" ");
    Ok(if value.is_ascii() { encode(name, &value) } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_between_brackets() {
        assert_eq!(ids("References", b" <a@x>\r\n\t<b@y> \r\n").unwrap(), ["a@x", "b@y"]);
        assert_eq!(ids("Message-ID", b"bare@x").unwrap(), ["bare@x"]);
        for wrong in ["", "<>", "two words", "<a b@x>"] {
            let found = ids("Message-ID", wrong.as_bytes());
            assert!(found.is_err(), "{wrong}: {found:?}");
        }
    }

    #[test]
    fn written_ids_read_back() {
        let many: Vec<String> = (0..50).map(|at| format!("{at}.some-rather-long-id@example.com")).collect();
        let written = render_ids("References", &many).unwrap();
        assert!(written.split("\r\n").all(|line| line.len() <= 76), "{written}");
        assert_eq!(ids("References", written.as_bytes()).unwrap(), many);
        assert_eq!(render_ids("Message-ID", &["<a@x>".to_owned()]).unwrap(), "<a@x>");
        for wrong in ["a\r\nBcc: x", "", "a> <b"] {
            assert!(render_ids("Message-ID", &[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
