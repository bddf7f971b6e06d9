//! The screenshot of `oncue top` in the documentation: what a real server has said (docs/images/top.jsonl), drawn as on a terminal,
//! as SVG.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use serde_json::value::RawValue;

use super::model::Which;
use super::screen::Screen;
use super::view::draw;

/// Set to write the screenshot anew.
const WRITE: &str = "ONCUE_WRITE_DOCS";
const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images");
/// Columns and lines of the terminal.
const SIZE: (u16, u16) = (130, 26);
/// Width and height of a cell, and where the text stands in it, in pixels.
const CELL: (u16, u16) = (8, 18);
const BASELINE: u16 = 13;
/// Around the text, in pixels.
const MARGIN: u16 = 10;
/// The colours of text and background where there is none.
const USUAL: [&str; 2] = ["#d8dee9", "#1b1f27"];
/// A bar of each height, from one eighth of a cell to all of it.
const BARS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// The screen after what the server has said, second by second.
fn screen(said: &str) -> Screen {
    let mut screen = Screen { which: Which::Topics, ..Screen::new("tcp://127.0.0.1:8888") };
    for line in said.lines() {
        let topics: BTreeMap<String, &RawValue> = serde_json::from_str(line).expect("JSON");
        for (name, value) in topics {
            screen.model.take(&name, value.get().as_bytes()).expect("as the schema says");
        }
    }
    screen.heard = Some(Instant::now());
    screen
}

fn color(of: Color, usual: &'static str) -> &'static str {
    match of {
        Color::Green => "#a3be8c",
        Color::Red => "#e06c75",
        Color::Yellow => "#ebcb8b",
        Color::Cyan => "#88c0d0",
        _ => usual,
    }
}

/// The colours of the text and of what is behind it.
fn colors(cell: &Cell) -> [&'static str; 2] {
    let [text, behind] = [color(cell.fg, USUAL[0]), color(cell.bg, USUAL[1])];
    if cell.modifier.contains(Modifier::REVERSED) { [behind, text] } else { [text, behind] }
}

fn svg(buffer: &Buffer) -> String {
    let (width, height) = (SIZE.0 * CELL.0 + 2 * MARGIN, SIZE.1 * CELL.1 + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"13\">\n\
         <title>oncue top</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{}\"/>\n",
        USUAL[1]
    );
    for y in 0..SIZE.1 {
        let mut x = 0;
        while x < SIZE.0 {
            let run =
                (x..SIZE.0).take_while(|at| looks_like(&buffer[(*at, y)], &buffer[(x, y)])).count() as u16;
            let text: String = (x..x + run).map(|at| buffer[(at, y)].symbol()).collect();
            draw_run(&mut svg, (x, y), run, &text, &buffer[(x, y)]).expect("a text takes everything");
            x += run;
        }
    }
    svg + "</svg>\n"
}

/// Whether two cells are drawn together. Bars are drawn one by one: fonts differ in them.
fn looks_like(one: &Cell, other: &Cell) -> bool {
    let is_bar = |cell: &Cell| BARS.contains(&cell.symbol());
    std::ptr::eq(one, other) || one.style() == other.style() && !is_bar(one) && !is_bar(other)
}

/// Draws cells of one style.
fn draw_run(svg: &mut String, (x, y): (u16, u16), run: u16, text: &str, cell: &Cell) -> std::fmt::Result {
    let [color, behind] = colors(cell);
    let (left, top, width) = (MARGIN + x * CELL.0, MARGIN + y * CELL.1, run * CELL.0);
    if behind != USUAL[1] {
        writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{}\" fill=\"{behind}\"/>",
            CELL.1
        )?;
    }
    if let Some(bar) = BARS.iter().position(|bar| *bar == text) {
        let height = f32::from(CELL.1) * (bar + 1) as f32 / 8.0;
        let top = f32::from(top + CELL.1) - height;
        return writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" fill=\"{color}\"/>"
        );
    }
    if cell.modifier.contains(Modifier::UNDERLINED) {
        let line = top + BASELINE + 2;
        writeln!(svg, "<rect x=\"{left}\" y=\"{line}\" width=\"{width}\" height=\"1\" fill=\"{color}\"/>")?;
    }
    words(text).into_iter().try_for_each(|(at, words)| {
        let (left, width) = (left + at * CELL.0, words.chars().count() * usize::from(CELL.0));
        write!(svg, "<text x=\"{left}\" y=\"{}\" textLength=\"{width}\" fill=\"{color}\"", top + BASELINE)?;
        for (modifier, attribute) in
            [(Modifier::BOLD, "font-weight=\"bold\""), (Modifier::DIM, "opacity=\"0.6\"")]
        {
            if cell.modifier.contains(modifier) {
                write!(svg, " {attribute}")?;
            }
        }
        writeln!(svg, ">{}</text>", words.replace('&', "&amp;").replace('<', "&lt;"))
    })
}

/// The parts of a text between two or more spaces, which SVG makes one, with the columns where they begin.
fn words(text: &str) -> Vec<(u16, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    for part in text.split("  ") {
        let words = part.trim_start();
        let before = part.chars().count() - words.chars().count();
        if !words.is_empty() {
            found.push((at + before as u16, words.trim_end()));
        }
        at += part.chars().count() as u16 + 2;
    }
    found
}

#[test]
fn the_picture_of_the_documentation_is_what_is_drawn() {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return eprintln!("NO_COLOR is set: the picture has colours");
    }
    let said = std::fs::read_to_string(Path::new(IMAGES).join("top.jsonl")).expect("what a server has said");
    let mut terminal = Terminal::new(TestBackend::new(SIZE.0, SIZE.1)).expect("a buffer");
    terminal.draw(|frame| draw(&mut screen(&said), frame)).expect("it is drawn");
    let (path, drawn) = (Path::new(IMAGES).join("top.svg"), svg(terminal.backend().buffer()));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, drawn).expect("the picture");
    } else if std::fs::read_to_string(&path).expect("the picture") != drawn {
        panic!(
            "docs/images/top.svg differs from the screen; run {WRITE}=1 cargo test -p oncue-cli --features full picture_of_the_documentation"
        );
    }
}
