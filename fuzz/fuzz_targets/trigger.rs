//! Any text as a trigger: it loads, or says what is wrong, and the messages can be drawn.

#![no_main]

use cordon::trigger::{Index, Trigger};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    |source: &str| match Trigger::load("fuzz.yml", source, "playbook") {
        Ok(trigger) => assert_eq!(Index::build(vec![trigger]).len(), 1),
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without saying why");
            for error in errors {
                assert!(!error.render(false).is_empty());
            }
        }
    }
);
