//! What peers that speak protocol 1 say, and how they are answered.

use super::{Action, ConnId, Frame, Job, Jobs, Session, Worker};
use crate::Name;
use crate::payload::Payload;
use crate::server::{Closing, Join, Position, RoundId};
use crate::time::Time;
use crate::wire::v1::message::{self, Hello, Push, Tensor};
use crate::wire::v1::{self, Dtype, ErrorCode, Message};

impl Jobs {
    /// Whether a connection has said who it is, and more can be taken from
    /// it than a hello.
    pub fn is_known(&self, conn: ConnId) -> bool {
        matches!(self.sessions.get(&conn), Some(Session::Known { .. }))
    }

    /// A frame without tensors has come.
    pub fn handle_message(&mut self, now: Time, conn: ConnId, message: Message) {
        match (self.sessions.get(&conn), message) {
            (None, _) => {}
            (Some(Session::Stranger), Message::Hello(hello)) => {
                self.greet(now, conn, &hello, Dtype::F32);
            }
            (Some(Session::Known { .. }), Message::Heartbeat(beat)) => self.answer_beat(conn, beat),
            (Some(Session::Known { .. }), Message::Join(join)) => self.join(now, conn, join),
            (Some(Session::Known { .. }), Message::Leave(_)) => self.leave(now, conn),
            (_, message) => {
                let text = format!("a {} has no place here", message.kind().name());
                self.deny(now, conn, ErrorCode::Protocol, text);
            }
        }
    }

    /// A hello that would have results in another form than f32. It is sent
    /// them so if its job's results are of that form.
    pub fn handle_hello(&mut self, now: Time, conn: ConnId, hello: Hello, dtype: Dtype) {
        match self.sessions.get(&conn) {
            Some(Session::Stranger) => self.greet(now, conn, &hello, dtype),
            _ => self.handle_message(now, conn, Message::Hello(hello)),
        }
    }

    /// A frame was not in order.
    pub fn handle_fault(&mut self, now: Time, conn: ConnId, fault: &v1::Error) {
        if self.sessions.contains_key(&conn) {
            self.deny(now, conn, fault.code(), fault.to_string());
        }
    }

    /// Nothing has come for longer than the worker promised.
    pub fn handle_silence(&mut self, now: Time, conn: ConnId) {
        if self.sessions.contains_key(&conn) {
            let text = "nothing has come for three times as long as the hello promised";
            self.deny(now, conn, ErrorCode::Timeout, text);
        }
    }

    /// The head of a gradient has come, and `tensor_bytes` bytes are to
    /// follow. Whether they are to be read; if not, the connection is
    /// closed.
    pub fn check_push(&mut self, now: Time, conn: ConnId, push: &Push, tensor_bytes: u64) -> bool {
        let Some((job, _)) = self.member(now, conn) else {
            return false;
        };
        let job = &self.jobs[job];
        let fault = match job.machine.model_bytes() {
            Some(expected) if expected as u64 != tensor_bytes => Some(format!(
                "its tensors have {tensor_bytes} bytes; the model has {expected}. All workers of a job must send gradients of one length"
            )),
            _ => job.layout_fault(&push.tensors),
        };
        if let Some(text) = fault {
            self.deny(now, conn, ErrorCode::Layout, text);
            return false;
        }
        true
    }

    /// Bytes of the model, if they are known, of the job that a connection
    /// belongs to.
    pub fn model_bytes(&self, conn: ConnId) -> Option<usize> {
        match self.sessions.get(&conn)? {
            Session::Old => self.jobs[0].machine.model_bytes(),
            Session::Stranger => None,
            Session::Known { job, .. } => self.jobs[*job].machine.model_bytes(),
        }
    }

