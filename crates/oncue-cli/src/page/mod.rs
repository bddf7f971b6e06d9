//! The page about a server, as one HTML text: the template index.html, in which each `{{name}}` stands for the file of that name. The
//! client is that of clients/js. Nothing is built, and nothing is loaded from elsewhere.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoxide::hashing::sha256;

/// What the template names, but for the prefix.
const PARTS: [(&str, &str); 6] = [
    ("{{style.css}}", include_str!("style.css")),
    ("{{oncue.js}}", include_str!("../../../../clients/js/oncue.js")),
    ("{{model.mjs}}", include_str!("model.mjs")),
    ("{{worker.mjs}}", include_str!("worker.mjs")),
    ("{{view.mjs}}", include_str!("view.mjs")),
    ("{{page.mjs}}", include_str!("page.mjs")),
];
const STYLE: [&str; 2] = ["<style>", "</style>"];
const SCRIPT: [&str; 2] = ["<script type=\"module\">", "</script>"];

/// A page, and what it may do.
pub(crate) struct Html {
    pub(crate) text: String,
    /// The value of `Content-Security-Policy`: this script and this style, and connections to where the page came from.
    pub(crate) policy: String,
}

/// The page of a server that publishes about itself under `prefix`. It connects to the URL from which it came, by `ws` in place of
/// `http`, with the same query.
pub(crate) fn html(prefix: &str) -> Html {
    let template = include_str!("index.html").replacen("{{prefix}}", &escaped(prefix), 1);
    let text = PARTS.iter().fold(template, |text, (name, part)| text.replacen(name, part, 1));
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; img-src data:; worker-src blob:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(between(&text, SCRIPT)),
        hash(between(&text, STYLE))
    );
    Html { text, policy }
}

/// A text as the value of an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// What is between two tags, which the template has.
fn between<'a>(text: &'a str, [open, close]: [&str; 2]) -> &'a str {
    let (_, rest) = text.split_once(open).unwrap_or_default();
    rest.split_once(close).unwrap_or_default().0
}

/// As a source of a policy (CSP 3).
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(sha256(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_needs_nothing_from_elsewhere() {
        let Html { text, policy } = html("$oncue/");
        assert!(!text.contains("{{"), "a part is missing");
        assert!(text.contains("data-prefix=\"$oncue/\""));
        for (place, outside) in [(text.as_str(), "src="), (PARTS[0].1, "@import"), (PARTS[0].1, "url(")] {
            assert!(!place.contains(outside), "{outside} loads something");
        }
        for (name, part) in PARTS {
            assert!(!part.contains("</script") && !part.contains("</style"), "{name} ends its element");
        }
        assert!(!between(&text, SCRIPT).is_empty() && !between(&text, STYLE).is_empty());
        assert!(!policy.contains("unsafe"));
    }

    #[test]
    fn a_prefix_stays_within_its_attribute() {
        assert!(html("\"><script>&").text.contains("data-prefix=\"&quot;>&lt;script>&amp;\""));
    }

    #[test]
    fn a_hash_is_as_in_the_recommendation() {
        // CSP 3, section 8.4.
        assert_eq!(hash("doSomething();").as_str(), "sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc=");
    }
}
