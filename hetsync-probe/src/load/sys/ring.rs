//! The consumer's side of a `BPF_MAP_TYPE_RINGBUF` (kernel/bpf/ringbuf.c).
//!
//! Memory: one page with the consumer's position, which is ours to write; one page with the producer's; then the data,
//! mapped twice in a row so that a record never wraps. A record is a header of 8 bytes (length and two flags, page
//! offset) and its bytes, rounded up to 8.
//!
//! Invariant: both mappings live as long as the value and no reference into the data outlives the record's call.

use super::map::Map;
use crate::image::MapKind;
use async_io::Async;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
const HEADER_BYTES: u64 = 8;

/// A mapping that is unmapped when dropped.
#[derive(Debug)]
struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

// SAFETY: plain shared memory, reachable from any thread; access to it is by atomics or by `&mut Ring` alone.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(map: &Map, length: usize, protection: i32, offset: usize) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        match NonNull::new(address.cast()) {
            Some(address) => Ok(Mapping { address, length }),
            None => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; no references into it are left (see the module's invariant).
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
    }
}

/// The reading end of a ring buffer.
#[derive(Debug)]
pub struct Ring {
    consumer: Mapping,
    producer: Mapping,
    page: usize,
    mask: u64,
    /// Made on first use: draining alone needs no reactor.
    readiness: Option<Async<OwnedFd>>,
    fd: OwnedFd,
}

impl Ring {
    /// Maps a ring buffer's memory.
    ///
    /// # Errors
    /// The map is not a ring buffer, or the kernel's reason.
    pub fn new(map: &Map) -> io::Result<Ring> {
        let spec = map.spec();
        let size = spec.max_entries as usize;
        if spec.kind != MapKind::Ringbuf || !size.is_power_of_two() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a ring buffer",
            ));
        }
        // SAFETY: no preconditions.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let consumer = Mapping::new(map, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let producer = Mapping::new(map, page + 2 * size, libc::PROT_READ, page)?;
        Ok(Ring {
            consumer,
            producer,
            page,
            mask: size as u64 - 1,
            readiness: None,
            fd: map.as_fd().try_clone_to_owned()?,
        })
    }

    /// Waits until there is something to read.
    ///
    /// # Errors
    /// The reactor's reason.
    pub async fn readable(&mut self) -> io::Result<()> {
        if self.readiness.is_none() {
            // The descriptor is only polled, never read, so whether it blocks does not matter.
            self.readiness = Some(Async::new_nonblocking(self.fd.try_clone()?)?);
        }
        match &self.readiness {
            Some(readiness) => readiness.readable().await,
            None => Ok(()),
        }
    }

    /// Gives every finished record to `each`, oldest first, and returns how many there were. Stops before a record still
    /// being written.
    pub fn drain(&mut self, each: &mut dyn FnMut(&[u8])) -> usize {
        let mut records = 0;
        let mut at = self.position(&self.consumer).load(Ordering::Relaxed);
        // A buffer can refill while it is drained; one lap is enough for a call, the caller comes back.
        let end = self.position(&self.producer).load(Ordering::Acquire);
        while at < end {
            let header = self.header(at).load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let length = header & !(BUSY | DISCARDED);
            if u64::from(length) > self.mask {
                // The kernel never writes this; stop rather than read outside.
                break;
            }
            if header & DISCARDED == 0 {
                each(self.record(at, length));
                records += 1;
            }
            at += (HEADER_BYTES + u64::from(length)).next_multiple_of(8);
            // After each record, so that the kernel can use its room at once.
            self.position(&self.consumer).store(at, Ordering::Release);
        }
        records
    }

    /// Whether a quarter of the buffer or more waits to be drained.
    pub fn is_filling(&self) -> bool {
        self.pending_bytes() > self.mask / 4
    }

    /// Bytes written and not yet drained.
    pub fn pending_bytes(&self) -> u64 {
        let end = self.position(&self.producer).load(Ordering::Acquire);
        end.saturating_sub(self.position(&self.consumer).load(Ordering::Relaxed))
    }

    fn position(&self, mapping: &Mapping) -> &AtomicU64 {
        // SAFETY: both mappings begin with a page-aligned 64-bit position that the kernel too accesses atomically.
        unsafe { &*mapping.address.as_ptr().cast::<AtomicU64>() }
    }

    fn header(&self, at: u64) -> &AtomicU32 {
        let offset = self.page + (at & self.mask) as usize;
        // SAFETY: positions are multiples of 8 and inside the data after masking, which starts one page in.
        unsafe {
            &*self
                .producer
                .address
                .as_ptr()
                .add(offset)
                .cast::<AtomicU32>()
        }
    }

    fn record(&self, at: u64, length: u32) -> &[u8] {
        let offset = self.page + (at & self.mask) as usize + HEADER_BYTES as usize;
        // SAFETY: `length` is below the buffer's size (checked), and the data is mapped twice in a row, so offset plus
        // length stays inside. The kernel does not write a finished record until the consumer's position passes it.
        unsafe {
            std::slice::from_raw_parts(self.producer.address.as_ptr().add(offset), length as usize)
        }
    }
}