    /// A gradient has come whole.
    pub fn handle_push(&mut self, now: Time, conn: ConnId, push: Push, payload: Payload) {
        // Another's may have come first, with other tensors.
        let bytes = payload.as_bytes().len() as u64;
        if !self.check_push(now, conn, &push, bytes) {
            return;
        }
        let Some((at, id)) = self.member(now, conn) else {
            return;
        };
        let weight = match push.weight {
            0.0 => 1.0,
            weight => weight as f32,
        };
        // Neither it nor a sum of many leaves the range of f32.
        if !(1e-9..=1e9).contains(&weight) {
            let text = format!("a weight of {} is not from 1e-9 to 1e9", push.weight);
            self.deny(now, conn, ErrorCode::Protocol, text);
            return;
        }
        let of = Some(RoundId(push.round));
        self.jobs[at].learn_layout(named(&push.tensors).to_vec());
        self.on(at, |machine| {
            machine.handle_weighted(now, id, of, weight, payload)
        });
        let job = &mut self.jobs[at];
        let (epoch, seen) = (job.machine.epoch(), job.machine.seen(id));
        if let Some(worker) = job.names.get(&id).and_then(|n| job.workers.get_mut(n))
            && let Some(seen) = seen
        {
            worker.seen = Some((epoch, seen));
        }
    }

    /// The job and the worker of a connection that has joined. Others are
    /// turned away.
    fn member(&mut self, now: Time, conn: ConnId) -> Option<(usize, ConnId)> {
        let (job, joined) = match self.sessions.get(&conn)? {
            Session::Known { job, joined, .. } => (*job, *joined),
            _ => (0, None),
        };
        let Some((id, epoch)) = joined else {
            let text = "a push before the join has no place here";
            self.deny(now, conn, ErrorCode::Protocol, text);
            return None;
        };
        let machine = &self.jobs[job].machine;
        if epoch != machine.epoch() || !machine.has(id) {
            let text = "the job has started over since this worker joined; it must join again";
            self.deny(now, conn, ErrorCode::Round, text);
            return None;
        }
        Some((job, id))
    }

    fn greet(&mut self, now: Time, conn: ConnId, hello: &Hello, dtype: Dtype) {
        let token = self.config.token.as_ref();
        if !token.is_none_or(|token| token.matches(&hello.token)) {
            let text = match hello.token.is_empty() {
                true => "this server demands a token",
                false => "the token is not the server's",
            };
            self.deny(now, conn, ErrorCode::Unauthorized, text);
            return;
        }
        let name: Name = match hello.worker.parse() {
            Ok(name) => name,
            Err(error) => {
                let text = format!("worker: {error}");
                self.deny(now, conn, ErrorCode::Protocol, text);
                return;
            }
        };
        let wanted = match hello.job.as_str() {
            "" => "default",
            other => other,
        };
        let Some(at) = self.jobs.iter().position(|job| job.name.as_str() == wanted) else {
            let text = match wanted.parse::<Name>() {
                Ok(wanted) => format!("no job {wanted} is served here"),
                Err(error) => format!("job: {error}"),
            };
            self.deny(now, conn, ErrorCode::UnknownJob, text);
            return;
        };
        let job = &self.jobs[at];
        let welcome = message::Welcome {
            epoch: job.machine.epoch(),
            round: job.machine.round().0,
            max_tensor_bytes: self.config.max_tensor_bytes,
            kept_rounds: job.machine.keep().rounds as u64,
            seen: job.seen(&name).map(|round| round.0),
        };
        let precision = job.machine.precision();
        let known = Session::Known {
            job: at,
            name,
            joined: None,
            dtype: if dtype == precision {
                dtype
            } else {
                Dtype::F32
            },
        };
        self.sessions.insert(conn, known);
        self.say(conn, &Message::Welcome(welcome));
    }

    fn answer_beat(&mut self, conn: ConnId, beat: message::Heartbeat) {
        let Some(Session::Known { job, .. }) = self.sessions.get(&conn) else {
            return;
        };
        let round = self.jobs[*job].machine.round().0;
        let nonce = beat.nonce;
        self.say(
            conn,
            &Message::Heartbeat(message::Heartbeat { nonce, round }),
        );
    }

