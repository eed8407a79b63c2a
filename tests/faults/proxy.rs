//! Stands between a client and a Redis server and spoils what passes, at the boundaries of requests and replies. What
//! befalls a request is drawn when it comes, from a seed, and every spoiling is counted.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::dice::Dice;
use crate::resp;

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoil {
    /// The reply comes, but late: longer than a client waits.
    DelayReply,
    /// It is carried out; the connection closes instead of a reply.
    LoseReply,
    /// It is not carried out; the connection closes.
    LoseRequest,
    /// It comes twice, one after the other; one of both replies is passed on.
    Twice,
    /// It is carried out and answered, and comes once more much later, on a connection of its own, as one does that a
    /// client gave up and the network did not.
    Again,
    /// It gets through only long after the client has given up.
    Linger,
    /// From here on the client hears nothing, while its requests get through.
    Deaf,
    /// From here on nothing that the client sends gets through, and nothing closes.
    Mute,
    /// Some bytes of the reply, then a reset.
    Reset,
    /// The reply comes in pieces.
    Trickle,
}

const ALL: [Spoil; 10] = [
    Spoil::DelayReply,
    Spoil::LoseReply,
    Spoil::LoseRequest,
    Spoil::Twice,
    Spoil::Again,
    Spoil::Linger,
    Spoil::Deaf,
    Spoil::Mute,
    Spoil::Reset,
    Spoil::Trickle,
];

/// How much goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Requests that change something which are spoiled, of 1,000. Others are with a fourth of that.
    pub per_mille: u64,
    /// How long late things take, ms.
    pub late_ms: (u64, u64),
    /// The only thing that goes wrong, and only with what writes, where it is not everything.
    pub only: Option<Spoil>,
}

impl Weather {
    pub const CALM: Weather = Weather {
        per_mille: 0,
        late_ms: (0, 0),
        only: None,
    };
}

struct Sky {
    weather: Weather,
    dice: Dice,
    /// How often each thing happened.
    count: BTreeMap<Spoil, u64>,
    requests: u64,
}

/// What is to become of the reply that comes next.
enum Reply {
    Pass,
    Drop,
    Delay(Duration),
    Close,
    Reset,
    Trickle,
}

/// A proxy in front of one server.
pub struct Proxy {
    pub address: SocketAddr,
    sky: Arc<Mutex<Sky>>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    pub async fn start(upstream: SocketAddr, seed: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sky = Arc::new(Mutex::new(Sky {
            weather: Weather::CALM,
            dice: Dice::of(seed, "proxy"),
            count: BTreeMap::new(),
            requests: 0,
        }));
        let shared = sky.clone();
        let accepting = tokio::spawn(async move {
            // Dropped with this task, and with it every connection.
            let mut under_way = JoinSet::new();
            let (later, mut due) = mpsc::unbounded_channel();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((client, _)) = accepted else { return };
                        under_way.spawn(carry(client, upstream, shared.clone(), later.clone()));
                    }
                    Some((request, late)) = due.recv() => {
                        under_way.spawn(send_later(upstream, request, late));
                    }
                }
                while under_way.try_join_next().is_some() {}
            }
        });
        Proxy {
            address,
            sky,
            accepting,
        }
    }

    pub fn set(&self, weather: Weather) {
        self.sky.lock().unwrap().weather = weather;
    }

    /// How often each thing happened so far, and of how many requests.
    pub fn count(&self) -> (BTreeMap<Spoil, u64>, u64) {
        let sky = self.sky.lock().unwrap();
        (sky.count.clone(), sky.requests)
    }
}

impl Sky {
    /// What befalls this request, and how long late is.
    fn decide(&mut self, command: &str) -> (Option<Spoil>, Duration) {
        self.requests += 1;
        let writes = matches!(command, "FCALL" | "EVALSHA" | "EVAL" | "WAIT" | "WAITAOF");
        let chance = match (writes, self.weather.only) {
            (true, _) => self.weather.per_mille,
            (false, None) => self.weather.per_mille / 4,
            (false, Some(_)) => 0,
        };
        let spoiled = self.dice.chance(chance);
        let any = ALL[usize::try_from(self.dice.below(10)).unwrap()];
        let (from, to) = self.weather.late_ms;
        let late = Duration::from_millis(self.dice.between(from, to.max(from)));
        let repeatable = matches!(command, "FCALL" | "FCALL_RO" | "EVAL" | "EVALSHA" | "EVALSHA_RO");
        let spoil = match self.weather.only.unwrap_or(any) {
            Spoil::Twice | Spoil::Again | Spoil::Linger if !repeatable => Spoil::LoseReply,
            spoil => spoil,
        };
        if !spoiled {
            return (None, late);
        }
        *self.count.entry(spoil).or_default() += 1;
        (Some(spoil), late)
    }
}

