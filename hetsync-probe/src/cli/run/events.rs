//! Records of the ring buffer to output, in order; the maps they ask for are read from the session.

use std::io;
use std::time::{Duration, Instant};

use async_io::Timer;

use super::RunError;
use super::contents::Contents;
use super::say;
use super::words::Words;
use crate::cli::output::Writer;
use crate::layout::EventKind;
use crate::load::Session;
use crate::load::loader::Mechanism;
use crate::load::sys::Ring;
use crate::report::account::{Account, Attached, CutLoop, DroppedEvents, FullMap, Missed};
use crate::report::form::Form;
use crate::report::map::MapReport;
use crate::report::names::Names;
use crate::report::value;
use crate::sema::hir::{PrintWhat, Program, Type};

/// Most turns of the ring buffer taken at once, so that a flood of events leaves time for everything else.
const LAPS: usize = 4;

/// Events that come sooner than this after others were handled wait for more to come with them, unless the buffer fills.
const GATHERING: Duration = Duration::from_millis(10);

/// How often it is looked whether the buffer fills meanwhile.
const STEP: Duration = Duration::from_millis(2);

/// The reading side of a run.
pub(super) struct Events<'a> {
    ring: Option<Ring>,
    /// When events were last handled.
    read_at: Option<Instant>,
    sink: Sink<'a>,
    /// Whether output is written only when much has gathered.
    gathers: bool,
}

/// What records are turned into.
struct Sink<'a> {
    program: &'a Program,
    contents: Contents<'a>,
    form: Box<dyn Form>,
    writer: Writer,
    words: Words,
    exit: Option<u8>,
}

impl<'a> Events<'a> {
    pub(super) fn new(
        program: &'a Program,
        form: Box<dyn Form>,
        writer: Writer,
        ring: Option<Ring>,
        gathers: bool,
    ) -> Self {
        Events {
            ring,
            read_at: None,
            gathers,
            sink: Sink {
                program,
                contents: Contents::new(program),
                form,
                writer,
                words: Words::new(!program.config.mangled),
                exit: None,
            },
        }
    }

    /// Waits until there are events; for ever if there cannot be any.
    ///
    /// The kernel wakes a reader only for an event that it would read next. So a reader that leaves the first event of
    /// many where it is for a while is woken once for all of them, and not for each.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) async fn readable(&mut self) -> io::Result<()> {
        let Some(ring) = &mut self.ring else {
            return smol::future::pending().await;
        };
        ring.readable().await?;
        let just_read = |at: &Instant| at.elapsed() < GATHERING;
        while self.read_at.as_ref().is_some_and(just_read) && !ring.is_filling() {
            Timer::after(STEP).await;
        }
        Ok(())
    }

    /// Everything is attached.
    pub(super) fn started(&mut self) {
        self.sink.contents.started();
    }

    /// Nothing is attached any more.
    pub(super) fn ended(&mut self) {
        self.sink.contents.ended();
    }

    /// The code of the script's `exit()`, once it was called.
    pub(super) fn exit(&self) -> Option<u8> {
        self.sink.exit
    }

    /// Handles the events there are, a few turns of the buffer at most.
    ///
    /// # Errors
    /// A map that cannot be read, output that cannot be written.
    pub(super) fn drain(&mut self, session: &Session) -> Result<(), RunError> {
        for _ in 0..LAPS {
            if self.lap(session)? == 0 {
                break;
            }
        }
        self.sink.contents.forget_shown();
        self.read_at = Some(Instant::now());
        Ok(())
    }

    /// Handles all events; for when nothing sends any more.
    ///
    /// # Errors
    /// As [`Events::drain`].
    pub(super) fn drain_all(&mut self, session: &Session) -> Result<(), RunError> {
        while self.lap(session)? != 0 {}
        self.sink.contents.forget_shown();
        Ok(())
    }

    fn lap(&mut self, session: &Session) -> Result<usize, RunError> {
        let Some(ring) = &mut self.ring else {
            return Ok(0);
        };
        let mut result = Ok(());
        let records = ring.drain(&mut |record| {
            if result.is_ok() {
                result = self.sink.handle(record, session);
            }
        });
        result?;
        Ok(records)
    }

    /// Prints every map that is not empty, in the order of their names, and gives them back for the picture. `quiet`
    /// leaves out what stands before them, the script's `print_maps_on_exit` the maps.
    ///
    /// # Errors
    /// As [`Events::drain`].
    pub(super) fn last_maps(
        &mut self,
        session: &Session,
        quiet: bool,
    ) -> Result<Vec<MapReport<'a>>, RunError> {
        let sink = &mut self.sink;
        let mut order: Vec<usize> = (0..sink.program.maps.len())
            .filter(|map| !sink.program.maps[*map].is_hidden())
            .collect();
        order.sort_by(|a, b| sink.program.maps[*a].name.cmp(&sink.program.maps[*b].name));
        if !quiet {
            sink.form.last_maps(&mut sink.writer.out);
        }
        let mut reports = Vec::new();
        for map in order {
            let report = sink
                .contents
                .show(session, &sink.words, map)?
                .arranged(0, 1);
            if !sink.program.config.hide_maps {
                sink.form.map(&mut sink.writer.out, &report);
                sink.writer.flush_if_full()?;
            }
            reports.push(report);
        }
        Ok(reports)
    }

    /// What was lost; `loop_lines` says where each loop stands.
    ///
    /// # Errors
    /// As [`Events::drain`].
    pub(super) fn account(
        &self,
        session: &Session,
        loop_lines: &[usize],
    ) -> Result<Account, RunError> {
        let maps = &self.sink.program.maps;
        let counted = session.account()?;
        Ok(Account {
            events: (counted.dropped_events.iter())
                .fold(0, |sum, (_, events)| sum.saturating_add(*events)),
            dropped: (counted.dropped_events.iter())
                .map(|&(probe, events)| DroppedEvents {
                    probe: session.probe_name(probe).unwrap_or_default(),
                    events,
                })
                .collect(),
            stacks: counted.stacks,
            full_maps: counted
                .full_maps
                .iter()
                .filter_map(|&(at, samples)| {
                    let map = maps.get(at)?;
                    Some(FullMap {
                        map: format!("@{}", map.name),
                        samples,
                        max_keys: session.capacity(at).unwrap_or(map.max_entries),
                    })
                })
                .collect(),
            cut_loops: (counted.cut_loops.iter())
                .filter_map(|&(id, times)| {
                    Some(CutLoop {
                        line: *loop_lines.get(id)?,
                        rounds: session.loop_rounds(id)?,
                        times,
                    })
                })
                .collect(),
            missed: counted
                .probes
                .iter()
                .filter_map(|p| {
                    Some(Missed {
                        probe: p.probe.clone(),
                        hits: p.missed.filter(|&n| n > 0)?,
                    })
                })
                .collect(),
            uncounted: counted
                .probes
                .iter()
                .filter(|p| {
                    let returns = matches!(
                        p.mechanism,
                        Mechanism::Kretprobe { .. }
                            | Mechanism::KprobeMulti {
                                on_return: true,
                                ..
                            }
                    );
                    p.missed.is_none() && returns
                })
                .map(|p| p.probe.clone())
                .collect(),
            attached: counted
                .probes
                .iter()
                .map(|p| Attached {
                    probe: p.probe.clone(),
                    how: p.mechanism.to_string(),
                })
                .collect(),
        })
    }

    /// Prints what was lost.
    pub(super) fn tell(&mut self, account: &Account, verbose: bool) {
        let sink = &mut self.sink;
        sink.form.account(&mut sink.writer.out, account, verbose);
    }

    /// Writes what has gathered, unless more events wait already.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub(super) fn flush_if_quiet(&mut self) -> Result<(), RunError> {
        let quiet = self
            .ring
            .as_ref()
            .is_none_or(|ring| ring.pending_bytes() == 0);
        if quiet && !self.gathers {
            self.sink.writer.flush()?;
        } else {
            self.sink.writer.flush_if_full()?;
        }
        Ok(())
    }

    /// Writes what has gathered.
    ///
    /// # Errors
    /// Output that cannot be written.
    pub(super) fn flush(&mut self) -> Result<(), RunError> {
        Ok(self.sink.writer.flush()?)
    }
}

