//! The silhouette of each row, all pairs of rows compared tile by tile.

use super::Groups;
use crate::Result;
use crate::clustering::tile::{LANES, Tile};
use crate::host::{Host, Meter};
use crate::parallel::ordered;

/// Rows of a task: enough to share the reading of a run of points.
const TASK_ROWS: usize = 4 * LANES;

/// Points compared between two questions for cancellation, in values.
const RUN_VALUES: usize = 1 << 16;

/// For each cluster the sum over its rows of `(b - a) / max(a, b)`: a the mean distance to the other rows of the cluster, b
/// the least of the mean distances to the rows of another (Rousseeuw 1987).
///
/// Time O(n^2 d). Distances are f32, their sums f64 from runs of 64.
pub(super) fn sums(groups: &Groups, host: &dyn Host) -> Result<Vec<f64>> {
    let d = groups.d;
    // Tasks do not cross clusters, so that a row's own cluster is known for a whole tile.
    let mut tasks = Vec::new();
    for (code, size) in groups.sizes().enumerate() {
        tasks.extend((0..size).step_by(TASK_ROWS).map(|first| (code, first)));
    }
    let mut totals = vec![0.0; groups.len()];
    let mut done = 0;
    ordered(
        tasks.len(),
        host,
        |task| {
            let (code, first) = tasks[task];
            let rows = &groups.rows(code)[first * d..];
            let rows = &rows[..rows.len().min(TASK_ROWS * d)];
            Ok((code, silhouettes(groups, code, rows, host)?))
        },
        |(code, sum)| {
            totals[code] += sum;
            done += 1;
            host.progress("silhouette", done, tasks.len() as u64, None);
            Ok(())
        },
    )?;
    Ok(totals)
}

/// Sum of the silhouettes of `rows` of cluster `own`.
fn silhouettes(groups: &Groups, own: usize, rows: &[f32], host: &dyn Host) -> Result<f64> {
    let d = groups.d;
    let mut meter = Meter::new(host);
    let tiles: Vec<Tile> = rows
        .chunks(LANES * d)
        .map(|rows| {
            let mut tile = Tile::default();
            tile.load(rows, d);
            tile
        })
        .collect();
    let mut within = vec![[0.0_f64; LANES]; tiles.len()];
    let mut beside = vec![[f64::INFINITY; LANES]; tiles.len()];
    let run = (RUN_VALUES / d).max(1) * d;
    for (code, size) in groups.sizes().enumerate().filter(|(_, size)| *size > 0) {
        let mut sums = vec![[0.0_f64; LANES]; tiles.len()];
        for points in groups.rows(code).chunks(run) {
            for (tile, sums) in tiles.iter().zip(&mut sums) {
                meter.spend(LANES * points.len() / 4)?;
                tile.add_distances(points, sums);
            }
        }
        if code == own {
            within = sums;
        } else {
            for (beside, sums) in beside.iter_mut().zip(sums) {
                for (beside, sum) in beside.iter_mut().zip(sums) {
                    *beside = beside.min(sum / size as f64);
                }
            }
        }
    }
    let others = groups.sizes().nth(own).map_or(0, |size| size - 1);
    if others == 0 {
        return Ok(0.0);
    }
    let lanes = within.iter().flatten().zip(beside.iter().flatten());
    Ok(lanes
        .take(rows.len() / d)
        .map(|(sum, &b)| {
            let a = sum / others as f64;
            let larger = a.max(b);
            if larger > 0.0 { (b - a) / larger } else { 0.0 }
        })
        .sum())
}
