//! Heads of HTTP/1.1: requests and answers read, and written.

use std::fmt::Write;

use crate::options::Page;

/// The longest head of a request or an answer, in bytes. libzmq takes 2 KiB, browsers send cookies.
pub(super) const HEAD_BYTES_MAX: usize = 8 << 10;
/// The most header fields of a head.
const FIELDS_MAX: usize = 64;

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// It has more bytes or fields than are read.
    TooLong,
    /// It is not HTTP/1.1.
    NotHttp,
}

/// The header fields of a head.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(&'a str, &'a [u8])>);

/// The head of a request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// What follows the `?`; empty without one.
    pub(super) query: &'a str,
    pub(super) fields: Fields<'a>,
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) reason: &'a str,
    pub(super) fields: Fields<'a>,
}

impl<'a> Fields<'a> {
    fn of(fields: &[httparse::Header<'a>]) -> Fields<'a> {
        Fields(fields.iter().map(|field| (field.name, field.value)).collect())
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let of_name = self.0.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name));
        of_name.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The value of a field, without spaces around it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.all(name).next().map(str::trim)
    }

    /// Whether there is a field of this name, whatever it has.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The entries of a list, over all fields of the name.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty())
    }

    /// Whether a list has this entry, in any case.
    pub(super) fn has(&self, name: &str, entry: &str) -> bool {
        self.list(name).any(|other| other.eq_ignore_ascii_case(entry))
    }
}

/// Parses the head of a request. Returns it and its length; `None` while it is incomplete.
pub(super) fn request(bytes: &[u8]) -> Result<Option<(Request<'_>, usize)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Request::new(&mut fields);
    let Some(len) = length(bytes, head.parse(bytes))? else { return Ok(None) };
    let (Some(method), Some(target), Some(1)) = (head.method, head.path, head.version) else {
        return Err(Malformed::NotHttp);
    };
    // A proxy's client names the whole URL.
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok(Some((Request { method, path, query, fields: Fields::of(head.headers) }, len)))
}

/// Parses the head of an answer. Returns it and its length; `None` while it is incomplete.
pub(super) fn answer(bytes: &[u8]) -> Result<Option<(Answer<'_>, usize)>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let Some(len) = length(bytes, head.parse(bytes))? else { return Ok(None) };
    let (Some(status), Some(1)) = (head.code, head.version) else { return Err(Malformed::NotHttp) };
    let reason = head.reason.unwrap_or_default();
    Ok(Some((Answer { status, reason, fields: Fields::of(head.headers) }, len)))
}

fn length(
    bytes: &[u8],
    parsed: Result<httparse::Status<usize>, httparse::Error>,
) -> Result<Option<usize>, Malformed> {
    match parsed {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => Ok(Some(len)),
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(Malformed::TooLong),
        Err(_) => Err(Malformed::NotHttp),
    }
}

/// Appends a page as an answer, after which the connection is closed. Pages of `origin` may read it. Without `with_body` only its
/// head is sent (HEAD).
pub(super) fn put_page(out: &mut Vec<u8>, page: &Page, origin: Option<&str>, with_body: bool) {
    let Page { status, content_type, fields, body, .. } = page;
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(*status));
    let more = [
        ("Content-Type", content_type.as_str()),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ];
    let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let allowed =
        origin.into_iter().flat_map(|origin| [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]);
    for (name, value) in more.into_iter().chain(fields).chain(allowed) {
        // What a line break is followed by would be another field.
        let line = |text: &str| text.split(['\r', '\n']).next().unwrap_or_default().to_owned();
        let _ = write!(head, "{}: {}\r\n", line(name), line(value));
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    out.extend_from_slice(head.as_bytes());
    if with_body {
        out.extend_from_slice(body);
    }
}

/// What a status means (RFC 9110, section 15).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// An answer to a request, after which the connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    /// Further header fields, each with its line end.
    pub(super) fields: &'static str,
    /// In plain text: what is wrong, and what to do.
    pub(super) text: String,
}

impl Reply {
    pub(super) fn new(status: u16, reason: &'static str, text: impl Into<String>) -> Reply {
        Reply { status, reason, fields: "", text: text.into() }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Reply { status, reason, fields, text } = self;
        let mut head = String::new();
        let _ = write!(
            head,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: close\r\n{fields}\r\n{text}\n",
            text.len() + 1
        );
        out.extend_from_slice(head.as_bytes());
    }
}
