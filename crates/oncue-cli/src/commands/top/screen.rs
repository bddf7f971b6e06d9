//! What is on the screen of `oncue top`, and what keys do. What it looks like is in `view`.

use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Model, Which};
use super::sheet::{Line, Order};

/// What is on the screen.
pub(super) struct Screen {
    pub(super) endpoint: String,
    pub(super) model: Model,
    pub(super) which: Which,
    /// For each sheet, in their order.
    pub(super) orders: [Order; 3],
    /// The key of the selected line of each sheet.
    pub(super) selected: [Option<String>; 3],
    pub(super) mode: Mode,
    /// Values that come are not shown.
    pub(super) paused: bool,
    /// Why there is no connection.
    pub(super) lost: Option<String>,
    pub(super) heard: Option<Instant>,
    /// How many lines of the sheet were shown last.
    pub(super) page: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Sheet,
    /// The text of the filter is being typed.
    Filter,
    /// All that is known of the selected line.
    Details,
    Help,
}

/// What follows from a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Quit,
}

impl Screen {
    pub(super) fn new(endpoint: &str) -> Screen {
        Screen {
            endpoint: endpoint.to_owned(),
            model: Model::default(),
            which: Which::Routes,
            orders: Default::default(),
            selected: Default::default(),
            mode: Mode::Sheet,
            paused: false,
            lost: None,
            heard: None,
            page: 1,
        }
    }

    fn at(&self) -> usize {
        Which::ALL.iter().position(|which| *which == self.which).expect("it is one of all")
    }

    pub(super) fn order(&self) -> &Order {
        &self.orders[self.at()]
    }

    fn order_mut(&mut self) -> &mut Order {
        let at = self.at();
        &mut self.orders[at]
    }

    /// The lines of the sheet as they are shown.
    pub(super) fn lines(&self) -> Vec<&Line> {
        self.model.sheet(self.which).map(|sheet| sheet.ordered(self.order())).unwrap_or_default()
    }

    /// Where the selected line is among these; the first one if it has gone.
    pub(super) fn place(&self, lines: &[&Line]) -> usize {
        let key = self.selected[self.at()].as_deref();
        lines.iter().position(|line| Some(line.key.as_str()) == key).unwrap_or(0)
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Next::Quit;
        }
        match self.mode {
            Mode::Filter => self.type_filter(key.code),
            Mode::Details | Mode::Help => {
                if key.code == KeyCode::Char('q') {
                    return Next::Quit;
                }
                self.mode = Mode::Sheet;
            }
            Mode::Sheet => return self.press_on_sheet(key.code),
        }
        Next::Stay
    }

    fn type_filter(&mut self, code: KeyCode) {
        let filter = &mut self.order_mut().filter;
        match code {
            KeyCode::Char(c) => filter.push(c),
            KeyCode::Backspace => drop(filter.pop()),
            KeyCode::Enter => self.mode = Mode::Sheet,
            KeyCode::Esc => {
                filter.clear();
                self.mode = Mode::Sheet;
            }
            _ => {}
        }
    }

    fn press_on_sheet(&mut self, code: KeyCode) -> Next {
        let columns = self.model.sheet(self.which).map_or(1, |sheet| sheet.columns.len());
        match code {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Esc if self.order().filter.is_empty() => return Next::Quit,
            KeyCode::Esc => self.order_mut().filter.clear(),
            KeyCode::Char('1') => self.which = Which::Routes,
            KeyCode::Char('2') => self.which = Which::Topics,
            KeyCode::Char('3') => self.which = Which::Peers,
            KeyCode::Tab => self.which = Which::ALL[(self.at() + 1) % 3],
            KeyCode::BackTab => self.which = Which::ALL[(self.at() + 2) % 3],
            KeyCode::Char('s') | KeyCode::Right => {
                let order = self.order_mut();
                order.column = (order.column + 1) % columns;
            }
            KeyCode::Char('S') | KeyCode::Left => {
                let order = self.order_mut();
                order.column = (order.column + columns - 1) % columns;
            }
            KeyCode::Char('r') => {
                let order = self.order_mut();
                order.reversed = !order.reversed;
            }
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Enter if !self.lines().is_empty() => self.mode = Mode::Details,
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::PageDown => self.move_by(self.page.cast_signed()),
            KeyCode::PageUp => self.move_by(-self.page.cast_signed()),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX),
            _ => {}
        }
        Next::Stay
    }

    fn move_by(&mut self, lines: isize) {
        let shown = self.lines();
        let place = self.place(&shown).saturating_add_signed(lines).min(shown.len().saturating_sub(1));
        let key = shown.get(place).map(|line| line.key.clone());
        let at = self.at();
        self.selected[at] = key;
    }
}
