//! Texts with parameters, such as `--pid={pid}`: the arguments of programs and the paths of files. The values come from
//! strangers; what a text may not become is for its users to say.

use std::fmt;

/// A text in which the values of parameters stand.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Param(String),
}

impl Template {
    /// Reads a text: `{name}` is a parameter, `{{` and `}}` are braces, everything else stands for itself.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        const BRACES: &str = "write {{ and }} for braces";
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(open) = brace.strip_prefix('{') {
                let (name, after) = open
                    .split_once('}')
                    .ok_or_else(|| format!("`{text}` has a `{{` without its `}}`; {BRACES}"))?;
                if !is_name(name) {
                    return Err(format!("`{{{name}}}` in `{text}` is no parameter; {BRACES}"));
                }
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Param(name.to_owned()));
                rest = after;
            } else {
                return Err(format!("`{text}` has a `}}` without its `{{`; {BRACES}"));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    /// The names of the parameters, in the order of the text.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Param(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// Whether a value decides how the text begins.
    pub(crate) fn begins_with_param(&self) -> bool {
        matches!(self.0.first(), Some(Part::Param(_)))
    }

    /// What comes before the first parameter, and whether that is all there is.
    pub(crate) fn head(&self) -> (&str, bool) {
        match self.0.first() {
            Some(Part::Text(text)) => (text, self.0.len() == 1),
            Some(Part::Param(_)) => ("", false),
            None => ("", true),
        }
    }

    /// The text with the values that `value` has for the names.
    pub(crate) fn fill<'v>(&self, value: impl Fn(&str) -> &'v [u8]) -> Vec<u8> {
        let mut filled = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.extend_from_slice(text.as_bytes()),
                Part::Param(name) => filled.extend_from_slice(value(name)),
            }
        }
        filled
    }
}

fn is_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(word)
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Part::Param(name) => write!(f, "{{{name}}}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template(`{self}`)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> String {
        let template = Template::parse(text).expect("a template");
        assert_eq!(template.to_string(), text);
        let value = |name: &str| if name == "a" { &b"1"[..] } else { b"{a}" };
        String::from_utf8(template.fill(value)).expect("the values are text")
    }

    #[test]
    fn values_stand_where_names_stood_and_are_not_read_again() {
        assert_eq!(filled("--x={a}/{b}"), "--x=1/{a}");
        assert_eq!(filled("{a}{a}"), "11");
        assert_eq!(filled("{{a}} {{{a}}}"), "{a} {1}");
        assert_eq!(filled(""), "");
    }

    #[test]
    fn names_and_heads() {
        let template = |text| Template::parse(text).expect("a template");
        assert_eq!(template("x{b}y{a}").names().collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(template("logs/{a}").head(), ("logs/", false));
        assert_eq!(template("{a}x").head(), ("", false));
        assert_eq!(template("plain").head(), ("plain", true));
        assert_eq!(template("").head(), ("", true));
        assert!(template("{a}x").begins_with_param() && !template("x{a}").begins_with_param());
    }

    #[test]
    fn braces_that_mean_nothing_are_refused_with_the_remedy() {
        for bad in ["{", "}", "a}b", "{a", "{}", "{a b}", "{1}", "{a:int}", "{ .x }"] {
            let why = Template::parse(bad).expect_err(bad);
            assert!(why.contains(bad) && why.contains("{{ and }}"), "{why}");
        }
    }
}
