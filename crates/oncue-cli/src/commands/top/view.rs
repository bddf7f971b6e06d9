//! What the screen of `oncue top` looks like.

use std::env;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as TextLine, Span, Text};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::model::{Which, summary};
use super::screen::{Mode, Screen};
use super::sheet::{Line, Mood, Sheet};
use crate::args;
use crate::table::seconds;

/// The least width of a screen that shows the values of the last seconds as a line.
const HISTORY_WIDTH_MIN: u16 = 130;
/// The least width of a column of texts.
const TEXT_WIDTH_MIN: u16 = 14;
/// Beyond this a server that says something each second is silent.
const SILENCE: Duration = Duration::from_secs(3);

const HELP: &str = "\
1 2 3, Tab    routes, topics, peers
j k, arrows   the next line, the line before; PageDown, PageUp, g and G
s S           sort by the next column, the column before
r             reverse the order
/             filter: type a text; Enter keeps it, Esc ends it
Enter         all that is known of the line
p, Space      stop and go on; the server is asked all the same
q, Esc        leave

FIRST is the time from the moment a topic was wanted to its first value, SPENT the
time spent producing, SAVED values that nobody wanted and that were not produced.";

pub(super) fn draw(screen: &mut Screen, frame: &mut Frame<'_>) {
    let areas = [Constraint::Length(2), Constraint::Length(1), Constraint::Min(3), Constraint::Length(1)];
    let [head, tabs, body, foot] = Layout::vertical(areas).areas(frame.area());
    draw_head(screen, frame, head);
    draw_tabs(screen, frame, tabs);
    draw_body(screen, frame, body);
    draw_foot(screen, frame, foot);
    match screen.mode {
        Mode::Details => draw_details(screen, frame),
        Mode::Help => draw_over(frame, "Keys", Text::from(HELP)),
        Mode::Sheet | Mode::Filter => {}
    }
}

fn draw_head(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    // The line of values gives way to words.
    let width = if area.width >= HISTORY_WIDTH_MIN { 24 } else { 0 };
    let [texts, history] = Layout::horizontal([Constraint::Min(20), Constraint::Length(width)]).areas(area);
    let mut first = vec![Span::styled(format!("oncue top {}", screen.endpoint), bold())];
    let silent = screen.heard.map(|heard| heard.elapsed()).filter(|silent| *silent > SILENCE);
    let trouble = match (&screen.lost, silent) {
        (Some(why), _) => Some(format!("  no connection: {why}; trying again")),
        (None, Some(silent)) => {
            Some(format!("  silent for {}", args::shown(Duration::from_secs(silent.as_secs()))))
        }
        (None, None) if screen.paused => Some("  stopped (p)".to_owned()),
        (None, None) => None,
    };
    first.extend(trouble.map(|trouble| Span::styled(trouble, color(Color::Red))));
    if let Some(stats) = &screen.model.stats {
        let mut about = format!("  {}, up {}", stats.version, seconds(stats.uptime_seconds));
        if let Some(process) = &stats.process {
            about.push_str(&format!(", {} MB", process.memory_bytes / 1_000_000));
        }
        if let Some(cpu) = screen.model.cpu {
            about.push_str(&format!(", {:.1}% of a core", cpu * 100.0));
        }
        first.push(Span::raw(about));
    }
    let lines = vec![TextLine::from(first), TextLine::from(summary(&screen.model))];
    frame.render_widget(Paragraph::new(lines), texts);
    let values: Vec<u64> = screen.model.history.iter().map(|rate| (rate * 10.0) as u64).collect();
    let width = usize::from(history.width);
    let last = &values[values.len().saturating_sub(width)..];
    frame.render_widget(Sparkline::default().data(last).style(color(Color::Cyan)), history);
}

fn draw_tabs(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let mut spans = Vec::new();
    for (at, which) in Which::ALL.into_iter().enumerate() {
        let count =
            screen.model.sheet(which).map_or_else(String::new, |sheet| format!(" ({})", sheet.lines.len()));
        let style =
            if which == screen.which { bold().add_modifier(Modifier::REVERSED) } else { Style::default() };
        spans.push(Span::styled(format!(" {} {}{count} ", at + 1, which.name()), style));
    }
    let filter = &screen.order().filter;
    if screen.mode == Mode::Filter || !filter.is_empty() {
        let cursor = if screen.mode == Mode::Filter { "_" } else { "" };
        spans.push(Span::styled(format!("  /{filter}{cursor}"), color(Color::Yellow)));
    }
    frame.render_widget(TextLine::from(spans), area);
}

