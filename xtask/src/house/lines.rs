//! How many lines a file has: of the product and of tests, and how many of them are code.

use std::collections::BTreeSet;
use std::ops::AddAssign;

/// A number of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) total: usize,
    /// Without comments and blank lines.
    pub(super) code: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) product: Count,
    pub(super) test: Count,
}

impl Lines {
    /// Counts a file of the product. `test_lines` are numbered from 1.
    pub(super) fn count(text: &str, test_lines: &BTreeSet<usize>) -> Lines {
        let mut lines = Lines::default();
        for (line, text) in (1..).zip(text.lines().map(str::trim_start)) {
            let count = if test_lines.contains(&line) { &mut lines.test } else { &mut lines.product };
            count.total += 1;
            count.code += usize::from(!text.is_empty() && !text.starts_with("//"));
        }
        lines
    }

    /// The same lines, all of tests.
    pub(super) fn as_test(self) -> Lines {
        let mut test = self.test;
        test += self.product;
        Lines { product: Count::default(), test }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.total += other.total;
        self.code += other.code;
    }
}

impl AddAssign for Lines {
    fn add_assign(&mut self, other: Lines) {
        self.product += other.product;
        self.test += other.test;
    }
}
