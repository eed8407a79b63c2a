//! The one owner of everything a range knows: its vendors, faults and the ledger. The order of stages is written
//! once, in [`World::handle`]: understand, admit, fault, decide, write the ledger, make it true. It blocks on
//! the disk and never on anything else; it neither sleeps nor sends.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::crowdstrike::{Host, HostChange};
use super::fault::{Fault, FaultKind, Faults, LateAnswer};
use super::ledger::{Ledger, LedgerLine};
use super::ledger_file::{LedgerError, LedgerFile, since_reset};
use super::vendor::{At, Body, Call, Effect, No, Reply, Request, Thing};
use super::vendors::Vendors;
use crate::clock::Clock;
use crate::digest::Digest;

/// The vendor of lines about what the range itself did.
const RANGE: &str = "range";

/// How the answer leaves, if it does.
#[derive(Debug)]
pub(super) enum Delivery {
    Send(Reply),
    SendAfter(u64, Reply),
    SendHalf(Reply),
    Cut,
}

/// A request that will be carried out later although its caller was told otherwise.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) ms: u64,
    request: Request,
    call: Call,
    number: u64,
    resets: u64,
}

/// Where lines are kept.
enum Keeper {
    Memory,
    File(LedgerFile),
    /// The range was stopped; its file belongs to whoever opens it next.
    Closed,
}

pub(super) struct World {
    clock: Arc<dyn Clock>,
    log_reads: bool,
    vendors: Vendors,
    faults: Faults,
    keeper: Keeper,
    lines: Vec<LedgerLine>,
    /// Number of the last line.
    last_line: u64,
    /// Number of the last request.
    last_request: u64,
    resets: u64,
}

impl World {
    /// Rebuilds the state that `past` lines describe, then adds what the seed has and they do not.
    pub(super) fn open(
        clock: Arc<dyn Clock>,
        log_reads: bool,
        mut vendors: Vendors,
        file: Option<(LedgerFile, Vec<LedgerLine>)>,
    ) -> Result<World, LedgerError> {
        let (keeper, past) = match file {
            Some((file, past)) => (Keeper::File(file), past),
            None => (Keeper::Memory, Vec::new()),
        };
        past.iter().for_each(|line| vendors.replay(line));
        let last_line = past.last().map_or(0, |line| line.n);
        let last_request = past.iter().map(|line| line.request).max().unwrap_or(0);
        let lines = since_reset(past);
        // Asked of the lines and not of the vendors: what was deleted since stays deleted.
        let put: BTreeSet<(String, String)> = lines
            .iter()
            .filter(|line| line.vendor == RANGE)
            .filter_map(|line| Some((line.action.clone(), line.target.clone()?)))
            .collect();
        let mut world = World {
            clock,
            log_reads,
            vendors,
            faults: Faults::default(),
            keeper,
            lines,
            last_line,
            last_request,
            resets: 0,
        };
        let seed = world.vendors.seed().into_iter();
        let missing = seed
            .filter(|thing| !put.contains(&(thing.kind.to_owned(), thing.id.clone())))
            .map(|thing| world.thing_line(thing, None))
            .collect();
        world.commit(missing)?;
        Ok(world)
    }

    /// One request, from its last byte to the decision how its answer leaves. When this returns, what was
    /// carried out is on disk.
    pub(super) fn handle(&mut self, request: Request) -> (Delivery, Option<Late>) {
        self.last_request += 1;
        let at = At {
            number: self.last_request,
            now: self.clock.now(),
        };
        let call = self.vendors.understand(&request);
        match self.carry_out(&request, &call, at) {
            Ok((delivery, None)) => (delivery, None),
            Ok((delivery, Some(ms))) => {
                let late = Late {
                    ms,
                    request,
                    call,
                    number: at.number,
                    resets: self.resets,
                };
                (delivery, Some(late))
            }
            Err(error) => {
                tracing::error!(error = ?error, "the range cannot write its ledger and carries nothing out");
                let no = No::Failed(503, "the range cannot write its effect ledger; see its log");
                (
                    Delivery::Send(self.vendors.of(&call).decline(&no, &call, at)),
                    None,
                )
            }
        }
    }

