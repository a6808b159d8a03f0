//! What an algorithm may ask of the program that runs it: whether to go on, memory, and an ear for progress.

use std::fmt;

use crate::{Error, Result};

/// The program around a run.
///
/// Every algorithm takes a `&dyn Host`. It calls [`check`](Host::check) at least every 10 ms of compute, from any of its
/// threads, and [`reserve`](Host::reserve) before it allocates anything that grows with the data. It computes on the rayon
/// pool it is called in; the caller chooses that pool with `ThreadPool::install`.
pub trait Host: Sync {
    /// Whether the run should go on.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when it should not. Cheap enough for once a millisecond a thread.
    fn check(&self) -> Result<()>;

    /// Hears that `done` of `total` steps of `phase` are complete, with the figure of merit there is so far (a loss, an
    /// inertia), lower being better. Calls come from one thread at a time and in order.
    fn progress(&self, phase: &'static str, done: u64, total: u64, metric: Option<f64>);

    /// Sets `bytes` of memory aside for `purpose` until the guard is dropped.
    ///
    /// A run releases what it reserved when it returns; a caller that keeps the result asks for its own reservation, by
    /// the result's `bytes()`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when the limit does not allow it.
    fn reserve(&self, bytes: usize, purpose: &str) -> Result<Reservation>;
}

/// Memory set aside by a [`Host`]; dropping it gives the memory back.
pub struct Reservation {
    _held: Option<Box<dyn Send + Sync>>,
}

impl Reservation {
    /// A reservation that lasts as long as `guard`.
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self {
            _held: Some(Box::new(guard)),
        }
    }

    /// A reservation of a host that does not count.
    pub fn uncounted() -> Self {
        Self { _held: None }
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reservation")
    }
}

/// A host without limits that never cancels and hears nothing: for tests and for use of the algorithms alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

impl Host for Unlimited {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn progress(&self, _phase: &'static str, _done: u64, _total: u64, _metric: Option<f64>) {}

    fn reserve(&self, _bytes: usize, _purpose: &str) -> Result<Reservation> {
        Ok(Reservation::uncounted())
    }
}

/// Reserves room for `count` values of `T`; a count beyond the address space is refused like any other.
pub(crate) fn reserve_for<T>(host: &dyn Host, count: usize, purpose: &str) -> Result<Reservation> {
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) => host.reserve(bytes, purpose),
        None => Err(Error::OutOfMemory {
            wanted: usize::MAX,
            purpose: purpose.to_owned(),
        }),
    }
}

/// Asks the host for leave once every few million units of work, which keeps the question off the inner loops.
pub(crate) struct Meter<'a> {
    host: &'a dyn Host,
    spent: usize,
}

impl<'a> Meter<'a> {
    /// Units between two questions: a few milliseconds where a unit is one multiply-add or one step of a scalar loop.
    const ALLOWANCE: usize = 1 << 22;

    pub(crate) fn new(host: &'a dyn Host) -> Self {
        Self { host, spent: 0 }
    }

    /// Accounts for `units` of work about to be done.
    pub(crate) fn spend(&mut self, units: usize) -> Result<()> {
        self.spent = self.spent.saturating_add(units);
        if self.spent >= Self::ALLOWANCE {
            self.spent = 0;
            self.host.check()?;
        }
        Ok(())
    }
}
