//! Our functions, as one library of Redis Functions and as one script for servers without them. The name carries the
//! digest of the text, so that nodes of two versions each call their own.

use crate::digest::Digest;

/// The parts, in order.
const PARTS: &[&str] = &[
    include_str!("lua/prelude.lua"),
    include_str!("lua/guard.lua"),
    include_str!("lua/lib.lua"),
    include_str!("lua/journal.lua"),
    include_str!("lua/alerts.lua"),
    include_str!("lua/approvals.lua"),
    include_str!("lua/runs.lua"),
    include_str!("lua/targets.lua"),
    include_str!("lua/budgets.lua"),
    include_str!("lua/control.lua"),
    include_str!("lua/feed.lua"),
    include_str!("lua/notices.lua"),
    include_str!("lua/signals.lua"),
    include_str!("lua/dump.lua"),
];

/// Functions that may run when there is no room left, because they make room.
const FREES: &[&str] = &[
    "forget_notices",
    "forget_run",
    "forget_alert",
    "forget_bundle",
    "sweep",
];

/// Registers each function of the parts by its name: while a library is loaded a server has nothing of Lua but what this
/// uses, so that it cannot walk through tables there.
fn registered(parts: &str, library: &str) -> String {
    let mut all = String::new();
    for line in parts.lines() {
        for (table, call) in [
            ("writes", "call_write"),
            ("reads", "call_read"),
            ("raws", "call_raw"),
        ] {
            let rest = line.strip_prefix(table).and_then(|rest| rest.strip_prefix('.'));
            let Some((name, _)) = rest.and_then(|rest| rest.split_once(" =")) else {
                continue;
            };
            let flags = match table {
                "reads" => "'no-writes'",
                // What was brought has to find room where other writes do not.
                "raws" => "'allow-oom'",
                _ if FREES.contains(&name) => "'allow-oom'",
                _ => "",
            };
            all.push_str(&format!(
                "redis.register_function{{ function_name = '{library}_{name}', flags = {{ {flags} }}, \
                 callback = function(keys, args) return {call}({table}.{name}, keys, args) end }}\n"
            ));
        }
    }
    all
}

/// Every command that the functions use, in order.
pub(super) fn commands() -> Vec<String> {
    let parts = PARTS.concat();
    let used = parts
        .split("call('")
        .skip(1)
        .filter_map(|rest| rest.split_once('\''));
    let mut commands: Vec<String> = used.map(|(command, _)| command.to_owned()).collect();
    commands.sort();
    commands.dedup();
    commands
}

/// Makes a script of the parts: the first argument is the function's name.
const AS_SCRIPT: &str = r"
local name = table.remove(ARGV, 1)
if reads[name] then
  return call_read(reads[name], KEYS, ARGV)
end
if raws[name] then
  return call_raw(raws[name], KEYS, ARGV)
end
return call_write(writes[name], KEYS, ARGV)
";

/// Our functions.
pub(super) struct Library {
    name: String,
    functions: String,
    script: String,
    sha: String,
}

impl Library {
    pub(super) fn new() -> Library {
        let parts = PARTS.concat();
        let digest = Digest::of(parts.as_bytes()).to_string();
        let short: String = digest
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(10)
            .collect();
        let name = format!("cordon_v1_{short}");
        let functions = format!("#!lua name={name}\n{parts}{}", registered(&parts, &name));
        let script = format!("{parts}{AS_SCRIPT}");
        let sha = sha1(script.as_bytes());
        Library {
            name,
            functions,
            script,
            sha,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a server calls one of our functions.
    pub(super) fn name_of(&self, function: &str) -> String {
        format!("{}_{function}", self.name)
    }

    pub(super) fn functions(&self) -> &str {
        &self.functions
    }

    pub(super) fn script(&self) -> &str {
        &self.script
    }

    /// What a server knows the script by.
    pub(super) fn sha(&self) -> &str {
        &self.sha
    }
}

/// SHA-1, by which servers know scripts.
fn sha1(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}
