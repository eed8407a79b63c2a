//! Where the checks of one trigger file put what they find. Collects everything wrong at once, up to a bound,
//! so that an author does not mend a file one error at a time.

use std::ops::Range;

use crate::diagnostic::Diagnostic;

/// Most errors told of one file; the rest would repeat the same mistake.
const ERRORS_MAX: usize = 50;

/// The errors of one file.
pub(super) struct Report<'a> {
    file: &'a str,
    source: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    /// A report without errors about this file.
    pub(super) fn new(file: &'a str, source: &'a str) -> Report<'a> {
        Report {
            file,
            source,
            found: Vec::new(),
        }
    }

    /// Adds an error at a byte range of the file.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        span: &Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.found.len() < ERRORS_MAX {
            self.found.push(Diagnostic::error(
                code,
                message,
                self.file,
                self.source,
                span.clone(),
                help,
            ));
        }
    }

    /// Adds an error about the file as a whole.
    pub(super) fn whole(&mut self, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        if self.found.len() < ERRORS_MAX {
            self.found
                .push(Diagnostic::whole_file(code, message, self.file, help));
        }
    }

    /// True when something is wrong.
    pub(super) fn has_errors(&self) -> bool {
        !self.found.is_empty()
    }

    /// What is wrong, in the order of the file.
    pub(super) fn into_errors(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|error| (error.line, error.column));
        self.found
    }
}
