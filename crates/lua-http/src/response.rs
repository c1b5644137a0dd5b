//! The response object: its status stays readable, its body can be taken once.

use encoding_rs::Encoding;
use mlua::{AnyUserData, UserData, UserDataMethods};
use reqwest::StatusCode;

use crate::answer::Answer;
use crate::headers::HeaderMapWrapper;
use crate::{body, raise};

pub(crate) struct ResponseWrapper {
    // Scripts ask for the status after they have taken the body: it must outlive the response.
    status: StatusCode,
    content_length: Option<u64>,
    answer: Option<Answer>,
    max_size: u64,
}

impl ResponseWrapper {
    pub(crate) fn new(answer: Answer, max_size: u64) -> Self {
        Self { status: answer.status, content_length: answer.content_length, answer: Some(answer), max_size }
    }

    /// The [summary] of an answer. `None` while the body is not here as a whole, or longer than it may be: then it has to
    /// be asked for.
    pub(crate) fn summary(&self, most: usize) -> mlua::Result<Option<String>> {
        let answer = self.answer.as_ref().ok_or_else(broken)?;
        let is_short = |read: &[u8]| read.len() as u64 <= self.max_size;
        let text = answer.at_hand(|read| is_short(read).then(|| summary(self.status, answer.charset, read, most)));
        Ok(text.flatten())
    }

    fn take(object: &AnyUserData) -> mlua::Result<(Answer, u64)> {
        let mut this = object.borrow_mut::<Self>()?;
        let answer = this.answer.take().ok_or_else(broken)?;
        Ok((answer, this.max_size))
    }
}

/// What hooks say of an answer: `200 OK: ` and the beginning of its body, cut where a character ends.
pub(crate) fn summary(status: StatusCode, charset: &'static Encoding, read: &[u8], most: usize) -> String {
    let text = body::decode(read, charset);
    let text = &text[..text.floor_char_boundary(most)];
    // Piece by piece: this is done for each event of a hook.
    [status.as_str(), " ", status.canonical_reason().unwrap_or_default(), ": ", text].concat()
}

fn broken() -> mlua::Error {
    raise("broken response wrapper")
}

impl UserData for ResponseWrapper {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("status_code", |_, this, ()| Ok(this.status.as_u16()));
        methods.add_method("status_reason", |_, this, ()| Ok(this.status.canonical_reason()));
        methods.add_method("status_is_informational", |_, this, ()| Ok(this.status.is_informational()));
        methods.add_method("status_is_success", |_, this, ()| Ok(this.status.is_success()));
        methods.add_method("status_is_redirection", |_, this, ()| Ok(this.status.is_redirection()));
        methods.add_method("status_is_client_error", |_, this, ()| Ok(this.status.is_client_error()));
        methods.add_method("status_is_server_error", |_, this, ()| Ok(this.status.is_server_error()));
        methods.add_method("content_length", |_, this, ()| Ok(this.content_length));
        // Gone with the body, although nothing would stand in the way: scripts may rely on the error.
        methods.add_method("headers", |_, this, ()| {
            let answer = this.answer.as_ref().ok_or_else(broken)?;
            Ok(HeaderMapWrapper(answer.headers()))
        });
        methods.add_method("summary", |_, this, most: usize| this.summary(most));
        methods.add_async_function("text", |_, this: AnyUserData| async move {
            let (answer, limit) = Self::take(&this)?;
            let charset = answer.charset;
            Ok(body::decode(&answer.read(limit).await?, charset).into_owned())
        });
        methods.add_async_function("bytes", |lua, this: AnyUserData| async move {
            let (answer, limit) = Self::take(&this)?;
            lua.create_string(answer.read(limit).await?)
        });
    }
}
