//! Frames out of bytes that come in any pieces.

use super::error::Part;
use super::{Dtype, Error, HEADER_BYTES, Header, MAX_TENSORS, Message, codec};
use crate::payload::{FLOAT_BYTES, Payload};
use crate::wire::body::Body;

/// Bytes that may be read ahead of what is asked for: a small frame then
/// costs one read, and a peer's idle connection not much memory.
const AHEAD_BYTES: usize = 4096;

/// What a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest control message, in bytes.
    pub message_bytes: u32,
    /// All tensors of a frame together, in bytes.
    pub tensor_bytes: u64,
}

/// A header and its message.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// The message.
    pub message: Message,
    /// What its tensors are, or what a hello would have results in.
    pub dtype: Dtype,
    /// Bytes of tensors that follow; they come as [`Item::Tensors`] next.
    /// 0 for none.
    pub tensor_bytes: u64,
    /// Bytes that they are as floats.
    pub float_bytes: u64,
}

/// One thing that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A frame without tensors, or the beginning of one with tensors.
    Head(Head),
    /// The tensors of the head before.
    Tensors(Payload),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Message(Header),
    /// And bytes that they will be as floats.
    Tensors(Header, usize),
}

/// Decodes one frame after another from bytes that come in any pieces.
///
/// Alternate: read into [`unfilled`](Self::unfilled), say how much with
/// [`advance`](Self::advance), [`poll`](Self::poll) until there is nothing.
/// For tensors nothing is allocated before `unfilled` is called after their
/// head was polled, so that is the moment to refuse them.
///
/// ```
/// use hetsync_core::wire::v1::{self, Decoder, Item, Limits, Message, message};
///
/// let mut decoder = Decoder::new(Limits { message_bytes: 4096, tensor_bytes: 1 << 20 });
/// let push = Message::Push(message::Push { round: 7, ..Default::default() });
/// let frame = v1::encode_with_tensors(&push, &1.5_f32.to_le_bytes());
/// let mut items = decoder.push(&frame)?.into_iter();
/// assert!(matches!(items.next(), Some(Item::Head(head)) if head.message == push));
/// assert!(matches!(items.next(), Some(Item::Tensors(floats)) if floats.to_floats() == [1.5]));
/// # Ok::<(), hetsync_core::wire::v1::Error>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    /// Bytes read and not yet looked at: `ahead[start..end]`.
    ahead: Box<[u8]>,
    start: usize,
    end: usize,
    state: State,
    message: Vec<u8>,
    body: Body,
    tensor_crc: crc32fast::Hasher,
    /// For floats that come in another form.
    floats: Vec<u8>,
    /// The length that the model vouches for.
    expected_bytes: Option<usize>,
}

