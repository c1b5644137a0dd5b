use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal $status:literal,)+) => {
        /// klev's error codes: what clients decide by.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $($(#[doc = $doc])* $name,)+ }

        impl Code {
            /// All of them.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// As it stands in an answer.
            pub const fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)+ }
            }

            /// The status of an answer with it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)+ }
            }
        }
    };
}

codes! {
    /// The body is no JSON, or not the JSON that is expected.
    JsonInvalid "json-invalid" 400,
    /// The path takes other methods.
    MethodNotAllowed "method-not-allowed" 405,
    /// There is no such path.
    PathNotFound "path-not-found" 404,
    /// The token is not one of ours.
    AuthenticationFailed "authentication-failed" 401,
    /// The token may not do this.
    AuthorizationFailed "authorization-failed" 403,
    /// A token is needed.
    AuthorizationHeaderMissing "authorization-header-missing" 401,
    /// The header holds no bearer token.
    AuthorizationHeaderInvalid "authorization-header-invalid" 401,
    /// A body without a type.
    ContentTypeMissing "content-type-missing" 415,
    /// A body of another type.
    ContentTypeInvalid "content-type-invalid" 415,
    /// Ours is the fault.
    ServerError "server-error" 500,
    /// No prefix and suffix.
    IdInvalidFormat "id-invalid-format" 400,
    /// Another kind of id.
    IdInvalidPrefix "id-invalid-prefix" 400,
    /// No KSUID.
    IdInvalidSuffix "id-invalid-suffix" 400,
    /// Not 27 characters.
    IdInvalidSuffixLen "id-invalid-suffix-len" 400,
    /// No such log.
    LogNotFound "log-not-found" 404,
    /// There are as many logs as may be.
    LogCountLimited "log-count-limited" 400,
    /// The metadata is too long.
    LogMetadataLimited "log-metadata-limited" 400,
    /// This log does not compact.
    LogCompactNotAllowed "log-compact-not-allowed" 400,
    /// The key is too long.
    MessageKeyLimited "message-key-limited" 400,
    /// The value is too long.
    MessageValueLimited "message-value-limited" 400,
    /// Too much in one publish.
    MessagePublishLimited "message-publish-limited" 400,
    /// Ours: `Idempotency-Key` is there twice, empty, too long or no text.
    MessageIdempotencyKeyInvalid "message-idempotency-key-invalid" 400,
    /// Ours: this `Idempotency-Key` came with another body.
    MessageIdempotencyKeyReused "message-idempotency-key-reused" 422,
    /// Too many asked for.
    MessageConsumeLimited "message-consume-limited" 400,
    /// Too long a wait asked for.
    MessagePollLimited "message-poll-limited" 400,
    /// No message with this key.
    MessageKeyNotFound "message-key-not-found" 404,
    /// Only compacting logs are asked by key.
    MessageNotCompacting "message-not-compacting" 400,
    /// The offset is beyond the end, or below -2.
    MessageOffsetInvalid "message-offset-invalid" 400,
    /// There is no message at this offset any more.
    MessageOffsetNotFound "message-offset-not-found" 404,
    /// The stored offset is of another log.
    MessageOffsetLogMismatch "message-offset-log-mismatch" 400,
    /// `len` is no number above zero.
    MessageLenParameterInvalid "message-len-parameter-invalid" 400,
    /// `offset` is no number.
    MessageOffsetParameterInvalid "message-offset-parameter-invalid" 400,
    /// `offset_id` is no id, or stands beside `offset`.
    MessageOffsetIdParameterInvalid "message-offset-id-parameter-invalid" 400,
    /// `poll` is no number of milliseconds.
    MessagePollParameterInvalid "message-poll-parameter-invalid" 400,
    /// `encoding` is neither string nor base64.
    MessageEncodingParameterInvalid "message-encoding-parameter-invalid" 400,
    /// The encoding of a body is unknown, or the bytes do not fit it.
    MessageEncodingInvalid "message-encoding-invalid" 400,
    /// No such stored offset.
    OffsetNotFound "offset-not-found" 404,
    /// Ours: there are as many stored offsets as may be.
    OffsetCountLimited "offset-count-limited" 400,
    /// The log of a stored offset is missing or unknown.
    OffsetLogIdFieldInvalid "offset-log-id-field-invalid" 400,
    /// No such token.
    TokenNotFound "token-not-found" 404,
    /// More than the asking token may itself.
    TokenAclNotAllowed "token-acl-not-allowed" 403,
    /// No such subject.
    AclSubjectInvalid "acl-subject-invalid" 400,
    /// No such action.
    AclActionInvalid "acl-action-invalid" 400,
    /// No such egress webhook.
    EgressWebhookNotFound "egress-webhook-not-found" 404,
    /// The payload is none of message, key, value.
    EgressWebhookPayloadInvalid "egress-webhook-payload-invalid" 400,
    /// There are as many as may be.
    EgressWebhookCountLimited "egress-webhook-count-limited" 400,
    /// The metadata is too long.
    EgressWebhookMetadataLimited "egress-webhook-metadata-limited" 400,
    /// The log is missing or unknown.
    EgressWebhookLogIdFieldInvalid "egress-webhook-log-id-field-invalid" 400,
    /// The destination is no URL that may be called.
    EgressWebhookPathInvalid "egress-webhook-path-invalid" 400,
    /// No such ingress webhook.
    IngressWebhookNotFound "ingress-webhook-not-found" 404,
    /// The payload is not what the type sends.
    IngressWebhookPayloadInvalid "ingress-webhook-payload-invalid" 400,
    /// There are as many as may be.
    IngressWebhookCountLimited "ingress-webhook-count-limited" 400,
    /// The metadata is too long.
    IngressWebhookMetadataLimited "ingress-webhook-metadata-limited" 400,
    /// The log is missing or unknown.
    IngressWebhookLogIdFieldInvalid "ingress-webhook-log-id-field-invalid" 400,
    /// The path is wrong.
    IngressWebhookPathInvalid "ingress-webhook-path-invalid" 400,
    /// The type is none that we receive.
    IngressWebhookTypeInvalid "ingress-webhook-type-invalid" 400,
    /// Ours: what was sent has come through as many webhooks as may be, and goes in a circle.
    IngressWebhookHopsLimited "ingress-webhook-hops-limited" 400,
    /// No such filter.
    FilterNotFound "filter-not-found" 404,
    /// There are as many as may be.
    FilterCountLimited "filter-count-limited" 400,
    /// The metadata is too long.
    FilterMetadataLimited "filter-metadata-limited" 400,
    /// A log is missing or unknown.
    FilterLogIdFieldInvalid "filter-log-id-field-invalid" 400,
    /// The expression cannot be read.
    FilterCompileFailed "filter-compile-failed" 400,
    /// The expression gives no yes or no.
    FilterTypeNotBool "filter-type-not-bool" 400,
}

/// A refusal: `{"code":"path-not-found","message":"..."}`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// What clients decide by.
    pub code: Code,
    /// What people read: what is wrong, where, and what to do.
    pub message: String,
}

impl Error {
    /// With this message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Error { code, message: message.into() }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Error", 2)?;
        out.serialize_field("code", self.code.text())?;
        out.serialize_field("message", &self.message)?;
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_written_as_their_names_say_and_none_comes_twice() {
        for code in Code::ALL {
            let spelled: String = format!("{code:?}")
                .char_indices()
                .map(|(at, c)| if at > 0 && c.is_uppercase() { format!("-{c}") } else { c.to_string() })
                .collect();
            assert_eq!(code.text(), spelled.to_lowercase());
            assert!((400..=500).contains(&code.status()));
            assert_eq!(Code::ALL.iter().filter(|other| other.text() == code.text()).count(), 1);
        }
    }

    #[test]
    fn an_error_is_json_with_code_and_message() {
        let error = Error::new(Code::PathNotFound, "no such path: /x");
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"code":"path-not-found","message":"no such path: /x"}"#);
    }
}
