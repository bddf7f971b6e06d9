//! The page about a server, as one file: its parts are put together, with the JavaScript client.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoxide::hashing::sha2::Sha256;

/// Each `{{name}}` of the first part stands for the part of that name.
const HTML: &str = include_str!("page/index.html");
const PARTS: [(&str, &str); 6] = [
    ("style.css", include_str!("page/style.css")),
    ("oncue.js", include_str!("../../../clients/js/oncue.js")),
    ("model.mjs", include_str!("page/model.mjs")),
    ("worker.mjs", include_str!("page/worker.mjs")),
    ("view.mjs", include_str!("page/view.mjs")),
    ("page.mjs", include_str!("page/page.mjs")),
];

/// The page, and what browsers are to allow it (Content-Security-Policy).
#[derive(Debug, Clone)]
pub(crate) struct WholePage {
    pub(crate) html: String,
    pub(crate) policy: String,
}

impl WholePage {
    /// The page for a server whose topics about itself begin with this.
    pub(crate) fn new(prefix: &str) -> WholePage {
        let mut html = HTML.to_owned();
        for (name, part) in PARTS {
            html = html.replace(&format!("{{{{{name}}}}}"), part);
        }
        let html = html.replace("{{prefix}}", &in_attribute(prefix));
        let policy = policy(&html);
        WholePage { html, policy }
    }
}

/// Text as it stands in an attribute of HTML.
fn in_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}

/// Its own script and style, and connections to where it came from; nothing else.
fn policy(html: &str) -> String {
    let (script, style) =
        (between(html, "<script type=\"module\">", "</script>"), between(html, "<style>", "</style>"));
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; worker-src blob:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(script),
        hash(style)
    )
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let after = text.split_once(start).map_or("", |(_, after)| after);
    after.split_once(end).map_or(after, |(inner, _)| inner)
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::new().update(text.as_bytes()).finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_and_its_policy_names_what_is_in_it() {
        let page = WholePage::new("$\"<x");
        assert!(!page.html.contains("{{") && page.html.contains("data-prefix=\"$&quot;&lt;x\""));
        assert!(page.html.contains("class Subscriber") && !page.html.contains("src=\"http"));
        // Of the empty text.
        assert_eq!(hash(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
        assert_eq!(page.policy.matches("'sha256-").count(), 2);
        assert!(!page.policy.contains(&hash("")), "both were found");
    }
}
