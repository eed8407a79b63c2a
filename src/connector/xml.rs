//! Answers in XML as the nested maps scripts read: an element without children is its text, a repeated element
//! is a list, and `member` and `item`, by which AWS writes lists, are lists also where there is one. Attributes and
//! namespaces are left out. Entities of the document's own are refused, so nothing can grow.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value};

use crate::limits::{XML_DEPTH_MAX, XML_NODES_MAX};

/// An element that is still open.
#[derive(Default)]
struct Open {
    name: String,
    text: String,
    children: Map<String, Value>,
}

/// The document as `#{ ROOT: … }`; `None` where it is not well-formed, or larger than scripts may get.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader::from_str(text);
    let mut stack = vec![Open::default()];
    let mut nodes = 0_usize;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                nodes += 1;
                if stack.len() > XML_DEPTH_MAX || nodes > XML_NODES_MAX {
                    return None;
                }
                stack.push(Open {
                    name: start.local_name().as_ref().to_owned(),
                    ..Open::default()
                });
            }
            Event::Empty(start) => {
                nodes += 1;
                if nodes > XML_NODES_MAX {
                    return None;
                }
                let name = start.local_name().as_ref().to_owned();
                add(stack.last_mut()?, name, Value::from(""));
            }
            Event::End(_) => {
                let done = stack.pop()?;
                let value = if done.children.is_empty() {
                    Value::from(done.text.trim())
                } else {
                    Value::Object(done.children)
                };
                add(stack.last_mut()?, done.name, value);
            }
            Event::Text(part) => stack.last_mut()?.text.push_str(&part.xml10_content()),
            Event::CData(part) => stack.last_mut()?.text.push_str(&part.xml10_content()),
            Event::GeneralRef(reference) => {
                let letter = match reference.resolve_char_ref().ok()? {
                    Some(letter) => letter,
                    None => predefined(&reference)?,
                };
                stack.last_mut()?.text.push(letter);
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    let document = stack.pop()?;
    (stack.is_empty() && !document.children.is_empty()).then_some(Value::Object(document.children))
}

/// The five entities of XML itself.
fn predefined(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => None,
    }
}

fn add(parent: &mut Open, name: String, value: Value) {
    match parent.children.get_mut(&name) {
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let one = first.take();
            *first = Value::Array(vec![one, value]);
        }
        None => {
            let value = match name.as_str() {
                "member" | "item" => Value::Array(vec![value]),
                _ => value,
            };
            parent.children.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_a_list_also_with_one_member() {
        let text = r#"<?xml version="1.0"?>
            <ListAccessKeysResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
              <ListAccessKeysResult><IsTruncated>false</IsTruncated><AccessKeyMetadata>
                <member><UserName>ann</UserName><Status>Active</Status></member>
              </AccessKeyMetadata></ListAccessKeysResult>
            </ListAccessKeysResponse>"#;
        let keys = json!({ "member": [{ "UserName": "ann", "Status": "Active" }] });
        let result = json!({ "IsTruncated": "false", "AccessKeyMetadata": keys });
        assert_eq!(
            parse(text),
            Some(json!({ "ListAccessKeysResponse": { "ListAccessKeysResult": result } }))
        );
    }

    #[test]
    fn repeated_elements_are_a_list_and_empty_ones_are_empty_texts() {
        assert_eq!(
            parse("<a><b>1</b><b>2</b><b>3</b><c/><d></d><e>x &amp; &#65;<![CDATA[<y>]]></e></a>"),
            Some(json!({ "a": { "b": ["1", "2", "3"], "c": "", "d": "", "e": "x & A<y>" } }))
        );
    }

    #[test]
    fn what_is_not_well_formed_or_could_grow_is_no_document() {
        let deep = ["<a>", "</a>"].map(|tag| tag.repeat(XML_DEPTH_MAX + 2)).concat();
        let bomb = r#"<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><l>&b;</l>"#;
        let many = format!("<a>{}</a>", "<b/>".repeat(XML_NODES_MAX));
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "</a>",
            "<a>&file;</a>",
            bomb,
            &deep,
            &many,
        ] {
            assert_eq!(parse(text), None, "{}", &text[..text.len().min(60)]);
        }
    }
}