impl Decoder {
    /// A decoder that refuses what is beyond `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ahead: vec![0; AHEAD_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            state: State::Header,
            message: Vec::new(),
            body: Body::default(),
            tensor_crc: crc32fast::Hasher::new(),
            floats: Vec::new(),
            expected_bytes: None,
        }
    }

    /// Other limits from the next frame on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Tensors of this length, in bytes of f32, get all their memory at once; it
    /// is the caller who vouches for it. Others are taken as well.
    pub fn expect_length(&mut self, bytes: Option<usize>) {
        self.expected_bytes = bytes;
    }

    /// Lends a buffer for tensors. Ignored in the middle of some.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        match self.state {
            State::Tensors(header, _) if header.dtype != Dtype::F32 => self.floats = buffer,
            _ if self.body.filled() == 0 => self.body.lend(buffer),
            _ => {}
        }
    }

    /// Forgets all that has come, for a new connection.
    pub fn reset(&mut self) {
        self.start = 0;
        self.end = 0;
        self.state = State::Header;
        self.message.clear();
        self.body.reset();
        self.tensor_crc.reset();
    }

    /// Whether no byte of a frame is in: the peer may leave without loss.
    pub fn at_start(&self) -> bool {
        matches!(self.state, State::Header) && self.start == self.end
    }

    /// Bytes of memory held for tensors.
    pub fn held_bytes(&self) -> usize {
        self.body.held_bytes() + self.floats.capacity()
    }

    /// Bytes of memory for tensors that [`unfilled`](Self::unfilled) would
    /// now hold.
    pub fn wanted_bytes(&self) -> usize {
        match self.state {
            State::Tensors(header, floats) => {
                let end = self.tensors_end(&header);
                let body = self
                    .body
                    .wanted_bytes(end, self.expected_bytes == Some(floats));
                // What the bytes that there is room for decode to.
                let decoded = match header.dtype {
                    Dtype::F32 => 0,
                    Dtype::TopK => floats,
                    _ => floats.min(body.saturating_mul(FLOAT_BYTES)),
                };
                body.saturating_add(decoded).max(self.held_bytes())
            }
            _ => self.held_bytes(),
        }
    }

    /// Places for bytes, to be filled in this order. The second is never
    /// empty after [`poll`](Self::poll) has returned `None`.
    pub fn unfilled(&mut self) -> [&mut [u8]; 2] {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        } else if self.start > 0 {
            self.ahead.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let tensors = match self.state {
            // What was read ahead of the tensors goes in first.
            State::Tensors(header, floats) if self.start == self.end => {
                let end = self.tensors_end(&header);
                self.body.unfilled(end, self.expected_bytes == Some(floats))
            }
            _ => &mut [],
        };
        [tensors, &mut self.ahead[self.end..]]
    }

    /// Says that `count` bytes were put into the slices that
    /// [`unfilled`](Self::unfilled) offered, the first of them first.
    ///
    /// # Panics
    /// If `count` is more than was offered: that is a fault of the caller,
    /// not of its peer.
    pub fn advance(&mut self, count: usize) {
        let mut to_tensors = 0;
        if let State::Tensors(header, floats) = self.state
            && self.start == self.end
        {
            let end = self.tensors_end(&header);
            let expected = self.expected_bytes == Some(floats);
            to_tensors = count.min(self.body.unfilled(end, expected).len());
            self.take_tensors(to_tensors);
        }
        self.end += count - to_tensors;
        assert!(self.end <= self.ahead.len(), "more bytes than were offered");
    }

    /// The next thing that is complete; `None` if more bytes are needed.
    ///
    /// # Errors
    /// An [`Error`] if the frame is not in order. The decoder is then of no
    /// more use until it is [`reset`](Self::reset).
    pub fn poll(&mut self) -> Result<Option<Item>, Error> {
        loop {
            match self.state {
                State::Header => {
                    let Some(bytes) = self.ahead[self.start..self.end].first_chunk() else {
                        return Ok(None);
                    };
                    let header = Header::decode(bytes)?;
                    self.check(&header)?;
                    self.start += HEADER_BYTES;
                    self.state = State::Message(header);
                }
                State::Message(header) => {
                    let missing = header.message_bytes as usize - self.message.len();
                    let stop = self.end.min(self.start + missing);
                    self.message
                        .extend_from_slice(&self.ahead[self.start..stop]);
                    self.start = stop;
                    if self.message.len() < header.message_bytes as usize {
                        return Ok(None);
                    }
                    return self.finish_message(header).map(Some);
                }
                State::Tensors(header, floats) => {
                    let end = self.tensors_end(&header);
                    while self.start < self.end && self.body.filled() < end {
                        self.take_ahead(end, floats);
                    }
                    return match self.body.filled() == end {
                        true => self.finish_tensors(header, floats).map(Some),
                        false => Ok(None),
                    };
                }
            }
        }
    }

    /// Takes all of `bytes` and returns what they complete.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        loop {
            while let Some(item) = self.poll()? {
                items.push(item);
            }
            if bytes.is_empty() {
                return Ok(items);
            }
            let mut count = 0;
            for place in self.unfilled() {
                let (part, rest) = bytes.split_at(place.len().min(bytes.len()));
                place[..part.len()].copy_from_slice(part);
                count += part.len();
                bytes = rest;
            }
            self.advance(count);
        }
    }

    /// The frame's tensor bytes. They are within the limits, so only on a
    /// machine with a small address space can they be more than this.
    fn tensors_end(&self, header: &Header) -> usize {
        usize::try_from(header.tensor_bytes).unwrap_or(usize::MAX)
    }

    /// Whether the lengths are within the limits and fit the kind.
    fn check(&self, header: &Header) -> Result<(), Error> {
        let kind = header.kind;
        let (found, limit) = (header.message_bytes, self.limits.message_bytes);
        if found > limit {
            return Err(Error::MessageTooLong { kind, found, limit });
        }
        let (found, limit) = (header.tensor_bytes, self.limits.tensor_bytes);
        let fits = match (kind.tensors(), found) {
            (Part::Required, 0) | (Part::Forbidden, 1..) => false,
            (_, 0) => true,
            (_, _) => header.dtype != Dtype::None,
        };
        if !fits {
            let dtype = header.dtype;
            return Err(Error::NoSuchTensors { kind, found, dtype });
        }
        if found > limit || usize::try_from(found).is_err() {
            return Err(Error::TensorsTooLong { kind, found, limit });
        }
        let dtype = header.dtype;
        match codec::elements(dtype, found) {
            _ if found == 0 => Ok(()),
            None if dtype == Dtype::TopK && found.is_multiple_of(8) => Ok(()),
            None => Err(Error::NotElements { found, dtype }),
            Some(elements) => self.check_floats(header, elements).map(drop),
        }
    }

    /// Bytes of so many elements as floats, if they are within the limit.
    fn check_floats(&self, header: &Header, elements: u64) -> Result<usize, Error> {
        let (kind, limit) = (header.kind, self.limits.tensor_bytes);
        let found = elements.saturating_mul(FLOAT_BYTES as u64);
        let as_usize = usize::try_from(found).ok().filter(|_| found <= limit);
        as_usize.ok_or(Error::TensorsTooLong { kind, found, limit })
    }

    fn finish_message(&mut self, header: Header) -> Result<Item, Error> {
        let (announced, found) = (header.message_crc, super::crc(&self.message));
        if announced != found {
            let part = "message";
            return Err(Error::Checksum {
                part,
                announced,
                found,
            });
        }
        let message = Message::read(header.kind, &self.message)?;
        self.message.clear();
        let elements = check_tensors(&message, &header)?;
        let floats = match header.tensor_bytes {
            0 => 0,
            _ => self.check_floats(&header, elements)?,
        };
        self.state = match header.tensor_bytes {
            0 => State::Header,
            _ => State::Tensors(header, floats),
        };
        Ok(Item::Head(Head {
            message,
            dtype: header.dtype,
            tensor_bytes: header.tensor_bytes,
            float_bytes: floats as u64,
        }))
    }

    /// Moves tensor bytes that were read ahead, at most [`AHEAD_BYTES`] of a
    /// frame, to where they belong.
    fn take_ahead(&mut self, end: usize, floats: usize) {
        let expected = self.expected_bytes == Some(floats);
        let place = self.body.unfilled(end, expected);
        let count = place.len().min(self.end - self.start);
        place[..count].copy_from_slice(&self.ahead[self.start..self.start + count]);
        self.start += count;
        self.take_tensors(count);
    }

    fn take_tensors(&mut self, count: usize) {
        let before = self.body.filled();
        self.body.advance(count);
        self.tensor_crc.update(self.body.since(before));
    }

    fn finish_tensors(&mut self, header: Header, floats: usize) -> Result<Item, Error> {
        let announced = header.tensor_crc;
        let found = std::mem::take(&mut self.tensor_crc).finalize();
        if announced != found {
            let part = "tensors";
            return Err(Error::Checksum {
                part,
                announced,
                found,
            });
        }
        self.state = State::Header;
        if header.dtype == Dtype::F32 {
            return Ok(Item::Tensors(self.body.finish(self.tensors_end(&header))));
        }
        let mut out = std::mem::take(&mut self.floats);
        if out.len() != floats {
            // Fresh zeroed pages come free; resizing would write them.
            out = vec![0; floats];
        }
        codec::decode_into(header.dtype, self.body.raw(), &mut out)?;
        self.body.reset();
        let no_floats = Error::NotElements {
            found: header.tensor_bytes,
            dtype: header.dtype,
        };
        Payload::from_bytes(out).map(Item::Tensors).ok_or(no_floats)
    }
}

/// How many elements the tensors have, if those described are those
/// announced. Bytes of top-k do not tell, so there the description must.
fn check_tensors(message: &Message, header: &Header) -> Result<u64, Error> {
    let tensors = message.tensors();
    let announced = codec::elements(header.dtype, header.tensor_bytes);
    let found = tensors.len();
    if found > MAX_TENSORS {
        return Err(Error::TooManyTensors { found });
    }
    let elements = tensors.iter().map(|tensor| tensor.elements);
    let described = elements.fold(0, u64::saturating_add);
    let is_sparse = header.dtype == Dtype::TopK && described > 0;
    match announced {
        None if is_sparse => Ok(described),
        Some(announced) if described == announced || tensors.is_empty() => Ok(announced),
        None if header.tensor_bytes == 0 && described == 0 => Ok(0),
        announced => {
            let announced = announced.unwrap_or(0);
            Err(Error::Elements {
                described,
                announced,
            })
        }
    }
}
