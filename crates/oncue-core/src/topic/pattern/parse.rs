//! From the text of a pattern to the pattern, with errors that name the place and the remedy.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

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
                write!(f, "there is no kind of parameter `{kind}`; leave out the `:` and what follows")
            }
            PatternProblem::Repeated(name) => {
                write!(f, "`{name}` names a parameter before this one too; give each a name of its own")
            }
            PatternProblem::Adjacent => {
                f.write_str("nothing separates this parameter from the one before; put text between them")
            }
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
    // The literal being read, and the name of the parameter it follows.
    let mut literal = Vec::new();
    let mut after: Option<Box<str>> = None;
    let mut at = 0;
    while let Some(&byte) = text.as_bytes().get(at) {
        let next = text.as_bytes().get(at + 1);
        match byte {
            b'{' | b'}' if next == Some(&byte) => {
                literal.push(byte);
                at += 2;
            }
            b'{' => {
                let (name, end) = match name_at(text, at) {
                    Ok(name) => name,
                    Err((at, problem)) => return fail(at, problem),
                };
                let known = params.iter().map(|param| &*param.name).chain(after.as_deref());
                if known.into_iter().any(|known| known == name) {
                    return fail(at + 1, PatternProblem::Repeated(name.to_owned()));
                }
                if after.is_some() && literal.is_empty() {
                    return fail(at, PatternProblem::Adjacent);
                }
                close_literal(&mut head, &mut params, after.replace(name.into()), &mut literal);
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
    Ok(Pattern { head: head.unwrap_or_default(), params: params.into() })
}

fn close_literal(
    head: &mut Option<Box<[u8]>>,
    params: &mut Vec<Param>,
    after: Option<Box<str>>,
    literal: &mut Vec<u8>,
) {
    let literal = core::mem::take(literal).into_boxed_slice();
    match after {
        None => *head = Some(literal),
        Some(name) => params.push(Param { name, tail: literal }),
    }
}

/// The name of the parameter whose `{` is at `open`, and where the text goes on after its `}`.
fn name_at(text: &str, open: usize) -> Result<(&str, usize), (usize, PatternProblem)> {
    let start = open + 1;
    let inside = &text[start..];
    let len = inside.find(['{', '}']).filter(|&len| inside.as_bytes().get(len) == Some(&b'}'));
    let Some(len) = len else { return Err((open, PatternProblem::Unclosed)) };
    let (name, kind) = match inside[..len].split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (&inside[..len], None),
    };
    if name.is_empty() {
        return Err((open, PatternProblem::Nameless));
    }
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !word || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err((start, PatternProblem::BadName(name.to_string())));
    }
    match kind {
        Some(kind) => Err((start + name.len() + 1, PatternProblem::UnknownKind(kind.to_string()))),
        None => Ok((name, start + len + 1)),
    }
}
