//! Copies of what a branch may touch. A closure shares the variables it captured with the script around it;
//! a branch gets copies instead, so that branches cannot see each other and their order cannot matter.

use rhai::{Dynamic, FnPtr};

use super::state::State;
use crate::limits;

/// The value shares something that cannot be copied now.
pub(super) enum NotIsolated {
    /// The evaluation ended while copying.
    Ended,
    /// Nested too deeply, as a closure that captured itself is.
    Depth,
    /// In use by the call that is going on.
    InUse,
}

/// A closure whose captured variables are copies.
pub(super) fn isolate_closure(state: &State, closure: &FnPtr) -> Result<FnPtr, NotIsolated> {
    let mut copy = closure.clone();
    for captured in copy.iter_curry_mut() {
        *captured = isolate(state, std::mem::take(captured), limits::JSON_DEPTH_MAX)?;
    }
    Ok(copy)
}

/// A copy of a value that shares nothing.
pub(super) fn isolate_value(state: &State, value: Dynamic) -> Result<Dynamic, NotIsolated> {
    isolate(state, value, limits::JSON_DEPTH_MAX)
}

fn isolate(state: &State, value: Dynamic, depth: usize) -> Result<Dynamic, NotIsolated> {
    let deeper = depth.checked_sub(1).ok_or(NotIsolated::Depth)?;
    if state.charge(1) {
        return Err(NotIsolated::Ended);
    }
    let value = if value.is_shared() {
        value.flatten_clone()
    } else {
        value
    };
    if value.is_shared() {
        return Err(NotIsolated::InUse);
    }
    if value.is_array() {
        let items = value.into_array().unwrap_or_default();
        let copies = items.into_iter().map(|item| isolate(state, item, deeper));
        return copies
            .collect::<Result<rhai::Array, _>>()
            .map(Dynamic::from_array);
    }
    if value.is_map() {
        let mut members = value.cast::<rhai::Map>();
        for inner in members.values_mut() {
            *inner = isolate(state, std::mem::take(inner), deeper)?;
        }
        return Ok(Dynamic::from_map(members));
    }
    if value.is_fnptr() {
        let mut closure = value.cast::<FnPtr>();
        for captured in closure.iter_curry_mut() {
            *captured = isolate(state, std::mem::take(captured), deeper)?;
        }
        return Ok(Dynamic::from(closure));
    }
    Ok(value)
}
