//! A kd-tree whose leaves are tiles of 32 rows, for the clusterings by density.
//!
//! The rows are cut in halves by whole tiles at the middle of the widest column, so that all leaves but the last are full and
//! the tree is an array. Queries are tiles too: 32 neighbouring rows walk the tree together, a leaf costs 32 x 32
//! distances in vectors, and what is too far from all of them is passed by at once.
//!
//! Rows are f32 around their column means. [`Bounds`] says how far that can be from the f64 rows, which stay with the
//! caller: what lies within that error of a limit is decided again in f64.

use std::borrow::Cow;

use ndarray::ArrayView2;

use super::tile::{LANES, Tile};
use crate::blocks::for_each_block;
use crate::host::{Host, Meter, Reservation, reserve_for};
use crate::parallel::ordered;
use crate::{Blocks, DenseBlocks, Error, Result};

/// Rows below which a part of the tree is built by one thread.
const PARALLEL_ROWS: usize = 8192;

/// The rows of a matrix, n x d, in the order of the leaves.
#[derive(Debug)]
pub(crate) struct KdTree<'a> {
    /// The rows as they were given, row-major; a copy when they came in another order.
    x: Cow<'a, [f64]>,
    d: usize,
    /// Row of each place in the tree.
    rows: Vec<u32>,
    /// The stored rows in that order, row-major.
    values: Vec<f32>,
    /// First tile and number of tiles of each node, in preorder.
    spans: Vec<(u32, u32)>,
    /// The node of each leaf.
    leaf_nodes: Vec<u32>,
    /// Lowest and highest value of each column of each node: d and d values.
    boxes: Vec<f32>,
    /// What was subtracted from each column.
    centres: Vec<f64>,
    /// How far a stored row can lie from the row itself.
    rounding: f64,
    _memory: [Reservation; 2],
}

impl<'a> KdTree<'a> {
    /// Builds the tree of the rows of `x`. Time O(n d log n), memory 4 n (2 d + 4) bytes while it
    /// is built, 4 n (d + 2) then.
    ///
    /// # Errors
    /// [`Error::Data`] for no rows, no columns, more rows than 32 bits count, NaN, infinity, or a spread beyond single
    /// precision; [`Error::OutOfMemory`]; [`Error::Cancelled`].
    pub(crate) fn new(x: ArrayView2<'a, f64>, host: &dyn Host) -> Result<Self> {
        let (n, d) = x.dim();
        check_shape(n, d)?;
        let cells = n.saturating_mul(d.saturating_mul(2).saturating_add(4));
        let memory = reserve_for::<f32>(host, cells, "search tree")?;
        let (mut values, centres, rounding) = stored_rows(x, host)?;
        let copied = if x.is_standard_layout() { 0 } else { n * d };
        let copy = reserve_for::<f64>(host, copied, "features")?;
        let x = match x.to_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(x.iter().copied().collect()),
        };
        let mut rows: Vec<u32> = (0..n as u32).collect();
        let tiles = n.div_ceil(LANES);
        let mut spans = vec![(0, 0); 2 * tiles - 1];
        let mut boxes = vec![0.0; spans.len() * 2 * d];
        Part {
            d,
            first: 0,
            rows: &mut rows,
            values: &mut values,
            keys: &mut vec![0; n],
            spare: &mut vec![0.0; n * d],
            spans: &mut spans,
            boxes: &mut boxes,
        }
        .build(host)?;
        let mut leaf_nodes = vec![0; tiles];
        for (node, &(first, count)) in spans.iter().enumerate() {
            if count == 1 {
                leaf_nodes[first as usize] = node as u32;
            }
        }
        Ok(Self {
            x,
            d,
            rows,
            values,
            spans,
            leaf_nodes,
            boxes,
            centres,
            rounding,
            _memory: [memory, copy],
        })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Number of leaves.
    pub(crate) fn leaves(&self) -> usize {
        self.len().div_ceil(LANES)
    }

    /// Nodes, leaves included, in preorder.
    pub(crate) fn nodes(&self) -> usize {
        self.spans.len()
    }

    /// Row of each place.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Places of a leaf.
    pub(crate) fn places(&self, leaf: usize) -> std::ops::Range<usize> {
        leaf * LANES..((leaf + 1) * LANES).min(self.len())
    }

