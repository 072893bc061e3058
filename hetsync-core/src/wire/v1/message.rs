//! The control messages, as `proto/hetsync-v1.proto` has them; a test holds
//! the two against each other. Written by hand, so that building needs no
//! Protocol Buffers compiler.

use std::fmt;

/// A control message of any kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Who a worker is.
    Hello(Hello),
    /// The answer.
    Welcome(Welcome),
    /// A gradient.
    Push(Push),
    /// A round's result.
    Result(Result),
    /// What a worker has missed.
    CatchUp(CatchUp),
    /// A sign of life.
    Heartbeat(Heartbeat),
    /// A worker takes part.
    Join(Join),
    /// A worker takes part no more.
    Leave(Leave),
    /// Why the connection is closed.
    Error(Error),
}

/// First on each connection.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct Hello {
    /// Which barrier; empty for the default.
    #[prost(string, tag = "1")]
    pub job: String,
    /// Who it is, over connections and restarts.
    #[prost(string, tag = "2")]
    pub worker: String,
    /// The server's shared secret, if it has one.
    #[prost(bytes = "vec", tag = "3")]
    pub token: Vec<u8>,
    /// Something is sent at least this often, in milliseconds; 0 for no
    /// promise.
    #[prost(uint32, tag = "4")]
    pub heartbeat_ms: u32,
}

/// Without the token, which has no place in a log.
impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("job", &self.job)
            .field("worker", &self.worker)
            .field("heartbeat_ms", &self.heartbeat_ms)
            .finish_non_exhaustive()
    }
}

/// The answer to [`Hello`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Welcome {
    /// Drawn anew whenever the job starts over.
    #[prost(fixed64, tag = "1")]
    pub epoch: u64,
    /// The round that is open or will open next.
    #[prost(uint64, tag = "2")]
    pub round: u64,
    /// Longest gradient that is taken, in bytes.
    #[prost(uint64, tag = "3")]
    pub max_tensor_bytes: u64,
    /// How many results are kept for those who missed them.
    #[prost(uint64, tag = "4")]
    pub kept_rounds: u64,
    /// The newest round of which a gradient of this worker was seen.
    #[prost(uint64, optional, tag = "5")]
    pub seen: Option<u64>,
}

/// One of several tensors that follow each other in a frame.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Tensor {
    /// What it is called; one alone may have no name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How many elements it has.
    #[prost(uint64, tag = "2")]
    pub elements: u64,
}

/// A gradient.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Push {
    /// The round that it was computed for.
    #[prost(uint64, tag = "1")]
    pub round: u64,
    /// In the order of their bytes; empty for one without a name.
    #[prost(message, repeated, tag = "2")]
    pub tensors: Vec<Tensor>,
    /// How much it counts where the rule heeds that; 0 for not said, which
    /// is 1.
    #[prost(double, tag = "3")]
    pub weight: f64,
}

/// What closed a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Outcome {
    /// Not said.
    Unspecified = 0,
    /// Everyone waited for has come.
    Full = 1,
    /// The deadline passed.
    Deadline = 2,
    /// Enough have come.
    Quorum = 3,
}

/// A round's result.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Result {
    /// Which round.
    #[prost(uint64, tag = "1")]
    pub round: u64,
    /// Gradients that are in it.
    #[prost(uint32, tag = "2")]
    pub contributors: u32,
    /// What the tensors must be divided by to be a mean; 1 if they are one.
    #[prost(double, tag = "3")]
    pub divisor: f64,
    /// What closed it.
    #[prost(enumeration = "Outcome", tag = "4")]
    pub outcome: i32,
    /// How many it waited for that did not come.
    #[prost(uint32, tag = "5")]
    pub missing_count: u32,
    /// The first of their names.
    #[prost(string, repeated, tag = "6")]
    pub missing: Vec<String>,
    /// As in [`Push`].
    #[prost(message, repeated, tag = "7")]
    pub tensors: Vec<Tensor>,
}

/// How a worker comes by what it has missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Recovery {
    /// Not said.
    Unspecified = 0,
    /// It has missed nothing.
    None = 1,
    /// The results follow, each in a frame of its own, in order.
    Results = 2,
    /// The frame carries the model.
    Model = 3,
    /// The results are no longer kept, and the server holds no model.
    Lost = 4,
}

/// What became of the gradient that is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Fate {
    /// Not said.
    Unspecified = 0,
    /// There was none.
    None = 1,
    /// It was late and was dropped.
    Dropped = 2,
    /// It was late and goes, weighted, into the next round to close.
    Carried = 3,
    /// It had been pushed before, and was counted then.
    Repeated = 4,
}

/// What a worker has missed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CatchUp {
    /// The first round that it has missed.
    #[prost(uint64, tag = "1")]
    pub first: u64,
    /// How many it has missed.
    #[prost(uint64, tag = "2")]
    pub count: u64,
    /// The round that its next gradient is for.
    #[prost(uint64, tag = "3")]
    pub next: u64,
    /// How it comes by them.
    #[prost(enumeration = "Recovery", tag = "4")]
    pub recovery: i32,
    /// What became of its gradient.
    #[prost(enumeration = "Fate", tag = "5")]
    pub fate: i32,
    /// With what weight, if it was carried.
    #[prost(double, tag = "6")]
    pub weight: f64,
    /// As in [`Push`].
    #[prost(message, repeated, tag = "7")]
    pub tensors: Vec<Tensor>,
}

/// A sign of life.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Heartbeat {
    /// Comes back in the answer.
    #[prost(uint64, tag = "1")]
    pub nonce: u64,
    /// From the server: the round that is open or will open next.
    #[prost(uint64, tag = "2")]
    pub round: u64,
}

/// A worker takes part from now on.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Join {
    /// The first round whose result it has not applied.
    #[prost(uint64, optional, tag = "1")]
    pub next: Option<u64>,
    /// The epoch in which it has applied them.
    #[prost(fixed64, tag = "2")]
    pub epoch: u64,
}

/// A worker takes part no more.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Leave {}

/// What is wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ErrorCode {
    /// Not said.
    Unspecified = 0,
    /// A frame that is none, or a message in the wrong place.
    Protocol = 1,
    /// Another version, or a dtype that is not spoken.
    Version = 2,
    /// Bytes were damaged.
    Checksum = 3,
    /// Beyond a limit.
    TooLarge = 4,
    /// No token, or another one.
    Unauthorized = 5,
    /// No such job.
    UnknownJob = 6,
    /// Other tensors than those of the job.
    Layout = 7,
    /// A NaN or an infinity.
    NotFinite = 8,
    /// A round that the server has no place for.
    Round = 9,
    /// No memory left.
    NoMemory = 10,
    /// The same worker has connected again.
    Replaced = 11,
    /// Nothing came for too long.
    Timeout = 12,
}

/// Why the connection is closed.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Error {
    /// For programs.
    #[prost(enumeration = "ErrorCode", tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub text: String,
}
