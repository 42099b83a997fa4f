//! Arrow IPC, read in order: a stream, or a file on a pipe, which is a stream between its magic and its directory if
//! its writer made it one.
//!
//! ```text
//! frame:  ff ff ff ff · length of the message · message (how long the body is) · body
//! end:    ff ff ff ff · 0, or the end of the input
//! ```
//!
//! Frames are cut out here, with as much memory as there are bytes; what is in them is for `arrow-ipc`. (Its own
//! readers ask for as much as a length claims, and seek.)

use std::collections::VecDeque;
use std::io::Read;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;

use super::{Batches, Chosen, contained, damaged};
use crate::input::InputError;
use crate::input::format::Opened;
use crate::input::wanted::Wanted;

const MARK: [u8; 4] = [0xff; 4];
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

pub(super) fn open(mut input: Box<dyn Read>, wanted: &Wanted) -> Result<Opened, InputError> {
    let mut start = [0; 8];
    let cut_short = |_| damaged("it ends in its header");
    input.read_exact(&mut start).map_err(cut_short)?;
    let (mut carried, mut what) = (start.to_vec(), "an Arrow stream");
    if start.starts_with(b"ARROW1") {
        // Some writers go on with zeros to a multiple of 64.
        (carried, what) = (vec![0; 4], "Arrow IPC");
        for _ in 0..16 {
            if carried != [0; 4] {
                break;
            }
            input.read_exact(&mut carried).map_err(cut_short)?;
        }
    }
    let is_file = what == "Arrow IPC";
    let frames = Frames { input: Box::new(std::io::Cursor::new(carried).chain(input)), is_file };
    let mut stream = Stream {
        frames,
        decoder: StreamDecoder::new(),
        ready: VecDeque::new(),
        is_done: false,
        columns: None,
    };
    let schema = loop {
        match stream.decoder.schema() {
            Some(schema) => break schema,
            None if stream.is_done => return Err(damaged("it has no schema")),
            None => contained(|| stream.take_frame())?,
        }
    };
    let chosen = Chosen::of(&schema, wanted)?;
    stream.columns = Some(chosen.columns.clone());
    // Lists of any length: the first says how many classes there are.
    let mut first = None;
    while chosen.classes.is_none() && first.is_none() {
        match stream.advance().map_err(|e| e.at_row(0))? {
            Some(batch) => first = Some(batch).filter(|batch| batch.num_rows() > 0),
            None => break,
        }
    }
    chosen.opened(Box::new(stream), first, None, wanted, what)
}

/// The frames of an input, whole.
struct Frames {
    input: Box<dyn Read>,
    is_file: bool,
}

impl Frames {
    /// The next frame; `None` at the end, marked or not.
    fn advance(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let mut frame = Vec::new();
        self.fill(&mut frame, 4)?;
        if frame.is_empty() {
            // A stream may just end.
            return if self.is_file { Err(damaged("it is cut short")) } else { Ok(None) };
        }
        // Before version 0.15 there was no mark in front of the length.
        if frame == MARK {
            self.fill(&mut frame, 4)?;
        }
        let length = frame.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        let start = frame.len();
        if !start.is_multiple_of(4) || start < 4 {
            return Err(damaged("it ends in the length of a message"));
        }
        if length == 0 {
            return self.expect_end().map(|()| None);
        }
        self.fill(&mut frame, length.into())?;
        if frame.len() - start < length as usize {
            return Err(damaged("it is cut short, in a message"));
        }
        let message = root_as_message(&frame[start..]).map_err(damaged)?;
        let body = u64::try_from(message.bodyLength()).map_err(damaged)?;
        let before = frame.len() as u64;
        self.fill(&mut frame, body)?;
        if frame.len() as u64 - before < body {
            return Err(damaged("it is cut short, in a batch of rows"));
        }
        Ok(Some(frame))
    }

    /// Behind the rows, a file has its directory and its magic once more.
    fn expect_end(&mut self) -> Result<(), InputError> {
        let mut rest = Vec::new();
        if self.is_file {
            self.fill(&mut rest, u64::MAX)?;
        }
        match self.is_file && !rest.ends_with(b"ARROW1") {
            true => Err(damaged("it is cut short, in its directory")),
            false => Ok(()),
        }
    }

    fn fill(&mut self, frame: &mut Vec<u8>, bytes: u64) -> Result<(), InputError> {
        let mut part = self.input.by_ref().take(bytes);
        part.read_to_end(frame).map(drop).map_err(|e| InputError::io(&e))
    }
}

struct Stream {
    frames: Frames,
    decoder: StreamDecoder,
    ready: VecDeque<RecordBatch>,
    is_done: bool,
    /// Those that are wanted, once that is known.
    columns: Option<Vec<usize>>,
}

impl Stream {
    /// Gives the decoder a frame. It works on one without a body only when the next has come.
    fn take_frame(&mut self) -> Result<(), InputError> {
        let frame = self.frames.advance()?;
        self.is_done = frame.is_none();
        let mut frame = Buffer::from_vec(frame.unwrap_or(END.to_vec()));
        while !frame.is_empty() {
            let batch = self.decoder.decode(&mut frame).map_err(damaged)?;
            self.ready.extend(batch);
        }
        Ok(())
    }
}

impl Batches for Stream {
    fn advance(&mut self) -> Result<Option<RecordBatch>, InputError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                let columns = self.columns.as_deref().unwrap_or_default();
                return batch.project(columns).map(Some).map_err(damaged);
            }
            if self.is_done {
                return Ok(None);
            }
            contained(|| self.take_frame())?;
        }
    }
}
