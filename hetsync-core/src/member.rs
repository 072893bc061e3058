//! A worker of protocol 1 as a state machine: the mirror of the server's
//! sessions. No sockets, no clock; the same drain rule as the server's.
//!
//! It pushes one gradient at a time and hands back everything that the
//! server says in answer: the results to be applied, in order, and what
//! became of the gradient. When the connection breaks it asks for another,
//! joins again with what it has applied, and sends the gradient again; the
//! server knows which it has.
//!
//! Invariant: the results that it hands out over its life follow each other
//! without a gap and without a repetition, unless it says that some are
//! [lost](Answer::is_lost).

use std::collections::VecDeque;
use std::sync::Arc;

use crate::Name;
use crate::payload::Payload;
use crate::retry::{Backoff, Retry};
use crate::server::Token;
use crate::time::Time;
use crate::wire::v1::message::{CatchUp, Fate as WireFate, Hello, Join, Push, Recovery, Welcome};
use crate::wire::v1::{ErrorCode, Message, message};
use crate::worker::Busy;

/// Who a worker is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Which barrier.
    pub job: Name,
    /// Who it is there; no two workers may share a name.
    pub worker: Name,
    /// The server's secret, if it has one.
    pub token: Option<Token>,
}

/// A round's result, with what the server says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct RoundOutcome {
    /// Round, contributors, divisor, who was missing.
    pub about: message::Result,
    /// The reduced vector.
    pub payload: Payload,
}

/// What became of a gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// There was none.
    None,
    /// It is in the result of its round.
    Counted,
    /// It was late and goes into a later round with this weight.
    Carried(f64),
    /// It was late and was dropped.
    Dropped,
}

/// What the server has answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What became of the gradient.
    pub fate: Fate,
    /// The results to be applied, in order. One, if the worker is in step;
    /// all that it has missed, if it was late or away.
    pub results: Vec<RoundOutcome>,
    /// The model that the server holds. It takes the place of the worker's,
    /// before the results are applied.
    pub model: Option<Payload>,
    /// Results are missing before these: the model must be taken from a
    /// checkpoint or from a peer, as it is before round [`next`](Self::next).
    pub is_lost: bool,
    /// The round that the next gradient is for.
    pub next: u64,
}

/// One thing to be done by whoever drives the worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a connection, then say how that went.
    Connect,
    /// Send this message.
    Say(Message),
    /// Send this gradient.
    Push(Push, Arc<Payload>),
    /// It has joined, and no gradient is out: this is what it has missed.
    Joined(Answer),
    /// The answer to the gradient that was pushed.
    Deliver(Answer),
    /// The server refuses this worker. It does nothing any more.
    Refused(ErrorCode, String),
    /// No connection could be had. The worker does nothing any more.
    GaveUp,
}

/// The server said something that has no place there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server sent {what}, which has no place here")]
pub struct OutOfPlace {
    what: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Connecting,
    /// Has said hello.
    Greeting,
    /// Has asked to join.
    Joining,
    Up,
    /// Until the time comes for another attempt.
    Down,
    Ended,
}

#[derive(Debug)]
struct Gradient {
    payload: Arc<Payload>,
    weight: f64,
    /// The round that it was computed for, once that is known.
    round: Option<u64>,
    fate: Option<Fate>,
}

/// The worker's state.
///
/// ```
/// use hetsync_core::member::{Identity, Member, Output};
/// use hetsync_core::wire::v1::{Message, message};
/// use hetsync_core::{Name, Payload, Time};
///
/// let identity = Identity { job: Name::default(), worker: "w0".parse()?, token: None };
/// let mut member = Member::new(identity, Default::default());
/// assert_eq!(member.poll_output(), Some(Output::Connect));
/// member.push(Payload::from_floats(&[1.0]))?;
/// member.handle_connected();
/// assert!(matches!(member.poll_output(), Some(Output::Say(Message::Hello(_)))));
/// member.handle_message(Time::ZERO, Message::Welcome(Default::default()), None)?;
/// assert!(matches!(member.poll_output(), Some(Output::Say(Message::Join(_)))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Member {
    identity: Identity,
    backoff: Backoff,
    link: Link,
    /// The first round whose result it has not handed out, and its epoch.
    next: Option<u64>,
    epoch: u64,
    /// The one that the server is in. What was applied is of it only once a
    /// catch-up has come: a connection may break in between.
    welcomed: u64,
    /// Of this epoch, what the server has seen of it.
    seen: Option<u64>,
    /// The epoch has changed since the last join.
    is_new_epoch: bool,
    /// Results of a catch-up that are still to come.
    behind: u64,
    gradient: Option<Gradient>,
    /// Not handed out yet.
    results: Vec<RoundOutcome>,
    is_lost: bool,
    model: Option<Payload>,
    outputs: VecDeque<Output>,
}

