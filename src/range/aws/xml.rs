//! Answers of the Query protocol, and refusals in the protocol of the service that was asked.

use std::fmt::Write as _;

use serde_json::json;

use super::super::vendor::{Body, Reply, request_id};

/// An element of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Text(&'static str, String),
    Tree(&'static str, Vec<Node>),
}

impl Node {
    pub(super) fn text(name: &'static str, text: impl ToString) -> Node {
        Node::Text(name, text.to_string())
    }

    fn write(&self, out: &mut String) {
        let (name, inside) = match self {
            Node::Text(name, text) => (name, escape(text)),
            Node::Tree(name, children) => {
                let mut inside = String::new();
                children.iter().for_each(|child| child.write(&mut inside));
                (name, inside)
            }
        };
        // Writing to a text cannot fail.
        let _ = write!(out, "<{name}>{inside}</{name}>");
    }
}

/// 200 with what `action` answers.
pub(super) fn done(action: &str, namespace: &str, result: &[Node], number: u64) -> Reply {
    let mut inside = String::new();
    result.iter().for_each(|node| node.write(&mut inside));
    let result = if result.is_empty() {
        String::new()
    } else {
        format!("<{action}Result>{inside}</{action}Result>")
    };
    let id = request_id(number);
    let text = format!(
        "<{action}Response xmlns=\"{namespace}\">{result}<ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></{action}Response>"
    );
    Reply::new(200, Body::Xml(text)).header("x-amzn-requestid", id)
}

/// The namespace of a service's answers.
pub(super) fn namespace(service: &str) -> &'static str {
    match service {
        "sts" => "https://sts.amazonaws.com/doc/2011-06-15/",
        _ => "https://iam.amazonaws.com/doc/2010-05-08/",
    }
}

/// A refusal: XML, or JSON where the caller speaks that protocol.
pub(super) fn refuse(json_protocol: bool, status: u16, code: &str, message: &str, number: u64) -> Reply {
    let id = request_id(number);
    let reply = if json_protocol {
        // That protocol says 400 whatever the caller did wrong.
        let status = if status < 500 { 400 } else { status };
        Reply::json(status, json!({ "__type": code, "message": message }))
    } else {
        let kind = if status < 500 { "Sender" } else { "Receiver" };
        let (code, message) = (escape(code), escape(message));
        let text = format!(
            "<ErrorResponse xmlns=\"{}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message>\
             </Error><RequestId>{id}</RequestId></ErrorResponse>",
            namespace("iam")
        );
        Reply::new(status, Body::Xml(text))
    };
    reply.header("x-amzn-requestid", id)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
