//! A connector's cases as they are written: one call with the requests it makes, or one delivery with the findings
//! in it.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use url::Url;

use super::case::{Answer, Call, CallExpect, Delivered, Exchange, Part, What};
use super::read::{body, moment, one_of, plain, texts};
use crate::clock::duration_ms;
use crate::connector::HostPattern;
use crate::page::{Page, Placed, Table};

/// One case; `None` when something is wrong with it.
pub fn case(page: &mut Page<'_>, mut table: Table<'_, '_>, files: &BTreeMap<String, String>) -> Option<What> {
    table.choose(&["alert", "act", "resolve", "read"]);
    if table.has("alert") {
        return delivered(page, table, files).map(|delivered| What::Delivery(Box::new(delivered)));
    }
    if ["act", "resolve", "read"].iter().any(|key| table.has(key)) {
        return call(page, table).map(|call| What::Call(Box::new(call)));
    }
    page.mistake(
        "S009",
        table.span.clone(),
        "a case of a connector calls something, or takes a delivery",
        "write `act`, `resolve` or `read` with the verb of an action, or `[alert]`",
    );
    None
}

fn delivered(
    page: &mut Page<'_>,
    mut table: Table<'_, '_>,
    files: &BTreeMap<String, String>,
) -> Option<Delivered> {
    table.text(page, "title");
    let now = moment(page, &mut table, "now");
    let mut alert = table.table(page, "alert")?;
    let body = body(page, &mut alert, files);
    alert.finish(page);
    let mut expect = expect(page, &mut table)?;
    let findings = expect.list_given(page, "finding").map(|list| Placed {
        span: list.span,
        value: list.value.into_iter().map(Table::into_data).collect(),
    });
    let delivered = Delivered {
        now,
        body: body?,
        findings,
        control: expect.flag(page, "control"),
        unreadable: expect.text(page, "unreadable"),
    };
    let nothing =
        delivered.findings.is_none() && delivered.control.is_none() && delivered.unreadable.is_none();
    if nothing {
        expects_nothing(
            page,
            &expect,
            "`[[expect.finding]]`, `control = true` or `unreadable`",
        );
    }
    expect.finish(page);
    table.finish(page);
    Some(delivered)
}

/// `[expect]`, which has to be there.
pub fn expect<'t, 'i>(page: &mut Page<'_>, table: &mut Table<'t, 'i>) -> Option<Table<'t, 'i>> {
    if !table.has("expect") {
        table.missing(page, "expect");
    }
    table.table(page, "expect")
}

/// A case that looks at nothing cannot fail.
pub fn expects_nothing(page: &mut Page<'_>, expect: &Table<'_, '_>, help: &str) {
    page.mistake(
        "S010",
        expect.span.clone(),
        "the case expects nothing, so it could never fail",
        format!("write {help}"),
    );
}

fn call(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Call> {
    table.text(page, "title");
    let now = moment(page, &mut table, "now");
    let (act, resolve) = (table.text(page, "act"), table.text(page, "resolve"));
    let (read, function) = (table.text(page, "read"), table.text(page, "function"));
    let place = table.place_of("resolve");
    let called = match (act, resolve, read) {
        (Some(verb), None, None) => Some((verb, Part::Act)),
        (None, Some(verb), None) => Some((verb, Part::Resolve)),
        (None, None, Some(verb)) => Some((verb, Part::Read(function.clone()))),
        _ => {
            let help = "write one case for each; `[[case]]` puts several into one file";
            page.mistake(
                "S009",
                place,
                "a case calls exactly one of `act`, `resolve` and `read`",
                help,
            );
            None
        }
    };
    if let (Some(function), Some((_, Part::Act | Part::Resolve))) = (&function, &called) {
        let help = "leave it out; which function finds or does it is in the manifest";
        page.mistake(
            "S009",
            function.span.clone(),
            "`function` says which function reads",
            help,
        );
    }
    let target = table.map(page, "target");
    let args = plain(page, &mut table, "args");
    let key = table
        .text(page, "key")
        .map_or_else(|| "case-key".to_owned(), |key| key.value);
    let base_url = table
        .text(page, "base_url")
        .and_then(|text| match Url::parse(&text.value) {
            Ok(url) => Some(Placed {
                value: url,
                span: text.span,
            }),
            Err(error) => {
                let message = format!("`{}` is no address: {error}", text.value);
                page.mistake("S004", text.span, message, "such as `https://vendor.example`");
                None
            }
        });
    let hosts = table.texts(page, "hosts");
    let hosts = hosts
        .into_iter()
        .filter_map(|host| match HostPattern::parse(&host.value) {
            Ok(pattern) => Some(pattern),
            Err(_) => {
                let message = format!("`{}` is no host", host.value);
                page.mistake("S004", host.span, message, "such as `api.vendor.example`");
                None
            }
        });
    let hosts = hosts.collect();
    let settings = plain(page, &mut table, "settings");
    let credentials = texts(page, &mut table, "credentials").into_iter().collect();
    let requests = table.list(page, "request");
    let requests = requests
        .into_iter()
        .filter_map(|request| exchange(page, request))
        .collect();
    let expect = call_expect(page, &mut table)?;
    table.finish(page);
    let (verb, part) = called?;
    Some(Call {
        now,
        verb,
        part,
        target,
        args,
        key,
        base_url,
        hosts,
        settings,
        credentials,
        requests,
        expect,
    })
}

/// What is asked of a server without paths.
const SERVER_WORDS: [&str; 3] = ["SEARCH", "MODIFY", "SEND"];

fn exchange(page: &mut Page<'_>, mut table: Table<'_, '_>) -> Option<Exchange> {
    let span = table.span.clone();
    let methods = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "SEARCH", "MODIFY", "SEND",
    ];
    let method = table.text(page, "method").unwrap_or(Placed {
        value: "GET".to_owned(),
        span: span.clone(),
    });
    let method = one_of(page, "method", Some(method), &methods);
    // LDAP and SMTP have one server and no paths.
    let is_http = method
        .as_ref()
        .is_none_or(|method| !SERVER_WORDS.contains(&method.value.as_str()));
    let path = match table.text(page, "path") {
        None if is_http => {
            table.missing(page, "path");
            None
        }
        path => Some(path),
    };
    let host = table.text(page, "host");
    let query = table.map(page, "query");
    let headers = table.map(page, "headers");
    let json = table.data("json");
    let form = table.map(page, "form");
    let body = table.text(page, "body");
    let answer = answer(page, &mut table, &span, is_http);
    table.finish(page);
    Some(Exchange {
        span,
        method: method?,
        path: path?,
        host,
        query,
        headers,
        json,
        form,
        body,
        answer: answer?,
    })
}

