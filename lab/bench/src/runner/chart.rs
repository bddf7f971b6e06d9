//! Charts: for each case of a workload a group of bars, one per implementation, with a whisker from minimum to maximum.
//! Plain SVG; no figure is computed here.

use std::fmt::Write;

use super::table::{Line, Spread, short};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 170.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;
const HEADING: f64 = 24.0;

/// A chart of these lines, each with its own scale.
pub fn draw(title: &str, lines: &[&Line]) -> String {
    let rows: usize = lines.iter().map(|line| line.cells.len()).sum();
    let height = 40.0 + rows as f64 * BAR + lines.len() as f64 * (HEADING + GAP);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{title}</text>"
    );
    let mut y = 40.0;
    for line in lines {
        let better = if line.more_is_better { "more is better" } else { "less is better" };
        let label = format!("{}: {} ({better})", line.label, line.figure);
        let _ = writeln!(out, "<text x=\"8\" y=\"{:.0}\" font-weight=\"bold\">{label}</text>", y + 14.0);
        y += HEADING;
        let most = line.cells.values().map(|spread| spread.max).fold(f64::MIN_POSITIVE, f64::max);
        for name in super::cases::IMPLEMENTATIONS {
            if let Some(spread) = line.cells.get(name) {
                bar(&mut out, y, name, *spread, (WIDTH - LEFT - RIGHT) / most);
                y += BAR;
            }
        }
        y += GAP;
    }
    out.push_str("</svg>\n");
    out
}

fn bar(out: &mut String, y: f64, name: &str, spread: Spread, scale: f64) {
    let colour = match name {
        "raw" => "#bbb",
        ours if ours.starts_with("oncue") => "#1f77b4",
        _ => "#e0a35c",
    };
    let (width, from, to) = (spread.median * scale, LEFT + spread.min * scale, LEFT + spread.max * scale);
    let (text, middle, tall) = (y + 11.0, y + BAR / 2.0 - 1.0, BAR - 3.0);
    let _ = writeln!(
        out,
        "<text x=\"{:.0}\" y=\"{text:.0}\" text-anchor=\"end\">{name}</text>\
         <rect x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{tall}\" fill=\"{colour}\"/>\
         <path d=\"M{from:.1} {middle:.1}H{to:.1}\" stroke=\"#333\"/>\
         <text x=\"{:.0}\" y=\"{text:.0}\">{}</text>",
        LEFT - 6.0,
        to.max(LEFT + width) + 6.0,
        short(spread.median),
    );
}
