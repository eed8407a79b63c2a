//! Which call a request is, and whom it names. Looks at the request only, never at a user.

use super::super::vendor::{Call, Door, Request};
use super::NAME;
use super::person::STEPS;

/// The calls there are, with the ids and names of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    FindUsers,
    User(String),
    Lifecycle(String, &'static str),
    ClearSessions(String),
    Clients(String),
    Tokens(String, String),
    RevokeTokens(String, String),
    RevokeToken(String, String, String),
    Grants(String),
    RevokeGrants(String),
    RevokeGrant(String, String),
    GroupsOf(String),
    ApiTokens,
    ApiToken(String),
    RevokeApiToken(String),
    FindGroups,
    Group(String),
    Members(String),
    AddMember(String, String),
    RemoveMember(String, String),
    Log,
}

impl Route {
    /// The route of a request; `None` where method and path are nobody's.
    pub(super) fn of(request: &Request) -> Option<Route> {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let own = str::to_owned;
        Some(match (request.method.as_str(), parts.get(2..)?) {
            ("GET", ["users"]) => Route::FindUsers,
            ("GET", ["users", id]) => Route::User(own(id)),
            ("POST", ["users", id, "lifecycle", verb]) => {
                let (verb, ..) = STEPS.iter().find(|(name, ..)| name == verb)?;
                Route::Lifecycle(own(id), verb)
            }
            ("DELETE", ["users", id, "sessions"]) => Route::ClearSessions(own(id)),
            ("GET", ["users", id, "clients"]) => Route::Clients(own(id)),
            ("GET", ["users", id, "clients", client, "tokens"]) => Route::Tokens(own(id), own(client)),
            ("DELETE", ["users", id, "clients", client, "tokens"]) => {
                Route::RevokeTokens(own(id), own(client))
            }
            ("DELETE", ["users", id, "clients", client, "tokens", token]) => {
                Route::RevokeToken(own(id), own(client), own(token))
            }
            ("GET", ["users", id, "grants"]) => Route::Grants(own(id)),
            ("DELETE", ["users", id, "grants"]) => Route::RevokeGrants(own(id)),
            ("DELETE", ["users", id, "grants", grant]) => Route::RevokeGrant(own(id), own(grant)),
            ("GET", ["users", id, "groups"]) => Route::GroupsOf(own(id)),
            ("GET", ["api-tokens"]) => Route::ApiTokens,
            ("GET", ["api-tokens", token]) => Route::ApiToken(own(token)),
            ("DELETE", ["api-tokens", token]) => Route::RevokeApiToken(own(token)),
            ("GET", ["groups"]) => Route::FindGroups,
            ("GET", ["groups", group]) => Route::Group(own(group)),
            ("GET", ["groups", group, "users"]) => Route::Members(own(group)),
            ("PUT", ["groups", group, "users", id]) => Route::AddMember(own(group), own(id)),
            ("DELETE", ["groups", group, "users", id]) => Route::RemoveMember(own(group), own(id)),
            ("GET", ["logs"]) => Route::Log,
            _ => return None,
        })
    }

    fn call(&self) -> Call {
        let reading = |action| Call::reading(NAME, action);
        let changing = |action, target: &str| Call::changing(NAME, action, target);
        match self {
            Route::FindUsers => reading("find"),
            Route::User(id) => reading("read").of(id),
            Route::Lifecycle(id, verb) => changing(verb, id),
            Route::ClearSessions(id) => changing("clear_sessions", id),
            Route::Clients(id) => reading("list_clients").of(id),
            Route::Tokens(id, _) => reading("list_tokens").of(id),
            Route::RevokeTokens(id, _) => changing("revoke_tokens", id),
            Route::RevokeToken(_, _, token) => changing("revoke_token", token),
            Route::Grants(id) => reading("list_grants").of(id),
            Route::RevokeGrants(id) => changing("revoke_grants", id),
            Route::RevokeGrant(_, grant) => changing("revoke_grant", grant),
            Route::GroupsOf(id) => reading("list_groups").of(id),
            Route::ApiTokens => reading("list_api_tokens"),
            Route::ApiToken(token) => reading("read_api_token").of(token),
            Route::RevokeApiToken(token) => changing("revoke_api_token", token),
            Route::FindGroups => reading("find_groups"),
            Route::Group(group) => reading("read_group").of(group),
            Route::Members(group) => reading("list_members").of(group),
            Route::AddMember(_, id) => changing("add_to_group", id),
            Route::RemoveMember(_, id) => changing("remove_from_group", id),
            Route::Log => reading("read_log"),
        }
    }
}

/// Which call this is, if it is one of Okta's.
pub(super) fn understand(request: &Request) -> Option<Call> {
    if request.door != Door::Http || !request.path.starts_with("/api/v1/") {
        return None;
    }
    Some(match Route::of(request) {
        Some(route) => route.call(),
        None => Call::wrong(NAME, 404, "Not found: the path or the method is unknown"),
    })
}
