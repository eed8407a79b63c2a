//! A way to a server on which each function that writes is sent twice and answered once, with the first answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

/// The way; it ends with the test.
pub struct Twice {
    /// Where to connect.
    pub url: String,
    count: Arc<AtomicUsize>,
}

impl Twice {
    /// Calls that were sent twice.
    pub fn doubled(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// Opens the way to the server of `url`.
pub async fn start(url: &str) -> Twice {
    let server = url.strip_prefix("redis://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let there = TcpStream::connect(&server).await.unwrap();
            tokio::spawn(pass(client, there, counted.clone()));
        }
    });
    Twice { url, count }
}

/// Command by command, because only then is it plain which answer is whose.
async fn pass(client: TcpStream, server: TcpStream, count: Arc<AtomicUsize>) {
    let (from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let (mut from_client, mut from_server) = (BufReader::new(from_client), BufReader::new(from_server));
    while let Some(command) = message(&mut from_client).await {
        to_server.write_all(&command).await.unwrap();
        let answer = message(&mut from_server).await.unwrap();
        if command.windows(8).any(|part| part == b"\r\nFCALL\r") {
            count.fetch_add(1, Ordering::SeqCst);
            to_server.write_all(&command).await.unwrap();
            message(&mut from_server).await.unwrap();
        }
        if to_client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// One command or answer, whole, as bytes; `None` at the end.
async fn message(from: &mut BufReader<OwnedReadHalf>) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    let mut left = 1_usize;
    while left > 0 {
        let begun = whole.len();
        if from.read_until(b'\n', &mut whole).await.ok()? == 0 {
            return None;
        }
        let line = std::str::from_utf8(&whole[begun..]).unwrap().trim_end();
        let number: i64 = line[1..].parse().unwrap_or(0);
        left -= 1;
        match &line[..1] {
            "*" => left += usize::try_from(number).unwrap_or(0),
            "$" if number >= 0 => {
                let mut text = vec![0; usize::try_from(number).unwrap() + 2];
                from.read_exact(&mut text).await.ok()?;
                whole.extend(text);
            }
            _ => {}
        }
    }
    Some(whole)
}