impl Sink<'_> {
    /// One record. What is not of the compiler's making is passed over: a script's output never ends in a panic.
    fn handle(&mut self, record: &[u8], session: &Session) -> Result<(), RunError> {
        let Some((head, values)) = record.split_at_checked(8) else {
            return Ok(());
        };
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (kind, id) = (word(0), word(4) as usize);
        let lookups = self.words.of(session);
        let names = Names {
            strings: &self.program.names,
            lookup: Some(&lookups),
        };
        if kind == EventKind::Printf as u32 {
            let Some(format) = self.program.formats.get(id) else {
                return Ok(());
            };
            if let Some(args) = value::decode_values(&format.args, values, names) {
                say::say(self.form.as_mut(), &mut self.writer.out, format, &args);
            }
        } else if kind == EventKind::Print as u32 {
            let Some(print) = self.program.prints.get(id) else {
                return Ok(());
            };
            match &print.what {
                PrintWhat::Map(map) => {
                    let report = self.contents.show(session, &self.words, map.0 as usize)?;
                    let report = report.arranged(print.top, print.div);
                    self.form.map(&mut self.writer.out, &report);
                }
                PrintWhat::Entry(map) => {
                    let Some(declared) = self.program.maps.get(map.0 as usize) else {
                        return Ok(());
                    };
                    let key = value::decode_key(declared, names, values);
                    let mut report = self.contents.show(session, &self.words, map.0 as usize)?;
                    report
                        .entries
                        .retain(|entry| Some(&entry.key) == key.as_ref());
                    let report = report.arranged(0, print.div);
                    // One number is shown like any other; what takes lines of its own, with its key.
                    let plain = report.entries.first().and_then(|entry| entry.value.plain());
                    if let Some(value) = plain {
                        self.form.value(&mut self.writer.out, &value);
                        return Ok(self.writer.flush_if_full()?);
                    }
                    self.form.map(&mut self.writer.out, &report);
                }
                PrintWhat::Value(ty) => {
                    if let Some(value) = value::Scalar::decode(ty, values, names) {
                        self.form
                            .value(&mut self.writer.out, &value.divided(print.div));
                    }
                }
            }
        } else if kind == EventKind::Clear as u32 {
            self.contents.clear(session, id)?;
        } else if kind == EventKind::Zero as u32 {
            self.contents.zero(session, id)?;
        } else if kind == EventKind::Exit as u32 {
            let code = value::Scalar::decode(&Type::UINT, values, names)
                .and_then(|code| code.as_integer());
            // The first one counts; others may have been on their way.
            self.exit.get_or_insert(code.unwrap_or(0) as u8);
        }
        Ok(self.writer.flush_if_full()?)
    }
}
