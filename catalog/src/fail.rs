//! Places where a crash may happen, for tests: each counts, and the process ends at the one it was told to.

/// Ends the process without any clean-up if the environment variable `TRIBUTARY_FAIL_AT` says so. Nothing in builds for users.
#[cfg(not(test))]
#[inline(always)]
pub fn point(_: &str) {}

#[cfg(test)]
pub fn point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    static FAIL_AT: OnceLock<Option<u64>> = OnceLock::new();
    let fail_at = FAIL_AT.get_or_init(|| std::env::var("TRIBUTARY_FAIL_AT").ok()?.parse().ok());
    if let Some(fail_at) = fail_at
        && PASSED.fetch_add(1, Ordering::SeqCst) == *fail_at
    {
        eprintln!("stopped at {name}");
        std::process::abort();
    }
}
