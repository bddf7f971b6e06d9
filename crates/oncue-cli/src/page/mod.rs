//! The page about a server, as one HTML text: the template index.html, in which each `{{name}}` stands for the file of that name. The
//! client is that of clients/js. Nothing is built, and nothing is loaded from elsewhere. And the endpoint that serves it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoxide::hashing::sha256;
use oncue::{Endpoint, Page, Web, XPub};
use oncue_observe::topic;

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
struct Html {
    text: String,
    /// The value of `Content-Security-Policy`: this script and this style, and connections to where the page came from.
    policy: String,
}

/// Adds to the settings of an endpoint the page of a server that publishes about itself under `prefix`: `/` is the page, `/routes` the
/// routes. Without a prefix `/` says what is missing.
pub(crate) fn web(web: Web, prefix: Option<&str>) -> Web {
    let page = prefix.map(html);
    with_routes(web, prefix).trusted(true).pages(move |request| {
        // The text is there: an I/O thread copies it. Other paths get 404.
        if request.path() == "/" {
            request.answer(answer(page.as_ref()));
        }
    })
}

/// Lets `GET /routes` be the routes.
pub(crate) fn with_routes(web: Web, prefix: Option<&str>) -> Web {
    match prefix {
        Some(prefix) => web.alias("/routes", format!("{prefix}{}", topic::ROUTES), "application/json"),
        None => web,
    }
}

/// Binds an endpoint. Returns its URL for a browser, without a path.
pub(crate) fn open(socket: &XPub, endpoint: &str, web: Web) -> oncue::Result<String> {
    Ok(match socket.bind_web(endpoint, web)? {
        Endpoint::Ws { secure, host, port, .. } => {
            let scheme = if secure { "https" } else { "http" };
            format!("{scheme}://{host}:{port}")
        }
        other => other.to_string(),
    })
}

fn answer(page: Option<&Html>) -> Page {
    let page = match page {
        Some(Html { text, policy }) => Page::new("text/html; charset=utf-8", text.clone())
            .field("Content-Security-Policy", policy)
            .field("Referrer-Policy", "no-referrer"),
        None => {
            Page::text(404, "the page needs the topics about the server: its config has observe = \"off\"")
        }
    };
    page.field("Cache-Control", "no-store")
}

/// The page of a server that publishes about itself under `prefix`. It connects to the URL from which it came, by `ws` in place of
/// `http`, with the same query.
fn html(prefix: &str) -> Html {
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
