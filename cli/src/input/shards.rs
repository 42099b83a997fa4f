//! Several files as one: the rows of the first, then those of the second, and so on.
//!
//! All headers are looked at first, so that a shard of another width is found out before any work is done. One file is
//! open at a time.

use std::path::PathBuf;

use super::block::Block;
use super::layout::Parts;
use super::{Dtype, InputError, Layout, Reader, Texts};

/// How a file is opened.
type Open<T> = Box<dyn Fn(&PathBuf) -> Result<Box<T>, InputError>>;

pub(super) struct Shards {
    files: Vec<PathBuf>,
    open: Open<dyn Reader>,
    /// The file that is being read.
    current: usize,
    reader: Box<dyn Reader>,
    /// How many rows are done.
    done: u64,
    layout: Layout,
    parts: Parts,
    dtype: Option<Dtype>,
    is_counted: bool,
}

impl Shards {
    /// There is at least one file.
    pub(super) fn new(files: Vec<PathBuf>, open: Open<dyn Reader>) -> Result<Self, InputError> {
        let named = |file: &PathBuf, error: InputError| error.within(&file.display().to_string());
        let first = open(&files[0]).map_err(|e| named(&files[0], e))?;
        let one_layout = first.layout();
        let (shape, axis) = (one_layout.shape().to_vec(), one_layout.axis());
        if axis == 0 {
            return Err(named(
                &files[0],
                InputError::new(format!("shards have rows and classes: the shape is {shape:?}")),
            )
            .hint("--axis 0 is for a file by itself"));
        }
        let mut dtype = first.dtype();
        let (mut rows, mut is_counted) = (Some(0u64), true);
        let (mut total, parts) = (0usize, Parts::default());
        for (at, file) in files.iter().enumerate() {
            let opened;
            let reader = match at {
                0 => &first,
                _ => {
                    opened = open(file).map_err(|e| named(file, e))?;
                    &opened
                }
            };
            let here = reader.layout().shape();
            if here.len() != shape.len() || here[1..] != shape[1..] {
                let what = |shape: &[usize]| match shape {
                    [_, classes] => format!("rows of {classes}"),
                    shape => format!("shape {shape:?}"),
                };
                let (here, there) = (what(here), what(&shape));
                let first = files[0].display();
                return Err(named(
                    file,
                    InputError::new(format!("{here}, where {first} has {there}")),
                )
                .hint("all shards are of the same classes"));
            }
            if let Some((here, there)) = Option::zip(reader.class_names(), first.class_names())
                && let Some(class) = (0..here.len()).find(|&class| here[class] != there[class])
            {
                let (here, there, first) = (&here[class], &there[class], files[0].display());
                let reason = format!("class {class} is '{here}', where in {first} it is '{there}'");
                return Err(named(file, InputError::new(reason))
                    .hint("columns that are named, as in FILE:cat,dog, are taken in that order"));
            }
            dtype = Option::zip(dtype, reader.dtype())
                .map(|(a, b)| if a.size() < b.size() { b } else { a });
            is_counted &= reader.rows().is_some();
            if let Some(before) = rows {
                parts.begin(before, file);
                rows = reader.rows().map(|here| before + here);
            }
            total = total.saturating_add(here[0]);
        }
        let mut whole = shape;
        whole[0] = if is_counted { total } else { 0 };
        let layout = Layout::new(whole, axis as isize)?.with_parts(parts.clone());
        Ok(Self {
            files,
            open,
            current: 0,
            reader: first,
            done: 0,
            layout,
            parts,
            dtype,
            is_counted,
        })
    }

    fn file(&self) -> String {
        self.files[self.current].display().to_string()
    }

    /// Goes to the next file; `false` where there is none.
    fn advance(&mut self) -> Result<bool, InputError> {
        if self.current + 1 == self.files.len() {
            return Ok(false);
        }
        self.current += 1;
        let opened = (self.open)(&self.files[self.current]);
        self.reader = opened.map_err(|e| e.within(&self.file()))?;
        if self.reader.layout().classes() != self.layout.classes() {
            return Err(InputError::new("was changed while it was read").within(&self.file()));
        }
        self.parts.begin(self.done, &self.files[self.current]);
        Ok(true)
    }
}

impl Reader for Shards {
    fn dtype(&self) -> Option<Dtype> {
        self.dtype
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn rows(&self) -> Option<u64> {
        self.is_counted.then(|| self.layout.rows())
    }

    fn class_names(&self) -> Option<&[String]> {
        self.reader.class_names()
    }

    fn note(&self) -> Option<String> {
        self.reader.note()
    }

    fn skip_rows(&mut self, rows: u64) -> Result<u64, InputError> {
        let skipped = self.reader.skip_rows(rows).map_err(|e| e.within(&self.file()))?;
        self.done += skipped;
        Ok(skipped)
    }

    fn next_block(&mut self, mut block: Block, max_rows: usize) -> Result<usize, InputError> {
        loop {
            let read = self.reader.next_block(block.reborrow(), max_rows);
            let read = read.map_err(|e| e.within(&self.file()))?;
            self.done += read as u64;
            if read > 0 || !self.advance()? {
                return Ok(read);
            }
        }
    }
}

/// The same of texts.
pub(super) struct TextShards {
    files: Vec<PathBuf>,
    open: Open<dyn Texts>,
    current: usize,
    texts: Box<dyn Texts>,
}

impl TextShards {
    /// `first` is the first file, open.
    pub(super) fn new(files: Vec<PathBuf>, first: Box<dyn Texts>, open: Open<dyn Texts>) -> Self {
        Self { files, open, current: 0, texts: first }
    }
}

impl Texts for TextShards {
    fn advance(&mut self) -> Result<Option<String>, InputError> {
        loop {
            let name = self.files[self.current].display().to_string();
            if let Some(text) = self.texts.advance().map_err(|e| e.within(&name))? {
                return Ok(Some(text));
            }
            let Some(file) = self.files.get(self.current + 1) else { return Ok(None) };
            self.texts = (self.open)(file).map_err(|e| e.within(&file.display().to_string()))?;
            self.current += 1;
        }
    }

    fn place(&self) -> String {
        format!("{} of {}", self.texts.place(), self.files[self.current].display())
    }
}
