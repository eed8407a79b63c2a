//! Servers of which one dies or sleeps, on one store in Redis: kills under load, and zombies.

#[path = "../../../kill/battery.rs"]
mod battery;
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../../../crash/estate.rs"]
mod estate;
#[path = "../../../kill/figures.rs"]
mod figures;
#[path = "../../../kill/form.rs"]
mod form;
#[path = "../../../kill/load.rs"]
mod load;
#[path = "../../../kill/nodes.rs"]
mod nodes;
#[allow(dead_code, reason = "shared with the crash battery, which uses more of it")]
#[path = "../../../crash/server.rs"]
mod server;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the crash battery, which uses more of it"
)]
#[path = "../../../witness/mod.rs"]
mod witness;
mod zombies;

use form::{Form, Keep};

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_of_one_of_three_under_load_loses_repeats_or_forgets_anything() {
    let url = crate::told("CORDON_REDIS_URL");
    battery::kill_under_load(&Form::of_environment(Keep::Redis(url))).await;
}
