//! A chart of how a cost grows: lines over two logarithmic axes. Plain SVG; no figure is computed here.

use std::fmt::Write;

use super::table::short;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
/// The edges of the drawing area.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 370.0;

/// One chart.
pub struct Plot {
    /// The last part of its file's name.
    pub name: &'static str,
    pub title: &'static str,
    /// What the axes show.
    pub x: &'static str,
    pub y: &'static str,
    pub lines: Vec<PlotLine>,
}

/// One line of a chart.
pub struct PlotLine {
    pub label: String,
    /// Each with positive coordinates, in the order of the first.
    pub points: Vec<(f64, f64)>,
}

impl Plot {
    /// The chart as SVG.
    pub fn draw(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (x, y) = (Axis::of(points().map(|&(x, _)| x)), Axis::of(points().map(|&(_, y)| y)));
        let across = |value: f64| LEFT + x.place(value) * (RIGHT - LEFT);
        let up = |value: f64| BOTTOM - y.place(value) * (BOTTOM - TOP);
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text x=\"8\" y=\"22\" font-size=\"16\" font-weight=\"bold\">{}</text>\n\
             <text x=\"8\" y=\"{:.0}\">{}</text>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            self.title,
            TOP - 10.0,
            self.y,
            (LEFT + RIGHT) / 2.0,
            BOTTOM + 38.0,
            self.x,
        );
        for value in x.decades() {
            let at = across(value);
            let _ = writeln!(
                out,
                "<path d=\"M{at:.1} {TOP}V{BOTTOM}\" stroke=\"#ddd\"/>\
                 <text x=\"{at:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
                BOTTOM + 18.0,
                power(value),
            );
        }
        for value in y.decades() {
            let at = up(value);
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {at:.1}H{RIGHT}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                power(value),
            );
        }
        for (number, line) in self.lines.iter().enumerate() {
            let colour = if line.label.starts_with("oncue") { "#1f77b4" } else { "#e0a35c" };
            // Several lines of one implementation differ by their dashes.
            let same = |other: &&PlotLine| other.label.split(',').next() == line.label.split(',').next();
            let dash = ["none", "6 4", "2 3"][self.lines[..number].iter().filter(same).count().min(2)];
            let mut path = String::new();
            for &(x, y) in &line.points {
                let _ = write!(path, "{:.1},{:.1} ", across(x), up(y));
                let _ = writeln!(
                    out,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"><title>{}: {}</title></circle>",
                    across(x),
                    up(y),
                    short(x),
                    short(y),
                );
            }
            let legend = TOP + 16.0 + 20.0 * number as f64;
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
                 stroke-dasharray=\"{dash}\"/>\
                 <path d=\"M{:.0} {legend:.0}h30\" stroke=\"{colour}\" stroke-width=\"2\" \
                 stroke-dasharray=\"{dash}\"/><text x=\"{:.0}\" y=\"{:.0}\">{}</text>",
                path.trim_end(),
                RIGHT + 16.0,
                RIGHT + 52.0,
                legend + 4.0,
                line.label,
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A power of ten, as text.
fn power(value: f64) -> String {
    match value {
        big if big >= 1e6 => format!("{} M", big / 1e6),
        big if big >= 1e4 => format!("{} k", big / 1e3),
        _ => value.to_string(),
    }
}

/// A logarithmic axis, in whole decades.
struct Axis {
    from: i32,
    to: i32,
}

impl Axis {
    /// The least axis that holds these values.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let least = values.clone().fold(f64::MAX, f64::min).min(1e12);
        let from = least.log10().floor() as i32;
        let to = values.fold(f64::MIN_POSITIVE, f64::max).log10().ceil() as i32;
        Axis { from, to: to.max(from + 1) }
    }

    /// Where a value is: 0 at the beginning, 1 at the end.
    fn place(&self, value: f64) -> f64 {
        (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(|decade| 10f64.powi(decade))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_spans_whole_decades() {
        let axis = Axis::of([20.0, 4000.0].into_iter());
        assert_eq!(axis.decades().collect::<Vec<_>>(), [10.0, 100.0, 1000.0, 10_000.0]);
        assert!((axis.place(10.0), axis.place(10_000.0)) == (0.0, 1.0));
        let one = Axis::of([100.0].into_iter());
        assert_eq!((one.from, one.to), (2, 3));
    }
}
