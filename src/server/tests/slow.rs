//! Senders that take their time.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::house::{House, SECRET, finding, within};

const ALLOWED: Duration = Duration::from_millis(200);

/// Everything that comes until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn half_a_head_is_cut() {
    let house = House::with_patience(ALLOWED).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream
        .write_all(b"POST /hooks/siem HTTP/1.1\r\nHost: x\r\nAuth")
        .await
        .unwrap();
    assert!(!rest(&mut stream).await.contains("200"));
}

#[tokio::test]
async fn a_head_that_drips_is_cut_though_something_always_comes() {
    let house = House::with_patience(ALLOWED).await;
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        let _ = writer.write_all(b"GET /healthz HTTP/1.1\r\nX-Long: ").await;
        while writer.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut bytes = Vec::new();
    let _ = within(reader.read_to_end(&mut bytes)).await;
    assert!(!String::from_utf8_lossy(&bytes).contains("alive"));
    within(dripping).await.unwrap();
}

#[tokio::test]
async fn half_a_body_is_answered_408_and_nothing_is_kept() {
    let house = House::with_patience(ALLOWED).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST /hooks/siem HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = rest(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert_eq!(
        house.get("/api/status").await.body["counts"]["alerts"],
        serde_json::json!({})
    );
}

#[tokio::test]
async fn a_server_ends_though_someone_keeps_a_connection_open() {
    let mut house = House::open().await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = [0; 2_048];
    let read = within(stream.read(&mut bytes)).await.unwrap();
    assert!(String::from_utf8_lossy(&bytes[..read]).starts_with("HTTP/1.1 200 "));
    house.close().await;
    assert_eq!(rest(&mut stream).await, "");
    assert!(TcpStream::connect(house.address).await.is_err());
}

#[tokio::test]
async fn whoever_is_quick_may_use_a_connection_again_and_again() {
    let house = House::with_patience(Duration::from_secs(30)).await;
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    for n in 0..3 {
        let body = finding(&format!("f-{n}"), "High").to_string();
        let head = format!(
            "POST /hooks/siem HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut bytes = [0; 2_048];
        let read = within(stream.read(&mut bytes)).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert!(text.starts_with("HTTP/1.1 202 "), "{text}");
    }
}
