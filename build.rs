//! Content is embedded into the binary, so a change of content is a reason to build it again.

fn main() {
    for folder in ["connectors", "playbooks", "docs/errors"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
