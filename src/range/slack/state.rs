//! What the vendor knows, its answers, and how a range sees it. State changes only by replay of ledger lines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::ledger::LedgerLine;
use super::super::vendor::{At, Call, Effect, No, Reply, Request, StandIn, Thing, record};
use super::NAME;
use super::call::{argument, json as member, understand};
use super::message::{Channel, ChatMessage, Kept};
use crate::secret::Secret;

/// Longest text of a message, characters (the vendor cuts there; we refuse, so that a test sees it).
const TEXT_CHARS_MAX: usize = 40_000;
/// Messages in one answer that names no `limit`, and most in any.
const HISTORY: (usize, usize) = (100, 999);

/// How the stand-in of Slack is set up.
#[derive(Debug, Clone)]
pub struct SlackConfig {
    /// The token that `Authorization: Bearer` must carry.
    pub token: Secret,
    /// Channels there are from the start.
    pub channels: Vec<Channel>,
}

impl Default for SlackConfig {
    /// `xoxb-range`, one channel `incidents`.
    fn default() -> SlackConfig {
        SlackConfig {
            token: Secret::new("xoxb-range"),
            channels: vec![Channel::new("incidents")],
        }
    }
}

/// What the vendor knows.
pub(in crate::range) struct Slack {
    config: SlackConfig,
    channels: BTreeMap<String, Channel>,
    messages: Vec<ChatMessage>,
}

/// A no, in the vendor's word.
type Refusal = &'static str;

impl Slack {
    pub(in crate::range) fn new(config: SlackConfig) -> Slack {
        Slack {
            config,
            channels: BTreeMap::new(),
            messages: Vec::new(),
        }
    }

    /// Every message as it stands now, oldest first.
    pub(in crate::range) fn messages(&self) -> Vec<ChatMessage> {
        self.messages.clone()
    }

    fn channel(&self, id_or_name: &str) -> Option<&Channel> {
        let name = id_or_name.trim_start_matches('#');
        let named = || self.channels.values().find(|channel| channel.name == name);
        self.channels.get(id_or_name).or_else(named)
    }

    fn named(&self, request: &Request) -> Result<&Channel, Refusal> {
        let name = argument(request, "channel").ok_or("channel_not_found")?;
        self.channel(&name).ok_or("channel_not_found")
    }

    fn message(&self, channel: &Channel, ts: &str) -> Option<&ChatMessage> {
        self.messages
            .iter()
            .find(|message| message.channel == channel.name && message.ts == ts)
    }

    fn post(&self, request: &Request, at: At) -> Result<Reply, Refusal> {
        let channel = self.named(request)?;
        let blocks = member(request, "blocks").unwrap_or_default();
        let text = argument(request, "text").unwrap_or_default();
        if text.is_empty() && blocks.is_null() {
            return Err("no_text");
        }
        if text.chars().count() > TEXT_CHARS_MAX {
            return Err("msg_too_long");
        }
        let thread_ts = argument(request, "thread_ts");
        if let Some(ts) = &thread_ts
            && self.message(channel, ts).is_none()
        {
            return Err("thread_not_found");
        }
        // The number keeps two messages of one moment apart, and a repeat unlike the first.
        let seconds = at.now.0.div_euclid(1_000);
        let message = ChatMessage {
            channel: channel.name.clone(),
            ts: format!("{seconds}.{:06}", at.number),
            thread_ts,
            text,
            blocks,
            metadata: member(request, "metadata").unwrap_or_default(),
            edits: 0,
        };
        let body = json!({ "channel": channel.id, "ts": message.ts, "message": shown(&message, true) });
        Ok(ok(body).with(vec![kept("chat.postMessage", channel, None, message)]))
    }

    fn update(&self, request: &Request) -> Result<Reply, Refusal> {
        let channel = self.named(request)?;
        let ts = argument(request, "ts").ok_or("message_not_found")?;
        let before = self.message(channel, &ts).ok_or("message_not_found")?;
        let mut after = before.clone();
        after.text = argument(request, "text").unwrap_or_default();
        after.blocks = member(request, "blocks").unwrap_or_default();
        // Without metadata in the call those of the message stay.
        after.metadata = member(request, "metadata").unwrap_or(after.metadata);
        if after.text.is_empty() && after.blocks.is_null() {
            return Err("no_text");
        }
        after.edits += 1;
        let body = json!({ "channel": channel.id, "ts": ts, "text": after.text });
        Ok(ok(body).with(vec![kept("chat.update", channel, Some(before), after)]))
    }

    fn history(&self, request: &Request, action: &'static str) -> Result<Reply, Refusal> {
        let channel = self.named(request)?;
        let thread = argument(request, "ts").filter(|_| action == "conversations.replies");
        let limit = argument(request, "limit").map_or(Ok(HISTORY.0), |text| text.parse());
        let limit: usize = limit.map_err(|_| "invalid_limit")?;
        let oldest = argument(request, "oldest").unwrap_or_default();
        let wanted = |message: &&ChatMessage| {
            let place = match &thread {
                Some(ts) => message.ts == *ts || message.thread_ts.as_ref() == Some(ts),
                None => message.thread_ts.is_none(),
            };
            // Moments of one length compare as texts.
            message.channel == channel.name && place && message.ts.as_str() >= oldest.as_str()
        };
        let all = argument(request, "include_all_metadata").is_some_and(|text| text == "true");
        let found = self.messages.iter().filter(wanted);
        let mut found: Vec<Value> = found.map(|message| shown(message, all)).collect();
        if thread.is_none() {
            found.reverse();
        }
        let more = found.len() > limit;
        found.truncate(limit.min(HISTORY.1));
        let body = json!({ "messages": found, "has_more": more });
        Ok(ok(body).with(vec![Effect::read(action)]))
    }
}

