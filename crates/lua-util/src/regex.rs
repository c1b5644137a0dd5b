//! `kumo.regex`: regular expressions with look-around and back references.
//!
//! A pattern that backtracks without end is stopped by the engine's own limit and raises an error.

use fancy_regex::Regex;
use mlua::{Lua, Table, UserData, UserDataMethods};

use crate::error::raise;

/// Adds `kumo.regex`.
pub fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let module = lua.create_table()?;
    let compile = |_: &Lua, pattern: String| Regex::new(&pattern).map(RegexObject).map_err(failed);
    let escape = |_: &Lua, text: String| Ok(fancy_regex::escape(&text).into_owned());
    module.raw_set("compile", lua.create_function(compile)?)?;
    module.raw_set("escape", lua.create_function(escape)?)?;
    kumo.raw_set("regex", module)
}

struct RegexObject(Regex);

impl UserData for RegexObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("captures", |lua, this, text: String| this.captures(lua, &text));
        methods.add_method("is_match", |_, this, text: String| this.0.is_match(&text).map_err(failed));
        methods.add_method("find", |_, this, text: String| {
            let found = this.0.find(&text).map_err(failed)?;
            Ok(found.map(|found| found.as_str().to_owned()))
        });
        methods.add_method("find_all", |lua, this, text: String| {
            let found = this.0.find_iter(&text).map(|found| found.map(|found| found.as_str()));
            lua.create_sequence_from(found.collect::<Result<Vec<_>, _>>().map_err(failed)?)
        });
        methods.add_method("replace", |_, this, (text, with): (String, String)| this.replace(&text, 1, &with));
        methods.add_method("replace_all", |_, this, (text, with): (String, String)| this.replace(&text, 0, &with));
        methods.add_method("replacen", |_, this, (text, limit, with): (String, usize, String)| {
            this.replace(&text, limit, &with)
        });
        methods.add_method("split", |lua, this, text: String| {
            let parts = this.0.split(&text).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            lua.create_sequence_from(parts)
        });
    }
}

impl RegexObject {
    /// The groups by number, 0 being the whole match, and by name. `None` when nothing matches.
    fn captures(&self, lua: &Lua, text: &str) -> mlua::Result<Option<Table>> {
        let Some(captures) = self.0.captures(text).map_err(failed)? else { return Ok(None) };
        let table = lua.create_table()?;
        for (number, name) in self.0.capture_names().enumerate() {
            let Some(group) = captures.get(number) else { continue };
            table.raw_set(number, group.as_str())?;
            if let Some(name) = name {
                table.raw_set(name, group.as_str())?;
            }
        }
        Ok(Some(table))
    }

    /// At most `limit` replacements; 0 means all.
    fn replace(&self, text: &str, limit: usize, with: &str) -> mlua::Result<String> {
        self.0.try_replacen(text, limit, with).map(|text| text.into_owned()).map_err(failed)
    }
}

fn failed(error: fancy_regex::Error) -> mlua::Error {
    raise(error.to_string())
}

#[cfg(test)]
mod tests {
    use crate::testing::ask;

    #[test]
    fn captures_are_found_by_number_and_name() {
        let code = r#"
            local re = kumo.regex.compile "(?<code>[245]\\d\\d)[ -]([245]\\.\\d+\\.\\d+)(!)?"
            local c = re:captures "peer said 550 5.1.1 unknown"
            return table.concat({ c[0], c[1], c[2], c.code, tostring(c[3]), tostring(re:captures 'none') }, ' | ')"#;
        assert_eq!(ask(code), "550 5.1.1 | 550 | 5.1.1 | 550 | nil | nil");
    }

    #[test]
    fn finding_and_splitting() {
        assert_eq!(ask("return kumo.regex.compile('o+'):find 'fooood'"), "oooo");
        assert_eq!(ask("return kumo.regex.compile('o+'):find 'x'"), "nil");
        assert_eq!(ask("return kumo.regex.compile('a(?!b)'):is_match 'ab ac'"), "true");
        assert_eq!(ask("return kumo.json_encode(kumo.regex.compile('\\\\d+'):find_all 'a1b22')"), r#"["1","22"]"#);
        assert_eq!(
            ask("return kumo.json_encode(kumo.regex.compile('[ \\\\t]+'):split 'a b \\t c')"),
            r#"["a","b","c"]"#
        );
    }

    #[test]
    fn replacing_expands_groups() {
        assert_eq!(ask("return kumo.regex.compile('[^0-9]+'):replace('+49 89/12', '')"), "49 89/12");
        let re = "kumo.regex.compile('(?P<local>[^@]+)@(?P<domain>\\\\S+)')";
        assert_eq!(ask(&format!("return {re}:replace('ada@a.example', '$domain!$local')")), "a.example!ada");
        assert_eq!(ask("return kumo.regex.compile('a'):replacen('aaa', 2, 'b')"), "bba");
        assert_eq!(ask("return kumo.regex.compile('a'):replacen('aaa', 0, 'b')"), "bbb");
        assert_eq!(ask("return kumo.regex.compile('a'):replace_all('aaa', 'b')"), "bbb");
    }

    #[test]
    fn a_bad_pattern_and_endless_backtracking_are_errors() {
        assert!(ask("return kumo.regex.compile '('").starts_with("!! "));
        let code = "return kumo.regex.compile('(?:(?:a|a)+)+(?=b)c'):is_match(('a'):rep(60))";
        assert!(ask(code).starts_with("!! "), "{}", ask(code));
        assert_eq!(ask("return kumo.regex.escape 'a.b'"), "a\\.b");
    }
}