    /// How the answer leaves, and after how many ms the request is carried out where that is later.
    fn carry_out(
        &mut self,
        request: &Request,
        call: &Call,
        at: At,
    ) -> Result<(Delivery, Option<u64>), LedgerError> {
        if let Err(reply) = self.vendors.of(call).admit(request, call, at) {
            // Uses up no fault: the script of a test need not count refreshes of tokens.
            return self.refuse(request, call, at, None, reply);
        }
        let fault = self.faults.take(request, call);
        let name = fault.as_ref().map(FaultKind::name);
        let told = match &fault {
            Some(FaultKind::LieRead { status }) => Some(status.as_str()),
            _ => None,
        };
        match &fault {
            None
            | Some(
                FaultKind::LieRead { .. }
                | FaultKind::Slow { .. }
                | FaultKind::Truncate
                | FaultKind::LoseAnswer,
            ) => {
                let reply = self.vendors.of(call).answer(request, call, at, told);
                let lost = fault == Some(FaultKind::LoseAnswer);
                let status = (!lost).then_some(reply.status);
                self.record(request, call, at.number, name, status, &reply)?;
                let delivery = match fault {
                    Some(FaultKind::Slow { ms }) => Delivery::SendAfter(ms, reply),
                    Some(FaultKind::Truncate) => Delivery::SendHalf(reply),
                    Some(FaultKind::LoseAnswer) => Delivery::Cut,
                    _ => Delivery::Send(reply),
                };
                Ok((delivery, None))
            }
            Some(FaultKind::Lie) => {
                let mut reply = self.vendors.of(call).answer(request, call, at, None);
                reply.effects = reply.effects.into_iter().map(Effect::refused).collect();
                self.record(request, call, at.number, name, Some(reply.status), &reply)?;
                Ok((Delivery::Send(reply), None))
            }
            Some(FaultKind::Fail { status, body }) => {
                let reply = Reply::new(*status, Body::scripted(body));
                self.refuse(request, call, at, name, reply)
            }
            Some(FaultKind::TooMany { retry_after_s }) => {
                let reply = self
                    .vendors
                    .of(call)
                    .decline(&No::TooMany(*retry_after_s), call, at);
                self.refuse(request, call, at, name, reply)
            }
            Some(FaultKind::LoseRequest) => {
                self.record_untouched(request, call, at.number, name, None)?;
                Ok((Delivery::Cut, None))
            }
            Some(FaultKind::ExpireToken) => {
                self.expire_tokens()?;
                let reply = self.vendors.of(call).decline(&No::Expired, call, at);
                self.refuse(request, call, at, name, reply)
            }
            Some(FaultKind::Late { ms, answer }) => {
                let (delivery, status) = match answer {
                    LateAnswer::Cut => (Delivery::Cut, None),
                    LateAnswer::Error => {
                        let no = No::Failed(500, "internal server error");
                        let reply = self.vendors.of(call).decline(&no, call, at);
                        let status = reply.status;
                        (Delivery::Send(reply), Some(status))
                    }
                };
                self.record_untouched(request, call, at.number, name, status)?;
                Ok((delivery, Some(*ms)))
            }
        }
    }

    /// Carries out what was put off, unless the range was reset since.
    pub(super) fn handle_late(&mut self, late: Late) {
        let Late {
            request,
            call,
            number,
            resets,
            ..
        } = late;
        if resets != self.resets {
            return;
        }
        let at = At {
            number,
            now: self.clock.now(),
        };
        let reply = self.vendors.of(&call).answer(&request, &call, at, None);
        if let Err(error) = self.record(&request, &call, number, Some("late"), None, &reply) {
            tracing::error!(error = ?error, "the range cannot write its ledger and drops a late effect");
        }
    }

    /// The vendors as they are now.
    pub(super) fn vendors(&self) -> &Vendors {
        &self.vendors
    }

    /// Puts a thing there, or in place of the one with its id, as if somebody had done it at the vendor.
    pub(super) fn put(&mut self, thing: Thing) -> Result<(), LedgerError> {
        let things = self.vendors.things().into_iter();
        let before = things
            .filter(|there| there.kind == thing.kind && there.id == thing.id)
            .find_map(|there| there.state);
        let line = self.thing_line(thing, before);
        self.commit(vec![line])
    }

    pub(super) fn set_host(&mut self, change: HostChange) -> Result<Host, ControlError> {
        let before = self.vendors.crowdstrike.host(&change.device_id);
        let after = change.apply(before).ok_or(ControlError::NameNeeded)?;
        self.put(after.thing())?;
        Ok(after)
    }

    /// Puts there what a record describes.
    pub(super) fn put_record(&mut self, record: &Value) -> Result<(), ControlError> {
        let thing = self.vendors.thing(record);
        let thing = thing.ok_or(ControlError::UnknownRecord)?;
        Ok(self.put(thing)?)
    }

    pub(super) fn add_fault(&mut self, fault: Fault) -> Result<(), ControlError> {
        self.faults.add(fault).map_err(ControlError::Fault)
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.faults.list()
    }

    pub(super) fn expire_tokens(&mut self) -> Result<(), LedgerError> {
        let line = self.range_line("expire_tokens");
        self.commit(vec![line])
    }

