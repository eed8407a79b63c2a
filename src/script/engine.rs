//! How a Rhai engine is built: which packages it has, which limits, which words. Every setting here was
//! measured (docs/decisions/0003); a package or option that is not named is off on purpose.

use std::rc::Rc;
use std::sync::Once;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage,
    BasicMathPackage, BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Dynamic, Engine, FnPtr, ImmutableString, Module, OptimizationLevel, Token};

use super::advance::Thrown;
use super::json::{Json, Root};
use super::library::known_name;
use super::state::{Ending, State, ended};
use super::vocabulary::{Kind, Vocabulary};
use super::word::{self, Outcome, say};
use super::{branch, data, text};
use crate::limits;

/// Names of closures are hashes; with a fixed seed they are the same in every process. Changing it is a new
/// engine ABI.
const HASHING_SEED: [u64; 4] = [0xC0D0, 0x50A4, 0x1270, 1];

/// An engine whose natives work on `state`.
pub(super) fn build(state: &Rc<State>, vocabulary: &Vocabulary) -> Engine {
    seed();
    let mut engine = Engine::new_raw();
    engine
        .register_global_module(ArithmeticPackage::new().as_shared_module())
        .register_global_module(BasicStringPackage::new().as_shared_module())
        .register_global_module(MoreStringPackage::new().as_shared_module())
        .register_global_module(BasicIteratorPackage::new().as_shared_module())
        .register_global_module(BasicFnPackage::new().as_shared_module())
        .register_global_module(LogicPackage::new().as_shared_module())
        .register_global_module(BasicMathPackage::new().as_shared_module())
        .register_global_module(BasicArrayPackage::new().as_shared_module())
        .register_global_module(BasicMapPackage::new().as_shared_module());
    limit(&mut engine);
    watch(&mut engine, state);
    text::register(&mut engine);
    data::register(&mut engine);
    branch::register(&mut engine, state);
    functions_stay_unseen(&mut engine, state);
    words(&mut engine, state, vocabulary);
    engine
}

/// Fixes the names of closures, once for the process and before any use of the language.
pub(super) fn seed() {
    static SEEDED: Once = Once::new();
    SEEDED.call_once(|| {
        // An error means that it was set before, which only this line does.
        let _ = rhai::config::hashing::set_hashing_seed(Some(HASHING_SEED));
    });
}

fn limit(engine: &mut Engine) {
    engine
        .set_optimization_level(OptimizationLevel::None)
        .set_strict_variables(true)
        .set_fail_on_invalid_map_property(true)
        .set_max_call_levels(limits::SCRIPT_CALLS_MAX)
        .set_max_expr_depths(64, 32)
        .set_max_variables(512)
        .set_max_functions(200)
        .set_max_modules(0)
        .set_max_operations(limits::SCRIPT_OPERATIONS_MAX)
        .set_max_string_size(limits::SCRIPT_STRING_BYTES_MAX)
        .set_max_array_size(limits::SCRIPT_ARRAY_MAX)
        .set_max_map_size(limits::SCRIPT_ARRAY_MAX)
        .disable_symbol("eval")
        .disable_symbol("curry");
}

#[allow(
    deprecated,
    reason = "`on_var`, `on_def_var` and `on_parse_token` are marked volatile, not deprecated; Rhai is pinned"
)]
fn watch(engine: &mut Engine, state: &Rc<State>) {
    let of = state.clone();
    engine.on_progress(move |_| of.tick().then_some(Dynamic::UNIT));
    let of = state.clone();
    engine.on_var(move |name, _, _| {
        if !of.has_input(name) {
            return Ok(None);
        }
        Ok(Some(Json::lazy(Root::Input(of.inputs(), name.into()))))
    });
    let of = state.clone();
    engine.on_def_var(move |_, variable, _| Ok(!of.has_input(variable.name())));
    let of = state.clone();
    // A function of the library gets a name of its own while its definition is read.
    engine.on_parse_token(move |token, _, _| match token {
        Token::Identifier(name) if of.names_function(false) => {
            Token::Identifier(Box::new(known_name(&name).into()))
        }
        token => {
            of.names_function(matches!(token, Token::Fn));
            token
        }
    });
}

/// A function has no text and no name that a script could see, for they would differ between versions.
fn functions_stay_unseen(engine: &mut Engine, state: &Rc<State>) {
    for name in ["to_string", "to_debug", "print", "debug", "name", "get$name"] {
        let of = state.clone();
        let refuse = move |context: rhai::NativeCallContext, _: &mut FnPtr| -> Outcome {
            // The language ignores an error while it makes a text, so the ending must be sticky.
            of.end(Ending::Failed(Thrown::new(
                "not-data",
                "a function is not data and has no text",
            )));
            Err(ended(context.call_position()))
        };
        engine.register_fn(name, refuse);
    }
}

fn words(engine: &mut Engine, state: &Rc<State>, vocabulary: &Vocabulary) {
    let mut global = Module::new();
    let mut namespaces: std::collections::BTreeMap<&str, Module> = std::collections::BTreeMap::new();
    for word in vocabulary.words() {
        let module = match word.namespace() {
            Some(namespace) => namespaces.entry(namespace).or_default(),
            None => &mut global,
        };
        word::register(module, state, word);
    }
    engine.register_global_module(Rc::new(global));
    for (namespace, module) in namespaces {
        engine.register_static_module(namespace, Rc::new(module));
    }
    if vocabulary
        .get("note")
        .is_some_and(|note| note.kind == Kind::Tell && note.arity.contains(&1))
    {
        let of = state.clone();
        // `print` has no way to fail; an ending inside it is seen at the next operation.
        engine.on_print(move |text| {
            let text = Dynamic::from(ImmutableString::from(text));
            drop(say(&of, Kind::Tell, "note", &[text], rhai::Position::NONE));
        });
    } else {
        engine.on_print(|_| {});
    }
    engine.on_debug(|_, _, _| {});
}