impl StandIn for Slack {
    fn name(&self) -> &'static str {
        NAME
    }

    fn understand(&self, request: &Request) -> Option<Call> {
        understand(request)
    }

    fn admit(&self, request: &Request, _: &Call, _: At) -> Result<(), Reply> {
        match request.authorization("bearer") {
            Some(token) if token == self.config.token.expose() => Ok(()),
            Some(_) => Err(no("invalid_auth")),
            None => Err(no("not_authed")),
        }
    }

    fn answer(&self, request: &Request, call: &Call, at: At, _: Option<&str>) -> Reply {
        let done = match (&call.wrong, call.action) {
            (Some(_), _) => Err("unknown_method"),
            (None, "chat.postMessage") => self.post(request, at),
            (None, "chat.update") => self.update(request),
            (None, "auth.test") => Ok(ok(json!({ "team": "range", "user": "cordon" }))),
            (None, action) => self.history(request, action),
        };
        done.unwrap_or_else(no)
    }

    fn untouched(&self, call: &Call) -> Vec<Effect> {
        let target = call.targets.first();
        let channel = target.and_then(|id| self.channel(id));
        vec![Effect {
            action: call.action,
            target: channel
                .map(|channel| channel.id.clone())
                .or_else(|| target.cloned()),
            target_name: channel.map(|channel| channel.name.clone()),
            ..Effect::default()
        }]
    }

    fn replay(&mut self, line: &LedgerLine) {
        if line.action == "reset" {
            self.channels.clear();
            self.messages.clear();
        }
        match line.kept::<Kept>() {
            Some(Kept::SlackChannel(channel)) => drop(self.channels.insert(channel.id.clone(), channel)),
            Some(Kept::SlackMessage(message)) => {
                let same = |it: &&mut ChatMessage| it.channel == message.channel && it.ts == message.ts;
                match self.messages.iter_mut().find(same) {
                    Some(before) => *before = message,
                    None => self.messages.push(message),
                }
            }
            None => {}
        }
    }

    fn decline(&self, why: &No, _: &Call, _: At) -> Reply {
        match why {
            No::Failed(status, _) => Reply::json(*status, json!({ "ok": false, "error": "internal_error" })),
            No::TooMany(seconds) => Reply::json(429, json!({ "ok": false, "error": "ratelimited" }))
                .header("retry-after", seconds),
            No::Expired => no("token_expired"),
        }
    }

    fn things(&self) -> Vec<Thing> {
        let messages = self.messages.iter().map(ChatMessage::thing);
        self.channels
            .values()
            .map(Channel::thing)
            .chain(messages)
            .collect()
    }

    fn thing(&self, record: &Value) -> Option<Thing> {
        Some(match Kept::deserialize(record).ok()? {
            Kept::SlackChannel(channel) => channel.thing(),
            Kept::SlackMessage(message) => message.thing(),
        })
    }

    fn seed(&self) -> Vec<Thing> {
        self.config.channels.iter().map(Channel::thing).collect()
    }
}

/// A message as answers show it; metadata only for who asks for them.
fn shown(message: &ChatMessage, metadata: bool) -> Value {
    let mut body = json!({ "type": "message", "user": "U0RANGE", "text": message.text, "ts": message.ts });
    if let Some(body) = body.as_object_mut() {
        if let Some(ts) = &message.thread_ts {
            body.insert("thread_ts".to_owned(), json!(ts));
        }
        if !message.blocks.is_null() {
            body.insert("blocks".to_owned(), message.blocks.clone());
        }
        if metadata && !message.metadata.is_null() {
            body.insert("metadata".to_owned(), message.metadata.clone());
        }
        if message.edits > 0 {
            body.insert(
                "edited".to_owned(),
                json!({ "user": "U0RANGE", "ts": message.ts }),
            );
        }
    }
    body
}

fn kept(action: &'static str, channel: &Channel, before: Option<&ChatMessage>, after: ChatMessage) -> Effect {
    let word = |message: &ChatMessage| format!("{} edited {} times", message.ts, message.edits);
    Effect {
        action,
        target: Some(channel.id.clone()),
        target_name: Some(channel.name.clone()),
        applied: true,
        before: before.map(word),
        after: Some(word(&after)),
        record: record(&Kept::SlackMessage(after)),
    }
}

fn ok(body: Value) -> Reply {
    let mut whole = Map::from_iter([("ok".to_owned(), json!(true))]);
    if let Value::Object(body) = body {
        whole.extend(body);
    }
    Reply::json(200, Value::Object(whole))
}

fn no(word: &'static str) -> Reply {
    let mut reply = Reply::json(200, json!({ "ok": false, "error": word }));
    reply.done = false;
    reply
}
