//! Our own `replace` and `pad`. The language's versions build their result before its size is known (a few
//! lines of script fill the memory), and its `pad` never ends on an empty padding.

use rhai::{Engine, EvalAltResult, ImmutableString, NativeCallContext};

use super::advance::Thrown;
use super::error::throw;
use crate::limits::SCRIPT_STRING_BYTES_MAX;

type Done = Result<(), Box<EvalAltResult>>;

/// Puts them over the language's own. Each takes texts and single characters in any mixture.
pub(super) fn register(engine: &mut Engine) {
    type C<'a> = NativeCallContext<'a>;
    type S = ImmutableString;
    engine.register_fn("replace", |c: C, text: &mut S, find: S, with: S| {
        replace(&c, text, &find, &with)
    });
    engine.register_fn("replace", |c: C, text: &mut S, find: S, with: char| {
        replace(&c, text, &find, with.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", |c: C, text: &mut S, find: char, with: S| {
        replace(&c, text, find.encode_utf8(&mut [0; 4]), &with)
    });
    engine.register_fn("replace", |c: C, text: &mut S, find: char, with: char| {
        replace(
            &c,
            text,
            find.encode_utf8(&mut [0; 4]),
            with.encode_utf8(&mut [0; 4]),
        )
    });
    engine.register_fn("pad", |c: C, text: &mut S, length: i64, with: S| {
        pad(&c, text, length, &with)
    });
    engine.register_fn("pad", |c: C, text: &mut S, length: i64, with: char| {
        pad(&c, text, length, with.encode_utf8(&mut [0; 4]))
    });
}

fn replace(context: &NativeCallContext, text: &mut ImmutableString, find: &str, with: &str) -> Done {
    let found = text.matches(find).count();
    let kept = text.len() - found * find.len();
    let grown = found
        .checked_mul(with.len())
        .and_then(|added| kept.checked_add(added));
    if grown.is_none_or(|bytes| bytes > SCRIPT_STRING_BYTES_MAX) {
        return Err(too_long(context));
    }
    *text = text.replace(find, with).into();
    Ok(())
}

fn pad(context: &NativeCallContext, text: &mut ImmutableString, length: i64, with: &str) -> Done {
    let length = usize::try_from(length).unwrap_or(0);
    let missing = length.saturating_sub(text.chars().count());
    if missing == 0 {
        return Ok(());
    }
    if with.is_empty() {
        return Err(throw(
            Thrown::new("script", "`pad` needs something to pad with"),
            context.call_position(),
        ));
    }
    // Four bytes is the longest character there is.
    if length
        .checked_mul(4)
        .is_none_or(|bytes| bytes > SCRIPT_STRING_BYTES_MAX)
    {
        return Err(too_long(context));
    }
    *text = text
        .chars()
        .chain(with.chars().cycle().take(missing))
        .collect::<String>()
        .into();
    Ok(())
}

fn too_long(context: &NativeCallContext) -> Box<EvalAltResult> {
    let message = format!("the text would be longer than {SCRIPT_STRING_BYTES_MAX} bytes");
    throw(Thrown::new("limit", message), context.call_position())
}