fn draw_body(screen: &mut Screen, frame: &mut Frame<'_>, area: Rect) {
    let refused = if screen.which == Which::Peers { screen.model.refused.len().min(6) } else { 0 };
    let below = if refused > 0 { refused as u16 + 1 } else { 0 };
    let [sheet, other] = Layout::vertical([Constraint::Min(2), Constraint::Length(below)]).areas(area);
    draw_sheet(screen, frame, sheet);
    let mut lines =
        vec![TextLine::styled(format!("{} refused, the last ones:", screen.model.refused_total), bold())];
    let last = screen.model.refused.iter().take(refused);
    lines.extend(last.map(|peer| TextLine::from(format!("{}  {}", peer.address, peer.error))));
    if refused > 0 {
        frame.render_widget(Paragraph::new(lines), other);
    }
}

fn draw_sheet(screen: &mut Screen, frame: &mut Frame<'_>, area: Rect) {
    screen.page = usize::from(area.height.saturating_sub(1)).max(1);
    let Some(sheet) = screen.model.sheet(screen.which) else {
        return frame.render_widget(Paragraph::new("waiting for the server"), area);
    };
    let lines = screen.lines();
    if lines.is_empty() {
        let text = if screen.order().filter.is_empty() { "nothing" } else { "nothing has this text" };
        return frame.render_widget(Paragraph::new(text), area);
    }
    let widths = widths(sheet, &lines, area.width);
    let place = screen.place(&lines);
    // Only what fits is made into a widget: there may be 100,000 lines.
    let first = place.saturating_sub(screen.page - 1);
    let shown = lines.iter().skip(first).take(screen.page);
    let rows = shown.map(|line| row(sheet, line, &widths));
    let order = screen.order();
    let heading = sheet.columns.iter().enumerate().zip(&widths).map(|((at, column), width)| {
        let mark = if at == order.column.min(sheet.columns.len() - 1) {
            Modifier::UNDERLINED
        } else {
            Modifier::empty()
        };
        let text = aligned(column.name, *width, column.is_number);
        Cell::from(Span::styled(text, bold().add_modifier(mark)))
    });
    let table = Table::new(rows, widths.iter().map(|width| Constraint::Length(*width)))
        .header(Row::new(heading))
        .column_spacing(2)
        .row_highlight_style(Style::default().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(Some(place - first));
    frame.render_stateful_widget(table, area, &mut state);
}

fn row<'a>(sheet: &Sheet, line: &'a Line, widths: &[u16]) -> Row<'a> {
    let style = match line.mood {
        Mood::Usual => Style::default(),
        Mood::Busy => color(Color::Green),
        Mood::Wrong => color(Color::Red),
    };
    let cells = line.cells.iter().zip(sheet.columns).zip(widths);
    let cells =
        cells.map(|((cell, column), width)| Cell::from(aligned(&cell.shown, *width, column.is_number)));
    Row::new(cells.collect::<Vec<_>>()).style(style)
}

/// The widths of the columns: as wide as their cells, the text columns less if there is no room. Columns for which there is none
/// even then are left out, from the last one on.
fn widths(sheet: &Sheet, lines: &[&Line], width: u16) -> Vec<u16> {
    let widest = |at: usize| {
        let cells = lines
            .iter()
            .take(1000)
            .filter_map(|line| line.cells.get(at))
            .map(|cell| cell.shown.chars().count());
        let widest = cells.max().unwrap_or(0).max(sheet.columns[at].name.chars().count());
        u16::try_from(widest).unwrap_or(u16::MAX)
    };
    let mut widths: Vec<u16> = (0..sheet.columns.len()).map(widest).collect();
    loop {
        let spaces = 2 * (widths.len() as u16 - 1);
        let all: u32 = widths.iter().map(|width| u32::from(*width)).sum::<u32>() + u32::from(spaces);
        let longest =
            (0..widths.len()).filter(|at| !sheet.columns[*at].is_number).max_by_key(|at| widths[*at]);
        let over = u16::try_from(all.saturating_sub(u32::from(width))).unwrap_or(u16::MAX);
        match longest.filter(|at| widths[*at] > TEXT_WIDTH_MIN) {
            _ if over == 0 => return widths,
            Some(longest) => widths[longest] = widths[longest].saturating_sub(over).max(TEXT_WIDTH_MIN),
            None if widths.len() > 1 => drop(widths.pop()),
            None => return widths,
        }
    }
}

fn aligned(text: &str, width: u16, is_number: bool) -> String {
    let width = usize::from(width);
    let count = text.chars().count();
    if count > width {
        // The end of a topic tells it from others; its beginning too.
        let half = width.saturating_sub(1) / 2;
        let head: String = text.chars().take(width - 1 - half).collect();
        let tail: String = text.chars().skip(count - half).collect();
        return format!("{head}…{tail}");
    }
    if is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
}

fn draw_foot(screen: &Screen, frame: &mut Frame<'_>, area: Rect) {
    let text = match screen.mode {
        Mode::Filter => "Enter keep the filter   Esc end it",
        Mode::Details | Mode::Help => "any key: back   q quit",
        Mode::Sheet => {
            "1-3 sheet   s sort   r reverse   / filter   Enter details   p pause   ? help   q quit"
        }
    };
    frame.render_widget(TextLine::styled(text, Style::default().add_modifier(Modifier::DIM)), area);
}

