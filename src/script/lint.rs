//! The walk over a compiled program: unknown functions, wrong numbers of arguments, forbidden statements,
//! and two habits that work badly. Reads the tree only.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, FnPtr, Stmt};

use super::check::{Call, Facts};
use super::library::{Layout, known_name, own_name, spoken};
use super::literal::Literal;
use super::state::place;
use super::vocabulary::{Kind, OWN_WORDS, Vocabulary};
use crate::diagnostic::{Diagnostic, Severity, nearest};

/// Functions of the language itself that are no natives, with how many arguments they take in call style.
const LANGUAGE: [(&str, &[usize]); 7] = [
    ("Fn", &[1]),
    ("call", &[1, 2, 3, 4, 5, 6, 7]),
    ("is_shared", &[1]),
    ("type_of", &[1]),
    ("is_def_var", &[1]),
    ("is_def_fn", &[2, 3]),
    ("print", &[1]),
];

/// Functions other systems have and scripts here must not, with what to use instead.
const ELSEWHERE: [(&str, &str); 8] = [
    ("sleep", "use `wait(\"10m\")`, which survives a restart"),
    (
        "timestamp",
        "scripts have no clock; the finding has its own times",
    ),
    ("now", "scripts have no clock; the finding has its own times"),
    (
        "rand",
        "scripts have no chance, for a replay must do the same again",
    ),
    (
        "random",
        "scripts have no chance, for a replay must do the same again",
    ),
    ("eval", "write the code out"),
    ("curry", "write a closure"),
    ("exit", "use `return` or `throw`"),
];

/// Everything that is wrong with a program that compiled, or the facts about it.
pub(super) fn lint(
    engine: &Engine,
    ast: &AST,
    layout: &Layout,
    vocabulary: &Vocabulary,
    inputs: &[&str],
) -> Result<Facts, Vec<Diagnostic>> {
    let mut natives: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let known = engine.collect_fn_metadata(
        None,
        |function| {
            let global = function.namespace.is_empty();
            global.then(|| (function.metadata.name.to_string(), function.metadata.num_params))
        },
        true,
    );
    for (name, arity) in known {
        natives.entry(name).or_default().insert(arity);
    }
    let mut scripted: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut linter = Linter {
        layout,
        vocabulary,
        natives,
        scripted: BTreeMap::new(),
        found: Vec::new(),
        calls: Vec::new(),
        looped: BTreeSet::new(),
        captured: BTreeMap::new(),
    };
    let mut functions = Vec::new();
    for function in ast.iter_functions() {
        let params = function.params.len();
        if !function.name.starts_with("anon$") && own_name(function.name).is_none() {
            linter.defines(function.name);
            functions.push((function.name.to_owned(), params));
        }
        scripted
            .entry(function.name.to_owned())
            .or_default()
            .insert(params);
    }
    functions.sort();
    linter.scripted = scripted;
    ast.walk(&mut |path: &[ASTNode]| linter.visit(path, inputs));
    for function in ast.iter_functions() {
        let captured = linter.captured.get(function.name).copied().unwrap_or(0);
        let params = function.params.get(captured..).unwrap_or_default();
        linter.params(function.name, params, inputs);
    }
    let Linter {
        mut found, mut calls, ..
    } = linter;
    found.sort_by(|one, two| (&one.file, one.line, one.column).cmp(&(&two.file, two.line, two.column)));
    found.dedup();
    let (errors, warnings): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|diagnostic| diagnostic.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(errors);
    }
    calls.sort_by_key(|call| call.at);
    let mut library = vec![Vec::new(); layout.library().count()];
    let mut own = Vec::new();
    for mut call in calls {
        let number = layout.number(call.at.line);
        (_, call.at) = layout.place(call.at);
        match number.and_then(|n| library.get_mut(n)) {
            Some(file) => file.push(call),
            None => own.push(call),
        }
    }
    Ok(Facts {
        calls: own,
        library,
        functions,
        warnings,
    })
}