impl Member {
    /// A worker that wants a connection.
    pub fn new(identity: Identity, retry: Retry) -> Self {
        Self {
            identity,
            backoff: Backoff::new(retry),
            link: Link::Connecting,
            next: None,
            epoch: 0,
            welcomed: 0,
            seen: None,
            is_new_epoch: false,
            behind: 0,
            gradient: None,
            results: Vec::new(),
            is_lost: false,
            model: None,
            outputs: VecDeque::from([Output::Connect]),
        }
    }

    /// The worker has a model from elsewhere, as it was before the round
    /// `next` of `epoch`. To be called before it has connected.
    pub fn resume(&mut self, next: u64, epoch: u64) {
        self.next = Some(next);
        self.epoch = epoch;
    }

    /// Up to where it has handed out results: the next round and its epoch.
    pub fn position(&self) -> Option<(u64, u64)> {
        self.next.map(|next| (next, self.epoch))
    }

    /// Takes a gradient, computed on the model with all results in it that
    /// were handed out so far.
    ///
    /// # Errors
    /// [`Busy`] if the answer to the one before has not come.
    pub fn push(&mut self, gradient: Payload) -> Result<(), Busy> {
        self.push_weighted(gradient, 0.0)
    }

    /// The same, and says how much it counts where the server's rule heeds
    /// that, as a number of samples; 0 for not said, which is 1.
    ///
    /// # Errors
    /// [`Busy`] if the answer to the one before has not come.
    pub fn push_weighted(&mut self, gradient: Payload, weight: f64) -> Result<(), Busy> {
        if self.gradient.is_some() {
            return Err(Busy);
        }
        self.gradient = Some(Gradient {
            payload: Arc::new(gradient),
            weight,
            round: self.next,
            fate: None,
        });
        match self.link {
            Link::Up => self.send_gradient(),
            Link::Ended => self.outputs.push_back(Output::GaveUp),
            _ => {}
        }
        Ok(())
    }

    /// The connection is there.
    pub fn handle_connected(&mut self) {
        self.link = Link::Greeting;
        self.backoff.stop();
        self.behind = 0;
        let token = self.identity.token.as_ref();
        self.outputs.push_back(Output::Say(Message::Hello(Hello {
            job: self.identity.job.to_string(),
            worker: self.identity.worker.to_string(),
            token: token.map_or_else(Vec::new, |token| token.as_bytes().to_vec()),
            heartbeat_ms: 0,
        })));
    }

    /// An attempt failed, or the connection broke.
    pub fn handle_disconnected(&mut self, now: Time) {
        if self.link == Link::Ended {
            return;
        }
        self.link = match self.backoff.fail(now) {
            true => Link::Down,
            false => {
                self.outputs.push_back(Output::GaveUp);
                Link::Ended
            }
        };
    }

    /// A frame has come, with its tensors if it has any.
    ///
    /// # Errors
    /// [`OutOfPlace`] if it makes no sense now; the connection is then of no
    /// more use.
    pub fn handle_message(
        &mut self,
        now: Time,
        message: Message,
        tensors: Option<Payload>,
    ) -> Result<(), OutOfPlace> {
        match (self.link, message, tensors) {
            (Link::Greeting, Message::Welcome(welcome), _) => self.welcome(&welcome),
            (Link::Joining | Link::Up, Message::CatchUp(catch_up), model) => {
                self.catch_up(&catch_up, model)?;
            }

            (Link::Joining | Link::Up, Message::Result(about), Some(payload)) => {
                self.result(RoundOutcome { about, payload })?;
            }
            (_, Message::Heartbeat(_), _) => {}
            (_, Message::Error(error), _) => match error.code() {
                // Nothing is wrong with this worker.
                ErrorCode::Timeout | ErrorCode::Checksum => self.handle_disconnected(now),
                code => {
                    self.link = Link::Ended;
                    self.backoff.stop();
                    self.outputs.push_back(Output::Refused(code, error.text));
                }
            },
            (_, message, _) => return Err(out_of_place(message.kind().name())),
        }
        Ok(())
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.backoff.is_over(now) {
            self.link = Link::Connecting;
            self.outputs.push_back(Output::Connect);
        }
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if at all.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.backoff.until()
    }

