//! Walks over references: what roots reach, children before parents, parents before children, and reference counts. A function
//! from a node to the nodes that it references stands for the graph, so that a walk works on a graph, a package or what a server
//! answered. A walk upwards is one over parents.
//!
//! No walk recurses, as a client that pushes decides how deep references are nested. Cycles are allowed.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// A node that is a number in a dense range.
pub(crate) trait Numbered: Copy {
    /// The number, for indexing.
    fn number(self) -> usize;
}

impl Numbered for usize {
    fn number(self) -> usize {
        self
    }
}

/// The nodes that a walk has reached.
pub(crate) trait Marks<N> {
    /// Adds a node. Returns whether it is new.
    fn add(&mut self, node: N) -> bool;
}

/// Indexed by the node's number.
impl<N: Numbered> Marks<N> for Vec<bool> {
    fn add(&mut self, node: N) -> bool {
        !std::mem::replace(&mut self[node.number()], true)
    }
}

impl<N: Eq + Hash> Marks<N> for HashSet<N> {
    fn add(&mut self, node: N) -> bool {
        self.insert(node)
    }
}

impl<N: Ord> Marks<N> for BTreeSet<N> {
    fn add(&mut self, node: N) -> bool {
        self.insert(node)
    }
}

/// For a walk whose roots and references name each node once.
impl<N> Marks<N> for () {
    fn add(&mut self, _: N) -> bool {
        true
    }
}

impl<N, M: Marks<N>> Marks<N> for &mut M {
    fn add(&mut self, node: N) -> bool {
        (**self).add(node)
    }
}

/// The nodes that a walk reaches, each once: depth first, in the order of the references. See [`reach`].
#[derive(Debug)]
pub(crate) struct Reach<N, M, R, F> {
    marks: M,
    roots: R,
    references: F,
    stack: Vec<N>,
}

/// Everything reached from `roots`, including them, that is not in `marks` yet. It is added to `marks`. `references` is called for a
/// node before the node is returned.
pub(crate) fn reach<N, M, R, F, I>(marks: M, roots: R, references: F) -> Reach<N, M, R::IntoIter, F>
where
    N: Copy,
    M: Marks<N>,
    R: IntoIterator<Item = N>,
    F: FnMut(N) -> I,
    I: IntoIterator<Item = N>,
{
    Reach { marks, roots: roots.into_iter(), references, stack: Vec::new() }
}

impl<N, M, R, F, I> Iterator for Reach<N, M, R, F>
where
    N: Copy,
    M: Marks<N>,
    R: Iterator<Item = N>,
    F: FnMut(N) -> I,
    I: IntoIterator<Item = N>,
{
    type Item = N;

    fn next(&mut self) -> Option<N> {
        loop {
            let node = match self.stack.pop() {
                Some(node) => node,
                None => self.roots.next()?,
            };
            if self.marks.add(node) {
                let first = self.stack.len();
                self.stack.extend((self.references)(node));
                self.stack[first..].reverse();
                return Some(node);
            }
        }
    }
}

/// Adds everything reached from `roots` to `marks`.
pub(crate) fn mark<N, I>(
    marks: impl Marks<N>,
    roots: impl IntoIterator<Item = N>,
    references: impl FnMut(N) -> I,
) where
    N: Copy,
    I: IntoIterator<Item = N>,
{
    reach(marks, roots, references).for_each(drop);
}

/// Everything reached from `roots`, each node once and, except on cycles, after all that it references. `count` is the number of
/// all nodes.
pub(crate) fn children_first<N, I>(
    count: usize,
    roots: impl IntoIterator<Item = N>,
    mut references: impl FnMut(N) -> I,
) -> Vec<N>
where
    N: Numbered,
    I: IntoIterator<Item = N>,
{
    let (mut marks, mut order) = (vec![false; count], Vec::new());
    let mut stack: Vec<(N, bool)> = roots.into_iter().map(|root| (root, false)).collect();
    while let Some((node, is_done)) = stack.pop() {
        if is_done {
            order.push(node);
        } else if marks.add(node) {
            stack.push((node, true));
            let unmarked = references(node).into_iter().filter(|child| !marks[child.number()]);
            stack.extend(unmarked.map(|child| (child, false)));
        }
    }
    order
}