    /// Stored rows of a run of places, row-major.
    pub(crate) fn values(&self, places: std::ops::Range<usize>) -> &[f32] {
        &self.values[places.start * self.d..places.end * self.d]
    }

    /// First leaf and number of leaves of a node.
    pub(crate) fn span(&self, node: usize) -> (usize, usize) {
        let (first, count) = self.spans[node];
        (first as usize, count as usize)
    }

    /// The children of a node of more than one leaf.
    pub(crate) fn children(&self, node: usize) -> (usize, usize) {
        let (_, count) = self.span(node);
        (node + 1, node + 2 * left_tiles(count))
    }

    /// The node of a leaf.
    pub(crate) fn node_of(&self, leaf: usize) -> usize {
        self.leaf_nodes[leaf] as usize
    }

    /// A value for each node: `of(places)` for a leaf, `both` of the children's for others.
    pub(crate) fn fold_up<T: Clone>(
        &self,
        of: impl Fn(std::ops::Range<usize>) -> T,
        both: impl Fn(T, T) -> T,
    ) -> Vec<T> {
        // Children come after their parents in preorder; filled from the back, then turned round.
        let mut values: Vec<T> = Vec::with_capacity(self.nodes());
        let last = self.nodes() - 1;
        for node in (0..self.nodes()).rev() {
            let (first, count) = self.span(node);
            let value = if count == 1 {
                of(self.places(first))
            } else {
                let (left, right) = self.children(node);
                both(values[last - left].clone(), values[last - right].clone())
            };
            values.push(value);
        }
        values.reverse();
        values
    }

    /// Squared distance in f64 between the given rows at two places.
    pub(crate) fn exact_squared(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (self.rows[a] as usize, self.rows[b] as usize);
        let (a, b) = (self.given(a), self.given(b));
        a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
    }

    /// A row as it was given.
    fn given(&self, row: usize) -> &[f64] {
        &self.x[row * self.d..][..self.d]
    }

    /// Squared distances as computed in f32 that decide about `eps`.
    pub(crate) fn bounds(&self, eps: f64) -> Bounds {
        // A sum of d squares of differences, each operation rounding by half a unit.
        let relative = (self.d + 4) as f64 * f64::from(f32::EPSILON);
        let below = (eps - 2.0 * self.rounding).max(0.0) * (1.0 - relative);
        let above = (eps + 2.0 * self.rounding) * (1.0 + relative);
        Bounds {
            // A negative limit lets nothing in.
            within: if eps > 2.0 * self.rounding {
                (below * below) as f32
            } else {
                -1.0
            },
            beyond: ((above * above) as f32).max(f32::MIN_POSITIVE),
        }
    }

    /// A tile of the rows at `places`, at most 32.
    pub(crate) fn query(&self, places: &[usize]) -> Query {
        let mut values = Vec::with_capacity(places.len() * self.d);
        for &place in places {
            values.extend_from_slice(self.values(place..place + 1));
        }
        Query::new(&values, self.d)
    }

    /// The tile of a leaf.
    pub(crate) fn leaf_query(&self, leaf: usize) -> Query {
        Query::new(self.values(self.places(leaf)), self.d)
    }

    /// Least squared distance between a row of the query's box and one of the node's, not above that of any pair in f32.
    pub(crate) fn least(&self, query: &Query, node: usize) -> f32 {
        let (low, high) = self.boxes[node * 2 * self.d..][..2 * self.d].split_at(self.d);
        let mut sum = 0.0;
        for (((low, high), a), b) in low.iter().zip(high).zip(&query.low).zip(&query.high) {
            let gap = (low - b).max(a - high).max(0.0);
            sum += gap * gap;
        }
        // The sum of a pair may have been rounded down a little more than this one.
        sum * (1.0 - 4e-7 * (self.d + 4) as f32)
    }

    /// Largest squared distance between the boxes, not below that of any pair.
    pub(crate) fn most(&self, query: &Query, node: usize) -> f32 {
        let (low, high) = self.boxes[node * 2 * self.d..][..2 * self.d].split_at(self.d);
        let mut sum = 0.0;
        for (((low, high), a), b) in low.iter().zip(high).zip(&query.low).zip(&query.high) {
            let gap = (high - a).max(b - low);
            sum += gap * gap;
        }
        sum * (1.0 + 4e-7 * (self.d + 4) as f32)
    }

