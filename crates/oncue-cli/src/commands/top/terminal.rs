//! Runs the screen of `oncue top` on a terminal: keys and values go in, and it is drawn.

use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::screen::{Next, Screen};
use super::view;
use crate::fail::Fail;
use crate::signals::{Cause, Stop};
use crate::viewer::{Heard, Viewer};

/// How long keys wait at most.
const KEYS_PAUSE: Duration = Duration::from_millis(30);
/// How many values are taken before the screen is drawn again.
const VALUES_AT_A_TIME: usize = 64;

/// Shows the server until `q`.
pub(super) fn run(mut viewer: Viewer<'_>, stop: &Stop) -> Result<(), Fail> {
    // Nothing is drawn before the server is there: an error is printed as usual.
    let Some((name, value)) = viewer.next()? else { return Ok(()) };
    let mut screen = Screen::new(viewer.endpoint());
    take(&mut screen, &viewer, &name, &value)?;
    let mut terminal =
        ratatui::try_init().map_err(|error| Fail::Runtime(format!("the terminal: {error}")))?;
    let shown = show(&mut screen, &mut terminal, &viewer, stop);
    ratatui::restore();
    shown
}

fn show(
    screen: &mut Screen,
    terminal: &mut DefaultTerminal,
    viewer: &Viewer<'_>,
    stop: &Stop,
) -> Result<(), Fail> {
    let broken = |error: io::Error| Fail::Runtime(format!("the terminal: {error}"));
    loop {
        terminal.draw(|frame| view::draw(screen, frame)).map_err(broken)?;
        while event::poll(Duration::ZERO).map_err(broken)? {
            let Event::Key(key) = event::read().map_err(broken)? else { continue };
            if key.kind != KeyEventKind::Release && screen.press(key) == Next::Quit {
                stop.stop(Cause::Done);
                return Ok(());
            }
        }
        // Keys and values come from different places: neither waits long for the other.
        let until = Instant::now() + KEYS_PAUSE;
        for _ in 0..VALUES_AT_A_TIME {
            match viewer.hear(until)? {
                Heard::Value(name, value) => take(screen, viewer, &name, &value)?,
                Heard::Lost(why) => screen.lost = Some(why),
                Heard::Connected => screen.lost = None,
                Heard::Nothing => break,
                Heard::Stopped => return Ok(()),
            }
        }
    }
}

fn take(screen: &mut Screen, viewer: &Viewer<'_>, name: &str, value: &[u8]) -> Result<(), Fail> {
    (screen.heard, screen.lost) = (Some(Instant::now()), None);
    if screen.paused {
        return Ok(());
    }
    screen.model.take(name, value).map_err(|why| viewer.not_understood(name, &why))
}
