//! The bytes of a request as they arrive.
//!
//! They are read into buffers of our own, which is thirty times as fast as taking the runtime's chunks of 4 KiB. While
//! a read waits its buffer is there already, so that of a body that comes slowly is small.

use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::JsCast;
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{ReadableStreamByobReader, ReadableStreamReadResult};
use worker::{Request, Result};

use crate::core::settings::limits::{BODY_READ_BYTES, BODY_READ_BYTES_MIN};

/// The body of a request that is being read. Dropped before its end, it tells the runtime that nobody wants the rest.
pub struct Incoming {
    reader: ReadableStreamByobReader,
    /// The read that is under way; it outlives those who wait for it.
    pending: Option<JsFuture>,
    buffer_bytes: u32,
    has_ended: bool,
}

impl Incoming {
    /// The body of a request, if it has one.
    ///
    /// # Errors
    /// When it is being read already.
    pub fn of(request: &Request) -> Result<Option<Self>> {
        let Some(stream) = request.inner().body() else {
            return Ok(None);
        };
        let reader = ReadableStreamByobReader::new(&stream)?;
        Ok(Some(Self { reader, pending: None, buffer_bytes: BODY_READ_BYTES_MIN, has_ended: false }))
    }

    /// Bytes of the buffer that the next read fills, or that waits to be filled.
    pub fn buffer_bytes(&self) -> u64 {
        self.buffer_bytes.into()
    }

    /// What has arrived since the last call, at least a byte, once there is something; `None` at the end. It may be
    /// dropped and called again.
    ///
    /// # Errors
    /// When the body broke off.
    pub async fn next(&mut self) -> Result<Option<Uint8Array>> {
        let reader = &self.reader;
        let buffer_bytes = self.buffer_bytes;
        let pending = self.pending.get_or_insert_with(|| {
            JsFuture::from(reader.read_with_array_buffer_view(&Uint8Array::new_with_length(buffer_bytes)))
        });
        let read = pending.await;
        self.pending = None;
        // Nothing is left to be cancelled of one that broke off.
        self.has_ended = read.is_err();
        let read: ReadableStreamReadResult = read?.unchecked_into();
        if read.get_done().unwrap_or(true) {
            self.has_ended = true;
            return Ok(None);
        }
        let bytes: Uint8Array = read.get_value().unchecked_into();
        self.buffer_bytes = match bytes.length() {
            filled if filled == buffer_bytes => (buffer_bytes * 4).min(BODY_READ_BYTES),
            few if few <= buffer_bytes / 4 => (buffer_bytes / 4).max(BODY_READ_BYTES_MIN),
            _ => buffer_bytes,
        };
        Ok(Some(bytes))
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.has_ended {
            let cancelled = JsFuture::from(self.reader.cancel());
            // Whether that succeeds makes no difference to anybody.
            spawn_local(async move { drop(cancelled.await) });
        }
    }
}
