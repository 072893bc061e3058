//! `hetsync top`: rounds, workers, waits and causes, live in a terminal.
//!
//! It reads what any Prometheus would read, so it can look at a server from
//! another machine and shows nothing that the metrics do not tell.

mod scrape;
mod table;

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use async_io::Timer;
use hetsync_core::Span;
use smol::future::FutureExt;

use crate::Failure;
use crate::args::TopArgs;
use crate::signals::Stop;
use scrape::Scrape;
use table::Table;

pub(crate) fn run(args: &TopArgs) -> Result<(), Failure> {
    let stop = Stop::install()?;
    smol::block_on(async {
        match args.once {
            true => once(args).await,
            false => live(args, &stop).await,
        }
    })
}

async fn once(args: &TopArgs) -> Result<(), Failure> {
    let scrape = scrape::get(args.address).await?;
    let table = Table {
        address: args.address,
        now: &scrape,
        before: None,
        workers: args.workers,
    };
    crate::print(table.to_string().as_bytes())
}

async fn live(args: &TopArgs, stop: &Stop) -> Result<(), Failure> {
    let mut last: Option<(Instant, Scrape)> = None;
    let mut screen: Option<Screen> = None;
    loop {
        let asked = Instant::now();
        let answer = async { Some(scrape::get(args.address).await) };
        let stopped = async {
            stop.requested().await;
            None
        };
        let Some(answer) = answer.or(stopped).await else {
            return Ok(());
        };
        let shown = match (answer, &last) {
            (Ok(now), _) => {
                let before = last
                    .as_ref()
                    .map(|(at, scrape)| (scrape, Span::from(asked - *at)));
                let shown = Table {
                    address: args.address,
                    now: &now,
                    before,
                    workers: args.workers,
                }
                .to_string();
                last = Some((asked, now));
                shown
            }
            // It was there a moment ago, and may come back.
            (Err(failure), Some((at, _))) => {
                let ago = Span::from(at.elapsed());
                format!("{failure}\nlast seen {ago} ago; trying again\n")
            }
            (Err(failure), None) => return Err(failure),
        };
        if screen.is_none() {
            screen = Some(Screen::enter());
        }
        if let Some(screen) = &screen {
            screen.show(&shown)?;
        }
        let pause = async {
            Timer::after(Duration::from(args.every)).await;
            false
        };
        let stopped = async {
            stop.requested().await;
            true
        };
        if pause.or(stopped).await {
            return Ok(());
        }
    }
}

/// The terminal while a table is on it; dropping it puts back what was there.
struct Screen {
    is_terminal: bool,
}

impl Screen {
    fn enter() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let screen = Self { is_terminal };
        if is_terminal {
            // The other screen, and no cursor.
            let _ = crate::print(b"\x1b[?1049h\x1b[?25l");
        }
        screen
    }

    /// Redraws. Each line is written over the old one, so nothing flickers.
    fn show(&self, text: &str) -> Result<(), Failure> {
        if !self.is_terminal {
            let mut stdout = std::io::stdout().lock();
            return Ok(writeln!(stdout, "{text}")?);
        }
        let mut drawn = String::from("\x1b[H");
        for line in text.lines() {
            drawn.push_str(line);
            drawn.push_str("\x1b[K\r\n");
        }
        drawn.push_str("\x1b[J");
        crate::print(drawn.as_bytes())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = crate::print(b"\x1b[?25h\x1b[?1049l");
        }
    }
}
