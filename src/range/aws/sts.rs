//! Calls of STS: who am I, and sessions of roles.

use super::super::vendor::{At, Effect, Reply, Request};
use super::ACCOUNT;
use super::call::parameter;
use super::identity::IdentityKind;
use super::state::Aws;
use super::who::{Refused, session_key};
use super::xml::{Node, done, namespace, refuse};

/// Longest session, s (the vendor's bound).
const SESSION_S_MAX: u64 = 43_200;

/// What is answered, and about what.
type Answer = Result<(Vec<Node>, Option<String>), Refused>;

impl Aws {
    pub(super) fn sts(&self, request: &Request, action: &'static str, at: At) -> Reply {
        let answer = match action {
            "AssumeRole" => self.assume_role(request, at),
            _ => self.caller(request, at),
        };
        match answer {
            Ok((nodes, target)) => {
                let effect = Effect {
                    target,
                    ..Effect::read(action)
                };
                done(action, namespace("sts"), &nodes, at.number).with(vec![effect])
            }
            Err((code, text)) => refuse(false, 403, code, &text, at.number),
        }
    }

    fn caller(&self, request: &Request, at: At) -> Answer {
        let arn = self.arn_of(&self.who(request, at.now)?);
        let nodes = vec![
            Node::text("Arn", &arn),
            Node::text("UserId", super::identity::letters(&arn, 21)),
            Node::text("Account", ACCOUNT),
        ];
        Ok((nodes, Some(arn)))
    }

    fn assume_role(&self, request: &Request, at: At) -> Answer {
        let arn = parameter(request, "RoleArn").unwrap_or_default();
        let name = arn.rsplit('/').next().unwrap_or_default();
        let refused = || {
            let text = format!("not authorized to perform: sts:AssumeRole on resource: {arn}");
            ("AccessDenied", text)
        };
        let role = self.identity(IdentityKind::Role, name);
        let role = role.filter(|role| role.arn() == arn).ok_or_else(refused)?;
        let given = parameter(request, "ExternalId");
        if role.external_id.is_some() && role.external_id != given {
            return Err(refused());
        }
        let session = parameter(request, "RoleSessionName").ok_or_else(|| {
            let text = "`RoleSessionName` is missing.".to_owned();
            ("ValidationError", text)
        })?;
        let asked_s = parameter(request, "DurationSeconds").and_then(|text| text.parse::<u64>().ok());
        let ms = asked_s.map_or(self.config.session_ms, |s| s.min(SESSION_S_MAX) * 1_000);
        let until = at.now.plus_ms(ms);
        let token = self.session_token(&role.name, at.now, until, at.number);
        let key_id = session_key(&token);
        let credentials = vec![
            Node::text("AccessKeyId", &key_id),
            Node::text("SecretAccessKey", self.secret_of(&key_id)),
            Node::text("SessionToken", token),
            Node::text("Expiration", until),
        ];
        let user = vec![
            Node::text("AssumedRoleId", format!("{}:{session}", role.unique_id())),
            Node::text(
                "Arn",
                format!("arn:aws:sts::{ACCOUNT}:assumed-role/{}/{session}", role.name),
            ),
        ];
        let nodes = vec![
            Node::Tree("Credentials", credentials),
            Node::Tree("AssumedRoleUser", user),
        ];
        Ok((nodes, Some(arn)))
    }
}