fn answer(
    page: &mut Page<'_>,
    table: &mut Table<'_, '_>,
    span: &Range<usize>,
    is_http: bool,
) -> Option<Answer> {
    let Some(written) = table.data("answer") else {
        table.missing(page, "answer");
        return None;
    };
    match &written.value {
        Value::String(word) if word == "lost" => return Some(Answer::Lost),
        Value::String(word) if word == "refused" => return Some(Answer::Refused),
        Value::Object(_) => {}
        _ => {
            let help = "write `answer = { status = 200, json = { … } }`, `answer = \"lost\"` or `answer = \"refused\"`";
            page.mistake(
                "S004",
                span.clone(),
                "an answer is a table, or one of `lost` and `refused`",
                help,
            );
            return None;
        }
    }
    let mut table = table.table(page, "answer")?;
    let status = table.count(page, "status");
    let mut headers = texts(page, &mut table, "headers");
    let json = table.data("json");
    let xml = table.text(page, "xml");
    let says_kind = |(name, _): &(String, String)| name.eq_ignore_ascii_case("content-type");
    if xml.is_some() && !headers.iter().any(says_kind) {
        headers.push(("content-type".to_owned(), "text/xml".to_owned()));
    }
    let text = table.text(page, "body").or(xml);
    let place = table.span.clone();
    table.finish(page);
    let (least, usual) = if is_http { (100, 200) } else { (0, 0) };
    let status = match status.map_or(Some(usual), |status| u16::try_from(status.value).ok()) {
        Some(status) if (least..600).contains(&status) => status,
        _ => {
            page.mistake(
                "S004",
                place,
                "`status` is from 100 to 599",
                "such as `status = 404`",
            );
            return None;
        }
    };
    let body = match (json, text) {
        (Some(json), None) => json.value.to_string(),
        (None, Some(text)) => text.value,
        (None, None) => String::new(),
        (Some(_), Some(_)) => {
            page.mistake(
                "S004",
                place,
                "an answer has one body",
                "write `json`, `xml` or `body`",
            );
            return None;
        }
    };
    Some(Answer::With {
        status,
        headers,
        body,
    })
}

fn call_expect(page: &mut Page<'_>, table: &mut Table<'_, '_>) -> Option<CallExpect> {
    let mut table = expect(page, table)?;
    let outcome = table.text(page, "outcome");
    let standing = table.text(page, "standing");
    let expect = CallExpect {
        outcome: one_of(
            page,
            "outcome",
            outcome,
            &["done", "already", "not_done", "unknown"],
        ),
        code: table.text(page, "code"),
        message: table.text(page, "message"),
        retry: table.text(page, "retry"),
        result: table.data("result"),
        state: table.text(page, "state"),
        standing: one_of(page, "standing", standing, &["in_force", "pending", "absent"]),
        fields: table.map(page, "fields"),
        id: table.text(page, "id"),
        name: table.text(page, "name"),
        aliases: table.texts_given(page, "aliases"),
        candidates: table.texts_given(page, "candidates"),
    };
    if let Some(retry) = &expect.retry
        && !["never", "backoff"].contains(&retry.value.as_str())
        && duration_ms(&retry.value).is_none()
    {
        let message = format!("`{}` is no value of `retry`", retry.value);
        page.mistake(
            "S004",
            retry.span.clone(),
            message,
            "write `never`, `backoff`, or a duration such as `9s`",
        );
    }
    if expect.outcome.is_none() && expect.code.is_none() && expect.state.is_none() && expect.id.is_none() {
        expects_nothing(
            page,
            &table,
            "`outcome` for `act`, `state` for `read`, `id` for `resolve`, or the `code` of a failure",
        );
    }
    table.finish(page);
    Some(expect)
}
