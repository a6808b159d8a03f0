//! The engine: one warehouse, one pool of threads, one limit on memory.

use std::path::Path;
use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use tributary_catalog::Warehouse;
use tributary_sql::engine::session_state;
use tributary_sql::system::Sessions;
use tributary_udfs::run::Compute;

use super::Result;

/// How much the engine may use.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineOptions {
    /// The most bytes that all statements together may hold; `None` is half of the machine's.
    pub memory_limit_bytes: Option<usize>,
    /// Threads to compute with; `None` is one a core.
    pub threads: Option<usize>,
}

/// What all sessions of a process share.
#[derive(Debug)]
pub struct Engine {
    warehouse: Warehouse,
    state: Arc<SessionState>,
    sessions: Arc<Sessions>,
    started_at: i64,
}

/// What half of the memory is taken to be where the system does not tell its size.
const MEMORY_LIMIT_FALLBACK_BYTES: usize = 4 << 30;

impl Engine {
    /// Opens the warehouse in `directory`.
    ///
    /// # Errors
    /// For a directory that is not a warehouse, or is damaged.
    pub fn open(directory: &Path, options: EngineOptions) -> Result<Arc<Self>> {
        let threads = options
            .threads
            .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
            .unwrap_or(1);
        let limit = options
            .memory_limit_bytes
            .or_else(|| Some(machine_memory_bytes()? / 2))
            .unwrap_or(MEMORY_LIMIT_FALLBACK_BYTES);
        let tracked = std::num::NonZeroUsize::new(5).unwrap_or(std::num::NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(FairSpillPool::new(limit), tracked);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build_arc()?;
        let compute = Arc::new(Compute::new(threads)?);
        Ok(Arc::new(Self {
            warehouse: Warehouse::open(directory)?,
            state: Arc::new(session_state(runtime, compute, threads)),
            sessions: Arc::default(),
            started_at: now(),
        }))
    }

    /// The warehouse.
    pub fn warehouse(&self) -> &Warehouse {
        &self.warehouse
    }

    /// The state that sessions start from.
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// The sessions on it.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// When the engine was opened, in microseconds since 1970 UTC.
    pub fn started_at(&self) -> i64 {
        self.started_at
    }
}

/// The time, in microseconds since 1970 UTC.
pub fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

/// The machine's memory, where the system tells it in `/proc/meminfo`.
fn machine_memory_bytes() -> Option<usize> {
    let facts = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = facts.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kilobytes: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}