    fn join(&mut self, now: Time, conn: ConnId, join: message::Join) {
        let Some(Session::Known { job, name, .. }) = self.sessions.get(&conn) else {
            return;
        };
        let (at, name) = (*job, name.clone());
        let before = self.jobs[at].workers.get(&name).and_then(|w| w.session);
        if let Some(before) = before.filter(|before| *before != conn) {
            let text = format!("worker {name} has connected again; two must not share a name");
            self.deny(now, before, ErrorCode::Replaced, text);
        }
        if !self.jobs[at].make_room(&name, self.config.max_workers) {
            let limit = self.config.max_workers;
            let text = format!("there are {limit} workers already (--max-workers)");
            self.deny(now, conn, ErrorCode::TooLarge, text);
            return;
        }
        let job = &mut self.jobs[at];
        let seen = job.seen(&name);
        let worker = job.workers.entry(name.clone()).or_insert(Worker {
            id: conn,
            session: None,
            lost: None,
            seen: None,
        });
        worker.session = Some(conn);
        worker.lost = None;
        let id = worker.id;
        job.names.insert(id, name.clone());
        let position = match join.next {
            Some(next) => Position::Before {
                next: RoundId(next),
                epoch: join.epoch,
            },
            None => Position::Fresh,
        };
        let epoch = job.machine.epoch();
        if let Some(Session::Known { joined, .. }) = self.sessions.get_mut(&conn) {
            *joined = Some((id, epoch));
        }
        let join = Join {
            name,
            position,
            seen,
        };
        self.on(at, |machine| machine.handle_join(now, id, join));
    }

    fn leave(&mut self, now: Time, conn: ConnId) {
        if let Some(Session::Known {
            job, name, joined, ..
        }) = self.sessions.remove(&conn)
        {
            if let Some((id, _)) = joined
                && let Some(worker) = self.jobs[job].workers.get_mut(&name)
                && worker.session == Some(conn)
            {
                worker.session = None;
                self.on(job, |machine| machine.handle_disconnect(now, id));
            }
            self.actions.push_back(Action::Close {
                conn,
                farewell: None,
                why: Closing::Left,
            });
        }
    }

    fn say(&mut self, to: ConnId, message: &Message) {
        self.actions.push_back(Action::Send {
            to,
            frames: vec![Frame::message(message)],
            is_answer: false,
        });
    }
}

/// One tensor without a name is as good as none.
fn named(tensors: &[Tensor]) -> &[Tensor] {
    match tensors {
        [alone] if alone.name.is_empty() => &[],
        tensors => tensors,
    }
}

impl Job {
    /// The newest round of this epoch of which a gradient of this worker
    /// was seen.
    pub(super) fn seen(&self, name: &Name) -> Option<RoundId> {
        let known = self.workers.get(name).and_then(|worker| worker.seen);
        let (epoch, round) = known.or_else(|| self.remembered.get(name).copied())?;
        (epoch == self.machine.epoch()).then_some(round)
    }

    /// What is wrong with these tensors, if the job has others.
    fn layout_fault(&self, tensors: &[Tensor]) -> Option<String> {
        let (epoch, layout) = self.layout.as_ref()?;
        let tensors = named(tensors);
        if *epoch != self.machine.epoch() || layout.as_ref() == tensors {
            return None;
        }
        let pairs = layout.iter().zip(tensors);
        let same = pairs.take_while(|(ours, theirs)| ours == theirs).count();
        let show = |tensor: Option<&Tensor>| match tensor {
            Some(tensor) => format!(
                "{:?} of {} elements",
                tensor.name.chars().take(100).collect::<String>(),
                tensor.elements
            ),
            None => "none".into(),
        };
        Some(format!(
            "tensor {same} is {}, and the job's is {}. All workers of a job must send the same tensors in the same order",
            show(tensors.get(same)),
            show(layout.get(same)),
        ))
    }

    /// The first to push says which tensors there are.
    fn learn_layout(&mut self, tensors: Vec<Tensor>) {
        let epoch = self.machine.epoch();
        if self.layout.as_ref().is_none_or(|(of, _)| *of != epoch) {
            self.layout = Some((epoch, tensors.into()));
        }
    }

    /// Whether there is room for a worker of this name, those forgotten who
    /// have nothing to come back to.
    fn make_room(&mut self, name: &Name, limit: usize) -> bool {
        if self.workers.len() < limit || self.workers.contains_key(name) {
            return true;
        }
        let epoch = self.machine.epoch();
        let (machine, names) = (&self.machine, &mut self.names);
        self.workers.retain(|_, worker| {
            let stays = worker.session.is_some()
                || machine.has(worker.id)
                || worker.seen.is_some_and(|(of, _)| of == epoch);
            if !stays {
                names.remove(&worker.id);
            }
            stays
        });
        self.workers.len() < limit
    }
}