    /// Back to the seed, without faults. The file keeps its lines; what is shown begins here.
    pub(super) fn reset(&mut self) -> Result<(), LedgerError> {
        let mut lines = vec![self.range_line("reset")];
        let seed = self.vendors.seed().into_iter();
        lines.extend(seed.map(|thing| self.thing_line(thing, None)));
        self.faults.clear();
        self.resets += 1;
        let shown = std::mem::take(&mut self.lines);
        let done = self.commit(lines);
        if done.is_err() {
            self.lines = shown;
        }
        done
    }

    pub(super) fn ledger(&self) -> Ledger {
        Ledger::new(self.lines.clone())
    }

    /// Gives the file up; nothing is carried out any more.
    pub(super) fn close(&mut self) {
        self.keeper = Keeper::Closed;
    }

    fn refuse(
        &mut self,
        request: &Request,
        call: &Call,
        at: At,
        fault: Option<&'static str>,
        reply: Reply,
    ) -> Result<(Delivery, Option<u64>), LedgerError> {
        self.record_untouched(request, call, at.number, fault, Some(reply.status))?;
        Ok((Delivery::Send(reply), None))
    }

    /// Writes that nothing was carried out.
    fn record_untouched(
        &mut self,
        request: &Request,
        call: &Call,
        number: u64,
        fault: Option<&'static str>,
        status: Option<u16>,
    ) -> Result<(), LedgerError> {
        let effects = self.vendors.of(call).untouched(call);
        let lines = effects
            .into_iter()
            .map(|effect| line(request, call, number, fault, status, effect));
        self.commit(lines.collect())
    }

    /// Writes the effects of a reply and makes them true. A plain reading leaves a line only if reads are
    /// logged, a fault befell it, or it was refused.
    fn record(
        &mut self,
        request: &Request,
        call: &Call,
        number: u64,
        fault: Option<&'static str>,
        status: Option<u16>,
        reply: &Reply,
    ) -> Result<(), LedgerError> {
        let all = self.log_reads || call.mutates || fault.is_some() || !reply.done;
        let effects = if reply.effects.is_empty() {
            self.vendors.of(call).untouched(call)
        } else {
            reply.effects.clone()
        };
        let kept = effects
            .into_iter()
            .filter(|effect| all || effect.action == "settle");
        let lines = kept
            .map(|effect| line(request, call, number, fault, status, effect))
            .collect();
        self.commit(lines)?;
        if call.action == "read" {
            self.vendors.looked_at(call);
        }
        Ok(())
    }

    /// Numbers the lines, puts them on disk, and only then makes them true.
    fn commit(&mut self, mut lines: Vec<LedgerLine>) -> Result<(), LedgerError> {
        if lines.is_empty() {
            return Ok(());
        }
        let at_ms = self.clock.now().0;
        let mut n = self.last_line;
        for line in &mut lines {
            n += 1;
            (line.n, line.at_ms) = (n, at_ms);
        }
        match &mut self.keeper {
            Keeper::Memory => {}
            Keeper::File(file) => file.append(&lines)?,
            Keeper::Closed => return Err(LedgerError::Closed),
        }
        self.last_line = n;
        lines.iter().for_each(|line| self.vendors.replay(line));
        self.lines.extend(lines);
        Ok(())
    }

    fn thing_line(&self, thing: Thing, state_before: Option<String>) -> LedgerLine {
        LedgerLine {
            target: Some(thing.id),
            target_name: thing.name,
            state_before,
            state_after: thing.state,
            record: Some(thing.record),
            ..self.range_line(thing.kind)
        }
    }

    fn range_line(&self, action: &str) -> LedgerLine {
        let (vendor, action) = (RANGE.to_owned(), action.to_owned());
        LedgerLine {
            vendor,
            action,
            applied: true,
            request: self.last_request,
            ..LedgerLine::default()
        }
    }
}

/// A control call that cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    #[error("a new host needs `device_id` and `hostname`")]
    NameNeeded,
    #[error("cannot read the body of this control call: {0}")]
    Unreadable(serde_json::Error),
    #[error("{0}")]
    Fault(String),
    #[error("no vendor of this range has such a record; `GET /_range/state` shows what records look like")]
    UnknownRecord,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn line(
    request: &Request,
    call: &Call,
    number: u64,
    fault: Option<&'static str>,
    status: Option<u16>,
    effect: Effect,
) -> LedgerLine {
    LedgerLine {
        n: 0,
        at_ms: 0,
        request: number,
        vendor: call.vendor.to_owned(),
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        action: effect.action.to_owned(),
        target: effect.target,
        target_name: effect.target_name,
        applied: effect.applied,
        state_before: effect.before,
        state_after: effect.after,
        fault: fault.map(str::to_owned),
        status,
        body_digest: (!request.body.is_empty()).then(|| Digest::of(&request.body).to_string()),
        idempotency_key: request.header("idempotency-key").map(str::to_owned),
        request_id: request.header("x-request-id").map(str::to_owned),
        record: effect.record,
    }
}
