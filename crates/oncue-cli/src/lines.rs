//! Splits a stream of bytes into lines of bounded length.

/// Splits bytes into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    bytes_max: usize,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// Whether that line is already too long: the rest of it is skipped.
    too_long: bool,
}

/// A line without its newline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'b> {
    Whole(&'b [u8]),
    /// The beginning of a line that is too long; the rest of it is skipped.
    Beginning(&'b [u8]),
}

impl Lines {
    pub(crate) fn new(bytes_max: usize) -> Lines {
        Lines { bytes_max, begun: Vec::new(), too_long: false }
    }

    /// Takes more bytes, and passes the lines that end in them to `line`.
    ///
    /// # Errors
    /// The first error of `line`; the rest of the bytes is dropped.
    pub(crate) fn take<E>(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(Line<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() && !self.too_long && head.len() <= self.bytes_max {
                line(Line::Whole(head))?;
            } else {
                self.add(head, &mut line)?;
                let (begun, too_long) = (std::mem::take(&mut self.begun), std::mem::take(&mut self.too_long));
                if !too_long {
                    line(Line::Whole(&begun))?;
                }
            }
        }
        self.add(bytes, &mut line)
    }

    /// Ends the last line, if it has no newline.
    ///
    /// # Errors
    /// The error of `line`.
    pub(crate) fn finish<E>(&mut self, line: impl FnOnce(Line<'_>) -> Result<(), E>) -> Result<(), E> {
        let last = std::mem::replace(self, Lines::new(self.bytes_max));
        if last.too_long || last.begun.is_empty() { Ok(()) } else { line(Line::Whole(&last.begun)) }
    }

    fn add<E>(&mut self, bytes: &[u8], line: &mut impl FnMut(Line<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.too_long {
            return Ok(());
        }
        let room = self.bytes_max.saturating_sub(self.begun.len());
        self.begun.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if bytes.len() <= room {
            return Ok(());
        }
        self.too_long = true;
        line(Line::Beginning(&std::mem::take(&mut self.begun)))
    }
}

/// The topic and the value of a line: what is before its first tab, and what is after.
pub(crate) fn split_at_tab(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (topic, rest) = line.split_at_checked(tab)?;
    Some((topic, rest.strip_prefix(b"\t")?))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn cut(pieces: &[&[u8]], bytes_max: usize) -> Vec<String> {
        let mut lines = Lines::new(bytes_max);
        let mut cut = Vec::new();
        let mut keep = |line: Line<'_>| {
            cut.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::Beginning(line) => format!("{}...", String::from_utf8_lossy(line)),
            });
            Ok::<_, Infallible>(())
        };
        for piece in pieces {
            lines.take(piece, &mut keep).expect("it never fails");
        }
        lines.finish(keep).expect("it never fails");
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

    #[test]
    fn the_first_tab_ends_the_topic() {
        assert_eq!(split_at_tab(b"a\t1\t2"), Some((&b"a"[..], &b"1\t2"[..])));
        assert_eq!(split_at_tab(b"\t"), Some((&b""[..], &b""[..])));
        assert_eq!(split_at_tab(b"no tab"), None);
    }

    #[test]
    fn lines_are_bytes_and_the_last_needs_no_end() {
        let mut lines = Lines::new(5);
        let mut taken = Vec::new();
        let mut keep = |line: Line<'_>| {
            let Line::Whole(line) = line else { return Err("too long") };
            taken.push(line.to_vec());
            Ok(())
        };
        assert_eq!(lines.take(b"a\xff\t1\r\n\nlast", &mut keep), Ok(()));
        assert_eq!(lines.finish(keep), Ok(()));
        assert_eq!(taken, [&b"a\xff\t1\r"[..], b"", b"last"]);
    }

    #[test]
    fn what_comes_after_an_error_is_left_out() {
        let mut lines = Lines::new(10);
        let mut taken = 0;
        let mut fail = |_: Line<'_>| {
            taken += 1;
            Err("no")
        };
        assert_eq!(lines.take(b"one\ntwo\nthr", &mut fail), Err("no"));
        assert_eq!(lines.finish(&mut fail), Ok(()));
        assert_eq!(taken, 1);
    }
}