struct Linter<'a> {
    layout: &'a Layout,
    vocabulary: &'a Vocabulary,
    natives: BTreeMap<String, BTreeSet<usize>>,
    scripted: BTreeMap<String, BTreeSet<usize>>,
    found: Vec<Diagnostic>,
    calls: Vec<Call>,
    looped: BTreeSet<(usize, usize)>,
    /// How many of the first parameters of a closure are captured variables.
    captured: BTreeMap<String, usize>,
}

impl Linter<'_> {
    fn visit(&mut self, path: &[ASTNode], inputs: &[&str]) -> bool {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::FnCall(call, at))) | Some(ASTNode::Expr(Expr::FnCall(call, at))) => {
                self.call(call, *at, path);
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, at))) => self.method(call, *at),
            Some(ASTNode::Expr(Expr::Dot(chain, ..))) => {
                if let Expr::Variable(variable, ..) = &chain.lhs
                    && !inputs.contains(&variable.1.as_str())
                {
                    self.racing(variable.1.as_str(), &chain.rhs);
                }
            }
            Some(ASTNode::Stmt(Stmt::Import(_, at))) => self.forbidden("import", *at),
            Some(ASTNode::Stmt(Stmt::Export(_, at))) => self.forbidden("export", *at),
            Some(ASTNode::Stmt(Stmt::For(parts, at))) => {
                let names = [Some(&parts.0), parts.1.as_ref()];
                for name in names.into_iter().flatten() {
                    self.shadows(name.name.as_str(), *at, inputs);
                }
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(parts, at))) => {
                if let Expr::Variable(variable, ..) = &parts.expr {
                    self.shadows(variable.1.as_str(), *at, inputs);
                }
            }
            // The walk of Rhai 1.27 does not enter the value of a `break`.
            Some(ASTNode::Stmt(Stmt::BreakLoop(Some(value), ..))) => {
                let mut path = path.to_vec();
                value.walk(&mut path, &mut |path: &[ASTNode]| self.visit(path, inputs));
            }
            _ => {}
        }
        true
    }

    fn call(&mut self, call: &FnCallExpr, at: rhai::Position, path: &[ASTNode]) {
        let name = call.name.as_str();
        if call.is_qualified() {
            let full = format!("{}::{name}", call.namespace);
            let start = call.namespace.position();
            self.word(&full, call, if start.is_none() { at } else { start }, path);
            return;
        }
        // A closure that captures variables is written as a call of `curry` by the parser.
        if name == "curry"
            && let Some((Expr::DynamicConstant(closure, _), captured)) = call.args.split_first()
            && let Some(closure) = closure.read_lock::<FnPtr>()
        {
            self.captured.insert(closure.fn_name().to_owned(), captured.len());
            return;
        }
        if !rhai::is_valid_identifier(name) || call.is_operator_call() {
            return;
        }
        if self.vocabulary.get(name).is_some() && !self.scripted.contains_key(name) {
            self.word(name, call, at, path);
            return;
        }
        let count = call.args.len();
        let language = LANGUAGE
            .iter()
            .find(|(word, _)| *word == name)
            .map(|(_, counts)| *counts);
        let mut arities: BTreeSet<usize> = language.unwrap_or_default().iter().copied().collect();
        arities.extend(self.natives.get(name).into_iter().flatten());
        arities.extend(self.scripted.get(name).into_iter().flatten());
        self.judge(
            name,
            count,
            &arities,
            at,
            self.vocabulary.words().map(|word| word.name.clone()).collect(),
        );
    }

    fn method(&mut self, call: &FnCallExpr, at: rhai::Position) {
        let name = call.name.as_str();
        if !rhai::is_valid_identifier(name) {
            return;
        }
        let language = LANGUAGE
            .iter()
            .find(|(word, _)| *word == name)
            .map(|(_, counts)| *counts);
        let natives = self.natives.get(name).into_iter().flatten().copied();
        let whole = language.unwrap_or_default().iter().copied().chain(natives);
        let mut arities: BTreeSet<usize> = whole.filter_map(|count| count.checked_sub(1)).collect();
        arities.extend(self.scripted.get(name).into_iter().flatten());
        self.judge(name, call.args.len(), &arities, at, Vec::new());
    }

    fn judge(
        &mut self,
        name: &str,
        count: usize,
        arities: &BTreeSet<usize>,
        at: rhai::Position,
        more: Vec<String>,
    ) {
        if arities.contains(&count) {
            return;
        }
        if !arities.is_empty() {
            let fits: Vec<String> = arities.iter().map(usize::to_string).collect();
            let message = format!("`{}` does not take {count} {}", spoken(name), arguments(count));
            self.error("P003", message, at, format!("it takes {}", fits.join(" or ")));
            return;
        }
        if let Some((_, instead)) = ELSEWHERE.iter().find(|(word, _)| *word == name) {
            self.error(
                "P006",
                format!("`{name}` is not allowed in scripts"),
                at,
                (*instead).to_owned(),
            );
            return;
        }
        if let Some(own) = own_name(name) {
            let message = format!("the library has no function `{own}`");
            let known: Vec<&str> = self.scripted.keys().filter_map(|name| own_name(name)).collect();
            let help = match nearest(own, known.iter().copied()) {
                Some(near) => format!("did you mean `lib::{near}`?"),
                None if known.is_empty() => "there is no `lib/*.rhai` beside the playbooks".to_owned(),
                None => format!("add `fn {own}` to a file in `lib`, beside the playbooks"),
            };
            self.error("P002", message, at, help);
            return;
        }
        let visible = |name: &&String| {
            rhai::is_valid_identifier(name) && !name.starts_with("anon$") && own_name(name).is_none()
        };
        let known = self
            .natives
            .keys()
            .chain(self.scripted.keys())
            .chain(&more)
            .filter(visible);
        let local = more.iter().filter(|word| word.ends_with(&format!("::{name}")));
        let close = nearest(name, local.chain(known).map(String::as_str));
        let help = match close {
            _ if self.scripted.contains_key(&known_name(name)) => {
                format!("write `lib::{name}`: functions of the library have their prefix everywhere")
            }
            Some(known) => format!("did you mean `{known}`?"),
            None => match more.iter().find(|word| word.ends_with(&format!("::{name}"))) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "define it with `fn`, or look up its name".to_owned(),
            },
        };
        self.error("P002", format!("unknown function `{name}`"), at, help);
    }

    fn word(&mut self, name: &str, call: &FnCallExpr, at: rhai::Position, path: &[ASTNode]) {
        let count = call.args.len();
        let Some(word) = self.vocabulary.get(name) else {
            if name.starts_with("global::") {
                return;
            }
            let known = self.vocabulary.words().map(|word| word.name.as_str());
            let help = nearest(name, known).map_or_else(
                || "no connector that is set up provides it".to_owned(),
                |known| format!("did you mean `{known}`?"),
            );
            self.error("P002", format!("unknown function `{name}`"), at, help);
            return;
        };
        if !word.arity.contains(&count) {
            let (least, most) = (word.arity.start(), word.arity.end());
            let takes = if least == most {
                format!("{most}")
            } else {
                format!("{least} to {most}")
            };
            let message = format!("`{name}` does not take {count} {}", arguments(count));
            let help = format!("it takes {takes}: {}", word.help);
            self.error("P003", message, at, help);
            return;
        }
        let in_loop = in_loop(path);
        let at = place(at).unwrap_or_default();
        if in_loop
            && word.kind == Kind::Ask
            && word.namespace().is_some()
            && self.looped.insert((at.line, at.column))
        {
            let message =
                format!("`{name}` in a loop is done one after the other and stops at the first error");
            let help = "use `each(list, |item| …)`, which goes on and does many at once".to_owned();
            let found = self.diagnostic("P007", message, (at.line, at.column), help);
            self.found.push(found.as_warning());
        }
        let args = call.args.iter().map(Literal::of).collect();
        self.calls.push(Call {
            name: name.to_owned(),
            at,
            in_loop,
            args,
        });
    }

    /// A method of `variable` that is given a closure which captured the same variable.
    fn racing(&mut self, variable: &str, chain: &Expr) {
        let mut rest = Some(chain);
        while let Some(expression) = rest {
            let (link, next) = match expression {
                Expr::Dot(parts, ..) | Expr::Index(parts, ..) => (&parts.lhs, Some(&parts.rhs)),
                other => (other, None),
            };
            if let Expr::MethodCall(call, at) = link
                && call.args.iter().any(|arg| captures(arg, variable))
            {
                let message = format!("the closure given to `{}` uses `{variable}` itself", call.name);
                let help = format!("copy what it needs first, as in `let copy = {variable};`");
                self.warning("P008", message, *at, help);
            }
            rest = next;
        }
    }

    fn params(&mut self, function: &str, params: &[&str], inputs: &[&str]) {
        let own = own_name(function);
        let definition = format!("fn {}", own.unwrap_or_default());
        let of_library = self.layout.library().map(|(_, file)| file);
        let file = match own {
            Some(_) => of_library
                .into_iter()
                .find(|file| file.text().contains(&definition)),
            None => None,
        };
        let (file, text) = match file {
            Some(file) => (file.name(), file.text()),
            None => (self.layout.program().name(), self.layout.program().text()),
        };
        for param in params.iter().filter(|param| inputs.contains(param)) {
            let is_param = |(at, _): &(usize, &str)| {
                let before = text.get(..*at).unwrap_or("").trim_end();
                before.ends_with(['(', ',', '|'])
            };
            let at = text.match_indices(param).find(is_param).map_or(0, |(at, _)| at);
            let message = format!("`{param}` is an input of the script and cannot be a parameter");
            let span = at..at + param.len();
            let help = "choose another name";
            self.found
                .push(Diagnostic::error("P005", message, file, text, span, help));
        }
    }

    fn defines(&mut self, name: &str) {
        if self.vocabulary.get(name).is_none() && !OWN_WORDS.contains(&name) {
            return;
        }
        let text = self.layout.program().text();
        let at = text.find(&format!("fn {name}")).map_or(0, |at| at + 3);
        let message = format!("`{name}` is a word of Cordon and cannot be defined again");
        let (file, span) = (self.layout.program().name(), at..at + name.len());
        let help = "choose another name";
        self.found
            .push(Diagnostic::error("P005", message, file, text, span, help));
    }

    fn shadows(&mut self, name: &str, at: rhai::Position, inputs: &[&str]) {
        if inputs.contains(&name) {
            let message = format!("`{name}` is an input of the script and cannot be declared again");
            self.error("P005", message, at, "choose another name".to_owned());
        }
    }

    fn forbidden(&mut self, what: &str, at: rhai::Position) {
        let help = "the script must stand on its own; write the code out".to_owned();
        self.error("P006", format!("`{what}` is not allowed in scripts"), at, help);
    }

    fn error(&mut self, code: &'static str, message: String, at: rhai::Position, help: String) {
        let place = (at.line().unwrap_or(1), at.position().unwrap_or(1));
        let found = self.diagnostic(code, message, place, help);
        self.found.push(found);
    }

    fn warning(&mut self, code: &'static str, message: String, at: rhai::Position, help: String) {
        let place = (at.line().unwrap_or(1), at.position().unwrap_or(1));
        let found = self.diagnostic(code, message, place, help);
        self.found.push(found.as_warning());
    }

    /// In the file that a place belongs to.
    fn diagnostic(
        &self,
        code: &'static str,
        message: String,
        (line, column): (usize, usize),
        help: String,
    ) -> Diagnostic {
        let (file, line) = self.layout.locate(line);
        Diagnostic::error_at(code, message, file.name(), file.text(), (line, column), help)
    }
}

/// Whether the last node of the path is done again and again by a loop around it. What a `for` goes over is
/// worked out once.
fn in_loop(path: &[ASTNode]) -> bool {
    path.iter().zip(path.iter().skip(1)).any(|pair| {
        matches!(
            pair,
            (ASTNode::Stmt(Stmt::For(..)), ASTNode::Stmt(_))
                | (ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..)), _)
        )
    })
}

/// Whether an argument is a closure that captured this variable.
fn captures(argument: &Expr, variable: &str) -> bool {
    let Expr::Stmt(block) = argument else { return false };
    block.iter().any(|statement| match statement {
        Stmt::Share(shared) => shared.iter().any(|(name, _)| name.name.as_str() == variable),
        _ => false,
    })
}

fn arguments(count: usize) -> &'static str {
    if count == 1 { "argument" } else { "arguments" }
}