    /// Walks the tree, nearer children first, into the nodes that the visitor enters. `stack` is room to be used again.
    pub(crate) fn walk(
        &self,
        query: &Query,
        visitor: &mut impl Visitor,
        stack: &mut Vec<(u32, f32)>,
    ) -> Result<()> {
        stack.clear();
        stack.push((0, self.least(query, 0)));
        while let Some((node, least)) = stack.pop() {
            let node = node as usize;
            if !visitor.enter(node, least) {
                continue;
            }
            let (first, count) = self.span(node);
            if count == 1 {
                visitor.leaf(first)?;
                continue;
            }
            let (left, right) = self.children(node);
            let (a, b) = (self.least(query, left), self.least(query, right));
            let (near, far) = if b < a {
                ((right as u32, b), (left as u32, a))
            } else {
                ((left as u32, a), (right as u32, b))
            };
            stack.push(far);
            stack.push(near);
        }
        Ok(())
    }

    /// The `k` nearest rows of each row at `places`, itself included, ascending by (squared distance in f32, order of the
    /// walk); fewer when there are fewer rows. `take` gets for each 32 places, in order, their numbers and neighbours.
    ///
    /// Time about O(m (k + log n)) for m places in few dimensions, O(m n d) at worst.
    pub(crate) fn nearest(
        &self,
        places: &[usize],
        k: usize,
        host: &dyn Host,
        mut take: impl FnMut(&[usize], Vec<Vec<(f32, u32)>>) -> Result<()>,
    ) -> Result<()> {
        let k = k.min(self.len());
        let tasks: Vec<&[usize]> = places.chunks(8 * LANES).collect();
        ordered(
            tasks.len(),
            host,
            |task| {
                let mut meter = Meter::new(host);
                let mut stack = Vec::new();
                let mut found = Vec::with_capacity(8);
                for places in tasks[task].chunks(LANES) {
                    let query = self.query(places);
                    let mut search = Nearest::new(self, &query, places.len(), k, &mut meter);
                    // Starting at home makes the limits tight before the walk.
                    let own = places.first().map_or(0, |place| place / LANES);
                    search.leaf(own)?;
                    search.own = own;
                    self.walk(&query, &mut search, &mut stack)?;
                    found.push((places, search.lists));
                }
                Ok(found)
            },
            |found| {
                for (places, lists) in found {
                    take(places, lists)?;
                }
                Ok(())
            },
        )
    }
}

impl KdTree<'_> {
    /// Calls `take` with the place of the nearest row and the squared distance to it, in f64, for each row of `x` in order.
    /// Which is nearest is decided in f32.
    ///
    /// # Errors
    /// [`Error::Data`] for NaN, infinity or a value too far away for f32.
    pub(crate) fn nearest_to(
        &self,
        x: ArrayView2<'_, f64>,
        host: &dyn Host,
        mut take: impl FnMut(usize, f64),
    ) -> Result<()> {
        let blocks = DenseBlocks::centred(x, self.centres.clone(), host)?;
        let mut row = 0;
        for_each_block(
            &blocks,
            host,
            |_, rows| {
                let mut meter = Meter::new(host);
                let mut stack = Vec::new();
                let mut found = Vec::with_capacity(rows.len() / self.d);
                for rows in rows.chunks(LANES * self.d) {
                    let query = Query::new(rows, self.d);
                    let mut search = Nearest::new(self, &query, rows.len() / self.d, 1, &mut meter);
                    self.walk(&query, &mut search, &mut stack)?;
                    for list in search.lists {
                        found.push(list.first().map_or(0, |nearest| nearest.1 as usize));
                    }
                }
                Ok(found)
            },
            |found| {
                for place in found {
                    let own = self.given(self.rows[place] as usize);
                    let squares = x
                        .row(row)
                        .into_iter()
                        .zip(own)
                        .map(|(a, b)| (a - b) * (a - b));
                    take(place, squares.sum());
                    row += 1;
                }
                Ok(())
            },
        )
    }
}

/// What a walk through the tree looks for.
pub(crate) trait Visitor {
    /// Whether to look into a node.
    fn enter(&mut self, node: usize, least: f32) -> bool;

    /// Looks at the rows of a leaf.
    fn leaf(&mut self, leaf: usize) -> Result<()>;
}

