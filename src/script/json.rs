//! The read-only data of a script: its inputs, and objects inside answers. A value of this type is a root
//! and a path into it, so that mentioning `finding` copies nothing, whatever its size. Scalars leave it as
//! the language's own values; objects and lists stay lazy. A property that is not there is an error.

use std::rc::Rc;
use std::sync::Arc;

use rhai::{Array, Dynamic, ImmutableString};
use serde_json::Value;

use super::advance::Answers;
use super::program::Inputs;
use super::step::StepId;

static NULL: Value = Value::Null;

/// Where a value lives.
#[derive(Clone)]
pub(super) enum Root {
    /// An input of the job.
    Input(Arc<Inputs>, Rc<str>),
    /// The answer at a step.
    Answer(Arc<Answers>, Rc<StepId>),
    /// The data of the error that was recorded at a step.
    ErrorData(Arc<Answers>, Rc<StepId>),
    /// A value made by a native.
    Own(Rc<Value>),
}

impl Root {
    fn value(&self) -> &Value {
        match self {
            Root::Input(inputs, name) => inputs.get(&**name),
            Root::Answer(answers, step) => answers
                .get(&**step)
                .and_then(|answer| answer.result.as_ref().ok()),
            Root::ErrorData(answers, step) => answers
                .get(&**step)
                .and_then(|answer| answer.result.as_ref().err())
                .map(|thrown| &thrown.data),
            Root::Own(value) => Some(&**value),
        }
        .unwrap_or(&NULL)
    }
}

/// One object or list inside a root.
#[derive(Clone)]
pub(super) struct Json {
    root: Root,
    place: Option<Rc<Place>>,
}

struct Place {
    parent: Option<Rc<Place>>,
    step: Step,
}

enum Step {
    Key(Box<str>),
    Index(usize),
}

impl Json {
    /// The value at the top of a root, as a script sees it: scalars native, objects and lists lazy.
    pub(super) fn lazy(root: Root) -> Dynamic {
        match scalar(root.value()) {
            Some(native) => native,
            None => Dynamic::from(Json { root, place: None }),
        }
    }

    /// The value at the top of a root as an answer: a list becomes an array of the language, so that a
    /// script may sort it or add to it.
    pub(super) fn answer(root: Root) -> Dynamic {
        match root.value() {
            Value::Array(_) => Dynamic::from_array(Json { root, place: None }.elements()),
            _ => Json::lazy(root),
        }
    }

    /// The data itself.
    pub(super) fn value(&self) -> &Value {
        self.place
            .as_deref()
            .map_or_else(|| self.root.value(), |place| place.find(self.root.value()))
    }

    /// The member of this name, if this is an object that has it.
    pub(super) fn member(&self, key: &str) -> Option<Dynamic> {
        let inner = self.value().as_object()?.get(key)?;
        Some(self.child(inner, || Step::Key(key.into())))
    }

    /// The element at this index, if this is a list that has it. Negative counts from the end.
    pub(super) fn element(&self, index: i64) -> Option<Dynamic> {
        let items = self.value().as_array()?;
        let n = if index < 0 {
            items
                .len()
                .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(index).ok()?
        };
        items.get(n).map(|inner| self.child(inner, || Step::Index(n)))
    }

    /// The elements, if this is a list; nothing otherwise.
    pub(super) fn elements(&self) -> Array {
        let items = self.value().as_array().map_or(&[][..], Vec::as_slice);
        items
            .iter()
            .enumerate()
            .map(|(n, inner)| self.child(inner, || Step::Index(n)))
            .collect()
    }

    /// The names of the members, if this is an object.
    pub(super) fn keys(&self) -> Array {
        let object = self.value().as_object();
        object
            .map(|object| object.keys().map(|key| Dynamic::from(key.clone())).collect())
            .unwrap_or_default()
    }

    /// How many members or elements there are.
    pub(super) fn len(&self) -> usize {
        match self.value() {
            Value::Array(items) => items.len(),
            Value::Object(members) => members.len(),
            _ => 0,
        }
    }

    /// `object` or `list`, for messages.
    pub(super) fn kind(&self) -> &'static str {
        if self.value().is_array() { "list" } else { "object" }
    }

    fn child(&self, inner: &Value, step: impl FnOnce() -> Step) -> Dynamic {
        scalar(inner).unwrap_or_else(|| {
            let place = Some(Rc::new(Place {
                parent: self.place.clone(),
                step: step(),
            }));
            Dynamic::from(Json {
                root: self.root.clone(),
                place,
            })
        })
    }
}

impl Place {
    fn find<'v>(&self, root: &'v Value) -> &'v Value {
        let parent = self.parent.as_deref().map_or(root, |parent| parent.find(root));
        match &self.step {
            Step::Key(key) => parent.get(&**key),
            Step::Index(n) => parent.get(n),
        }
        .unwrap_or(&NULL)
    }
}

/// The language's own value for a scalar. An integer that does not fit 64 signed bits becomes its digits.
fn scalar(value: &Value) -> Option<Dynamic> {
    Some(match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(value) => Dynamic::from_bool(*value),
        Value::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(integer), _, _) => Dynamic::from_int(integer),
            (None, false, Some(float)) => Dynamic::from_float(float),
            _ => Dynamic::from(ImmutableString::from(number.to_string())),
        },
        Value::String(text) => Dynamic::from(ImmutableString::from(text.as_str())),
        Value::Array(_) | Value::Object(_) => return None,
    })
}
