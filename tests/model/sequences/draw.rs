//! What is done next, drawn so that it mostly makes sense: claims that were given, entries that follow, and now and
//! then what does not. A lost answer is one of the last operations again.

use cordon::action::Verification;
use cordon::journal::{ChainId, End};
use cordon::store::{Disposition, NoticeState, RunStatus};
use proptest::prelude::*;

use super::op::{Bill, Deed, Grant, Look, Op, Piece, Says};
use super::reference::Reference;
use super::things::{
    ALERTS, APPROVALS, EFFECTS, FACETS, KEYS, NAMES, NOTICES, RUNS, SCOPES, TARGETS, alert, run,
};

/// The last moment that is drawn.
const LAST: i64 = 600;

/// What is known where the next operation is drawn.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Entries in each alert's and each run's chain.
    alerts: Vec<u64>,
    runs: Vec<u64>,
    /// Each run's last claim.
    epochs: Vec<u64>,
    given: Vec<(usize, u64)>,
    /// Requests for approval that are there.
    asked: Vec<usize>,
    /// What each budget has seen of time.
    budgets: Vec<i64>,
}

impl Known {
    pub fn of(reference: &Reference) -> Known {
        Known {
            alerts: (0..ALERTS)
                .map(|n| reference.len(ChainId::Alert(alert(n))))
                .collect(),
            runs: (0..RUNS).map(|n| reference.len(ChainId::Run(run(n)))).collect(),
            epochs: (0..RUNS).map(|n| reference.epoch(n)).collect(),
            given: reference.given.iter().rev().take(4).copied().collect(),
            asked: (0..APPROVALS).filter(|n| reference.is_asked(*n)).collect(),
            budgets: (0..SCOPES).map(|n| reference.budget_at(n)).collect(),
        }
    }
}

/// Numbers that each kind of operation reads in its own way. Small ones are simple, so that it shrinks well.
#[derive(Clone, Debug)]
struct Drawn {
    kind: u8,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    at: i64,
    until: Option<i64>,
    flags: u8,
    rare: u8,
}

/// The next operation after `past`, of which the last is the latest.
pub fn next(known: Known, past: &[Op]) -> BoxedStrategy<Op> {
    let again: Vec<Op> = past.iter().rev().take(3).cloned().collect();
    let drawn = (
        (0..104_u8, 0..8_usize, 0..8_usize, 0..8_usize, 0..8_usize),
        (
            0..LAST,
            proptest::option::weighted(0.7, 0..LAST),
            any::<u8>(),
            0..100_u8,
        ),
    );
    drawn
        .prop_map(move |((kind, a, b, c, d), (at, until, flags, rare))| {
            let drawn = Drawn {
                kind,
                a,
                b,
                c,
                d,
                at,
                until,
                flags,
                rare,
            };
            // One in ten is a repeat: its answer was lost, so it is done again.
            match again.get(usize::from(drawn.rare % 3)) {
                Some(op) if drawn.rare >= 90 => op.clone(),
                _ => drawn.op(&known),
            }
        })
        .boxed()
}

impl Drawn {
    fn flag(&self, n: u8) -> bool {
        self.flags & (1 << n) != 0
    }

    fn op(&self, known: &Known) -> Op {
        Op {
            deed: self.deed(known),
            astray: (85..88).contains(&self.rare),
            late: (80..85).contains(&self.rare),
        }
    }

    fn until(&self) -> i64 {
        self.until.unwrap_or(self.at + 50)
    }

    /// Entries for a chain of `len` that mostly follow, and now and then repeat, conflict, leave a gap or are strange.
    fn pieces(&self, len: u64) -> (u64, Vec<Piece>) {
        let first = match self.rare % 10 {
            0 | 1 => len.saturating_sub(1 + self.d as u64 % 2),
            2 => len + 1,
            3 => 0,
            _ => len,
        };
        let count = (self.d % 4) as u64;
        let piece = |seq: u64| Piece {
            seq: if self.rare == 44 { seq + 1 } else { seq },
            flavour: u8::from(self.rare % 10 == 3 && self.flag(7)),
            strange: self.rare == 45 && seq == first,
        };
        (first, (first..first + count).map(piece).collect())
    }

    /// A claim that was given, or that nobody gave.
    fn claim(&self, known: &Known) -> (usize, u64) {
        match known.given.get(self.b / 2) {
            Some(given) if self.b < 7 => *given,
            _ => (self.a % RUNS, known.epochs[self.a % RUNS] + self.c as u64 % 2),
        }
    }