/// Limits of squared distances in f32: at or below `within` the rows are surely within eps, above `beyond` surely not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) within: f32,
    pub(crate) beyond: f32,
}

impl Bounds {
    /// Whether a row of a tile can be within eps; looks at all, which vectors do faster than stopping at the first.
    pub(crate) fn reach_any(&self, squares: &[f32; LANES]) -> bool {
        squares
            .iter()
            .fold(false, |any, squared| any | (*squared <= self.beyond))
    }
}

/// Up to 32 rows that walk the tree together, and the box around them.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) tile: Tile,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Query {
    pub(crate) fn new(values: &[f32], d: usize) -> Self {
        let mut tile = Tile::default();
        tile.load(values, d);
        let (low, high) = extent(values, d);
        Self { tile, low, high }
    }
}

/// A search for the nearest rows.
struct Nearest<'a, 'b> {
    tree: &'a KdTree<'a>,
    query: &'a Query,
    lanes: usize,
    k: usize,
    /// Squared distance that a row must be below to be taken, lane by lane.
    limits: [f32; LANES],
    widest: f32,
    lists: Vec<Vec<(f32, u32)>>,
    squares: [[f32; LANES]; LANES],
    /// A leaf that was looked at before.
    own: usize,
    meter: &'a mut Meter<'b>,
}

impl<'a, 'b> Nearest<'a, 'b> {
    fn new(
        tree: &'a KdTree<'a>,
        query: &'a Query,
        lanes: usize,
        k: usize,
        meter: &'a mut Meter<'b>,
    ) -> Self {
        Self {
            tree,
            query,
            lanes,
            k,
            limits: [f32::INFINITY; LANES],
            widest: f32::INFINITY,
            lists: vec![Vec::with_capacity(k + 1); lanes],
            squares: [[0.0; LANES]; LANES],
            own: usize::MAX,
            meter,
        }
    }
}

impl Visitor for Nearest<'_, '_> {
    fn enter(&mut self, _node: usize, least: f32) -> bool {
        least < self.widest
    }

    fn leaf(&mut self, leaf: usize) -> Result<()> {
        if leaf == self.own {
            return Ok(());
        }
        let places = self.tree.places(leaf);
        let values = self.tree.values(places.clone());
        self.meter.spend(LANES * values.len() / 4)?;
        self.query.tile.squares(values, &mut self.squares);
        let mut taken = false;
        for (place, squares) in places.zip(&self.squares) {
            let below = squares.iter().zip(&self.limits);
            if !below.fold(false, |any, (squared, limit)| any | (squared < limit)) {
                continue;
            }
            let lanes = squares.iter().zip(&mut self.limits).zip(&mut self.lists);
            for ((&squared, limit), list) in lanes {
                if squared < *limit {
                    let at = list.partition_point(|held| held.0 <= squared);
                    if list.len() == self.k {
                        list.pop();
                    }
                    list.insert(at, (squared, place as u32));
                    if list.len() == self.k {
                        *limit = list[self.k - 1].0;
                        taken = true;
                    }
                }
            }
        }
        if taken {
            self.widest = self.limits[..self.lanes]
                .iter()
                .copied()
                .fold(0.0, f32::max);
        }
        Ok(())
    }
}

fn check_shape(n: usize, d: usize) -> Result<()> {
    if n == 0 {
        return Err(Error::data(
            "there are no rows to cluster",
            "Give a relation with at least one row.",
        ));
    }
    if d == 0 {
        return Err(Error::data(
            "there are no feature columns to cluster by",
            "Name at least one numeric column.",
        ));
    }
    // Cluster numbers are signed.
    if i32::try_from(n).is_err() {
        return Err(Error::data(
            format!(
                "there are {n} rows, more than {} to cluster by density",
                i32::MAX
            ),
            "Cluster a sample of the rows, or summarise them first.",
        ));
    }
    Ok(())
}

