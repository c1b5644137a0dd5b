use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;

/// Where a token may stand that nobody should see in a list of processes.
const VARIABLE: &str = "WAYBILL_TOKEN";

/// A token to show to a daemon: from a file or the environment, never from a command line, which other users of the machine
/// can read. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// That of the file, else that of the environment, if there is one.
    pub(crate) fn given(file: Option<&Path>) -> Result<Option<Self>> {
        let Some(file) = file else {
            return Token::parse(&std::env::var(VARIABLE).unwrap_or_default()).context(VARIABLE);
        };
        let text = std::fs::read_to_string(file).with_context(|| format!("read the token in {}", file.display()))?;
        let token = Token::parse(&text).with_context(|| file.display().to_string())?;
        token.map(Some).with_context(|| format!("{} is empty", file.display()))
    }

    /// White space around it is dropped.
    fn parse(text: &str) -> Result<Option<Self>> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        // A control character would end the header; none of it is shown.
        anyhow::ensure!(text.bytes().all(|byte| byte.is_ascii_graphic()), "there is more in it than one token");
        Ok(Some(Token(text.to_owned())))
    }

    /// The value of the Authorization header.
    pub(crate) fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_a_file_and_is_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "wbt_secret\n").unwrap();
        let token = Token::given(Some(&file)).unwrap().unwrap();
        assert_eq!((token.authorization().as_str(), format!("{token:?}").as_str()), ("Bearer wbt_secret", "Token"));
        for (text, why) in [("", "is empty"), (" \n", "is empty"), ("wbt_secret\nX-Evil: 1", "more in it than one")] {
            std::fs::write(&file, text).unwrap();
            let error = format!("{:#}", Token::given(Some(&file)).unwrap_err());
            assert!(error.contains(why) && error.contains("token") && !error.contains("secret"), "{error}");
        }
        let error = format!("{:#}", Token::given(Some(&dir.path().join("none"))).unwrap_err());
        assert!(error.contains("none"), "{error}");
    }
}
