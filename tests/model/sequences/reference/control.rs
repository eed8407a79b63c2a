//! What belongs to the whole instance: the last word counts, but a bundle is what it was first.

use std::collections::BTreeMap;

use cordon::store::{Principal, Result, Switches};

use super::super::things;

#[derive(Clone, Debug, Default)]
pub(super) struct Instance {
    switches: Switches,
    principals: BTreeMap<String, Principal>,
    bundles: BTreeMap<usize, Vec<u8>>,
    secrets: BTreeMap<usize, Vec<u8>>,
}

impl Instance {
    pub(super) fn set_halt(&mut self, halt: Option<usize>) -> Result<()> {
        self.switches.halt = halt.map(things::halt);
        Ok(())
    }

    pub(super) fn put_principal(&mut self, n: usize, version: u8) -> Result<()> {
        let principal = things::principal(n, version);
        self.principals.insert(principal.name.clone(), principal);
        Ok(())
    }

    pub(super) fn put_bundle(&mut self, n: usize, version: u8) -> Result<()> {
        self.bundles.entry(n).or_insert(vec![version, 0]);
        Ok(())
    }

    pub(super) fn put_secret(&mut self, n: usize, version: u8) -> Result<()> {
        self.secrets.insert(n, vec![version, 0]);
        Ok(())
    }

    pub(super) fn switches(&self) -> Result<Switches> {
        Ok(self.switches.clone())
    }

    pub(super) fn principals(&self) -> Result<Vec<Principal>> {
        Ok(self.principals.values().cloned().collect())
    }

    pub(super) fn bundle(&self, n: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.bundles.get(&n).cloned())
    }

    pub(super) fn secret(&self, n: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.secrets.get(&n).cloned())
    }
}