    fn bills(&self) -> Vec<Bill> {
        let place = self.a % 2;
        let bill = |n: usize| Bill {
            notice: (self.b + n) % NOTICES,
            // Of a group that lives here, but for a rare one.
            group: if self.rare == 46 && n == 1 {
                place + 1
            } else {
                place + 2 * ((self.c + n) % 2)
            },
            at: self.at + 10 * n as i64,
            state: NoticeState::ALL[(self.d + n) % NoticeState::ALL.len()],
            leads: self.flag(n as u8),
            due: self.until.filter(|_| !self.flag(5)),
        };
        (0..self.flags as usize % 3 + 1).map(bill).collect()
    }

    fn deed(&self, known: &Known) -> Deed {
        let Drawn { a, b, c, d, at, .. } = *self;
        let until = self.until();
        let (target, facet, effect) = (a % TARGETS, usize::from(self.flag(0)) % FACETS.len(), b % EFFECTS);
        let (place, worker) = (a % 2, b % NAMES);
        match self.kind {
            0..4 => Deed::Accept {
                alert: a % ALERTS,
                at,
            },
            4..9 => {
                let alert = a % ALERTS;
                let (len, entries) = self.pieces(known.alerts[alert]);
                Deed::Dispose {
                    alert,
                    len,
                    entries,
                    to: Disposition::ALL[b % 4],
                }
            }
            9..12 => Deed::ClaimOnce {
                key: a % KEYS,
                owner: worker,
                now: at,
                until,
            },
            12..18 => Deed::CreateRun {
                run: a % RUNS,
                at,
                wake: self.until,
            },
            18..24 => Deed::ClaimDue {
                place,
                worker,
                now: at,
                until,
                limit: c % 4,
            },
            24..30 => Deed::ClaimRun {
                run: a % RUNS,
                worker,
                now: at,
                until,
            },
            30..33 => {
                let (run, epoch) = self.claim(known);
                Deed::Renew { run, epoch, until }
            }
            33..48 => self.append(known),
            48..51 => Deed::Wake { run: a % RUNS, at },
            51..53 => Deed::ReleaseWorker { place, worker },
            53..58 => Deed::PutVote {
                approval: if d < 7 && !known.asked.is_empty() {
                    known.asked[a % known.asked.len()]
                } else {
                    a
                },
                principal: worker,
                approve: self.flag(0),
                at,
            },
            58..61 => Deed::Lock { target, effect },
            61..63 => Deed::Unlock { target, effect },
            63 => Deed::NoteChange { target, at },
            64..69 => Deed::HoldTake {
                target,
                facet,
                effect,
                at,
                until: self.until,
            },
            69..72 => Deed::HoldEnd {
                target,
                facet,
                effect,
            },
            72..74 if self.flag(1) => Deed::HoldGiveUp {
                target,
                facet,
                effect,
                at,
            },
            72..74 => Deed::HoldDrop {
                target,
                facet,
                effect,
            },
            74..76 => Deed::HoldUntil {
                target,
                facet,
                effect,
                until: self.until,
                tries: c as u32,
            },
            76..78 => {
                let words = [
                    Verification::Yes,
                    Verification::Contradicted,
                    Verification::Undone,
                ];
                Deed::HoldSeen {
                    target,
                    facet,
                    effect,
                    seen: words[c % 3],
                }
            }
            78 => Deed::SetCursor {
                place,
                follower: c % NAMES,
                position: d as u64,
            },
            79..82 => Deed::ClaimFollower {
                place,
                follower: c % 2,
                holder: worker,
                now: at,
                until,
            },
            82 => Deed::ReleaseFollower {
                place,
                follower: c % 2,
                holder: worker,
            },
            83..86 => Deed::PutNotices {
                place,
                notices: self.bills(),
            },
            86..90 => Deed::SaveNotices {
                place,
                follower: c % 2,
                holder: worker,
                notices: self.bills(),
            },
            90 => Deed::ForgetNotices { place, before: at },
            91 => match d {
                0 => Deed::SetHalt(None),
                1 => Deed::SetHalt(Some(worker)),
                2 | 3 => Deed::PutPrincipal {
                    name: worker,
                    version: self.flags,
                },
                4 | 5 => Deed::PutBundle {
                    bundle: worker,
                    version: self.flags,
                },
                _ => Deed::PutSecret {
                    handle: worker,
                    version: self.flags,
                },
            },
            92..96 => {
                let (scope, member) = (a % SCOPES, worker);
                let now = known.budgets[scope] + at % 60;
                match d {
                    0 | 1 => Deed::Return { scope, member },
                    _ => Deed::Reserve {
                        scope,
                        member,
                        now,
                        limit: c as u32 % 3,
                    },
                }
            }
            _ => {
                let looks = looks(at, self.until, 1 + d);
                let n = (a + 8 * b + 64 * c) % looks.len();
                Deed::Look(looks[n].clone())
            }
        }
    }

