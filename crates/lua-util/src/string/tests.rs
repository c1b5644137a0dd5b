use super::*;
use crate::testing::ask;

#[test]
fn splitting_takes_plain_text_and_limits() {
    let encoded = |call: &str| ask(&format!("return kumo.serde.json_encode(kumo.string.{call})"));
    assert_eq!(encoded("split('a.b..c', '.')"), r#"["a","b","","c"]"#);
    assert_eq!(encoded("rsplit('a b c', ' ')"), r#"["c","b","a"]"#);
    assert_eq!(encoded("splitn('a b c', 2, ' ')"), r#"["a","b c"]"#);
    assert_eq!(encoded("rsplitn('a b c', 2, ' ')"), r#"["c","a b"]"#);
    assert_eq!(encoded("split_whitespace(' a\\tb\\u{2003}c\\n')"), r#"["a","b","c"]"#);
    assert_eq!(encoded("split_ascii_whitespace(' a\\tb ')"), r#"["a","b"]"#);
    assert_eq!(ask("return kumo.string.replace('a.b.c', '.', '-')"), "a-b-c");
    assert_eq!(ask("return kumo.string.replacen('a.b.c', '.', '-', 1)"), "a-b.c");
}

#[test]
fn trimming_and_testing_the_ends() {
    assert_eq!(ask("return '[' .. kumo.string.trim ' a \\n' .. ']'"), "[a]");
    assert_eq!(ask("return '[' .. kumo.string.trim_start ' a ' .. ']'"), "[a ]");
    assert_eq!(ask("return '[' .. kumo.string.trim_end ' a ' .. ']'"), "[ a]");
    assert_eq!(ask("return kumo.string.starts_with('abc', 'ab')"), "true");
    assert_eq!(ask("return kumo.string.ends_with('abc', 'ab')"), "false");
}

#[test]
fn the_public_suffix_list_is_asked_without_regard_to_case() {
    assert_eq!(ask("return kumo.string.psl_domain 'www.Example.com'"), "example.com");
    assert_eq!(ask("return kumo.string.psl_domain 'a.b.example.co.uk'"), "example.co.uk");
    assert_eq!(ask("return kumo.string.psl_domain 'com'"), "nil");
    assert_eq!(ask("return kumo.string.psl_suffix 'a.b.example.co.uk'"), "co.uk");
    assert_eq!(ask("return kumo.string.psl_suffix_is_known 'domain.invalid'"), "false");
    assert_eq!(ask("return kumo.string.psl_domain_is_known 'www.example.com'"), "true");
}

#[test]
fn templates_are_jinja_unless_told_otherwise() {
    assert_eq!(ask("return kumo.string.eval_template('n', 'hi {{ a }}', { a = 'x' })"), "hi x");
    assert_eq!(ask("return kumo.string.eval_template('n.json', '{{ a }}', { a = 'x\"' })"), r#""x\"""#);
    assert_eq!(ask("return kumo.string.eval_template('n.html', '{{ a }}', { a = '<' })"), "&lt;");
    assert_eq!(ask("return kumo.string.eval_template('n', '{{ a | dateformat }}', { a = 86400 })"), "Jan 2 1970");
    assert_eq!(ask("return kumo.string.eval_template('n', '{{ a }}', {}, 'Static')"), "{{ a }}");
    assert_eq!(
        ask("return kumo.string.eval_template('n', '{{ a }}', {}, 'Handlebars')"),
        "!! template dialect Handlebars is not supported yet: use Jinja or Static"
    );
    assert!(ask("return kumo.string.eval_template('n', '{% if %}', {})").contains("(in n:1)"));
}

#[test]
fn wrapping_keeps_to_the_soft_limit_at_blanks_and_to_the_hard_limit_always() {
    assert_eq!(wrap("hello", 75, 900), "hello");
    assert_eq!(wrap("a  b ", 75, 900), "a  b");
    let long = "A".repeat(100);
    assert_eq!(wrap(&long.repeat(2), 75, 100), format!("{long}\r\n\t{long}"));
    let line = ["hello there"; 6].join(" ");
    let rest = ["hello there"; 4].join(" ");
    assert_eq!(wrap(&"hello there ".repeat(10), 75, 100), format!("{line}\r\n\t{rest}"));
    let (forty, twenty) = ("A".repeat(40), "A".repeat(20));
    assert_eq!(wrap(&format!("a {long} b"), 10, 40), format!("a\r\n\t{forty}\r\n\t{forty}\r\n\t{twenty}\r\n\tb"));
    assert_eq!(ask("return #kumo.string.wrap(('x '):rep(100))"), (199 + 2 * 2).to_string());
}

#[test]
fn responses_lose_what_differs_from_message_to_message() {
    for (response, expected) in [
        ("550 5.1.1 does not exist, see https://support.example.com/mail/?p=NoSuchUser", None),
        (
            "mail/?p=NoSuchUser 41be03b00d2f7-b93bf44f0c0si6882731a12.803 - gsmtp",
            Some("mail/?p=NoSuchUser {hash} - gsmtp"),
        ),
        ("250 OK ids=8a5475ccbbc611eda12250ebf67f93bd", Some("250 OK ids={uuid}")),
        ("queued at 2026-08-01T10:00:00Z", Some("queued at {timestamp}")),
        ("blocked [192.0.2.1] and (2001:db8::1).", Some("blocked [{ipaddr}] and ({ipaddr}).")),
        ("<user+x@example.com>: unknown", Some("<{email}>: unknown")),
        ("token=SGVsbG8gd29ybGQhISE=", Some("token={base64}")),
        ("Requested mail action okay, completed", None),
        ("two  blanks\nand lines", None),
    ] {
        assert_eq!(normalize_smtp_response(response), expected.unwrap_or(response));
    }
    assert_eq!(
        ask("return kumo.string.eval_template('n', '{{ a | normalize_smtp_response }}', { a = 'id=12ab34cd56ef' })"),
        "id={hash}"
    );
}
