//! What is out of order at the moment, for whole stretches of time.

use std::sync::Mutex;

use crate::time::Sim;

/// Outages, by the moment of the stop watch at which they end.
#[derive(Default)]
pub struct Weather(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    calm: bool,
    store_until: u64,
    vendor_until: u64,
}

impl Weather {
    /// No more faults from here on.
    pub fn calm_down(&self) {
        self.0.lock().unwrap().calm = true;
    }

    pub fn is_calm(&self) -> bool {
        self.0.lock().unwrap().calm
    }

    pub fn store_outage(&self, sim: &Sim, ms: u64) {
        self.0.lock().unwrap().store_until = sim.elapsed_ms() + ms;
    }

    pub fn vendor_outage(&self, sim: &Sim, ms: u64) {
        self.0.lock().unwrap().vendor_until = sim.elapsed_ms() + ms;
    }

    pub fn is_store_down(&self, sim: &Sim) -> bool {
        sim.elapsed_ms() < self.0.lock().unwrap().store_until
    }

    pub fn is_vendor_down(&self, sim: &Sim) -> bool {
        !self.is_calm() && sim.elapsed_ms() < self.0.lock().unwrap().vendor_until
    }
}
