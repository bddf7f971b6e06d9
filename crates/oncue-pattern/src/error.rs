//! Why a pattern could not be parsed, or a topic not be built. The messages name the place and the remedy.

use alloc::string::String;
use core::fmt;

use super::automaton::STATES_MAX;
use super::kind::{EXPRESSION_BYTES_MAX, Kind};

/// A pattern that could not be parsed.
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
    /// The text is empty.
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
    /// A parameter with a kind in a [`Template`](crate::Template).
    KindInTemplate,
    /// Two parameters of this name.
    Repeated(String),
    /// Two parameters without a literal between them: nothing says where the first one's value ends.
    Adjacent,
    /// A regular expression that no `/` ends.
    UnclosedExpression,
    /// Something between the `/` that ends a regular expression and the `}` of its parameter.
    AfterExpression,
    /// A regular expression that cannot be parsed, and what is wrong with it.
    BadExpression(String),
    /// An anchor such as `^`, `$` or `\b` in a regular expression.
    Anchor,
    /// A regular expression that is too long.
    ExpressionTooLong,
    /// A regular expression that matches no value, for instance because it matches only the empty string.
    NoValue,
    /// A parameter whose values all contain the literal that ends them, so that no topic exists.
    NoTopic,
    /// The expression, or the pattern from the first parameter on, needs an automaton with too many states.
    TooLarge,
}

/// What is wrong, and at which byte.
pub(super) type Fault = (usize, PatternProblem);

impl PatternError {
    /// The text of the pattern.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where the fault is, in bytes from the start of the text.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What the fault is.
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
            PatternProblem::Empty => f.write_str("the pattern is empty; write a topic, such as `clock`"),
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
                "`{name}` is not a name for a parameter; use letters, digits and `_`, and begin with a letter"
            ),
            PatternProblem::UnknownKind(kind) => {
                write!(
                    f,
                    "`{kind}` is not a kind of parameter; write `int`, `word`, or a regular expression between \
                     slashes, as in `{{name:/[a-z]+/}}`"
                )
            }
            PatternProblem::KindInTemplate => {
                f.write_str("a template takes whatever the value is; write only the name, as in `{name}`")
            }
            PatternProblem::Repeated(name) => {
                write!(f, "an earlier parameter is named `{name}` too; give each parameter its own name")
            }
            PatternProblem::Adjacent => {
                f.write_str("nothing separates this parameter from the one before; put text between them")
            }
            PatternProblem::UnclosedExpression => {
                f.write_str("no `/` ends this regular expression; write it as in `{name:/[a-z]+/}`")
            }
            PatternProblem::AfterExpression => f.write_str(
                "the regular expression ends at the `/` before this, and `}` must follow it; leave `/` out of the \
                 expression, since no value contains one",
            ),
            PatternProblem::BadExpression(what) => write!(
                f,
                "the regular expression is wrong here: {what}; correct it, or escape the character with `\\`"
            ),
            PatternProblem::Anchor => f.write_str(
                "an expression always matches the whole value; leave out `^`, `$`, `\\b` and other anchors",
            ),
            PatternProblem::ExpressionTooLong => {
                write!(f, "the expression has more than {EXPRESSION_BYTES_MAX} bytes; shorten it")
            }
            PatternProblem::NoValue => f.write_str(
                "the expression matches no value; let it match one or more bytes other than `/`",
            ),
            PatternProblem::NoTopic => f.write_str(
                "no topic can have a value of this kind, since the text after the parameter ends each value too early; \
                 change the kind or that text",
            ),
            PatternProblem::TooLarge => write!(
                f,
                "this needs an automaton of more than {STATES_MAX} states; reduce the counts, as in `.{{1,64}}`, or the text \
                 between the parameters"
            ),
        }
    }
}

/// Why a topic could not be built from the given values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicError {
    /// No value was given for this parameter.
    Missing(String),
    /// The pattern has no parameter of this name.
    Unknown(String),
    /// The value given for this parameter is empty or contains a `/`.
    BadValue(String),
    /// The value given for this parameter is not of its kind.
    NotOfKind(String, Kind),
    /// The topic would be parsed into other values: a value contains the literal that ends it.
    Ambiguous(String),
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicError::Missing(name) => write!(f, "no value for the parameter `{name}`; give one"),
            TopicError::Unknown(name) => write!(f, "the pattern has no parameter `{name}`; leave it out"),
            TopicError::BadValue(name) => {
                write!(
                    f,
                    "the value of `{name}` is empty or contains a `/`; give one or more bytes without `/`"
                )
            }
            TopicError::NotOfKind(name, kind) => {
                write!(f, "the value of `{name}` is not of the kind `{kind}`; give one that is")
            }
            TopicError::Ambiguous(name) => write!(
                f,
                "the topic would be parsed into another value of `{name}`; give a value without the literal that follows it"
            ),
        }
    }
}

impl core::error::Error for TopicError {}
