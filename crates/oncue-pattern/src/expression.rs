//! From a regular expression to the automaton of the values that it matches, by way of a nondeterministic automaton. The
//! crate `regex-syntax` parses the expression; the result is bounded, and matches in one step per byte.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::translate::TranslatorBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};
use regex_syntax::utf8::Utf8Sequences;

use super::automaton::{Automaton, Classes};
use super::error::{Fault, PatternProblem};
use super::kind::{EXPRESSION_BYTES_MAX, SEPARATOR};

/// The most nodes of an expression with its counted repetitions unrolled.
const NODES_MAX: usize = 4096;
/// How deep groups may be nested: recursive functions walk the syntax tree.
const NEST_MAX: u32 = 50;

/// The values that an expression matches, or what is wrong with it and at which byte.
pub(super) fn compile(text: &str) -> Result<Automaton, Fault> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err((EXPRESSION_BYTES_MAX, PatternProblem::ExpressionTooLong));
    }
    let nodes = Nodes::new(&read(text)?).ok_or((0, PatternProblem::TooLarge))?;
    let values = Automaton::new(
        &nodes.classes(),
        nodes.closure(&[nodes.start]),
        |places, byte| nodes.step(places, byte),
        |places| places.contains(&Nodes::END),
    );
    let values = values.map_err(|_| (0, PatternProblem::TooLarge))?;
    if values.has_words() { Ok(values) } else { Err((0, PatternProblem::NoValue)) }
}

fn read(text: &str) -> Result<Hir, Fault> {
    let wrong = |span: &ast::Span, what: String| (span.start.offset, PatternProblem::BadExpression(what));
    let mut parser = ast::parse::ParserBuilder::new().nest_limit(NEST_MAX).build();
    let ast = parser.parse(text).map_err(|error| wrong(error.span(), error.kind().to_string()))?;
    ast::visit(&ast, NoLooks).map_err(|at| (at, PatternProblem::Anchor))?;
    // Topics are bytes: `.` matches a byte, `\w` is ASCII.
    let mut translator = TranslatorBuilder::new().utf8(false).unicode(false).build();
    translator.translate(text, &ast).map_err(|error| wrong(error.span(), error.kind().to_string()))
}

/// Finds the place of an anchor such as `^`, `$` or `\b`.
struct NoLooks;

impl ast::Visitor for NoLooks {
    type Output = ();
    type Err = usize;

    fn finish(self) -> Result<(), usize> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), usize> {
        match ast {
            Ast::Assertion(look) => Err(look.span.start.offset),
            _ => Ok(()),
        }
    }
}

enum Node {
    /// The expression ends here.
    End,
    /// A byte in one of these ranges leads to that node.
    Bytes(Vec<(u8, u8)>, u16),
    /// Leads to all of these without a byte (epsilon transitions).
    Fork(Vec<u16>),
}

/// A nondeterministic finite automaton (NFA).
struct Nodes {
    nodes: Vec<Node>,
    start: u16,
}

impl Nodes {
    const END: u16 = 0;

    /// `None` if there are more than `NODES_MAX`.
    fn new(hir: &Hir) -> Option<Nodes> {
        let mut nodes = Nodes { nodes: vec![Node::End], start: Nodes::END };
        nodes.start = nodes.put(hir, Nodes::END)?;
        Some(nodes)
    }

    fn add(&mut self, node: Node) -> Option<u16> {
        if self.nodes.len() >= NODES_MAX {
            return None;
        }
        self.nodes.push(node);
        u16::try_from(self.nodes.len() - 1).ok()
    }

