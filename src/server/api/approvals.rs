//! What people are asked, and their answers. Reading never decides anything: a decision is a POST by a principal,
//! with the digest of what they saw.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::routes::{Ask, id};
use crate::approval::{Decided, Request, Vote};
use crate::clock::Time;
use crate::digest::Digest;
use crate::evidence::approval::{asked_more, who};
use crate::id::{ApprovalId, RunId};
use crate::run::{Ballot, NotTaken, Taken};
use crate::server::auth::Who;
use crate::server::body::{Asked, reason};
use crate::server::cursor::{self, Cursor, limit};
use crate::server::error::ApiError;
use crate::server::services::Shared;
use crate::store::{ApprovalQuery, ApprovalRow};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// Only open ones, or only decided ones.
    open: Option<bool>,
    limit: Option<usize>,
    before: Option<String>,
}

/// A request as it is sent: for programs in parts, for people as lines.
#[derive(Serialize)]
pub(super) struct Sent {
    id: ApprovalId,
    run: RunId,
    asked_at: Time,
    open: bool,
    /// What a vote has to name, so that nobody agrees to something else than they saw.
    digest: Digest,
    text: Vec<String>,
    request: Request,
    votes: Vec<Vote>,
    decided: Option<Decided>,
    decided_at: Option<Time>,
}

impl From<ApprovalRow> for Sent {
    fn from(row: ApprovalRow) -> Sent {
        let state = row.state;
        let (decided_at, decided) = state.decided.unzip();
        Sent {
            id: row.id,
            run: row.run,
            asked_at: row.asked_at,
            open: row.open,
            digest: state.request.digest,
            text: text(&state.request),
            request: state.request,
            votes: state.votes,
            decided,
            decided_at,
        }
    }
}

/// What is asked, line by line.
fn text(request: &Request) -> Vec<String> {
    let mut lines = vec![
        request.ask.clone(),
        format!("{} ({}), {}", request.title, request.subject, request.run),
    ];
    lines.extend(asked_more(request));
    lines
}

#[derive(Serialize)]
pub(super) struct List {
    approvals: Vec<Sent>,
    /// `before` of the next page.
    next: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    Ask(query): Ask<Query>,
) -> Result<Json<List>, ApiError> {
    let before = query.before.as_deref().map(Cursor::parse).transpose()?;
    let store = shared.store();
    let (rows, next) = cursor::page(
        before,
        limit(query.limit)?,
        |row: &ApprovalRow| (row.asked_at, row.id.to_string()),
        |partition, before, limit| {
            let asked = ApprovalQuery {
                open: query.open,
                before,
                limit,
            };
            async move { store.approvals(partition, asked).await }
        },
    )
    .await?;
    let approvals = rows.into_iter().map(Sent::from).collect();
    Ok(Json(List { approvals, next }))
}

#[derive(Serialize)]
pub(super) struct One {
    approval: Sent,
}

pub(super) async fn show(
    State(shared): State<Shared>,
    Path(text): Path<String>,
) -> Result<Json<One>, ApiError> {
    let approval: ApprovalId = id(&text)?;
    let row = shared.store().approval(approval.partition(), approval).await?;
    let row = row.ok_or_else(|| unknown(approval))?;
    Ok(Json(One { approval: row.into() }))
}

fn unknown(approval: ApprovalId) -> ApiError {
    ApiError::missing(
        format!("there is no {approval}"),
        "`cordon approvals` lists what is asked",
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    #[serde(default)]
    reason: String,
    /// Of the request as the person saw it.
    digest: Digest,
}

pub(super) async fn approve(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(answer): Asked<Answer>,
) -> Result<Response, ApiError> {
    let reason = if answer.reason.trim().is_empty() {
        String::new()
    } else {
        reason(&answer.reason)?
    };
    put(&shared, &text, who, true, reason, answer.digest).await
}

pub(super) async fn deny(
    State(shared): State<Shared>,
    who: Who,
    Path(text): Path<String>,
    Asked(answer): Asked<Answer>,
) -> Result<Response, ApiError> {
    let reason = reason(&answer.reason)?;
    put(&shared, &text, who, false, reason, answer.digest).await
}

async fn put(
    shared: &Shared,
    text: &str,
    who: Who,
    approve: bool,
    reason: String,
    digest: Digest,
) -> Result<Response, ApiError> {
    let approval: ApprovalId = id(text)?;
    let ballot = Ballot {
        principal: who.0.clone(),
        approve,
        reason,
        digest: Some(digest),
    };
    let taken = shared.handle.vote_counted(approval, &ballot).await;
    let (status, counted, row) = match taken {
        Ok(Taken::Counted(row)) => (StatusCode::OK, true, row),
        Ok(Taken::Kept(row)) => (StatusCode::ACCEPTED, false, row),
        Err(refused) => return refuse(approval, refused),
    };
    tracing::info!(approval.id = %approval, run.id = %row.run, principal = who.0, approve, "an approval was answered");
    let sent = json!({ "counted": counted, "approval": Sent::from(*row) });
    Ok((status, Json(sent)).into_response())
}

/// Says no; with what is asked now, where that differs from what was seen or is decided.
fn refuse(approval: ApprovalId, refused: NotTaken) -> Result<Response, ApiError> {
    let message = refused.to_string();
    let (code, help, row) = match refused {
        NotTaken::Store(error) => return Err(error.into()),
        NotTaken::Unknown(_) => return Err(unknown(approval)),
        NotTaken::NotAllowed { .. } => {
            return Err(ApiError::forbidden(
                message,
                "`GET /api/approvals/ID` says who may decide",
            ));
        }
        NotTaken::Decided(row) => ("decided", "there is one decision, and it stands".to_owned(), row),
        NotTaken::Late(row) => (
            "late",
            "an approval nobody gave in time is denied".to_owned(),
            row,
        ),
        NotTaken::Stale(row) => {
            let help = format!(
                "read it as it is now and answer with its digest: {}",
                who(&row.state.request)
            );
            ("stale", help, row)
        }
    };
    let sent = json!({
        "error": { "code": code, "message": message, "help": help },
        "approval": Sent::from(*row),
    });
    Ok((StatusCode::CONFLICT, Json(sent)).into_response())
}
