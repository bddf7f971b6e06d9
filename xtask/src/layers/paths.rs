//! Reads just enough of a Rust file to know the paths it mentions. Knows nothing of layers.

use std::path::Path;

/// One file: its place in the crate, and its tokens without comments, strings and test modules.
pub(super) struct Source {
    pub(super) name: String,
    /// The module that the file is, from the crate's root: empty for lib.rs and main.rs.
    pub(super) module: Vec<String>,
    tokens: Vec<String>,
}

impl Source {
    pub(super) fn parse(file: &Path, text: &str) -> Source {
        let mut module: Vec<String> =
            file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        Source { name: file.display().to_string(), module, tokens: without_tests(tokens(text)) }
    }

    /// Each path that starts at the crate's root, by `crate::` or by enough `super::`.
    pub(super) fn crate_paths(&self) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let starts = at == 0 || self.tokens.get(at - 1).is_none_or(|before| before != "::");
            if starts && (token == "crate" || token == "super") {
                let (paths, _) = expand(&self.tokens, at);
                found.extend(paths.into_iter().filter_map(|path| self.rooted(path)));
            }
        }
        found
    }

    /// The paths of `use` declarations that name neither `crate` nor `super`: in a root file, mostly its modules.
    pub(super) fn local_uses(&self) -> Vec<Vec<String>> {
        let starts = self.tokens.iter().enumerate().filter(|(_, token)| *token == "use");
        starts.flat_map(|(at, _)| expand(&self.tokens, at + 1).0).collect()
    }

    /// The names that the file declares after `word`: `mod` or `fn`.
    pub(super) fn declared(&self, word: &str) -> Vec<String> {
        let pairs = self.tokens.windows(2).filter(|pair| pair.first().is_some_and(|first| first == word));
        pairs.filter_map(|pair| pair.get(1).cloned()).collect()
    }

    /// Where the file mentions one of these words as the start of a path or an import.
    pub(super) fn mentions(&self, words: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let starts = at == 0 || self.tokens.get(at - 1).is_none_or(|before| before != "::");
            let path = self.tokens.get(at + 1).is_some_and(|next| next == "::");
            let import = at > 0 && self.tokens.get(at - 1).is_some_and(|before| before == "use");
            if words.contains(&token.as_str()) && starts && (path || import) {
                found.push(format!("{}: {token}", self.name));
            }
        }
        found
    }

    /// The path without its `crate` or `super`s, if it leads out to the root.
    fn rooted(&self, mut path: Vec<String>) -> Option<Vec<String>> {
        if path.first().is_some_and(|first| first == "crate") {
            path.remove(0);
            return Some(path);
        }
        let supers = path.iter().take_while(|part| *part == "super").count();
        let kept = self.module.len().checked_sub(supers)?;
        let mut full = self.module.get(..kept)?.to_vec();
        full.extend(path.into_iter().skip(supers));
        Some(full)
    }
}

/// Reads a path or an import tree from `at`: every path in it, and where it ends.
fn expand(tokens: &[String], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut prefix = Vec::new();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                let (branches, end) = expand_group(tokens, at + 1);
                let joined = branches.into_iter().map(|branch| [prefix.clone(), branch].concat());
                return (joined.collect(), end);
            }
            Some(part) if is_word(part) || part == "*" => prefix.push(part.to_owned()),
            _ => return (vec![prefix], at),
        }
        at += 1;
        if tokens.get(at).is_none_or(|next| next != "::") {
            return (vec![prefix], at);
        }
        at += 1;
    }
}

fn expand_group(tokens: &[String], mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut branches = Vec::new();
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "}" if depth == 0 => return (branches, at + 1),
            "{" => depth += 1,
            "}" => depth -= 1,
            word if is_word(word) && word != "as" => {
                let (more, end) = expand(tokens, at);
                branches.extend(more);
                at = end;
                // A renamed import: the new name is no path.
                if tokens.get(at).is_some_and(|next| next == "as") {
                    at += 2;
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (branches, at)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Cuts a text into words, `::` and single signs; comments, strings and character literals are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = string_length(rest) {
            length
        } else if rest.starts_with("::") {
            found.push("::".to_owned());
            2
        } else if is_word(rest) {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.push(rest[..length].to_owned());
            length
        } else {
            if !first.is_whitespace() {
                found.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of the string or character literal at the start of `text`, if there is one.
fn string_length(text: &str) -> Option<usize> {
    for start in ["r\"", "br\"", "r#\"", "br#\"", "r##\""] {
        if let Some(body) = text.strip_prefix(start) {
            let end = format!("\"{}", "#".repeat(start.matches('#').count()));
            return Some(start.len() + body.find(&end).map_or(body.len(), |at| at + end.len()));
        }
    }
    let body = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - body.len();
    let length = match body.chars().next()? {
        '"' => text_length(body),
        '\'' => character_length(body)?,
        _ => return None,
    };
    Some(prefix + length)
}

fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// A lifetime starts with the same sign as a character literal, but has no second one after one character.
fn character_length(text: &str) -> Option<usize> {
    let mut signs = text.char_indices().skip(1);
    let (_, first) = signs.next()?;
    if first == '\\' {
        signs.next()?;
        return signs.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1);
    }
    signs.next().filter(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

/// Leaves out modules that are compiled for tests only, or for the fuzz targets too: `#[cfg(test)] mod … { … }`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const MARKS: [&[&str]; 2] = [
        &["#", "[", "cfg", "(", "test", ")", "]"],
        &["#", "[", "cfg", "(", "any", "(", "test", ",", "fuzzing", ")", ")", "]"],
    ];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let rest = &tokens[at..];
        let marks = |mark: &&&[&str]| {
            rest.len() > mark.len() && rest.iter().zip(**mark).all(|(token, mark)| token == mark)
        };
        if let Some(mark) = MARKS.iter().find(marks) {
            at += mark.len() + item_length(&rest[mark.len()..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// How many tokens the item at the start takes: up to its closing brace, or its semicolon if it has no body.
fn item_length(tokens: &[String]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" if depth <= 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}
