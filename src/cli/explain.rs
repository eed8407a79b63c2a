//! `cordon explain`: the page of an error code, from inside the binary.

use clap::Args;
use include_dir::{Dir, include_dir};
use serde_json::json;

use super::failure::{Done, Exit, Failure};
use super::output;
use crate::diagnostic::nearest;

static PAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs/errors");

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon explain
  cordon explain K007")]
pub struct Explain {
    /// The code, such as K007; all codes are listed without one
    code: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
///
/// # Errors
/// There is no such code.
pub fn run(args: &Explain) -> Done {
    let pages = pages();
    let Some(code) = &args.code else {
        if args.json {
            let list: Vec<_> = pages
                .iter()
                .map(|(code, text)| json!({ "code": code, "title": title(text) }))
                .collect();
            return output::json(&list);
        }
        let lines: Vec<String> = pages
            .iter()
            .map(|(code, text)| format!("{code}  {}", title(text)))
            .collect();
        return output::data(&lines.join("\n"));
    };
    let wanted = code.to_ascii_uppercase();
    match pages.iter().find(|(code, _)| *code == wanted) {
        Some((code, text)) if args.json => {
            output::json(&json!({ "code": code, "title": title(text), "page": text }))
        }
        Some((_, text)) => output::data(text),
        None => {
            let help = match nearest(&wanted, pages.iter().map(|(code, _)| *code)) {
                Some(near) => format!("did you mean `{near}`? `cordon explain` lists all codes"),
                None => "`cordon explain` lists all codes".to_owned(),
            };
            Err(Failure::new(
                Exit::Refused,
                format!("there is no error `{code}`"),
                help,
            ))
        }
    }
}

/// Code and text of every page, by code.
fn pages() -> Vec<(&'static str, &'static str)> {
    let mut pages: Vec<_> = PAGES
        .files()
        .filter_map(|file| Some((file.path().file_stem()?.to_str()?, file.contents_utf8()?)))
        .collect();
    pages.sort_unstable();
    pages
}

/// What stands after the code in the first line.
fn title(text: &'static str) -> &'static str {
    let line = text.lines().next().unwrap_or_default();
    line.split_once(": ").map_or(line, |(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_begins_with_its_code() {
        let pages = pages();
        assert!(pages.len() > 15, "{}", pages.len());
        for (code, text) in pages {
            assert!(text.starts_with(&format!("# {code}: ")), "{code}");
            assert!(text.lines().count() > 3, "{code} says too little");
        }
    }
}