fn draw_details(screen: &Screen, frame: &mut Frame<'_>) {
    let lines = screen.lines();
    let (Some(sheet), Some(line)) = (screen.model.sheet(screen.which), lines.get(screen.place(&lines)))
    else {
        return;
    };
    let cells = sheet
        .columns
        .iter()
        .zip(&line.cells)
        .map(|(column, cell)| (column.name.to_lowercase(), cell.shown.clone()));
    let details = line.details.iter().map(|(name, text)| ((*name).to_owned(), text.clone()));
    let rows = cells.chain(details).map(|(name, text)| {
        TextLine::from(vec![Span::styled(format!("{name:<14}"), bold()), Span::raw(text)])
    });
    draw_over(frame, screen.which.name(), rows.collect::<Vec<_>>().into());
}

/// A box over the screen.
fn draw_over(frame: &mut Frame<'_>, title: &str, text: Text<'_>) {
    let area = frame.area();
    let width = area.width.saturating_sub(4).min(90);
    let height = (text.height() as u16 + 4).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(format!(" {title} "));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), place);
}

fn bold() -> Style {
    Style::default().add_modifier(Modifier::BOLD)
}

/// A colour, unless the user wants none (NO_COLOR).
fn color(color: Color) -> Style {
    match env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        true => Style::default(),
        false => Style::default().fg(color),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::super::model::tests::model;
    use super::super::screen::Next;
    use super::*;

    fn screen() -> Screen {
        Screen {
            model: model(),
            heard: Some(std::time::Instant::now()),
            ..Screen::new("tcp://10.0.0.1:8888")
        }
    }

    fn shown(screen: &mut Screen, (width, height): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer");
        terminal.draw(|frame| draw(screen, frame)).expect("it is drawn");
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    fn press(screen: &mut Screen, keys: &str) -> Next {
        let codes = keys.chars().map(|key| match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        });
        let mut next = Next::Stay;
        for code in codes {
            next = screen.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        next
    }

    #[test]
    fn each_sheet_has_its_key_and_is_sorted_and_filtered_by_others() {
        let mut screen = screen();
        let text = shown(&mut screen, (120, 12)).join("\n");
        assert!(text.contains("oncue top tcp://10.0.0.1:8888") && text.contains("2.0% of a core"), "{text}");
        assert!(
            text.contains("1 Routes (1)") && text.contains("2 Topics (3)") && text.contains("n/{n}"),
            "{text}"
        );
        press(&mut screen, "2");
        let rows = |screen: &mut Screen| {
            let lines = shown(screen, (120, 12));
            let rows =
                lines[4..7].iter().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
            rows.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(rows(&mut screen), "n/1 n/2 zz");
        press(&mut screen, "sss");
        assert_eq!(rows(&mut screen), "zz n/1 n/2", "by subscribers");
        press(&mut screen, "r");
        assert_eq!(rows(&mut screen), "n/1 n/2 zz");
        press(&mut screen, "/FAIL\n");
        assert_eq!(rows(&mut screen), "n/2");
        assert_eq!(press(&mut screen, "\x1b"), Next::Stay, "the filter goes first");
        assert_eq!(rows(&mut screen), "n/1 n/2 zz");
        press(&mut screen, "j\n");
        let details = shown(&mut screen, (120, 24)).join("\n");
        assert!(details.contains("failures      0 in a row") && details.contains("n/2"), "{details}");
        press(&mut screen, " \t");
        let peers = shown(&mut screen, (120, 12)).join("\n");
        assert!(peers.contains("tcp://10.0.0.1:5") && peers.contains("tcp://10.0.0.9:1  no key"), "{peers}");
        press(&mut screen, "?");
        assert!(shown(&mut screen, (120, 24)).join("\n").contains("all that is known of the line"));
        assert_eq!(press(&mut screen, "q"), Next::Quit);
    }

    #[test]
    fn a_small_terminal_shows_the_first_columns_and_no_size_panics() {
        let mut screen = screen();
        press(&mut screen, "3");
        let lines = shown(&mut screen, (44, 12));
        assert_eq!(lines[3], "PEER            USER  PREFIXES  QUEUED");
        for keys in ["1", "2", "3", "?", " /x", "\x1b", "\n"] {
            press(&mut screen, keys);
            for size in [(1, 1), (2, 3), (10, 4), (300, 100)] {
                shown(&mut screen, size);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_the_connection_is_on_top() {
        let mut screen = screen();
        screen.lost = Some("connection refused".to_owned());
        assert!(shown(&mut screen, (150, 8))[0].contains("no connection: connection refused; trying again"));
        screen.lost = None;
        screen.heard = std::time::Instant::now().checked_sub(Duration::from_secs(9));
        assert!(shown(&mut screen, (150, 8))[0].contains("silent for 9s"));
    }
}
