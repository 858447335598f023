//! Reading of request bodies, plain or gzip, never more than the limit, and never more of them at once than there is
//! room for.
//!
//! A body grows with what has arrived, piece by piece, whatever it announced. A small one is put together and parsed in
//! one synchronous stretch. A large one, or one of gzip, is inflated and parsed step by step, so that others get their
//! turn, and no other such body meanwhile ([`Desk`]). So this memory is taken by one body of the isolate at a time; what
//! arrived, and what was made of it until that is carried out, is counted by [`Bodies`].

use std::cell::{Cell, RefCell};
use std::io::{self, BufRead, Read};
use std::pin::pin;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;
use futures_util::future::{Either, select};
use worker::{Delay, Request};

use super::error::ApiError;
use super::incoming::Incoming;
use crate::api::code::Code;
use crate::core::settings::limits::{
    BODIES_BYTES, BODY_AT_ONCE_BYTES, BODY_SEGMENT_BYTES, BODY_STEP_BYTES, BODY_TICK_MS, DESK_MS, DESK_POLL_MS,
    DESK_WAIT_MS, DRAIN_BYTES, DRAIN_MS, PLAIN_BODY_BYTES, SENDER_BODY_BYTES,
};
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::isolate::bodies::{Bodies, Busy, Pace};

/// RFC 1952, 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

thread_local! {
    static BODIES: RefCell<Option<Bodies>> = const { RefCell::new(None) };
    /// When the desk was taken, in Unix milliseconds.
    static DESK: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The room that a body takes; dropped, it is given back.
pub struct Lease {
    id: u64,
    body_bytes: u64,
    bytes_max: u64,
}

/// A body that has arrived.
pub struct Body {
    pieces: Pieces,
    is_gzip: bool,
    bytes_max: u64,
    lease: Lease,
}

#[derive(Default)]
struct Pieces {
    list: Vec<Vec<u8>>,
    /// Bytes that arrived, and that are allocated for them.
    bytes: u64,
    allocated: u64,
}

/// Why the rest of a body is not read.
enum Stop {
    TooLarge,
    TooSlow,
    Broken,
    Busy(ApiError),
}

/// The body of a JSON request, once all of it has arrived.
///
/// # Errors
/// When the content type is not JSON, the body is encoded otherwise than by gzip, has too many bytes, comes too slowly
/// or breaks off, or there is no room for it.
pub async fn read_json(request: &Request, config: &Config) -> Result<Body, ApiError> {
    let content_type = request.headers().get("content-type").ok().flatten().unwrap_or_default();
    if !essence(&content_type).eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(Code::ContentTypeInvalid, "the content type must be application/json"));
    }
    read(request, config, config.request.body_bytes).await
}

/// The body of a page that goes, of whoever it is: no larger than what a browser sends behind a page.
///
/// # Errors
/// The same, but for the content type.
pub async fn read_plain(request: &Request, config: &Config) -> Result<Body, ApiError> {
    read(request, config, config.request.body_bytes.min(PLAIN_BODY_BYTES)).await
}

/// The body of another SDK, of whoever it is, whatever type it says to be of. Some say nowhere that it is gzip.
///
/// # Errors
/// The same, but for the content type.
pub async fn read_sent(request: &Request, config: &Config) -> Result<Body, ApiError> {
    let mut body = read(request, config, config.request.body_bytes.min(SENDER_BODY_BYTES)).await?;
    body.is_gzip |= body.pieces.list.first().is_some_and(|first| first.starts_with(&GZIP_MAGIC));
    Ok(body)
}

async fn read(request: &Request, config: &Config, bytes_max: u64) -> Result<Body, ApiError> {
    let (is_gzip, announced) = checked_headers(request)?;
    let lease = Lease::begin(config.bodies_bytes_max)?;
    let mut body = Body { pieces: Pieces::default(), is_gzip, bytes_max, lease };
    let Some(mut incoming) = Incoming::of(request).map_err(|_| broken())? else {
        return Ok(body);
    };
    let arrived = if announced > bytes_max { Err(Stop::TooLarge) } else { body.arrive(&mut incoming, announced).await };
    let Err(stop) = arrived else {
        return Ok(body);
    };
    drop(body);
    Err(match stop {
        Stop::Broken => broken(),
        Stop::TooSlow => ApiError::body_too_slow(),
        Stop::TooLarge => {
            drain(&mut incoming).await;
            ApiError::body_too_large(bytes_max)
        }
        Stop::Busy(error) => {
            drain(&mut incoming).await;
            error
        }
    })
}

