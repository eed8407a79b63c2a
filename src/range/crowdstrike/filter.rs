//! The part of the vendor's filter language (FQL) that a look-up by name or id needs. Everything else is
//! refused, so that a connector that asks for more fails in its tests and not at night.

use super::host::Host;

/// The part of FQL we understand: nothing, or one comparison of a name or an id with a quoted text.
pub(super) enum Filter {
    /// No filter. As at the vendor, that is the whole estate.
    Everything,
    Name(String),
    Id(String),
}

impl Filter {
    /// Reads a filter; `None` for what we do not understand.
    pub(super) fn parse(text: &str) -> Option<Filter> {
        if text.is_empty() {
            return Some(Filter::Everything);
        }
        let (field, value) = text.split_once(':')?;
        let value = unquote(value)?;
        match field {
            "hostname" => Some(Filter::Name(value)),
            "device_id" => Some(Filter::Id(value)),
            _ => None,
        }
    }

    /// Whether the host is found.
    pub(super) fn holds(&self, host: &Host) -> bool {
        match self {
            Filter::Everything => true,
            Filter::Name(name) => host.hostname.to_lowercase() == name.to_lowercase(),
            Filter::Id(id) => host.device_id == *id,
        }
    }
}

/// The text between single quotes; a backslash keeps the next character as it is. `None` where the text
/// goes on after the closing quote, so that a name that was not escaped cannot widen a search unseen.
fn unquote(text: &str) -> Option<String> {
    let mut characters = text.strip_prefix('\'')?.chars();
    let mut value = String::new();
    loop {
        match characters.next()? {
            '\\' => value.push(characters.next()?),
            '\'' => return characters.next().is_none().then_some(value),
            other => value.push(other),
        }
    }
}
