//! Texts that are made of the values of a topic.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::{Fault, PatternError, PatternProblem};
use super::parse::{literal_at, name_at};

/// A text with parameters, such as `--pid={pid}`, in which values take the places of names. The syntax is that of patterns
/// without kinds; a parameter may be repeated, and may follow another one directly.
///
/// ```
/// let template = oncue_pattern::Template::parse("--pid={pid} {{}}").unwrap();
/// assert_eq!(template.fill(|name| if name == "pid" { b"12" } else { b"" }), b"--pid=12 {}");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    head: String,
    /// The names of the parameters, each with the literal after it.
    params: Vec<(String, String)>,
}

impl Template {
    /// Parses a template: `{name}` is a parameter, `{{` and `}}` are braces, and all other text is literal.
    ///
    /// # Errors
    /// [`PatternError`] names the byte at which the text is wrong, and the remedy.
    pub fn parse(text: &str) -> Result<Template, PatternError> {
        parse(text).map_err(|(at, problem)| PatternError { pattern: text.to_owned(), at, problem })
    }

    /// The names of the parameters, in the order of the text.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|(name, _)| name.as_str())
    }

    /// The literal before the first parameter; the whole text if there is none.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The text with the values of the parameters. They are inserted as they are, and not parsed again.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> &'v [u8]) -> Vec<u8> {
        let mut filled = self.head.as_bytes().to_vec();
        for (name, tail) in &self.params {
            filled.extend_from_slice(value(name));
            filled.extend_from_slice(tail.as_bytes());
        }
        filled
    }
}

fn parse(text: &str) -> Result<Template, Fault> {
    let mut template = Template { head: String::new(), params: Vec::new() };
    let mut at = 0;
    while at < text.len() {
        if let Some((literal, end)) = literal_at(text, at)? {
            template.params.last_mut().map_or(&mut template.head, |(_, tail)| tail).push_str(literal);
            at = end;
            continue;
        }
        let (name, end) = name_at(text, at)?;
        if !text[end..].starts_with('}') {
            return Err((end, PatternProblem::KindInTemplate));
        }
        template.params.push((name.to_owned(), String::new()));
        at = end + 1;
    }
    Ok(template)
}

impl fmt::Display for Template {
    /// The template as [`Template::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.head))?;
        self.params.iter().try_for_each(|(name, tail)| write!(f, "{{{name}}}{}", escaped(tail)))
    }
}

fn escaped(literal: &str) -> String {
    literal.replace('{', "{{").replace('}', "}}")
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template(`{self}`)")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(text).expect("a template");
        assert_eq!(template.to_string(), text);
        let value = |name: &str| if name == "a" { &b"1"[..] } else { b"{a}" };
        String::from_utf8(template.fill(value)).expect("the values are text")
    }

    #[test]
    fn values_take_the_places_of_names_and_are_not_parsed_again() {
        assert_eq!(filled("--x={a}/{b}"), "--x=1/{a}");
        assert_eq!(filled("{a}{a}"), "11");
        assert_eq!(filled("{{a}} {{{a}}}"), "{a} {1}");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn names_and_heads() {
        let template = |text| Template::parse(text).expect("a template");
        assert_eq!(template("x{b}y{a}").names().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(template("logs/{a}").head(), "logs/");
        assert_eq!(template("{a}x").head(), "");
        assert_eq!(template("plain").head(), "plain");
        assert_eq!(template("").head(), "");
    }

    #[test]
    fn wrong_braces_are_refused_with_the_place_and_the_remedy() {
        let cases = [
            ("{", 0, "`{{`"),
            ("}", 0, "`}}`"),
            ("a}b", 1, "`}}`"),
            ("{a", 0, "`{{`"),
            ("{}", 0, "write one"),
            ("{a b}", 1, "letters"),
            ("{1}", 1, "letters"),
            ("{a:int}", 2, "only the name"),
            ("{ .x }", 1, "letters"),
        ];
        for (bad, at, remedy) in cases {
            let error = Template::parse(bad).expect_err(bad);
            assert!(error.at() == at && error.to_string().contains(remedy), "{error}");
        }
    }
}