/// A content type without its parameters.
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether the body is gzip, and how many bytes it announces; 0 where it does not say.
fn checked_headers(request: &Request) -> Result<(bool, u64), ApiError> {
    let header = |name| request.headers().get(name).ok().flatten().unwrap_or_default();
    let is_gzip = match header("content-encoding").trim().to_ascii_lowercase().as_str() {
        "" | "identity" => false,
        "gzip" | "x-gzip" => true,
        _ => {
            let what = "the content encoding must be gzip, or none";
            return Err(ApiError::new(Code::ContentEncodingUnsupported, what));
        }
    };
    Ok((is_gzip, header("content-length").trim().parse().unwrap_or(0)))
}

impl Body {
    /// Reads all of it, at the pace that it must keep.
    async fn arrive(&mut self, incoming: &mut Incoming, announced: u64) -> Result<(), Stop> {
        let mut pace = Pace::default();
        let mut tick = pin!(Delay::from(Duration::from_millis(BODY_TICK_MS)));
        loop {
            let chunk = match select(pin!(incoming.next()), tick.as_mut()).await {
                Either::Left((Ok(None), _)) => return Ok(()),
                Either::Left((Ok(Some(chunk)), _)) => chunk,
                Either::Left((Err(_), _)) => return Err(Stop::Broken),
                Either::Right(((), _)) => {
                    if !pace.tick() {
                        return Err(Stop::TooSlow);
                    }
                    tick.set(Delay::from(Duration::from_millis(BODY_TICK_MS)));
                    continue;
                }
            };
            pace.arrive(chunk.length().into());
            let bytes = self.pieces.bytes + u64::from(chunk.length());
            if bytes > self.bytes_max {
                return Err(Stop::TooLarge);
            }
            // One that announces to be large is so from its first byte on.
            let allocated = self.pieces.allocated_with(chunk.length() as usize) + incoming.buffer_bytes();
            self.lease.take(bytes.max(announced), allocated).map_err(Stop::Busy)?;
            self.pieces.push(chunk.to_vec());
        }
    }

    /// Puts the body together, has `parse` make something of it, and takes the room for that, of which `bytes_of` says
    /// how much it is, in place of the body's. `parse` lets others in meanwhile where the body has more than [`BODY_AT_ONCE_BYTES`].
    ///
    /// # Errors
    /// Those of `parse`; when the body is not gzip as it said or has too many bytes inflated; or when there is no room.
    pub async fn parse<T, E: Into<ApiError>>(
        self,
        parse: impl AsyncFnOnce(&[u8]) -> Result<T, E>,
        bytes_of: impl FnOnce(&T) -> u64,
    ) -> Result<(T, Lease), ApiError> {
        let Self { pieces, is_gzip, bytes_max, mut lease } = self;
        let is_large = is_gzip || pieces.bytes > BODY_AT_ONCE_BYTES as u64;
        let _desk = if is_large { Some(Desk::take().await?) } else { None };
        let bytes = if is_gzip { inflate(&pieces, bytes_max).await? } else { pieces.join() };
        let parsed = parse(&bytes).await.map_err(Into::into)?;
        lease.take(bytes.len() as u64, bytes_of(&parsed))?;
        Ok((parsed, lease))
    }
}

/// Where bodies that take several steps are inflated and parsed, one after the other.
struct Desk {
    since_ms: u64,
}

impl Desk {
    /// Waits until nobody has it. A request that was broken off never gives it back, so it is taken from one that has it
    /// for longer than any body takes.
    async fn take() -> Result<Self, ApiError> {
        let since_ms = clock::now_ms();
        loop {
            let now_ms = clock::now_ms();
            if DESK.get().is_none_or(|taken_ms| now_ms.abs_diff(taken_ms) > DESK_MS) {
                DESK.set(Some(now_ms));
                return Ok(Self { since_ms: now_ms });
            }
            if now_ms.abs_diff(since_ms) > DESK_WAIT_MS {
                let what = "other large bodies are being read; nothing was recorded, send it again";
                return Err(ApiError::new(Code::BodiesBusy, what));
            }
            Delay::from(Duration::from_millis(DESK_POLL_MS)).await;
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if DESK.get() == Some(self.since_ms) {
            DESK.set(None);
        }
    }
}

impl Lease {
    fn begin(bytes_max: u64) -> Result<Self, ApiError> {
        let begin =
            |bodies: &mut Option<Bodies>| bodies.get_or_insert_with(|| Bodies::new(bytes_max)).begin(clock::now_ms());
        match BODIES.with_borrow_mut(begin) {
            Ok(id) => Ok(Self { id, body_bytes: 0, bytes_max }),
            Err(Busy) => Err(busy(bytes_max)),
        }
    }

