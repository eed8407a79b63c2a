//! As much of the protocol of Redis (RESP 2 and 3) as it takes to see where a request or a reply ends, and what a
//! request asks for.

/// How many bytes the first whole message takes; `None` while its end has not come.
pub fn length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Messages still to come before the first is whole.
    let mut open = 1_u64;
    while open > 0 {
        let end = line(bytes, at)?;
        let head = bytes[at];
        let number = std::str::from_utf8(&bytes[at + 1..end - 2]).ok()?.parse::<i64>();
        at = end;
        open -= 1;
        match head {
            b'$' | b'!' | b'=' => {
                let size = usize::try_from(number.ok()?).ok();
                // -1 is a text that is not there and has no bytes.
                if let Some(size) = size {
                    at += size + 2;
                    if bytes.len() < at {
                        return None;
                    }
                }
            }
            b'*' | b'~' | b'>' => open += u64::try_from(number.ok()?).unwrap_or(0),
            b'%' => open += 2 * u64::try_from(number.ok()?).unwrap_or(0),
            // What an attribute is about follows it.
            b'|' => open += 2 * u64::try_from(number.ok()?).unwrap_or(0) + 1,
            _ => {}
        }
    }
    Some(at)
}

/// Where the line that begins at `from` ends, its end counted.
fn line(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    (end > 0).then_some(from + end + 2)
}

/// The name of the command that a request asks for, in capitals.
pub fn command(request: &[u8]) -> String {
    let Some(text) = line(request, 0).and_then(|start| line(request, start)) else {
        return String::new();
    };
    let end = line(request, text).map_or(text, |end| end - 2);
    String::from_utf8_lossy(&request[text..end]).to_ascii_uppercase()
}

#[test]
fn a_message_ends_where_its_last_part_ends() {
    for (text, whole) in [
        ("+OK\r\n", Some(5)),
        ("+OK\r\n+OK\r\n", Some(5)),
        ("$3\r\nabc\r\n:1\r\n", Some(9)),
        ("$-1\r\n", Some(5)),
        ("$3\r\nab", None),
        ("*2\r\n$1\r\na\r\n:7\r\n+", Some(15)),
        ("*2\r\n$1\r\na\r\n", None),
        ("*0\r\n", Some(4)),
        ("*2\r\n*1\r\n:1\r\n*0\r\n", Some(16)),
        ("%1\r\n+a\r\n+b\r\n", Some(12)),
        (">2\r\n+a\r\n+b\r\n", Some(12)),
        ("_\r\n", Some(3)),
        ("*1\r", None),
        ("", None),
    ] {
        assert_eq!(length(text.as_bytes()), whole, "{text:?}");
    }
    assert_eq!(command(b"*2\r\n$5\r\nfcall\r\n$1\r\nx\r\n"), "FCALL");
    assert_eq!(command(b"*1\r\n"), "");
}