    /// Adds `hir` in front of the node `next`, and returns its first node.
    fn put(&mut self, hir: &Hir, next: u16) -> Option<u16> {
        match hir.kind() {
            HirKind::Empty => Some(next),
            HirKind::Literal(bytes) => bytes
                .0
                .iter()
                .rev()
                .try_fold(next, |next, &byte| self.add(Node::Bytes(vec![(byte, byte)], next))),
            HirKind::Class(class) => self.put_class(class, next),
            HirKind::Look(_) => unreachable!("anchors were refused when the expression was parsed"),
            HirKind::Repetition(repetition) => self.put_repetition(repetition, next),
            HirKind::Capture(capture) => self.put(&capture.sub, next),
            HirKind::Concat(parts) => parts.iter().rev().try_fold(next, |next, part| self.put(part, next)),
            HirKind::Alternation(ways) => {
                let ways = ways.iter().map(|way| self.put(way, next)).collect::<Option<_>>()?;
                self.add(Node::Fork(ways))
            }
        }
    }

    fn put_class(&mut self, class: &Class, next: u16) -> Option<u16> {
        let class = match class {
            Class::Bytes(class) => {
                let ranges = class.iter().map(|range| (range.start(), range.end())).collect();
                return self.add(Node::Bytes(ranges, next));
            }
            Class::Unicode(class) => class,
        };
        let mut ways = Vec::new();
        for range in class.iter() {
            for sequence in Utf8Sequences::new(range.start(), range.end()) {
                let way = sequence.as_slice().iter().rev().try_fold(next, |next, range| {
                    self.add(Node::Bytes(vec![(range.start, range.end)], next))
                });
                ways.push(way?);
            }
        }
        self.add(Node::Fork(ways))
    }

    fn put_repetition(&mut self, repetition: &Repetition, next: u16) -> Option<u16> {
        let Repetition { min, max, sub, .. } = repetition;
        let mut start = next;
        match max {
            None => {
                start = self.add(Node::Fork(Vec::new()))?;
                let again = self.put(sub, start)?;
                self.nodes[usize::from(start)] = Node::Fork(vec![again, next]);
            }
            Some(max) => {
                for _ in *min..*max {
                    let once = self.put(sub, start)?;
                    start = self.add(Node::Fork(vec![once, next]))?;
                }
            }
        }
        for _ in 0..*min {
            let before = self.put(sub, start)?;
            if before == start {
                // The repeated expression matches only the empty string.
                break;
            }
            start = before;
        }
        Some(start)
    }

    /// The classes of bytes that no range distinguishes.
    fn classes(&self) -> Classes {
        let mut begins = [false; 256];
        for node in &self.nodes {
            let Node::Bytes(ranges, _) = node else { continue };
            for &(first, last) in ranges {
                begins[usize::from(first)] = true;
                if let Some(after) = begins.get_mut(usize::from(last) + 1) {
                    *after = true;
                }
            }
        }
        let mut range = 0;
        let range_of = begins.map(|begins| {
            range += usize::from(begins);
            // At most 256 ranges begin, and one more lies before the first: one of these 257 is empty.
            (range % 256) as u8
        });
        let mut classes = Classes::one();
        classes.refine(|byte| range_of[usize::from(byte)]);
        classes.single_out(&[SEPARATOR]);
        classes
    }

    fn step(&self, places: &[u16], byte: u8) -> Option<Vec<u16>> {
        if byte == SEPARATOR {
            return None;
        }
        let next = places.iter().filter_map(|&place| match &self.nodes[usize::from(place)] {
            Node::Bytes(ranges, next) => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&byte)).then_some(*next)
            }
            _ => None,
        });
        let places = self.closure(&next.collect::<Vec<_>>());
        (!places.is_empty()).then_some(places)
    }

    /// The epsilon closure of these nodes, in order: the nodes that read a byte, and the end.
    fn closure(&self, from: &[u16]) -> Vec<u16> {
        let mut seen = vec![false; self.nodes.len()];
        let mut open = from.to_vec();
        while let Some(place) = open.pop() {
            if core::mem::replace(&mut seen[usize::from(place)], true) {
                continue;
            }
            if let Node::Fork(ways) = &self.nodes[usize::from(place)] {
                open.extend_from_slice(ways);
            }
        }
        let stands = |&place: &u16| {
            seen[usize::from(place)] && !matches!(self.nodes[usize::from(place)], Node::Fork(_))
        };
        (0..self.nodes.len() as u16).filter(stands).collect()
    }
}
