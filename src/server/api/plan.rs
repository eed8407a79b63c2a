//! What a playbook would do, asked before it is started. Vendors are read; nothing is stored and nothing begins.

use axum::Json;
use axum::extract::State;

use super::start::{ByHand, starting};
use crate::run::{CannotPlan, NotPlanned, Outlook};
use crate::server::auth::Who;
use crate::server::body::Asked;
use crate::server::error::ApiError;
use crate::server::services::Shared;

pub(super) async fn make(
    State(shared): State<Shared>,
    who: Who,
    Asked(asked): Asked<ByHand>,
) -> Result<Json<Outlook>, ApiError> {
    let (bundle, start) = starting(&shared, &who, asked, "a plan".to_owned()).await?;
    match shared.handle.plan(&bundle, start).await {
        Ok(outlook) => Ok(Json(outlook)),
        Err(CannotPlan::Start(error)) => Err(error.into()),
        Err(CannotPlan::Walk(NotPlanned::Store(error))) => Err(error.into()),
        Err(CannotPlan::Walk(NotPlanned::TooLong(why))) => Err(ApiError::conflict(
            "too-long",
            why,
            "nothing was changed; plan about less",
        )),
        Err(CannotPlan::Walk(NotPlanned::Defect(why))) => Err(ApiError::defect(why)),
    }
}
