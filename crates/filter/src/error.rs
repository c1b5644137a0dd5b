/// A condition that is refused, or gave none of true and false.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// It cannot be read.
    #[error("this is no CEL: {0}")]
    Syntax(String),
    /// It could cost too much, or names something that is not there.
    #[error("{0}")]
    Refused(String),
    /// Whatever it is asked about, it is no condition.
    #[error("it gives {0}, not true or false")]
    NotBool(&'static str),
    /// It could not be told for this event, a field that it names is missing, say.
    #[error("it cannot be told: {0}")]
    Failed(String),
    /// The event is too large to be looked at.
    #[error("the event has more than {0} values")]
    TooLarge(usize),
}
