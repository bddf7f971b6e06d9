//! From the text of a pattern to the pattern, with errors that name the place and the remedy.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::automaton::{Automaton, STATES_MAX};
use super::expression::{self, EXPRESSION_BYTES_MAX};
use super::join::join;
use super::kind::{self, Kind};
use super::{Param, Pattern};

/// A pattern that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
    at: usize,
    problem: PatternProblem,
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

pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
    let fail = |at, problem| Err(PatternError { pattern: text.to_owned(), at, problem });
    if text.is_empty() {
        return fail(0, PatternProblem::Empty);
    }
    let mut head = None;
    let mut params: Vec<Param> = Vec::new();
    // Where each parameter is.
    let mut opens = Vec::new();
    // The literal being read, and the parameter it follows.
    let mut literal = Vec::new();
    let mut after: Option<Parameter<'_>> = None;
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let next = text.as_bytes().get(at + 1);
        match byte {
            b'{' | b'}' if next == Some(&byte) => {
                literal.push(byte);
                at += 2;
            }
            b'{' => {
                let parameter = match parameter_at(text, at) {
                    Ok(parameter) => parameter,
                    Err((at, problem)) => return fail(at, problem),
                };
                let (name, end) = (parameter.name, parameter.end);
                let known =
                    params.iter().map(|param| &*param.name).chain(after.as_ref().map(|after| after.name));
                if known.into_iter().any(|known| known == name) {
                    return fail(at + 1, PatternProblem::Repeated(name.to_owned()));
                }
                if after.is_some() && literal.is_empty() {
                    return fail(at, PatternProblem::Adjacent);
                }
                close_literal(&mut head, &mut params, after.replace(parameter), &mut literal);
                opens.push(at);
                at = end;
            }
            b'}' => return fail(at, PatternProblem::Unopened),
            byte => {
                literal.push(byte);
                at += 1;
            }
        }
    }
    close_literal(&mut head, &mut params, after, &mut literal);
    let automaton = match automaton_of(&params) {
        Ok(automaton) => automaton,
        Err((param, problem)) => return fail(opens[param], problem),
    };
    Ok(Pattern { head: head.unwrap_or_default(), params: params.into(), automaton })
}

fn close_literal(
    head: &mut Option<Box<[u8]>>,
    params: &mut Vec<Param>,
    after: Option<Parameter<'_>>,
    literal: &mut Vec<u8>,
) {
    let tail = core::mem::take(literal).into_boxed_slice();
    match after {
        None => *head = Some(tail),
        Some(Parameter { name, kind, values, .. }) => {
            params.push(Param { name: name.into(), kind, values, tail });
        }
    }
}

/// The automaton of what follows the head, or the index of the parameter that is to blame.
fn automaton_of(params: &[Param]) -> Result<Option<Arc<Automaton>>, (usize, PatternProblem)> {
    if params.is_empty() {
        return Ok(None);
    }
    let automaton = join(params).map_err(|_| (0, PatternProblem::TooLarge))?;
    if automaton.has_words() {
        return Ok(Some(Arc::new(automaton)));
    }
    // The last from which on there is nothing: something follows it.
    let blamed = (1..params.len()).rev().find(|&i| join(&params[i..]).is_ok_and(|rest| !rest.has_words()));
    Err((blamed.unwrap_or(0), PatternProblem::NoTopic))
}

/// A parameter as it was read, and where the text goes on after its `}`.
struct Parameter<'a> {
    name: &'a str,
    kind: Kind,
    values: Automaton,
    end: usize,
}

/// The parameter whose `{` is at `open`.
fn parameter_at(text: &str, open: usize) -> Result<Parameter<'_>, (usize, PatternProblem)> {
    let start = open + 1;
    let inside = &text[start..];
    let Some(len) = inside.find(['{', '}', ':']).filter(|&len| !inside[len..].starts_with('{')) else {
        return Err((open, PatternProblem::Unclosed));
    };
    let name = &inside[..len];
    if name.is_empty() {
        return Err((open, PatternProblem::Nameless));
    }
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !word || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err((start, PatternProblem::BadName(name.to_string())));
    }
    let after_name = start + len;
    let (kind, values, end) = match text[after_name..].strip_prefix(':') {
        None => (Kind::Any, kind::any(), after_name + 1),
        Some(_) => kind_at(text, open, after_name + 1)?,
    };
    Ok(Parameter { name, kind, values, end })
}

/// The kind whose text begins at `start`, its values, and where the text goes on after the `}`.
fn kind_at(
    text: &str,
    open: usize,
    start: usize,
) -> Result<(Kind, Automaton, usize), (usize, PatternProblem)> {
    let inside = &text[start..];
    if let Some(inside) = inside.strip_prefix('/') {
        let Some(len) = inside.find('/') else { return Err((start, PatternProblem::UnclosedExpression)) };
        let (from, after) = (start + 1, start + 1 + len + 1);
        if !text[after..].starts_with('}') {
            return Err((after, PatternProblem::AfterExpression));
        }
        let values = expression::compile(&inside[..len]).map_err(|(at, problem)| (from + at, problem))?;
        return Ok((Kind::Expression(inside[..len].into()), values, after + 1));
    }
    let Some(len) = inside.find('}') else { return Err((open, PatternProblem::Unclosed)) };
    let (kind, values) = match &inside[..len] {
        "int" => (Kind::Int, kind::int()),
        "word" => (Kind::Word, kind::word()),
        other => return Err((start, PatternProblem::UnknownKind(other.to_string()))),
    };
    Ok((kind, values, start + len + 1))
}
