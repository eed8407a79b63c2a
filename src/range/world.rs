//! The one owner of everything a range knows: hosts, faults and the ledger. The order of stages is written
//! once, in [`World::handle`]: understand, admit, fault, decide, write the ledger, make it true. It blocks on
//! the disk and never on anything else; it neither sleeps nor sends.

use std::sync::Arc;

use super::crowdstrike::{self, CrowdStrike};
use super::fault::{Fault, FaultKind, Faults, LateAnswer};
use super::host::{Host, HostChange};
use super::ledger::{Ledger, LedgerLine};
use super::ledger_file::{LedgerError, LedgerFile, since_reset};
use super::vendor::{Call, Effect, Reply, Request, understand};
use crate::clock::Clock;
use crate::digest::Digest;

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
    seed: Vec<Host>,
    crowdstrike: CrowdStrike,
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
    /// Rebuilds the state that `past` lines describe, then adds seeded hosts that are not in it.
    pub(super) fn open(
        clock: Arc<dyn Clock>,
        log_reads: bool,
        seed: Vec<Host>,
        mut crowdstrike: CrowdStrike,
        file: Option<(LedgerFile, Vec<LedgerLine>)>,
    ) -> Result<World, LedgerError> {
        let (keeper, past) = match file {
            Some((file, past)) => (Keeper::File(file), past),
            None => (Keeper::Memory, Vec::new()),
        };
        past.iter().for_each(|line| crowdstrike.replay(line));
        let last_line = past.last().map_or(0, |line| line.n);
        let last_request = past.iter().map(|line| line.request).max().unwrap_or(0);
        let lines = since_reset(past);
        let missing: Vec<Host> = seed
            .iter()
            .filter(|host| crowdstrike.host(&host.device_id).is_none())
            .cloned()
            .collect();
        let faults = Faults::default();
        let mut world = World {
            clock,
            log_reads,
            seed,
            crowdstrike,
            faults,
            keeper,
            lines,
            last_line,
            last_request,
            resets: 0,
        };
        let seeded = missing.into_iter().map(|host| world.host_line(host)).collect();
        world.commit(seeded)?;
        Ok(world)
    }

    /// One request, from its last byte to the decision how its answer leaves. When this returns, what was
    /// carried out is on disk.
    pub(super) fn handle(&mut self, request: Request) -> (Delivery, Option<Late>) {
        self.last_request += 1;
        let number = self.last_request;
        match self.carry_out(request, number) {
            Ok(handled) => handled,
            Err(error) => {
                tracing::error!(error = ?error, "the range cannot write its ledger and carries nothing out");
                let text = "the range cannot write its effect ledger; see its log";
                (Delivery::Send(crowdstrike::failure(503, text, number)), None)
            }
        }
    }

    fn carry_out(&mut self, request: Request, number: u64) -> Result<(Delivery, Option<Late>), LedgerError> {
        let call = understand(&request);
        let now = self.clock.now();
        if !self.crowdstrike.admits(&request, &call, now) {
            // Uses up no fault: the script of a test need not count refreshes of tokens.
            let reply = self.crowdstrike.refusal(number);
            return self.refuse(&request, &call, number, None, reply);
        }
        let fault = self.faults.take(&request, &call);
        let name = fault.as_ref().map(FaultKind::name);
        let told = match fault {
            Some(FaultKind::LieRead { status }) => Some(status),
            _ => None,
        };
        match fault {
            None
            | Some(
                FaultKind::LieRead { .. }
                | FaultKind::Slow { .. }
                | FaultKind::Truncate
                | FaultKind::LoseAnswer,
            ) => {
                let reply = self.crowdstrike.answer(&request, &call, number, now, told);
                let lost = fault == Some(FaultKind::LoseAnswer);
                let status = (!lost).then_some(reply.status);
                self.record(&request, &call, number, name, status, &reply)?;
                let delivery = match fault {
                    Some(FaultKind::Slow { ms }) => Delivery::SendAfter(ms, reply),
                    Some(FaultKind::Truncate) => Delivery::SendHalf(reply),
                    Some(FaultKind::LoseAnswer) => Delivery::Cut,
                    _ => Delivery::Send(reply),
                };
                Ok((delivery, None))
            }
            Some(FaultKind::Lie) => {
                let mut reply = self.crowdstrike.answer(&request, &call, number, now, None);
                reply.effects = reply.effects.into_iter().map(Effect::refused).collect();
                self.record(&request, &call, number, name, Some(reply.status), &reply)?;
                Ok((Delivery::Send(reply), None))
            }
            Some(FaultKind::Fail { status, body }) => {
                let reply = Reply {
                    status,
                    headers: Vec::new(),
                    body,
                    effects: Vec::new(),
                };
                self.refuse(&request, &call, number, name, reply)
            }
            Some(FaultKind::TooMany { retry_after_s }) => {
                let reply = crowdstrike::too_many(retry_after_s, number, now);
                self.refuse(&request, &call, number, name, reply)
            }
            Some(FaultKind::LoseRequest) => {
                self.record_untouched(&request, &call, number, name, None)?;
                Ok((Delivery::Cut, None))
            }
            Some(FaultKind::ExpireToken) => {
                self.expire_tokens()?;
                let reply = self.crowdstrike.refusal(number);
                self.refuse(&request, &call, number, name, reply)
            }
            Some(FaultKind::Late { ms, answer }) => {
                let (delivery, status) = match answer {
                    LateAnswer::Cut => (Delivery::Cut, None),
                    LateAnswer::Error => {
                        let reply = crowdstrike::failure(500, "internal server error", number);
                        (Delivery::Send(reply), Some(500))
                    }
                };
                self.record_untouched(&request, &call, number, name, status)?;
                let resets = self.resets;
                Ok((
                    delivery,
                    Some(Late {
                        ms,
                        request,
                        call,
                        number,
                        resets,
                    }),
                ))
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
        let now = self.clock.now();
        let reply = self.crowdstrike.answer(&request, &call, number, now, None);
        if let Err(error) = self.record(&request, &call, number, Some("late"), None, &reply) {
            tracing::error!(error = ?error, "the range cannot write its ledger and drops a late effect");
        }
    }

    pub(super) fn set_host(&mut self, change: HostChange) -> Result<Host, ControlError> {
        let before = self.crowdstrike.host(&change.device_id);
        let after = change.apply(before).ok_or(ControlError::NameNeeded)?;
        let line = self.host_line(after.clone());
        self.commit(vec![line])?;
        Ok(after)
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
        lines.extend(self.seed.iter().map(|host| self.host_line(host.clone())));
        // The seed's old states are gone with the reset, so nothing comes before the new ones.
        for line in &mut lines {
            line.state_before = None;
        }
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

    pub(super) fn hosts(&self) -> Vec<Host> {
        self.crowdstrike.hosts()
    }

    /// Gives the file up; nothing is carried out any more.
    pub(super) fn close(&mut self) {
        self.keeper = Keeper::Closed;
    }

    fn refuse(
        &mut self,
        request: &Request,
        call: &Call,
        number: u64,
        fault: Option<&'static str>,
        reply: Reply,
    ) -> Result<(Delivery, Option<Late>), LedgerError> {
        self.record_untouched(request, call, number, fault, Some(reply.status))?;
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
        let effects = self.crowdstrike.untouched(call);
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
        let all = self.log_reads || call.mutates || fault.is_some() || !reply.is_success();
        let effects = if reply.effects.is_empty() {
            self.crowdstrike.untouched(call)
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
            self.crowdstrike.looked_at(&call.targets);
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
        lines.iter().for_each(|line| self.crowdstrike.replay(line));
        self.lines.extend(lines);
        Ok(())
    }

    fn host_line(&self, host: Host) -> LedgerLine {
        let before = self
            .crowdstrike
            .host(&host.device_id)
            .map(|host| host.status.to_string());
        let mut line = self.range_line("host");
        line.target = Some(host.device_id.clone());
        line.target_name = Some(host.hostname.clone());
        line.state_before = before;
        line.state_after = Some(host.status.to_string());
        line.host = Some(host);
        line
    }

    fn range_line(&self, action: &str) -> LedgerLine {
        let (vendor, action) = ("range".to_owned(), action.to_owned());
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
        vendor: call.vendor.name().to_owned(),
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
        idempotency_key: request.idempotency_key.clone(),
        request_id: request.request_id.clone(),
        host: None,
    }
}
