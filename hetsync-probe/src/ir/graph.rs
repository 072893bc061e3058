//! The graph of a function's blocks: their order, and its loops.

use super::{BlockId, Function};

impl Function {
    /// Blocks reachable from the entry in reverse postorder: each comes after every block that leads to it, edges back to a
    /// loop's header left out.
    pub fn order(&self) -> Vec<BlockId> {
        let mut seen = vec![false; self.blocks.len()];
        let mut order = Vec::new();
        // An explicit stack: scripts nest deeper than a thread's stack should.
        let mut stack = vec![(BlockId(0), 0)];
        seen[0] = true;
        while let Some((block, next)) = stack.pop() {
            // The last successor first, so that in the result the first one follows its branch.
            let successors: Vec<_> = self.block(block).term.successors().collect();
            let successor = successors.iter().rev().nth(next).copied();
            match successor {
                None => order.push(block),
                Some(successor) => {
                    stack.push((block, next + 1));
                    if !std::mem::replace(&mut seen[successor.0 as usize], true) {
                        stack.push((successor, 0));
                    }
                }
            }
        }
        order.reverse();
        order
    }

    /// How many loops each block stands in. Blocks must be in [`Self::order`].
    pub fn loop_depths(&self) -> Vec<u32> {
        let mut depths = vec![0; self.blocks.len()];
        for (_, inside) in self.loops() {
            for b in inside {
                depths[b] += 1;
            }
        }
        depths
    }

    /// The loops, each by its header with all its blocks, outer ones before those inside. Blocks must be in [`Self::order`].
    pub fn loops(&self) -> Vec<(usize, Vec<usize>)> {
        if !self.has_loops() {
            return Vec::new();
        }
        let preds = self.predecessors();
        let mut loops = Vec::new();
        for header in 0..self.blocks.len() {
            // What reaches an edge back without going through the header.
            let mut work: Vec<usize> = (preds[header].iter().copied())
                .filter(|&p| p >= header)
                .collect();
            if work.is_empty() {
                continue;
            }
            let mut inside = vec![false; self.blocks.len()];
            inside[header] = true;
            while let Some(block) = work.pop() {
                if !std::mem::replace(&mut inside[block], true) {
                    work.extend(&preds[block]);
                }
            }
            let members = (0..inside.len()).filter(|&b| inside[b]).collect();
            loops.push((header, members));
        }
        loops
    }

    /// Whether any edge goes back. Blocks must be in [`Self::order`].
    pub fn has_loops(&self) -> bool {
        let mut blocks = self.blocks.iter().enumerate();
        blocks.any(|(b, block)| block.term.successors().any(|next| next.0 as usize <= b))
    }

    /// By block, those that lead to it.
    fn predecessors(&self) -> Vec<Vec<usize>> {
        let mut preds = vec![Vec::new(); self.blocks.len()];
        for (b, block) in self.blocks.iter().enumerate() {
            for next in block.term.successors() {
                preds[next.0 as usize].push(b);
            }
        }
        preds
    }
}
