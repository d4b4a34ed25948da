//! Walks over references: what roots reach, children before parents, an order in which things may go, who still holds a
//! thing. They go over whatever can name its references (a graph, a package, what a server answered): that is a function from
//! a node to the nodes that it names. A walk upwards is one over parents.
//!
//! None of them recurses: who pushes decides how deep references go. Circles end where they began.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// A node that is a number of a dense range.
pub(crate) trait Numbered: Copy {
    /// The number, for indexing.
    fn number(self) -> usize;
}

impl Numbered for usize {
    fn number(self) -> usize {
        self
    }
}

/// The nodes that a walk has come to.
pub(crate) trait Marks<N> {
    /// Adds a node; whether it is new.
    fn add(&mut self, node: N) -> bool;
}

/// By number.
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

/// The nodes that a walk comes to, each once: depth first, in the order in which they are named. See [`reach`].
#[derive(Debug)]
pub(crate) struct Reach<N, M, R, F> {
    marks: M,
    roots: R,
    references: F,
    stack: Vec<N>,
}

/// Everything reached from `roots`, roots included, as far as it is not among `marks` yet; it is added to them. What a node
/// names is asked for before the node is given out.
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

/// Everything reached from `roots`, each once and, but for circles, after all that it names. `count` is that of all nodes.
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
            let unmet = references(node).into_iter().filter(|one| !marks[one.number()]);
            stack.extend(unmet.map(|one| (one, false)));
        }
    }
    order
}

/// Puts nodes, each given once with all that they lead to, in an order in which each comes before all that it leads to; of
/// several that may come next the one with the smallest key does. What stands on a circle, or behind one, is left out.
/// `count` is that of all nodes.
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
    let mut open = vec![0_usize; count];
    for node in nodes {
        references(*node).into_iter().for_each(|child| open[child.number()] += 1);
    }
    let free = nodes.iter().filter(|node| open[node.number()] == 0);
    let mut ready: BTreeSet<(K, N)> = free.map(|node| (key(*node), *node)).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some((_, node)) = ready.pop_first() {
        order.push(node);
        for child in references(node) {
            open[child.number()] -= 1;
            if open[child.number()] == 0 {
                ready.insert((key(child), child));
            }
        }
    }
    order
}

/// What roots reach while roots go one by one: each node with the number of roots and held nodes that name it.
#[derive(Debug)]
pub(crate) struct ReferenceCounts(Vec<usize>);

impl ReferenceCounts {
    /// Counts what these roots reach among `count` nodes; a root that is given twice counts twice.
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

    /// Takes away one root.
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

    /// References by node; of a graph without circles each node names larger ones only.
    fn graphs(has_circles: bool) -> impl Strategy<Value = Vec<Vec<usize>>> {
        let names = prop::collection::vec(0..COUNT, 0..4);
        prop::collection::vec(names, COUNT).prop_map(move |mut graph| {
            for (node, names) in graph.iter_mut().enumerate() {
                names.retain(|name| has_circles || *name > node);
            }
            graph
        })
    }

    /// The slow way: adds what is named until nothing is new.
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

    /// The order in which a recursion comes to nodes.
    fn recursion(graph: &[Vec<usize>], node: usize, order: &mut Vec<usize>) {
        if !order.contains(&node) {
            order.push(node);
            graph[node].iter().for_each(|name| recursion(graph, *name, order));
        }
    }

    proptest! {
        #[test]
        fn a_walk_comes_to_everything_once_in_the_order_of_a_recursion(
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
        fn children_and_parents_come_first(graph in graphs(false), roots in prop::collection::vec(0..COUNT, 0..3)) {
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
                // Of those whose parents had all come it is the one with the smallest key.
                let has_come = |one: &usize| down[..at].contains(one);
                let is_free = |one: &&usize| !has_come(one) && up.iter().filter(|up| graph[**up].contains(one)).all(has_come);
                prop_assert_eq!(up.iter().filter(is_free).max(), Some(node));
            }
        }

        #[test]
        fn counted_references_hold_what_the_roots_that_are_left_reach(
            graph in graphs(false), roots in prop::collection::vec(0..COUNT, 0..6), gone in 0..6_usize,
        ) {
            let names = |node: usize| graph[node].iter().copied();
            let (gone, left) = roots.split_at(gone.min(roots.len()));
            let mut counts = ReferenceCounts::new(COUNT, roots.iter().copied(), names);
            gone.iter().for_each(|root| counts.remove(*root, names));
            let held: Vec<bool> = (0..COUNT).map(|node| counts.holds(node)).collect();
            prop_assert_eq!(held, closure(&graph, left));
        }
    }

    #[test]
    fn what_stands_on_a_circle_has_no_place_in_an_order() {
        let graph = [vec![1], vec![2], vec![1], vec![]];
        let names = |node: usize| graph[node].iter().copied();
        assert_eq!(parents_first(4, &[0, 1, 2, 3], names, |_| ()), [0, 3]);
        assert_eq!(children_first(4, [0], names).len(), 3);
    }

    #[test]
    fn depth_takes_no_stack() {
        const DEPTH: usize = 1_000_000;
        let names = |node: usize| (node + 1 < DEPTH).then_some(node + 1);
        assert_eq!(reach(vec![false; DEPTH], [0], names).count(), DEPTH);
        assert_eq!(children_first(DEPTH, [0], names)[..2], [DEPTH - 1, DEPTH - 2]);
        let mut counts = ReferenceCounts::new(DEPTH, [0], names);
        counts.remove(0, names);
        assert!(!counts.holds(DEPTH - 1));
    }
}
