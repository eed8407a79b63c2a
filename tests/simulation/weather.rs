//! What is out of order at the moment, for whole stretches of time.

use std::sync::Mutex;

use tokio::task::JoinHandle;

use crate::time::Sim;

/// Outages, by the moment of the stop watch at which they end.
#[derive(Default)]
pub struct Weather(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    calm: bool,
    store_until: u64,
    vendor_until: u64,
    /// Copies of calls that are on their way.
    copies: Vec<JoinHandle<()>>,
    /// What was done though it came too late.
    taken_late: Vec<String>,
}

impl Weather {
    /// No more faults from here on.
    pub fn calm_down(&self) {
        self.0.lock().unwrap().calm = true;
    }

    pub fn is_calm(&self) -> bool {
        self.0.lock().unwrap().calm
    }

    pub fn keep(&self, copy: JoinHandle<()>) {
        self.0.lock().unwrap().copies.push(copy);
    }

    pub fn taken_late(&self, what: String) {
        self.0.lock().unwrap().taken_late.push(what);
    }

    /// Waits until every copy has come; says which were done, and how many there were.
    pub async fn copies(&self) -> (Vec<String>, usize) {
        let copies = std::mem::take(&mut self.0.lock().unwrap().copies);
        let count = copies.len();
        for copy in copies {
            copy.await.unwrap();
        }
        (std::mem::take(&mut self.0.lock().unwrap().taken_late), count)
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
