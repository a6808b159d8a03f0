//! One execution of a relation function: its threads, memory, cancellation and output.
//!
//! [`Compute`] is shared by a whole process: one rayon pool, so that many statements do not
//! multiply threads. [`Run`] is what a function sees; it is also the algorithms' `Host`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::metrics::{Count, Gauge};
use tokio::sync::mpsc::Sender;

use crate::error::{Error, Kind, Result};
use crate::types::plain_layout;

/// The process-wide means of computing: one pool of threads.
#[derive(Debug)]
pub struct Compute {
    pool: rayon::ThreadPool,
}

impl Compute {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// [`Kind::Internal`] where the system gives no threads.
    pub fn new(threads: usize) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.max(1))
            .thread_name(|number| format!("compute-{number}"))
            .build()
            .map_err(|error| Error::internal(format!("no compute threads: {error}")))?;
        Ok(Self { pool })
    }
}

/// What a function may use while it runs.
#[derive(Debug)]
pub struct Run {
    pub(crate) compute: Arc<Compute>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) memory: MemoryReservation,
    pub(crate) output: Sender<datafusion::error::Result<RecordBatch>>,
    pub(crate) schema: SchemaRef,
    pub(crate) steps: Count,
    pub(crate) peak_bytes: Gauge,
    /// Bytes held beside `memory`, by guards.
    pub(crate) held: Arc<AtomicUsize>,
    pub(crate) function: String,
    pub(crate) batch_rows: usize,
}

impl Run {
    /// Runs `work` on the shared threads; what it forks with rayon stays there.
    pub fn compute<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.compute.pool.install(work)
    }

    /// The columns of the result, as they were fixed when the call was planned.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Hands the rows that `columns` make, in the order of the result's columns, to the reader. A
    /// column of text or bytes may be in another layout than the result's.
    ///
    /// # Errors
    /// As [`Run::emit`]; [`Kind::Internal`] for columns of other types than the result's.
    pub fn emit_columns(&self, mut columns: Vec<ArrayRef>) -> Result<()> {
        for (column, field) in columns.iter_mut().zip(self.schema.fields()) {
            if plain_layout(column.data_type()) == plain_layout(field.data_type()) {
                *column = cast(column, field.data_type())?;
            }
        }
        self.emit(&RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Hands rows to the reader, waiting while it is behind; large batches are cut.
    ///
    /// # Errors
    /// [`Kind::Cancelled`] where nobody reads any more.
    pub fn emit(&self, batch: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < batch.num_rows() {
            let rows = self.batch_rows.min(batch.num_rows() - start);
            self.check()?;
            self.output
                .blocking_send(Ok(batch.slice(start, rows)))
                .map_err(|_| cancelled())?;
            start += rows;
        }
        Ok(())
    }

    /// Fails once the statement is cancelled.
    ///
    /// # Errors
    /// [`Kind::Cancelled`].
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            Err(cancelled())
        } else {
            Ok(())
        }
    }

    /// Asks for `bytes` before they are allocated; they are given back when the call ends.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`] where the memory limit forbids it.
    pub fn reserve(&self, bytes: usize) -> Result<()> {
        self.memory
            .try_grow(bytes)
            .map_err(|error| out_of_memory(&self.function, bytes, &error))?;
        self.note_peak();
        Ok(())
    }

    /// Asks for `bytes` before they are allocated; they are given back when the guard is dropped.
    ///
    /// # Errors
    /// [`Kind::OutOfMemory`] where the memory limit forbids it.
    pub fn hold(&self, bytes: usize) -> Result<Held> {
        let memory = self.memory.new_empty();
        memory
            .try_grow(bytes)
            .map_err(|error| out_of_memory(&self.function, bytes, &error))?;
        self.held.fetch_add(bytes, Ordering::Relaxed);
        self.note_peak();
        Ok(Held {
            _memory: memory,
            bytes,
            held: Arc::clone(&self.held),
        })
    }

    pub(crate) fn note_peak(&self) {
        let held = self.held.load(Ordering::Relaxed);
        self.peak_bytes
            .set_max(self.memory.size().saturating_add(held));
    }
}

/// Memory that a call holds for a while; dropping it gives the memory back.
#[derive(Debug)]
pub struct Held {
    _memory: MemoryReservation,
    bytes: usize,
    held: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl tributary_algo::Host for Run {
    fn check(&self) -> tributary_algo::Result<()> {
        Run::check(self).map_err(|_| tributary_algo::Error::Cancelled)
    }

    fn progress(&self, _phase: &'static str, _done: u64, _total: u64, _metric: Option<f64>) {
        self.steps.add(1);
    }

    fn reserve(
        &self,
        bytes: usize,
        purpose: &str,
    ) -> tributary_algo::Result<tributary_algo::Reservation> {
        let held = self
            .hold(bytes)
            .map_err(|_| tributary_algo::Error::OutOfMemory {
                wanted: bytes,
                purpose: purpose.to_owned(),
            })?;
        Ok(tributary_algo::Reservation::new(held))
    }
}

/// The error for memory that the limit forbids.
pub(crate) fn out_of_memory(
    function: &str,
    bytes: usize,
    error: &datafusion::error::DataFusionError,
) -> Error {
    Error::new(
        Kind::OutOfMemory,
        format!("{function} needs {bytes} more bytes than the memory limit allows"),
    )
    .detail(last_line(&error.strip_backtrace()))
    .hint("Raise the memory limit, read fewer rows or columns, or lower the number of factors.")
}

/// What the memory pool says of a refusal: the line behind its list of consumers, as a sentence.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    let line = line.strip_prefix("Error: ").unwrap_or(line);
    format!("{}.", line.trim_end_matches('.'))
}

fn cancelled() -> Error {
    Error::new(Kind::Cancelled, "canceling statement due to user request")
}