/// Sorts nodes so that each comes before all that it reaches. `nodes` has each node once, with all that they reach. Of several nodes
/// that may come next, the one with the smallest key does. Nodes on a cycle, or reached from one, are left out. `count` is the number
/// of all nodes.
pub(crate) fn parents_first<N, K, I>(
    count: usize,
    nodes: &[N],
    mut references: impl FnMut(N) -> I,
    key: impl Fn(N) -> K,
) -> Vec<N>
where
    N: Numbered + Ord,
    K: Ord,
    I: IntoIterator<Item = N>,
{
    let mut parents = vec![0_usize; count];
    for node in nodes {
        references(*node).into_iter().for_each(|child| parents[child.number()] += 1);
    }
    let free = nodes.iter().filter(|node| parents[node.number()] == 0);
    let mut ready: BTreeSet<(K, N)> = free.map(|node| (key(*node), *node)).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some((_, node)) = ready.pop_first() {
        order.push(node);
        for child in references(node) {
            parents[child.number()] -= 1;
            if parents[child.number()] == 0 {
                ready.insert((key(child), child));
            }
        }
    }
    order
}

/// What roots reach while they are removed one by one: for each node, how often it is a root or is referenced by a reached node.
#[derive(Debug)]
pub(crate) struct ReferenceCounts(Vec<usize>);

impl ReferenceCounts {
    /// Counts what these roots reach among `count` nodes. A root that is given twice counts twice.
    pub(crate) fn new<N, I>(
        count: usize,
        roots: impl IntoIterator<Item = N>,
        mut references: impl FnMut(N) -> I,
    ) -> Self
    where
        N: Numbered,
        I: IntoIterator<Item = N>,
    {
        let mut counts = vec![0_usize; count];
        let mut stack: Vec<N> = roots.into_iter().collect();
        while let Some(node) = stack.pop() {
            let count = &mut counts[node.number()];
            *count += 1;
            if *count == 1 {
                stack.extend(references(node));
            }
        }
        Self(counts)
    }

    /// Whether a root reaches a node.
    pub(crate) fn holds(&self, node: impl Numbered) -> bool {
        self.0[node.number()] > 0
    }

