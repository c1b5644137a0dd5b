//! Raising errors whose text reaches the script exactly as written.

/// An error that `tostring` shows as `text` and nothing before it.
///
/// `mlua::Error::runtime` would put "runtime error: " in front, and scripts match on these texts.
pub(crate) fn raise(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(text.into())
}
