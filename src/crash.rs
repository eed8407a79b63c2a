//! Named places where a test may kill this process, or send it to sleep, so that recovery is proved for every one of them
//! and not only for the unlucky. Compiled into debug builds; in a release build passing a point costs nothing and
//! nothing in the environment can switch it on.

/// Passes the point `name`. When `CORDON_CRASH_AT=n` is set and this is the n-th point (from 1) that this
/// process passes, whatever their names, the process kills itself with SIGKILL. When `CORDON_CRASH_LOG` names
/// a file, `name` is appended to it as a line first: at every point, or with `CORDON_CRASH_AT` at the last only.
/// When `CORDON_SLEEP_AT` is this name and it is passed for the first time, the process stops itself with SIGSTOP, until
/// somebody continues it.
#[cfg(debug_assertions)]
pub fn point(name: &'static str) {
    switched::point(name);
}

/// Passes the point `name`: nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_name: &'static str) {}

/// How many points this process has passed; 0 in a release build.
#[cfg(debug_assertions)]
pub fn count() -> u64 {
    switched::PASSED.load(std::sync::atomic::Ordering::SeqCst)
}

/// How many points this process has passed; 0 in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn count() -> u64 {
    0
}

#[cfg(debug_assertions)]
mod switched {
    use std::ffi::OsString;
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::time::Duration;

    pub(super) static PASSED: AtomicU64 = AtomicU64::new(0);
    static SLEPT: AtomicBool = AtomicBool::new(false);
    /// A stop reaches the other threads first; until it reaches this one, it waits here and not after the point.
    const STOPPING: Duration = Duration::from_millis(50);

    struct Orders {
        at: Option<u64>,
        sleep: Option<String>,
        log: Option<OsString>,
    }

    fn orders() -> &'static Orders {
        static ORDERS: OnceLock<Orders> = OnceLock::new();
        ORDERS.get_or_init(|| Orders {
            at: std::env::var("CORDON_CRASH_AT")
                .ok()
                .and_then(|n| n.trim().parse().ok()),
            sleep: std::env::var("CORDON_SLEEP_AT").ok(),
            log: std::env::var_os("CORDON_CRASH_LOG"),
        })
    }

    pub(super) fn point(name: &'static str) {
        let passed = PASSED.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let orders = orders();
        let dies = orders.at == Some(passed);
        if let Some(log) = orders.log.as_ref().filter(|_| dies || orders.at.is_none()) {
            note(log, name);
        }
        if dies {
            // A kill that fails leaves us alive, and the test that ordered it says so.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
        if orders.sleep.as_deref() == Some(name) && !SLEPT.swap(true, Ordering::SeqCst) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP);
            std::thread::sleep(STOPPING);
        }
    }

    fn note(log: &OsString, name: &str) {
        // One write of one line, so that lines of several threads do not mix. A log that cannot be written
        // is seen by the test that reads it.
        if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(log) {
            let _ = file.write_all(format!("{name}\n").as_bytes());
        }
    }
}

#[cfg(test)]
#[cfg(debug_assertions)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    /// Passes three points in a process of its own; does nothing more when run with the other tests.
    #[test]
    fn child_passes_three_points() {
        let before = super::count();
        for name in ["first", "second", "third"] {
            super::point(name);
        }
        assert!(super::count() >= before + 3);
    }

    fn child(at: Option<&str>) -> (Option<i32>, String) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "crash::tests::child_passes_three_points"])
            .env("CORDON_CRASH_LOG", &log)
            .env_remove("CORDON_CRASH_AT")
            .env_remove("CORDON_SLEEP_AT");
        if let Some(at) = at {
            command.env("CORDON_CRASH_AT", at);
        }
        let status = command.output().unwrap().status;
        (status.signal(), std::fs::read_to_string(log).unwrap_or_default())
    }

    #[test]
    fn without_orders_every_point_is_noted_and_the_process_lives() {
        assert_eq!(child(None), (None, "first\nsecond\nthird\n".into()));
    }

    #[test]
    fn the_process_sleeps_at_the_point_it_was_told_until_it_is_continued() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::tests::child_passes_three_points"])
            .env("CORDON_CRASH_LOG", &log)
            .env_remove("CORDON_CRASH_AT")
            .env("CORDON_SLEEP_AT", "second")
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        while !state().contains(") T ") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "first\nsecond\n");
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "first\nsecond\nthird\n");
    }

    #[test]
    fn the_process_dies_at_the_point_it_was_told() {
        assert_eq!(child(Some("2")), (Some(9), "second\n".into()));
        assert_eq!(child(Some("4")), (None, String::new()));
    }
}
