//! Everything a store holds, as a file of lines. Only for those who may make tokens: alerts as they came are in it.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use super::tokens::is_admin;
use crate::limits::BACKUP_PIECES_MAX;
use crate::server::auth::Who;
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::upkeep;

/// Gives the backup while it is made. A store that fails in between ends it before its last line, without which no
/// reader takes it for one.
pub(super) async fn make(State(shared): State<Shared>, who: Who) -> Result<Response, ApiError> {
    if !is_admin(&shared, &who.0) {
        return Err(ApiError::forbidden(
            format!("`{}` may not take a backup", who.0),
            "alerts and journals are in it as they are: ask `admin`, or a member of the group `admins` of `[groups]`",
        ));
    }
    tracing::info!(principal = who.0, "a backup is taken");
    let (out, pieces) = mpsc::channel::<Vec<u8>>(BACKUP_PIECES_MAX);
    let (store, version, now) = (shared.store().clone(), shared.version, shared.now());
    let work = async move { upkeep::stream(&*store, version, now, out).await };
    // The work goes on while the answer is taken, and ends with it: nothing is spawned.
    let state = Taking {
        work: Some(Box::pin(work)),
        pieces,
    };
    let body = Body::from_stream(stream::unfold(state, Taking::next));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

type Work = std::pin::Pin<Box<dyn Future<Output = Result<(), crate::store::Error>> + Send>>;

struct Taking {
    work: Option<Work>,
    pieces: mpsc::Receiver<Vec<u8>>,
}

impl Taking {
    async fn next(mut self) -> Option<(Result<Vec<u8>, std::io::Error>, Taking)> {
        loop {
            let Some(work) = &mut self.work else {
                // What was made before the end is taken to the end.
                return self.pieces.recv().await.map(|piece| (Ok(piece), self));
            };
            tokio::select! {
                biased;
                piece = self.pieces.recv() => match piece {
                    Some(piece) => return Some((Ok(piece), self)),
                    None => self.work = None,
                },
                done = work => {
                    self.work = None;
                    if let Err(error) = done {
                        tracing::error!("a backup ended early: {error}");
                        return Some((Err(std::io::Error::other("the store failed")), self));
                    }
                }
            }
        }
    }
}