/// The rows as f32 around their column means, those, and how far a row can thus be from itself.
fn stored_rows(x: ArrayView2<'_, f64>, host: &dyn Host) -> Result<(Vec<f32>, Vec<f64>, f64)> {
    let blocks = DenseBlocks::from_rows(x, host)?;
    let centres = blocks.centres().to_vec();
    let values = blocks.into_values();
    let d = x.ncols();
    let (low, high) = extent(&values, d);
    let (mut largest, mut spread) = (0.0_f64, 0.0_f64);
    for (low, high) in low.iter().zip(&high) {
        let reach = f64::from(low.abs().max(high.abs()));
        largest += reach * reach;
        spread = spread.max(f64::from(*high) - f64::from(*low));
    }
    // Squares of smaller or larger f32 numbers leave its range once they are added up.
    if spread > 0.0 && !(1e-15..=1e15).contains(&spread) {
        return Err(Error::data(
            format!("the features spread over {spread:e}, which is beyond single precision"),
            "Standardize the features.",
        ));
    }
    Ok((values, centres, largest.sqrt() * f64::from(f32::EPSILON)))
}

/// Lowest and highest value of each column of `values`, row-major.
fn extent(values: &[f32], d: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut low, mut high) = (vec![0.0; d], vec![0.0; d]);
    widen(values, &mut low, &mut high);
    (low, high)
}

/// Sets `low` and `high` to the lowest and highest value of each column.
fn widen(values: &[f32], low: &mut [f32], high: &mut [f32]) {
    low.fill(f32::INFINITY);
    high.fill(f32::NEG_INFINITY);
    for row in values.chunks_exact(low.len()) {
        for ((low, high), &value) in low.iter_mut().zip(high.iter_mut()).zip(row) {
            // Comparisons, not `min`: there is no NaN, and this becomes one instruction.
            *low = if value < *low { value } else { *low };
            *high = if value > *high { value } else { *high };
        }
    }
}

/// Tiles of the left child of a node of `tiles`, two or more.
fn left_tiles(tiles: usize) -> usize {
    tiles.div_ceil(2)
}

/// A part of the tree that is being built: its rows, room to reorder them, its nodes.
struct Part<'a> {
    d: usize,
    /// First tile.
    first: usize,
    rows: &'a mut [u32],
    values: &'a mut [f32],
    keys: &'a mut [u64],
    spare: &'a mut [f32],
    spans: &'a mut [(u32, u32)],
    boxes: &'a mut [f32],
}

impl Part<'_> {
    /// Puts the rows in the order of the leaves and fills the nodes.
    ///
    /// The rows themselves are moved at each level, so that all but the first levels work within the caches, where sorting
    /// row numbers waits for memory.
    fn build(self, host: &dyn Host) -> Result<()> {
        let Self {
            d,
            first,
            rows,
            values,
            keys,
            spare,
            spans,
            boxes,
        } = self;
        let tiles = rows.len().div_ceil(LANES);
        let (Some((span, spans)), Some((own, boxes))) =
            (spans.split_first_mut(), boxes.split_at_mut_checked(2 * d))
        else {
            return Err(Error::Internal("a node for each part of the tree"));
        };
        *span = (first as u32, tiles as u32);
        let (low, high) = own.split_at_mut(d);
        widen(values, low, high);
        if tiles == 1 {
            return Ok(());
        }
        let mut column = 0;
        for j in 1..d {
            if high[j] - low[j] > high[column] - low[column] {
                column = j;
            }
        }
        // Ties go by the place so far, so that the leaves are fixed.
        for (at, (key, row)) in keys.iter_mut().zip(values.chunks_exact(d)).enumerate() {
            *key = u64::from(ascending(row[column])) << 32 | at as u64;
        }
        let left = left_tiles(tiles);
        let cut = left * LANES;
        keys.select_nth_unstable(cut);
        for (to, &key) in spare.chunks_exact_mut(d).zip(&*keys) {
            to.copy_from_slice(&values[(key as u32) as usize * d..][..d]);
        }
        values.copy_from_slice(spare);
        for key in &mut *keys {
            *key = u64::from(rows[(*key as u32) as usize]);
        }
        for (row, &key) in rows.iter_mut().zip(&*keys) {
            *row = key as u32;
        }

        let nodes = 2 * left - 1;
        let (rows, right_rows) = rows.split_at_mut(cut);
        let (values, right_values) = values.split_at_mut(cut * d);
        let (keys, right_keys) = keys.split_at_mut(cut);
        let (spare, right_spare) = spare.split_at_mut(cut * d);
        let (spans, right_spans) = spans.split_at_mut(nodes);
        let (boxes, right_boxes) = boxes.split_at_mut(nodes * 2 * d);
        let shared = rows.len() >= PARALLEL_ROWS;
        let one = Part {
            d,
            first,
            rows,
            values,
            keys,
            spare,
            spans,
            boxes,
        };
        let two = Part {
            d,
            first: first + left,
            rows: right_rows,
            values: right_values,
            keys: right_keys,
            spare: right_spare,
            spans: right_spans,
            boxes: right_boxes,
        };
        if !shared {
            one.build(host)?;
            return two.build(host);
        }
        host.check()?;
        let (a, b) = rayon::join(|| one.build(host), || two.build(host));
        a.and(b)
    }
}

