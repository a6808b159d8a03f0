//! Parallel loops whose results do not depend on the number of threads: work is cut into fixed chunks and what the chunks
//! give is folded in their order.

use rayon::prelude::*;

use crate::Result;
use crate::host::Host;

/// Runs `work` on each of `chunks` chunk numbers on the ambient pool and hands the results to `fold` in order.
/// Checks for cancellation before each chunk.
pub(crate) fn ordered<T: Send>(
    chunks: usize,
    host: &dyn Host,
    work: impl Fn(usize) -> Result<T> + Sync,
    mut fold: impl FnMut(T) -> Result<()>,
) -> Result<()> {
    // How many results are held at once. Folding is in order, so this shapes memory and not the result.
    let wave = rayon::current_num_threads().saturating_mul(8);
    let mut start = 0;
    while start < chunks {
        let end = start.saturating_add(wave).min(chunks);
        let results = (start..end)
            .into_par_iter()
            .map(|index| {
                host.check()?;
                work(index)
            })
            .collect::<Result<Vec<T>>>()?;
        results.into_iter().try_for_each(&mut fold)?;
        start = end;
    }
    Ok(())
}
