//! Why a pattern could not be read, or a topic not be made, in words that name the place and the remedy.

use alloc::string::String;
use core::fmt;

use super::automaton::STATES_MAX;
use super::kind::{EXPRESSION_BYTES_MAX, Kind};

/// A pattern that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    pub(super) pattern: String,
    pub(super) at: usize,
    pub(super) problem: PatternProblem,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternProblem {
    /// There is no text.
    Empty,
    /// A `{` that no `}` closes.
    Unclosed,
    /// A `}` that no `{` opened.
    Unopened,
    /// A parameter without a name.
    Nameless,
    /// A name with characters other than ASCII letters, digits and `_`, or one that begins with a digit.
    BadName(String),
    /// A parameter of a kind that does not exist.
    UnknownKind(String),
    /// Two parameters of this name.
    Repeated(String),
    /// A parameter right after another: nothing says where the first one's value ends.
    Adjacent,
    /// A regular expression that no `/` ends.
    UnclosedExpression,
    /// Something between the `/` that ends a regular expression and the `}` of its parameter.
    AfterExpression,
    /// A regular expression that cannot be read, and what is wrong with it.
    BadExpression(String),
    /// A `^`, a `$` or the like in a regular expression.
    Anchor,
    /// A regular expression of more bytes than are allowed.
    ExpressionTooLong,
    /// A regular expression that takes no value, for instance because each would be empty.
    NoValue,
    /// A parameter of which no value can stand before the literal after it.
    NoTopic,
    /// The expression, or the pattern from the first parameter on, needs an automaton of more states than are allowed.
    TooLarge,
}

/// What is wrong, and at which byte.
pub(super) type Fault = (usize, PatternProblem);

impl PatternError {
    /// The text that was to be read.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The place of the error, in bytes from the start of the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong there.
    pub fn problem(&self) -> &PatternProblem {
        &self.problem
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pattern `{}`, at byte {}: {}", self.pattern, self.at, self.problem)
    }
}

impl core::error::Error for PatternError {}

impl fmt::Display for PatternProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PatternProblem::Empty => f.write_str("there is no topic here; write one, such as `clock`"),
            PatternProblem::Unclosed => {
                f.write_str("no `}` closes this `{`; write `{name}` for a parameter, `{{` for a brace")
            }
            PatternProblem::Unopened => {
                f.write_str("no `{` opens this `}`; write `{name}` for a parameter, `}}` for a brace")
            }
            PatternProblem::Nameless => {
                f.write_str("this parameter has no name; write one, as in `{symbol}`")
            }
            PatternProblem::BadName(name) => write!(
                f,
                "`{name}` is no name for a parameter; use letters, digits and `_`, and begin with a letter"
            ),
            PatternProblem::UnknownKind(kind) => {
                write!(
                    f,
                    "there is no kind of parameter `{kind}`; write `int`, `word`, or a regular expression between \
                     slashes, as in `{{name:/[a-z]+/}}`"
                )
            }
            PatternProblem::Repeated(name) => {
                write!(f, "`{name}` names a parameter before this one too; give each a name of its own")
            }
            PatternProblem::Adjacent => {
                f.write_str("nothing separates this parameter from the one before; put text between them")
            }
            PatternProblem::UnclosedExpression => {
                f.write_str("no `/` ends this regular expression; write it as in `{name:/[a-z]+/}`")
            }
            PatternProblem::AfterExpression => f.write_str(
                "the regular expression ended at the `/` before, and here no `}` closes the parameter; leave `/` out \
                 of the expression, since no value has one",
            ),
            PatternProblem::BadExpression(what) => write!(
                f,
                "the regular expression is wrong here: {what}; mend it, or put `\\` before what stands for itself"
            ),
            PatternProblem::Anchor => f.write_str(
                "an expression always takes the whole value and looks at nothing else; leave out `^`, `$`, `\\b` and \
                 their like",
            ),
            PatternProblem::ExpressionTooLong => {
                write!(f, "the expression has more than {EXPRESSION_BYTES_MAX} bytes; shorten it")
            }
            PatternProblem::NoValue => f.write_str(
                "the expression takes no value at all; let it take one or more bytes other than `/`",
            ),
            PatternProblem::NoTopic => f.write_str(
                "no topic has a value of this kind, since the text after the parameter ends each value too early; \
                 change one of them",
            ),
            PatternProblem::TooLarge => write!(
                f,
                "what begins here needs more than {STATES_MAX} states; shorten what it counts, as in `.{{1,64}}`, or \
                 the text between the parameters"
            ),
        }
    }
}

/// Why a topic could not be made of the values given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// No value was given for this parameter.
    Missing(String),
    /// The pattern has no parameter of this name.
    Unknown(String),
    /// The value given for this parameter is empty or holds a `/`.
    BadValue(String),
    /// The value given for this parameter is not of its kind.
    NotOfKind(String, Kind),
    /// The topic would be read back with other values: a value holds the literal that ends it.
    Ambiguous(String),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Missing(name) => write!(f, "no value for the parameter `{name}`; give one"),
            TopicError::Unknown(name) => write!(f, "the pattern has no parameter `{name}`; leave it out"),
            TopicError::BadValue(name) => {
                write!(f, "the value of `{name}` is empty or holds a `/`; give one or more bytes without `/`")
            }
            TopicError::NotOfKind(name, kind) => {
                write!(f, "the value of `{name}` is not of its kind, `{kind}`; give one that is")
            }
            TopicError::Ambiguous(name) => write!(
                f,
                "the topic would be read back with another value of `{name}`; give one without the literal after it"
            ),
        }
    }
}

impl core::error::Error for TopicError {}
