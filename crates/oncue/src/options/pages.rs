//! Pages: what a listener for WebSocket answers to other requests.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// A page: the answer to a request of HTTP.
///
/// ```
/// use oncue::Page;
/// let page = Page::new("text/plain; charset=utf-8", "ok\n");
/// assert_eq!((page.status, &page.body[..]), (200, &b"ok\n"[..]));
/// let busy = Page::text(503, "starting");
/// assert_eq!(busy.content_type, "text/plain; charset=utf-8");
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The status: 200, or what RFC 9110 has for what is wrong.
    pub status: u16,
    /// The type of the body.
    pub content_type: String,
    /// Further header fields, by name and value. A line break in one ends it.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Page {
    /// A page with the status 200.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Page {
        Page { status: 200, content_type: content_type.into(), fields: Vec::new(), body: body.into() }
    }

    /// A line of text with this status.
    pub fn text(status: u16, line: impl fmt::Display) -> Page {
        Page { status, ..Page::new("text/plain; charset=utf-8", format!("{line}\n")) }
    }

    /// Adds a header field.
    pub fn field(mut self, name: impl Into<String>, value: impl Into<String>) -> Page {
        self.fields.push((name.into(), value.into()));
        self
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Page { status, content_type, fields, body } = self;
        let mut f = f.debug_struct("Page");
        f.field("status", status).field("content_type", content_type).field("fields", fields);
        f.field("body", &format_args!("{} bytes", body.len())).finish()
    }
}

/// A GET request for a page. It is answered once, on any thread. One that is dropped without an answer gets 404.
pub struct PageRequest {
    path: String,
    query: String,
    accept: String,
    slot: Arc<Slot>,
}

/// Where the answer comes, and what is called then.
pub(crate) struct Slot {
    answer: Mutex<Answer>,
    wake: Box<dyn Fn() + Send + Sync>,
}

enum Answer {
    Awaited,
    There(Page),
    Taken,
}

impl PageRequest {
    /// A request, and where its answer comes; `wake` is called then.
    pub(crate) fn new(
        [path, query, accept]: [&str; 3],
        wake: impl Fn() + Send + Sync + 'static,
    ) -> (PageRequest, Arc<Slot>) {
        let slot = Arc::new(Slot { answer: Mutex::new(Answer::Awaited), wake: Box::new(wake) });
        let [path, query, accept] = [path, query, accept].map(str::to_owned);
        (PageRequest { path, query, accept, slot: slot.clone() }, slot)
    }

    /// The path, as it was sent: it begins with `/`, and may have `%XX`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the `?`; empty without one. It may have the token of [`Web::token`](crate::Web::token).
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The types that are asked for: the field `Accept`.
    pub fn accept(&self) -> &str {
        &self.accept
    }

    /// Answers. To one that has gone the answer is not sent.
    pub fn answer(self, page: Page) {
        self.slot.put(page);
    }
}

impl Drop for PageRequest {
    fn drop(&mut self) {
        self.slot.put(Page::text(404, format_args!("nothing is at {}", self.path)));
    }
}

impl fmt::Debug for PageRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may have the token.
        f.debug_struct("PageRequest").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Slot {
    fn put(&self, page: Page) {
        let mut answer = lock(&self.answer);
        if matches!(*answer, Answer::Awaited) {
            *answer = Answer::There(page);
            drop(answer);
            (self.wake)();
        }
    }

    /// The answer, once.
    pub(crate) fn take(&self) -> Option<Page> {
        let mut answer = lock(&self.answer);
        match std::mem::replace(&mut *answer, Answer::Taken) {
            Answer::There(page) => Some(page),
            other => {
                *answer = other;
                None
            }
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

/// The function that answers for pages.
#[derive(Clone)]
pub(crate) struct Pages(pub(crate) Arc<dyn Fn(PageRequest) + Send + Sync>);

impl PartialEq for Pages {
    fn eq(&self, other: &Pages) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pages {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn request() -> (PageRequest, Arc<Slot>, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let counting = woken.clone();
        let wake = move || _ = counting.fetch_add(1, Ordering::SeqCst);
        let (request, slot) = PageRequest::new(["/a", "", "*/*"], wake);
        (request, slot, woken)
    }

    #[test]
    fn a_request_is_answered_once_and_without_an_answer_by_404() {
        let (request, slot, woken) = request();
        assert!(slot.take().is_none());
        request.answer(Page::new("text/html", "x"));
        assert_eq!((slot.take().unwrap().status, slot.take(), woken.load(Ordering::SeqCst)), (200, None, 1));
        let (request, slot, woken) = self::request();
        drop(request);
        let page = slot.take().unwrap();
        assert_eq!(
            (page.status, &page.body[..], woken.load(Ordering::SeqCst)),
            (404, &b"nothing is at /a\n"[..], 1)
        );
    }
}
