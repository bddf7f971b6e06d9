//! From the text of a pattern to the pattern.

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::automaton::Automaton;
use super::error::{Fault, PatternError, PatternProblem};
use super::expression;
use super::join::{Param, join};
use super::kind::{self, Kind};
use super::pattern::Pattern;

impl Pattern {
    /// Parses a pattern: `{name}` is a parameter, `{{` and `}}` are braces, and all other text is literal. A name is an
    /// ASCII letter or `_`, then letters, digits and `_`.
    ///
    /// `{name:int}`, `{name:word}` and `{name:/expression/}` accept only the values of a [`Kind`]. A regular expression
    /// is written between slashes and ends at the next slash, since no value contains a `/`; braces in it are not escaped.
    /// It matches the whole value, so anchors such as `^`, `$` and `\b` are refused. It is about bytes: `.` is any byte
    /// but a newline; `\w`, `\d`, `\s` and `(?i)` are ASCII; a character beyond ASCII stands for its bytes in UTF-8, in
    /// a class only after `(?u)`. Otherwise the syntax is that of the crate `regex`. Matching takes one step per byte.
    ///
    /// An expression has at most 1000 bytes, and the automaton of all that follows the first literal has at most 1024
    /// states: about one for each byte of a literal, and one for each count of an expression, as in `.{1,64}`.
    ///
    /// # Errors
    /// [`PatternError`] names the byte at which the text is wrong, and the remedy.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse(text).map_err(|(at, problem)| PatternError { pattern: text.to_owned(), at, problem })
    }
}

fn parse(text: &str) -> Result<Pattern, Fault> {
    if text.is_empty() {
        return Err((0, PatternProblem::Empty));
    }
    let mut head = Vec::new();
    let mut params: Vec<Param> = Vec::new();
    // Where each parameter begins.
    let mut opens = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if let Some((literal, end)) = literal_at(text, at)? {
            let into = params.last_mut().map_or(&mut head, |before| &mut before.tail);
            into.extend_from_slice(literal.as_bytes());
            at = end;
            continue;
        }
        let (param, end) = param_at(text, at)?;
        if params.iter().any(|known| known.name == param.name) {
            return Err((at + 1, PatternProblem::Repeated(param.name.into())));
        }
        if params.last().is_some_and(|before| before.tail.is_empty()) {
            return Err((at, PatternProblem::Adjacent));
        }
        params.push(param);
        opens.push(at);
        at = end;
    }
    let automaton = automaton_of(&params).map_err(|(param, problem)| (opens[param], problem))?;
    Ok(Pattern { head: head.into(), params: params.into(), automaton })
}

/// The automaton of what follows the head, or the index of the parameter at fault.
fn automaton_of(params: &[Param]) -> Result<Option<Arc<Automaton>>, (usize, PatternProblem)> {
    if params.is_empty() {
        return Ok(None);
    }
    let automaton = join(params).map_err(|_| (0, PatternProblem::TooLarge))?;
    if automaton.has_words() {
        return Ok(Some(Arc::new(automaton)));
    }
    // The last parameter from which on nothing matches, although the rest after it can match.
    let blamed = (1..params.len()).rev().find(|&i| join(&params[i..]).is_ok_and(|rest| !rest.has_words()));
    Err((blamed.unwrap_or(0), PatternProblem::NoTopic))
}

/// The literal at `at`, as far as it has no brace, or a doubled brace as one; and where the text continues. None if a
/// parameter begins there.
pub(super) fn literal_at(text: &str, at: usize) -> Result<Option<(&str, usize)>, Fault> {
    let rest = &text[at..];
    match rest.as_bytes() {
        [b'{', b'{', ..] | [b'}', b'}', ..] => Ok(Some((&rest[..1], at + 2))),
        [b'{', ..] => Ok(None),
        [b'}', ..] => Err((at, PatternProblem::Unopened)),
        _ => {
            let len = rest.find(['{', '}']).unwrap_or(rest.len());
            Ok(Some((&rest[..len], at + len)))
        }
    }
}

/// The name of the parameter whose `{` is at `open`, and where it ends: at a `:` or a `}`.
pub(super) fn name_at(text: &str, open: usize) -> Result<(&str, usize), Fault> {
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
    Ok((name, start + len))
}

/// The parameter whose `{` is at `open`, without the literal after it, and where the text continues.
fn param_at(text: &str, open: usize) -> Result<(Param, usize), Fault> {
    let (name, after_name) = name_at(text, open)?;
    let (kind, values, end) = match text[after_name..].strip_prefix(':') {
        None => (Kind::Any, kind::any(), after_name + 1),
        Some(_) => kind_at(text, open, after_name + 1)?,
    };
    Ok((Param { name: name.into(), kind, values, tail: Vec::new() }, end))
}

/// The kind whose text begins at `start`, its values, and where the text continues after the `}`.
fn kind_at(text: &str, open: usize, start: usize) -> Result<(Kind, Automaton, usize), Fault> {
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
