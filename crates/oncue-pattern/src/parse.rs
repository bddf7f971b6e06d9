//! From the text of a pattern to the pattern.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::automaton::Automaton;
use super::error::{PatternError, PatternProblem};
use super::expression;
use super::join::{Param, join};
use super::kind::{self, Kind};
use super::pattern::Pattern;

impl Pattern {
    /// Reads a pattern: `{name}` is a parameter, `{{` and `}}` are braces, everything else stands for itself.
    /// A name is an ASCII letter or `_`, then letters, digits and `_`.
    ///
    /// `{name:int}`, `{name:word}` and `{name:/expression/}` take the values of a [`Kind`] alone. A regular expression
    /// stands between slashes and ends at the next one, since no value holds a `/`; braces in it need no care. It takes
    /// a value as a whole, so `^` and `$` are refused, as are `\b` and its like. It is about bytes: `.` is any byte
    /// but a newline, `\w`, `\d`, `\s` and `(?i)` are ASCII, and a character beyond ASCII stands for its bytes in
    /// UTF-8, in a class only after `(?u)`. Otherwise the syntax is that of the crate `regex`; matching needs
    /// one step a byte, whatever the expression.
    ///
    /// An expression has at most 1000 bytes, and the automaton of all that follows the first literal at most 1024
    /// states: about one for each byte of a literal, and one for each that an expression counts, as in `.{1,64}`.
    ///
    /// # Errors
    /// [`PatternError`] says at which byte the text is wrong, and how to write it.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<Pattern, PatternError> {
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
