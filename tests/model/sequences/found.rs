//! Sequences that once told a store from what it promises. They are played over each store.

use cordon::store::RunStatus;

use super::op::{Deed, Grant, Op, Piece, Says};

fn op(deed: Deed) -> Op {
    Op {
        deed,
        astray: false,
        late: false,
    }
}

fn grants(asked: i64) -> Says {
    let grant = Grant {
        approval: 3,
        asked,
        open: true,
        version: 1,
    };
    Says {
        status: RunStatus::Open,
        end: None,
        wake: None,
        waits_for: 0,
        release: false,
        grants: vec![grant],
    }
}

fn append(len: u64, says: Says) -> Op {
    let piece = Piece {
        seq: len,
        flavour: 0,
        strange: false,
    };
    op(Deed::Append {
        run: 3,
        epoch: 1,
        len,
        now: 0,
        entries: vec![piece],
        says,
    })
}

/// Every one, with what it is about.
pub fn all() -> Vec<(&'static str, Vec<Op>)> {
    let claimed = [
        op(Deed::CreateRun {
            run: 3,
            at: 0,
            wake: Some(0),
        }),
        op(Deed::ClaimRun {
            run: 3,
            worker: 0,
            now: 0,
            until: 50,
        }),
    ];
    let replaced = [append(1, grants(0)), append(2, grants(100))];
    vec![(
        "a request takes the place of its earlier row whole, its moment included",
        claimed.into_iter().chain(replaced).collect(),
    )]
}