/// Sends a request on a connection of its own and hears the reply out.
async fn send_later(upstream: SocketAddr, request: Vec<u8>, late: Duration) {
    tokio::time::sleep(late).await;
    let Ok(mut server) = TcpStream::connect(upstream).await else {
        return;
    };
    if server.write_all(&request).await.is_err() {
        return;
    }
    let mut heard = Vec::new();
    while resp::length(&heard).is_none() {
        if !matches!(server.read_buf(&mut heard).await, Ok(bytes) if bytes > 0) {
            return;
        }
    }
}

/// One connection of a client, from its beginning to its end.
async fn carry(client: TcpStream, upstream: SocketAddr, sky: Arc<Mutex<Sky>>, later: Later) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    // Neither side is to wait for a full packet.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    let replies = Arc::new(Mutex::new(VecDeque::new()));
    let (deafen, deaf) = watch::channel(false);
    let up = requests(client_reads, server_writes, sky, later, replies.clone(), deafen);
    let down = answers(server_reads, client_writes, replies, deaf);
    tokio::pin!(down);
    tokio::select! {
        // Both directions close at once: that is what makes a reset one.
        () = &mut down => {}
        // Requests that were sent are carried out, and answered as planned, until the server closes too.
        () = up => down.await,
    }
}

type Expected = Arc<Mutex<VecDeque<Reply>>>;
/// Requests that are sent after a while, whatever has become of their connection.
type Later = mpsc::UnboundedSender<(Vec<u8>, Duration)>;

/// Requests, until the client closes or one of them closes the connection.
async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    sky: Arc<Mutex<Sky>>,
    later: Later,
    replies: Expected,
    deafen: watch::Sender<bool>,
) {
    let mut heard = Vec::new();
    let mut mute = false;
    'open: while let Ok(1..) = client.read_buf(&mut heard).await {
        while let Some(end) = resp::length(&heard) {
            let request: Vec<u8> = heard.drain(..end).collect();
            if mute {
                continue;
            }
            let (spoil, late) = sky.lock().unwrap().decide(&resp::command(&request));
            let mut times = 1;
            {
                let mut replies = replies.lock().unwrap();
                let reply = match spoil {
                    None | Some(Spoil::Deaf) => Reply::Pass,
                    Some(Spoil::DelayReply) => Reply::Delay(late),
                    Some(Spoil::LoseReply) => Reply::Close,
                    Some(Spoil::LoseRequest) => break 'open,
                    Some(Spoil::Twice) => {
                        times = 2;
                        // The duration is as good a coin as any.
                        if late.subsec_millis() % 2 == 0 {
                            replies.push_back(Reply::Drop);
                            Reply::Pass
                        } else {
                            replies.push_back(Reply::Pass);
                            Reply::Drop
                        }
                    }
                    Some(Spoil::Again) => {
                        // Nobody takes it when the proxy is being dropped.
                        let _ = later.send((request.clone(), late));
                        Reply::Pass
                    }
                    Some(Spoil::Linger) => {
                        // Nobody takes it when the proxy is being dropped.
                        let _ = later.send((request.clone(), late));
                        mute = true;
                        continue;
                    }
                    Some(Spoil::Mute) => {
                        mute = true;
                        continue;
                    }
                    Some(Spoil::Reset) => Reply::Reset,
                    Some(Spoil::Trickle) => Reply::Trickle,
                };
                replies.push_back(reply);
            }
            if spoil == Some(Spoil::Deaf) {
                deafen.send_replace(true);
            }
            for _ in 0..times {
                if server.write_all(&request).await.is_err() {
                    break 'open;
                }
            }
        }
    }
}

/// Replies, until the server closes or one of them closes the connection.
async fn answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    replies: Expected,
    deaf: watch::Receiver<bool>,
) {
    let mut heard = Vec::new();
    loop {
        let Ok(1..) = server.read_buf(&mut heard).await else {
            return;
        };
        while let Some(end) = resp::length(&heard) {
            let reply: Vec<u8> = heard.drain(..end).collect();
            // A message that nobody asked for has no plan.
            let plan = if reply.first() == Some(&b'>') {
                Reply::Pass
            } else {
                replies.lock().unwrap().pop_front().unwrap_or(Reply::Pass)
            };
            if *deaf.borrow() {
                continue;
            }
            let sent = match plan {
                Reply::Pass => client.write_all(&reply).await,
                Reply::Drop => Ok(()),
                Reply::Delay(late) => {
                    tokio::time::sleep(late).await;
                    client.write_all(&reply).await
                }
                Reply::Trickle => trickle(&mut client, &reply).await,
                Reply::Close => return,
                Reply::Reset => {
                    let _ = client.write_all(&reply[..reply.len() / 2]).await;
                    reset(client.as_ref());
                    return;
                }
            };
            if sent.is_err() {
                return;
            }
        }
    }
}

/// Makes the coming close a reset. Where the system refuses, it is a plain close, which spoils the reply as well.
fn reset(client: &TcpStream) {
    let _ = client.set_zero_linger();
}

async fn trickle(client: &mut OwnedWriteHalf, reply: &[u8]) -> std::io::Result<()> {
    for piece in reply.chunks(reply.len().div_ceil(8).max(1)) {
        client.write_all(piece).await?;
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Ok(())
}
