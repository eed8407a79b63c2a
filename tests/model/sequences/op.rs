//! Operations on a store, as values. Every one is whole in itself and makes sense in any state, if only to be refused,
//! so that shrinking may leave any of them out.

use cordon::action::Verification;
use cordon::journal::End;
use cordon::store::{Disposition, NoticeState, RunStatus};

/// An operation; `astray` names a partition in which its thing does not live.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    pub deed: Deed,
    pub astray: bool,
    /// What changes a lock or a hold comes after the claim it was asked for under.
    pub late: bool,
}

/// What is done. Numbers name things (`things.rs`); moments are milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    Accept {
        alert: usize,
        at: i64,
    },
    Dispose {
        alert: usize,
        len: u64,
        entries: Vec<Piece>,
        to: Disposition,
    },
    ClaimOnce {
        key: usize,
        owner: usize,
        now: i64,
        until: i64,
    },
    CreateRun {
        run: usize,
        at: i64,
        wake: Option<i64>,
    },
    ClaimDue {
        place: usize,
        worker: usize,
        now: i64,
        until: i64,
        limit: usize,
    },
    ClaimRun {
        run: usize,
        worker: usize,
        now: i64,
        until: i64,
    },
    Renew {
        run: usize,
        epoch: u64,
        until: i64,
    },
    Append {
        run: usize,
        epoch: u64,
        len: u64,
        now: i64,
        entries: Vec<Piece>,
        says: Says,
    },
    Wake {
        run: usize,
        at: i64,
    },
    ReleaseWorker {
        place: usize,
        worker: usize,
    },
    PutVote {
        approval: usize,
        principal: usize,
        approve: bool,
        at: i64,
    },
    Lock {
        target: usize,
        effect: usize,
    },
    Unlock {
        target: usize,
        effect: usize,
    },
    NoteChange {
        target: usize,
        at: i64,
    },
    HoldTake {
        target: usize,
        facet: usize,
        effect: usize,
        at: i64,
        until: Option<i64>,
    },
    HoldEnd {
        target: usize,
        facet: usize,
        effect: usize,
    },
    HoldDrop {
        target: usize,
        facet: usize,
        effect: usize,
    },
    HoldGiveUp {
        target: usize,
        facet: usize,
        effect: usize,
        at: i64,
    },
    HoldUntil {
        target: usize,
        facet: usize,
        effect: usize,
        until: Option<i64>,
        tries: u32,
    },
    HoldSeen {
        target: usize,
        facet: usize,
        effect: usize,
        seen: Verification,
    },
    Reserve {
        scope: usize,
        member: usize,
        now: i64,
        limit: u32,
    },
    Return {
        scope: usize,
        member: usize,
    },
    SetCursor {
        place: usize,
        follower: usize,
        position: u64,
    },
    ClaimFollower {
        place: usize,
        follower: usize,
        holder: usize,
        now: i64,
        until: i64,
    },
    ReleaseFollower {
        place: usize,
        follower: usize,
        holder: usize,
    },
    PutNotices {
        place: usize,
        notices: Vec<Bill>,
    },
    SaveNotices {
        place: usize,
        follower: usize,
        holder: usize,
        notices: Vec<Bill>,
    },
    ForgetNotices {
        place: usize,
        before: i64,
    },
    SetHalt(Option<usize>),
    PutPrincipal {
        name: usize,
        version: u8,
    },
    PutBundle {
        bundle: usize,
        version: u8,
    },
    PutSecret {
        handle: usize,
        version: u8,
    },
    Look(Look),
}

/// An entry of an append.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub seq: u64,
    pub flavour: u8,
    /// It is of another chain.
    pub strange: bool,
}

/// What an append says of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Says {
    pub status: RunStatus,
    pub end: Option<End>,
    pub wake: Option<i64>,
    pub waits_for: usize,
    pub release: bool,
    pub grants: Vec<Grant>,
}

/// A request for approval as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    pub approval: usize,
    pub asked: i64,
    pub open: bool,
    pub version: u8,
}

/// A notice.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    pub notice: usize,
    pub group: usize,
    pub at: i64,
    pub state: NoticeState,
    pub leads: bool,
    pub due: Option<i64>,
}

/// Something that can be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    Unprocessed {
        place: usize,
        limit: usize,
    },
    Alert {
        alert: usize,
    },
    Alerts {
        place: usize,
        before: Option<i64>,
        disposition: Option<Disposition>,
        limit: usize,
    },
    Journal {
        alert: Option<usize>,
        run: usize,
        from: u64,
    },
    Run {
        run: usize,
    },
    Runs {
        place: usize,
        status: Option<RunStatus>,
        playbook: Option<usize>,
        before: Option<i64>,
        limit: usize,
    },
    NextWake {
        place: usize,
    },
    Votes {
        run: usize,
    },
    Approval {
        approval: usize,
    },
    Approvals {
        place: usize,
        open: Option<bool>,
        before: Option<i64>,
        limit: usize,
    },
    ChangedAt {
        target: usize,
    },
    Locks {
        place: usize,
    },
    Hold {
        target: usize,
        facet: usize,
    },
    TakenBy {
        place: usize,
        run: usize,
    },
    Used {
        scope: usize,
        now: i64,
    },
    Holds {
        place: usize,
    },
    DueHolders {
        place: usize,
        now: i64,
        limit: usize,
    },
    NextLeaseEnd {
        place: usize,
    },
    Feed {
        place: usize,
        after: u64,
        limit: usize,
    },
    Cursor {
        place: usize,
        follower: usize,
    },
    Counts {
        place: usize,
        now: i64,
    },
    DueNotices {
        place: usize,
        now: i64,
        limit: usize,
    },
    LeadingNotice {
        group: usize,
    },
    Notice {
        place: usize,
        notice: usize,
    },
    Notices {
        place: usize,
        state: Option<NoticeState>,
        before: Option<i64>,
        limit: usize,
    },
    Switches,
    Principals,
    Bundle {
        bundle: usize,
    },
    Secret {
        handle: usize,
    },
}

impl Deed {
    /// The target whose lock or hold it changes, where it does.
    pub fn changes_target(&self) -> Option<usize> {
        match self {
            Deed::Lock { target, .. }
            | Deed::Unlock { target, .. }
            | Deed::NoteChange { target, .. }
            | Deed::HoldTake { target, .. }
            | Deed::HoldEnd { target, .. }
            | Deed::HoldDrop { target, .. }
            | Deed::HoldGiveUp { target, .. }
            | Deed::HoldUntil { target, .. }
            | Deed::HoldSeen { target, .. } => Some(*target),
            _ => None,
        }
    }
}
