//! One SMTP conversation: which line means what, and in which order lines may come. Pure: lines in, replies and
//! requests out; the sockets are `door`'s.

use super::message::MailMessage;
use super::state::Login;

/// Most recipients of one message (RFC 5321 asks for 100 at least).
const RECIPIENTS_MAX: usize = 100;

/// What a session does with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Says this and goes on.
    Say(u16, String),
    /// Several lines of one reply.
    SayLines(u16, Vec<&'static str>),
    /// Asks the world; its answer is said, and told to [`Session::answered`].
    Ask(Ask),
    /// Says this and hangs up.
    Quit(u16, &'static str),
    /// Says nothing: the line was one of a message.
    Silent,
}

/// A request to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Auth { body: String },
    Recipient(String),
    Send { body: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Commands.
    Command,
    /// The text after AUTH PLAIN.
    Plain,
    /// The user name after AUTH LOGIN.
    User,
    /// The password after it.
    Password,
    /// Lines of a message.
    Data,
}

/// A conversation.
#[derive(Debug)]
pub(super) struct Session {
    stage: Stage,
    signed_in: bool,
    user: String,
    from: Option<String>,
    asked: Option<String>,
    message: MailMessage,
}

impl Session {
    pub(super) fn new() -> Session {
        Session {
            stage: Stage::Command,
            signed_in: false,
            user: String::new(),
            from: None,
            asked: None,
            message: MailMessage::default(),
        }
    }

    /// Whether the next lines are a message's, which may be long.
    pub(super) fn is_in_message(&self) -> bool {
        self.stage == Stage::Data
    }

    /// Takes a line without its end.
    pub(super) fn line(&mut self, line: &str) -> Step {
        match self.stage {
            Stage::Command => self.command(line),
            Stage::Plain => self.plain(line),
            Stage::User => {
                self.user = decode(line).unwrap_or_default();
                self.stage = Stage::Password;
                say(334, "UGFzc3dvcmQ6")
            }
            Stage::Password => {
                let user = std::mem::take(&mut self.user);
                self.stage = Stage::Command;
                auth(user, decode(line).unwrap_or_default())
            }
            Stage::Data => self.data(line),
        }
    }

    /// Learns what the world answered to an [`Ask`].
    pub(super) fn answered(&mut self, ask: &Ask, code: u16) {
        let yes = (200..300).contains(&code);
        match ask {
            Ask::Auth { .. } => self.signed_in = yes,
            Ask::Recipient(_) => {
                if let Some(to) = self.asked.take().filter(|_| yes) {
                    self.message.to.push(to);
                }
            }
            Ask::Send { .. } => self.forget(),
        }
    }

    fn command(&mut self, line: &str) -> Step {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.forget();
                Step::SayLines(250, vec!["range", "8BITMIME", "SMTPUTF8", "AUTH PLAIN LOGIN"])
            }
            "HELO" => {
                self.forget();
                say(250, "range")
            }
            "NOOP" => say(250, "2.0.0 ok"),
            "RSET" => {
                self.forget();
                say(250, "2.0.0 ok")
            }
            "QUIT" => Step::Quit(221, "2.0.0 bye"),
            "AUTH" => self.begin_auth(rest),
            "STARTTLS" => say(502, "5.5.1 no TLS on loopback"),
            _ if !self.signed_in => say(530, "5.7.0 sign in first"),
            "MAIL" => match address(rest, "FROM:") {
                Some(from) => {
                    self.forget();
                    self.from = Some(from);
                    say(250, "2.1.0 sender ok")
                }
                None => say(501, "5.5.4 write MAIL FROM:<address>"),
            },
            "RCPT" => self.recipient(rest),
            "DATA" if self.message.to.is_empty() => say(503, "5.5.1 no valid recipients"),
            "DATA" => {
                self.stage = Stage::Data;
                say(354, "end with a dot on a line by itself")
            }
            _ => say(500, "5.5.2 command not understood"),
        }
    }

    fn begin_auth(&mut self, rest: &str) -> Step {
        let (kind, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        match (kind.to_ascii_uppercase().as_str(), initial) {
            ("PLAIN", "") => {
                self.stage = Stage::Plain;
                say(334, "")
            }
            ("PLAIN", text) => self.plain(text),
            ("LOGIN", _) => {
                self.stage = Stage::User;
                say(334, "VXNlcm5hbWU6")
            }
            _ => say(504, "5.5.4 there are PLAIN and LOGIN"),
        }
    }

    fn plain(&mut self, text: &str) -> Step {
        self.stage = Stage::Command;
        let decoded = decode(text).unwrap_or_default();
        let mut parts = decoded.split('\0').skip(1);
        match (parts.next(), parts.next()) {
            (Some(user), Some(password)) => auth(user.to_owned(), password.to_owned()),
            _ => say(501, "5.5.2 not what PLAIN looks like"),
        }
    }

    fn recipient(&mut self, rest: &str) -> Step {
        if self.from.is_none() {
            return say(503, "5.5.1 MAIL first");
        }
        if self.message.to.len() >= RECIPIENTS_MAX {
            return say(452, "4.5.3 too many recipients");
        }
        match address(rest, "TO:").filter(|to| to.contains('@')) {
            Some(to) => {
                self.asked = Some(to.clone());
                Step::Ask(Ask::Recipient(to))
            }
            None => say(501, "5.1.3 write RCPT TO:<name@host>"),
        }
    }

    fn data(&mut self, line: &str) -> Step {
        if line != "." {
            self.message.raw.push_str(line.strip_prefix('.').unwrap_or(line));
            self.message.raw.push_str("\r\n");
            return Step::Silent;
        }
        self.stage = Stage::Command;
        let message = MailMessage {
            from: self.from.take().unwrap_or_default(),
            ..std::mem::take(&mut self.message)
        };
        match serde_json::to_string(&message) {
            Ok(body) => Step::Ask(Ask::Send { body }),
            Err(_) => say(554, "5.6.0 message not understood"),
        }
    }

    fn forget(&mut self) {
        (self.from, self.asked) = (None, None);
        self.message = MailMessage::default();
    }
}

fn say(code: u16, text: &str) -> Step {
    Step::Say(code, text.to_owned())
}

fn auth(user: String, password: String) -> Step {
    match serde_json::to_string(&Login { user, password }) {
        Ok(body) => Step::Ask(Ask::Auth { body }),
        Err(_) => say(501, "5.5.2 not understood"),
    }
}

fn decode(text: &str) -> Option<String> {
    let bytes = data_encoding::BASE64.decode(text.trim().as_bytes()).ok()?;
    String::from_utf8(bytes).ok()
}

/// The address between angle brackets after `FROM:` or `TO:`; parameters behind it are let be.
fn address(rest: &str, word: &str) -> Option<String> {
    let head = rest.get(..word.len())?;
    if !head.eq_ignore_ascii_case(word) {
        return None;
    }
    let (address, _) = rest
        .get(word.len()..)?
        .trim_start()
        .strip_prefix('<')?
        .split_once('>')?;
    Some(address.to_owned())
}