    fn append(&self, known: &Known) -> Deed {
        let (run, epoch) = self.claim(known);
        let (len, entries) = self.pieces(known.runs[run]);
        let status = match self.c {
            0 => RunStatus::Parked,
            1 => RunStatus::Settled,
            _ => RunStatus::Open,
        };
        let settled = status == RunStatus::Settled;
        let grant = |n: usize| Grant {
            approval: run + RUNS * ((self.a + n) % (APPROVALS / RUNS)),
            asked: self.at - self.at % 100,
            open: self.flag(4) || self.flag(5),
            version: self.flags % 3,
        };
        let grants = if self.flag(1) {
            1 + self.flags as usize % 2
        } else {
            0
        };
        let says = Says {
            status,
            end: settled.then_some(if self.flag(2) { End::Kept } else { End::InDoubt }),
            wake: self.until,
            waits_for: self.d % NAMES,
            release: self.flag(3),
            grants: (0..grants).map(grant).collect(),
        };
        Deed::Append {
            run,
            epoch,
            len,
            now: self.at,
            entries,
            says,
        }
    }
}

/// False for what is not promised: what is older than a budget's window may be forgotten, or may not.
pub fn is_promised(reference: &Reference, op: &Op) -> bool {
    match &op.deed {
        Deed::Reserve { scope, now, .. } | Deed::Look(Look::Used { scope, now }) => {
            *now >= reference.budget_at(*scope)
        }
        _ => true,
    }
}

/// Everything that can be read, seen from a moment.
pub fn looks(now: i64, before: Option<i64>, limit: usize) -> Vec<Look> {
    let mut looks = vec![Look::Switches, Look::Principals];
    for place in 0..2 {
        let dispositions = Disposition::ALL.map(Some).into_iter().chain([None]);
        looks.extend(dispositions.map(|disposition| Look::Alerts {
            place,
            before,
            disposition,
            limit,
        }));
        let statuses = RunStatus::ALL.map(Some).into_iter().chain([None]);
        looks.extend(statuses.map(|status| Look::Runs {
            place,
            status,
            playbook: None,
            before,
            limit,
        }));
        let states = NoticeState::ALL.map(Some).into_iter().chain([None]);
        looks.extend(states.map(|state| Look::Notices {
            place,
            state,
            before,
            limit,
        }));
        let opens = [Some(true), Some(false), None];
        looks.extend(opens.map(|open| Look::Approvals {
            place,
            open,
            before,
            limit,
        }));
        looks.extend([
            Look::Unprocessed { place, limit },
            Look::Runs {
                place,
                status: None,
                playbook: Some(1),
                before,
                limit,
            },
            Look::NextWake { place },
            Look::Locks { place },
            Look::Holds { place },
            Look::DueHolders { place, now, limit },
            Look::NextLeaseEnd { place },
            Look::Feed {
                place,
                after: 0,
                limit: 1_000,
            },
            Look::Feed {
                place,
                after: 2,
                limit,
            },
            Look::Counts { place, now },
            Look::DueNotices { place, now, limit },
        ]);
        looks.extend((0..NAMES).map(|follower| Look::Cursor { place, follower }));
        looks.extend((0..NOTICES).map(|notice| Look::Notice { place, notice }));
    }
    looks.extend((0..ALERTS).map(|alert| Look::Alert { alert }));
    looks.extend((0..ALERTS).map(|n| Look::Journal {
        alert: Some(n),
        run: 0,
        from: 0,
    }));
    looks.extend((0..RUNS).map(|run| Look::Run { run }));
    looks.extend((0..RUNS).map(|run| Look::Journal {
        alert: None,
        run,
        from: 0,
    }));
    looks.extend((0..RUNS).map(|run| Look::Journal {
        alert: None,
        run,
        from: limit as u64,
    }));
    looks.extend((0..RUNS).map(|run| Look::Votes { run }));
    looks.extend((0..APPROVALS).map(|approval| Look::Approval { approval }));
    looks.extend((0..SCOPES).map(|scope| Look::Used { scope, now }));
    for target in 0..TARGETS {
        looks.extend((0..FACETS.len()).map(|facet| Look::Hold { target, facet }));
    }
    for place in 0..2 {
        looks.extend((0..RUNS).map(|run| Look::TakenBy { place, run }));
    }
    looks.extend((0..TARGETS).map(|target| Look::ChangedAt { target }));
    looks.extend((0..KEYS).map(|group| Look::LeadingNotice { group }));
    looks.extend((0..NAMES).map(|bundle| Look::Bundle { bundle }));
    looks.extend((0..NAMES).map(|handle| Look::Secret { handle }));
    looks
}
