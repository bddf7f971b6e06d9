//! Lines of bytes, of bounded length, cut from what comes in pieces.

/// Cuts lines.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes_max: usize,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Whether that line is too long already: its beginning has been given up.
    too_long: bool,
}

/// A line without its end, or what there is of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'b> {
    Whole(&'b [u8]),
    /// As much as is taken of a line; the rest of it is left out.
    Beginning(&'b [u8]),
}

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Lines {
        Lines { bytes_max, begun: Vec::new(), too_long: false }
    }

    /// Takes more bytes, and gives the lines that end in them.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut line: impl FnMut(Line<'_>)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.too_long && head.len() <= self.bytes_max {
                line(Line::Whole(head));
            } else {
                self.add(head, &mut line);
                if !std::mem::take(&mut self.too_long) {
                    line(Line::Whole(&self.begun));
                }
                self.begun.clear();
            }
        }
        self.add(bytes, &mut line);
    }

    /// Ends the last line, if it has no end of its own.
    pub(crate) fn finish(&mut self, line: impl FnOnce(Line<'_>)) {
        if !std::mem::take(&mut self.too_long) && !self.begun.is_empty() {
            line(Line::Whole(&self.begun));
        }
        self.begun = Vec::new();
    }

    /// Gives up what has begun.
    pub(crate) fn clear(&mut self) {
        self.finish(|_| ());
    }

    fn add(&mut self, bytes: &[u8], line: &mut impl FnMut(Line<'_>)) {
        if self.too_long {
            return;
        }
        let room = self.bytes_max.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if bytes.len() > room {
            line(Line::Beginning(&self.begun));
            self.begun = Vec::new();
            self.too_long = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]], bytes_max: usize) -> Vec<String> {
        let mut lines = Lines::new(bytes_max);
        let mut cut = Vec::new();
        let mut keep = |line: Line<'_>| {
            cut.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::Beginning(line) => format!("{}...", String::from_utf8_lossy(line)),
            });
        };
        for piece in pieces {
            lines.take(piece, &mut keep);
        }
        lines.finish(keep);
        cut
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"one\n\ntwo\r\nlast";
        let expected = ["one", "", "two\r", "last"];
        assert_eq!(cut(&[text], 10), expected);
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]], 10), expected, "{at}");
        }
        assert_eq!(cut(&[b"one\n"], 10), ["one"]);
        assert_eq!(cut(&[], 10), [""; 0]);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_once_and_skipped_to_its_end() {
        let text = b"four\nfive!\nnext\nfive!";
        for at in 0..text.len() {
            assert_eq!(cut(&[&text[..at], &text[at..]], 4), ["four", "five...", "next", "five..."], "{at}");
        }
    }
}
