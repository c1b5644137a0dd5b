/// The same JSON indented by two, its members in their order. What is no JSON comes back as it is: this moves no
/// character but white space, and makes control characters of the second half of Latin-1 visible, which JSON lets
/// stand.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    let mut characters = json.trim().chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = characters.next() {
        if in_text {
            if c.is_control() {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                out.push(c);
            }
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                if let Some(close) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_stand_as_klev_prints_them() {
        assert_eq!(
            indented(r#"{"webhook_id":"ewh_1","active":true,"deliver_resp":"a: {b},\r\n\"","n":[1,{}],"e":[]}"#),
            concat!(
                "{\n  \"webhook_id\": \"ewh_1\",\n  \"active\": true,\n  \"deliver_resp\": \"a: {b},\\r\\n\\\"\",\n",
                "  \"n\": [\n    1,\n    {}\n  ],\n  \"e\": []\n}\n"
            )
        );
    }

    #[test]
    fn it_is_the_same_json_and_drives_no_terminal() {
        let json = r#"{"a":"\\","b":{"c":[true,null,-1.5e3,"x y"]},"d":"\u001b"}"#;
        let shown = indented(json);
        let same: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(same, serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert_eq!(indented(&shown), shown);
        assert_eq!(indented("\"\u{9b}2J\""), "\"\\u009b2J\"\n");
    }
}