    /// Removes one root.
    pub(crate) fn remove<N, I>(&mut self, root: N, mut references: impl FnMut(N) -> I)
    where
        N: Numbered,
        I: IntoIterator<Item = N>,
    {
        let mut stack = vec![root];
        while let Some(node) = stack.pop() {
            let count = &mut self.0[node.number()];
            if *count == 1 {
                stack.extend(references(node));
            }
            *count = count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNT: usize = 12;

    /// References by node. In a graph without cycles each node references larger ones only.
    fn graphs(has_cycles: bool) -> impl Strategy<Value = Vec<Vec<usize>>> {
        let names = prop::collection::vec(0..COUNT, 0..4);
        prop::collection::vec(names, COUNT).prop_map(move |mut graph| {
            for (node, names) in graph.iter_mut().enumerate() {
                names.retain(|name| has_cycles || *name > node);
            }
            graph
        })
    }

    /// The slow way: adds references until nothing is new.
    fn closure(graph: &[Vec<usize>], roots: &[usize]) -> Vec<bool> {
        let mut reached: Vec<bool> = (0..COUNT).map(|node| roots.contains(&node)).collect();
        for _ in 0..COUNT {
            for node in 0..COUNT {
                if reached[node] {
                    graph[node].iter().for_each(|name| reached[*name] = true);
                }
            }
        }
        reached
    }

    /// The order in which a recursion reaches nodes.
    fn recursion(graph: &[Vec<usize>], node: usize, order: &mut Vec<usize>) {
        if !order.contains(&node) {
            order.push(node);
            graph[node].iter().for_each(|name| recursion(graph, *name, order));
        }
    }

    proptest! {
        #[test]
        fn walk_reaches_each_node_once_in_order_of_recursion(
            graph in graphs(true), roots in prop::collection::vec(0..COUNT, 0..3),
        ) {
            let names = |node: usize| graph[node].iter().copied();
            let mut marks = vec![false; COUNT];
            let met: Vec<usize> = reach(&mut marks, roots.iter().copied(), names).collect();
            let mut order = Vec::new();
            roots.iter().for_each(|root| recursion(&graph, *root, &mut order));
            prop_assert_eq!(&met, &order);
            prop_assert_eq!(marks, closure(&graph, &roots));
            let sparse: HashSet<usize> = reach(HashSet::new(), roots, names).collect();
            prop_assert_eq!(sparse, order.into_iter().collect());
        }

        #[test]
        fn orders_put_children_or_parents_first(graph in graphs(false), roots in prop::collection::vec(0..COUNT, 0..3)) {
            let names = |node: usize| graph[node].iter().copied();
            let up = children_first(COUNT, roots.iter().copied(), names);
            let met: BTreeSet<usize> = reach(BTreeSet::new(), roots, names).collect();
            prop_assert_eq!(up.len(), met.len());
            let place = |order: &[usize], node: usize| order.iter().position(|one| *one == node).unwrap();
            for node in &up {
                prop_assert!(names(*node).all(|child| place(&up, child) < place(&up, *node)));
            }
            let down = parents_first(COUNT, &up, names, std::cmp::Reverse);
            prop_assert_eq!(down.len(), up.len());
            for (at, node) in down.iter().enumerate() {
                prop_assert!(names(*node).all(|child| place(&down, child) > at));
                // Of the nodes whose parents have all come, it is the one with the smallest key.
                let has_come = |one: &usize| down[..at].contains(one);
                let is_free = |one: &&usize| !has_come(one) && up.iter().filter(|up| graph[**up].contains(one)).all(has_come);
                prop_assert_eq!(up.iter().filter(is_free).max(), Some(node));
            }
        }

        #[test]
        fn reference_counts_hold_what_remaining_roots_reach(
            graph in graphs(false), roots in prop::collection::vec(0..COUNT, 0..6), removed in 0..6_usize,
        ) {
            let names = |node: usize| graph[node].iter().copied();
            let (removed, remaining) = roots.split_at(removed.min(roots.len()));
            let mut counts = ReferenceCounts::new(COUNT, roots.iter().copied(), names);
            removed.iter().for_each(|root| counts.remove(*root, names));
            let held: Vec<bool> = (0..COUNT).map(|node| counts.holds(node)).collect();
            prop_assert_eq!(held, closure(&graph, remaining));
        }
    }

    #[test]
    fn parents_first_leaves_out_cycles() {
        let graph = [vec![1], vec![2], vec![1], vec![]];
        let names = |node: usize| graph[node].iter().copied();
        assert_eq!(parents_first(4, &[0, 1, 2, 3], names, |_| ()), [0, 3]);
        assert_eq!(children_first(4, [0], names).len(), 3);
    }

    #[test]
    fn deep_graph_does_not_overflow_stack() {
        const DEPTH: usize = 1_000_000;
        let names = |node: usize| (node + 1 < DEPTH).then_some(node + 1);
        assert_eq!(reach(vec![false; DEPTH], [0], names).count(), DEPTH);
        assert_eq!(children_first(DEPTH, [0], names)[..2], [DEPTH - 1, DEPTH - 2]);
        let mut counts = ReferenceCounts::new(DEPTH, [0], names);
        counts.remove(0, names);
        assert!(!counts.holds(DEPTH - 1));
    }
}