/// Bits that are ordered as the finite numbers are.
fn ascending(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Unlimited;
    use ndarray::{Array2, array};

    fn scattered(n: usize, d: usize) -> Array2<f64> {
        let mut state = 7_u32;
        Array2::from_shape_fn((n, d), |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 20) / 64.0
        })
    }

    #[test]
    fn leaves_hold_every_row_once_within_the_boxes_of_their_nodes() {
        for n in [1, 2, 31, 32, 33, 64, 65, 500, 20_000] {
            let x = scattered(n, 3);
            let tree = KdTree::new(x.view(), &Unlimited).unwrap();
            let mut rows = tree.rows().to_vec();
            rows.sort_unstable();
            assert!(rows.iter().enumerate().all(|(at, row)| at == *row as usize));
            let mut seen = vec![0; tree.leaves()];
            for node in 0..tree.nodes() {
                let (first, count) = tree.span(node);
                if count == 1 {
                    seen[first] += 1;
                } else {
                    let (left, right) = tree.children(node);
                    assert_eq!(tree.span(left).0, first);
                    assert_eq!(tree.span(left).0 + tree.span(left).1, tree.span(right).0);
                    assert_eq!(tree.span(left).1 + tree.span(right).1, count);
                }
                for leaf in first..first + count {
                    let inside = tree.leaf_query(leaf);
                    assert_eq!(tree.least(&inside, node), 0.0);
                }
            }
            assert!(seen.iter().all(|times| *times == 1));
        }
    }

    #[test]
    fn neighbours_are_those_of_the_table_of_distances() {
        for (n, d, k) in [(1, 2, 3), (40, 1, 5), (700, 2, 8), (600, 9, 4)] {
            let x = scattered(n, d);
            let tree = KdTree::new(x.view(), &Unlimited).unwrap();
            let places: Vec<usize> = (0..n).collect();
            tree.nearest(&places, k, &Unlimited, |places, lists| {
                for (&place, list) in places.iter().zip(lists) {
                    let mut expected: Vec<f64> = (0..n)
                        .map(|other| tree.exact_squared(place, other))
                        .collect();
                    expected.sort_unstable_by(f64::total_cmp);
                    assert_eq!(list.len(), k.min(n));
                    for ((squared, other), expected) in list.iter().zip(expected) {
                        let exact = tree.exact_squared(place, *other as usize);
                        assert!((f64::from(*squared) - exact).abs() <= 1e-4 * exact.max(1e-3));
                        assert!((exact - expected).abs() <= 1e-4 * expected.max(1e-3));
                    }
                }
                Ok(())
            })
            .unwrap();
        }
    }

    #[test]
    fn limits_leave_room_for_rounding_only() {
        let x = array![[0.0, 1e6], [1.0, -1e6]];
        let tree = KdTree::new(x.view(), &Unlimited).unwrap();
        let wide = tree.bounds(1e6);
        assert!(wide.within < 1e12 && wide.within > 0.999_99e12);
        assert!(wide.beyond > 1e12 && wide.beyond < 1.000_01e12);
        // Below the rounding of a million nothing is sure.
        let narrow = tree.bounds(0.01);
        assert!(narrow.within < 0.0);
        assert!(narrow.beyond > 1e-4);
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        let text = |x: &Array2<f64>| KdTree::new(x.view(), &Unlimited).unwrap_err().to_string();
        assert_eq!(text(&Array2::zeros((0, 2))), "there are no rows to cluster");
        assert_eq!(
            text(&Array2::zeros((2, 0))),
            "there are no feature columns to cluster by"
        );
        assert!(text(&array![[0.0], [f64::NAN]]).contains("not finite"));
        assert!(text(&array![[0.0], [1e30]]).contains("beyond single precision"));
    }
}