    /// Takes so many bytes now, instead of what it took before, for a body of `body_bytes`, or of more if it had more.
    fn take(&mut self, body_bytes: u64, bytes: u64) -> Result<(), ApiError> {
        self.body_bytes = self.body_bytes.max(body_bytes);
        let taken = BODIES.with_borrow_mut(|bodies| {
            bodies.as_mut().map_or(Ok(()), |bodies| bodies.take(self.id, self.body_bytes, bytes, clock::now_ms()))
        });
        taken.map_err(|Busy| busy(self.bytes_max))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        BODIES.with_borrow_mut(|bodies| bodies.iter_mut().for_each(|bodies| bodies.end(self.id)));
    }
}

impl Pieces {
    /// Whether the last piece has room for so many bytes more.
    fn fits(&self, bytes: usize) -> bool {
        self.list.last().is_some_and(|last| last.capacity() - last.len() >= bytes)
    }

    /// Bytes that are allocated once so many more are here.
    fn allocated_with(&self, bytes: usize) -> u64 {
        let least = if self.list.is_empty() { 0 } else { BODY_SEGMENT_BYTES };
        self.allocated + if self.fits(bytes) { 0 } else { bytes.max(least) as u64 }
    }

    /// Adds what has arrived: as it is if it is the first, else at the end of the last piece, or as a new one.
    fn push(&mut self, chunk: Vec<u8>) {
        self.allocated = self.allocated_with(chunk.len());
        self.bytes += chunk.len() as u64;
        if self.fits(chunk.len()) {
            self.list.iter_mut().last().into_iter().for_each(|last| last.extend_from_slice(&chunk));
        } else if self.list.is_empty() || chunk.len() >= BODY_SEGMENT_BYTES {
            self.list.push(chunk);
        } else {
            let mut piece = Vec::with_capacity(BODY_SEGMENT_BYTES);
            piece.extend_from_slice(&chunk);
            self.list.push(piece);
        }
    }

    fn read(&self) -> PiecesReader<'_> {
        PiecesReader { present: &[], next: self.list.iter() }
    }

    /// All bytes in one piece.
    fn join(mut self) -> Vec<u8> {
        if self.list.len() <= 1 {
            return self.list.pop().unwrap_or_default();
        }
        let mut bytes = Vec::with_capacity(self.bytes as usize);
        self.list.into_iter().for_each(|piece| bytes.extend_from_slice(&piece));
        bytes
    }
}

/// Reads pieces one after the other.
struct PiecesReader<'a> {
    present: &'a [u8],
    next: std::slice::Iter<'a, Vec<u8>>,
}

impl BufRead for PiecesReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.present.is_empty()
            && let Some(next) = self.next.next()
        {
            self.present = next;
        }
        Ok(self.present)
    }

    fn consume(&mut self, bytes: usize) {
        self.present = self.present.get(bytes..).unwrap_or_default();
    }
}

impl Read for PiecesReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Inflates a body, stopping at the limit: the runtime's own decoder inflates whole chunks, however large they become.
/// The memory for it grows fourfold, and at once to the limit where that would be more than a quarter of it: what it was
/// before, and what it is, never take more than a quarter beyond the limit.
async fn inflate(body: &Pieces, bytes_max: u64) -> Result<Vec<u8>, ApiError> {
    let invalid = |_| ApiError::new(Code::ContentEncodingInvalid, "the body is not gzip, or is cut short");
    let mut decoder = MultiGzDecoder::new(body.read());
    let most = bytes_max as usize + 1;
    let mut inflated = Vec::new();
    loop {
        if inflated.len() == inflated.capacity() {
            let grown = (4 * inflated.capacity()).max(BODY_SEGMENT_BYTES);
            inflated.reserve_exact(if grown > most / 4 { most } else { grown } - inflated.len());
        }
        let step = (inflated.capacity() - inflated.len()).min(BODY_STEP_BYTES);
        let added = decoder.by_ref().take(step as u64).read_to_end(&mut inflated).map_err(invalid)?;
        if inflated.len() as u64 > bytes_max {
            return Err(ApiError::body_too_large(bytes_max));
        }
        if added < step {
            return Ok(inflated);
        }
        if step == BODY_STEP_BYTES {
            clock::let_others_in().await;
        }
    }
}

/// Reads and throws away some more of a body that is refused, within bounds: a client that is still sending would
/// otherwise see a broken connection instead of the answer.
async fn drain(incoming: &mut Incoming) {
    let read = async {
        let mut drained = 0;
        while let Ok(Some(chunk)) = incoming.next().await {
            drained += u64::from(chunk.length());
            if drained > DRAIN_BYTES {
                return;
            }
        }
    };
    let deadline = Delay::from(Duration::from_millis(DRAIN_MS));
    select(pin!(read), deadline).await;
}

fn broken() -> ApiError {
    ApiError::new(Code::JsonInvalid, "the body broke off")
}

fn busy(bytes_max: u64) -> ApiError {
    let what = "there is no room for this body beside the others in flight; nothing was recorded, send it again";
    ApiError::limit(Code::BodiesBusy, what, BODIES_BYTES.name, bytes_max)
}