    /// Whether it has joined and can push at once.
    pub fn is_up(&self) -> bool {
        self.link == Link::Up
    }

    fn welcome(&mut self, welcome: &Welcome) {
        self.link = Link::Joining;
        let join = Join {
            next: self.next,
            epoch: self.epoch,
        };
        self.is_new_epoch = self.epoch != welcome.epoch;
        self.welcomed = welcome.epoch;
        self.seen = welcome.seen;
        self.outputs.push_back(Output::Say(Message::Join(join)));
    }

    fn catch_up(&mut self, catch_up: &CatchUp, model: Option<Payload>) -> Result<(), OutOfPlace> {
        let is_join = self.link == Link::Joining;
        self.epoch = self.welcomed;
        let is_replaced = matches!(catch_up.recovery(), Recovery::Lost | Recovery::Model);
        if is_replaced {
            self.is_lost = model.is_none();
            self.model = model;
            self.results.clear();
            self.next = Some(catch_up.next);
            self.behind = 0;
        } else {
            // In another epoch rounds have other numbers.
            let is_new = is_join && self.is_new_epoch;
            if is_new || self.next.is_none() {
                self.next = Some(catch_up.first);
                if let Some(gradient) = &mut self.gradient {
                    gradient.round = self.next;
                }
            }
            if self.next != Some(catch_up.first) {
                return Err(out_of_place("a catch-up from another round"));
            }
            self.behind = match catch_up.recovery() {
                Recovery::Results => catch_up.count,
                _ => 0,
            };
        }
        if let Some(gradient) = &mut self.gradient {
            gradient.fate = match catch_up.fate() {
                WireFate::Dropped => Some(Fate::Dropped),
                WireFate::Carried => Some(Fate::Carried(catch_up.weight)),
                WireFate::Repeated => Some(Fate::Counted),
                // Computed on a model that is given up.
                _ if is_replaced => Some(Fate::Dropped),
                _ => gradient.fate,
            };
        }
        self.go_on();
        Ok(())
    }

    fn result(&mut self, outcome: RoundOutcome) -> Result<(), OutOfPlace> {
        let round = outcome.about.round;
        if self.next != Some(round) {
            return Err(out_of_place("a result of another round"));
        }
        self.next = Some(round + 1);
        self.behind = self.behind.saturating_sub(1);
        if let Some(gradient) = &mut self.gradient
            && gradient.round == Some(round)
            && gradient.fate.is_none()
            && (self.link == Link::Up || self.seen >= Some(round))
        {
            gradient.fate = Some(Fate::Counted);
        }
        self.results.push(outcome);
        self.go_on();
        Ok(())
    }

    /// What there is to do when all announced results are in.
    fn go_on(&mut self) {
        if self.behind > 0 {
            return;
        }
        let was_joining = self.link == Link::Joining;
        self.link = Link::Up;
        match &self.gradient {
            None if was_joining => {
                let answer = self.answer(Fate::None);
                self.outputs.push_back(Output::Joined(answer));
            }
            None => {}
            Some(Gradient {
                fate: Some(fate), ..
            }) => {
                let fate = *fate;
                self.gradient = None;
                let answer = self.answer(fate);
                self.outputs.push_back(Output::Deliver(answer));
            }
            Some(_) if was_joining => self.send_gradient(),
            Some(_) => {}
        }
    }

    fn answer(&mut self, fate: Fate) -> Answer {
        self.backoff.succeed();
        Answer {
            fate,
            results: std::mem::take(&mut self.results),
            is_lost: std::mem::take(&mut self.is_lost),
            model: self.model.take(),
            next: self.next.unwrap_or(0),
        }
    }

    /// Sends the gradient, even if the server may have it: it knows.
    fn send_gradient(&mut self) {
        if let Some(gradient) = &mut self.gradient {
            let round = *gradient.round.get_or_insert(self.next.unwrap_or(0));
            let push = Push {
                round,
                tensors: Vec::new(),
                weight: gradient.weight,
            };
            let payload = Arc::clone(&gradient.payload);
            self.outputs.push_back(Output::Push(push, payload));
        }
    }
}

fn out_of_place(what: &str) -> OutOfPlace {
    OutOfPlace { what: what.into() }
}
