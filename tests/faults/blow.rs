//! What befalls a primary, and how it ends. A blow returns when a new primary stands, or the old one is reached again.

use std::time::{Duration, Instant};

use cordon::id::Partition;

use crate::cut::{CLIENTS, Cuts, Way};
use crate::dice::Dice;
use crate::host::PORT;
use crate::load::Board;
use crate::standby::{Layout, Standby};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP until another has taken over, then it goes on as if it were primary still.
    Freeze,
    /// Every replica is cut off from it, it goes on answering, then it dies and one of them takes over. This is what
    /// loses what was acknowledged.
    Behind,
    /// The same with one replica, which is the one that takes over; the other has everything.
    OneBehind,
    /// A person asks for a failover, nothing is broken.
    Asked,
    /// A person makes a replica that is cut off take over, while the primary lives.
    Usurped,
    /// It is cut off from everybody, in one way or both, until another has taken over; then it is back.
    Off(Way),
    /// Clients are cut off from it for a while, in one way or both; the servers see each other.
    Unheard(Way),
    /// Its replicas are cut off from it for a while, in one way or both; nobody takes over.
    Unfollowed(Way),
    /// The network comes and goes.
    Flapping,
    /// The slot of a partition moves to another primary, key by key, and back.
    Moved,
}

const WAYS: [Way; 3] = [Way::There, Way::Back, Way::Both];

impl Blow {
    /// Those that can befall this layout.
    pub fn all(layout: Layout) -> Vec<Blow> {
        let mut all = vec![
            Blow::Kill,
            Blow::Behind,
            Blow::Freeze,
            Blow::Asked,
            Blow::Flapping,
        ];
        all.extend(WAYS.map(Blow::Off));
        all.extend(WAYS.map(Blow::Unheard));
        all.extend(WAYS.map(Blow::Unfollowed));
        match layout {
            Layout::Sentinel => all.push(Blow::OneBehind),
            Layout::Cluster => all.extend([Blow::Usurped, Blow::Moved]),
        }
        all
    }

    /// Whether it makes another server primary.
    pub fn fails_over(self) -> bool {
        !matches!(
            self,
            Blow::Unheard(_) | Blow::Unfollowed(_) | Blow::Flapping | Blow::Moved
        )
    }

    /// Whether even a commit that waited for a replica may be gone after it: that replica is not the one that took over.
    pub fn spares_nobody(self) -> bool {
        self == Blow::OneBehind
    }
}

/// Deals it. `partition` is one that the primary has. Blocks.
pub fn deal(
    blow: Blow,
    standby: &mut Standby,
    cuts: &Cuts,
    partition: Partition,
    dice: &mut Dice,
    board: &Board,
) {
    let primary = standby.primary_of(partition).unwrap();
    let replicas = standby.replicas_of(primary);
    let ip = standby.servers[primary].ip.clone();
    let pause = |dice: &mut Dice, from, to| std::thread::sleep(Duration::from_millis(dice.between(from, to)));
    match blow {
        Blow::Kill => {
            board.blow();
            standby.servers[primary].kill();
            succession(standby, partition, primary);
            pause(dice, 0, 1_000);
            standby.servers[primary].again();
        }
        Blow::Freeze => {
            board.blow();
            standby.servers[primary].freeze();
            succession(standby, partition, primary);
            pause(dice, 0, 1_000);
            standby.servers[primary].thaw();
        }
        Blow::Behind | Blow::Usurped => {
            for replica in &replicas {
                cuts.between(&ip, &standby.servers[*replica].ip, Way::Both);
            }
            // Acknowledged meanwhile, where nobody waits for a replica.
            pause(dice, 500, 2_000);
            board.blow();
            if blow == Blow::Behind {
                standby.servers[primary].kill();
            } else {
                standby.fail_over(replicas[0], Some("TAKEOVER"));
            }
            succession(standby, partition, primary);
            cuts.heal();
            if blow == Blow::Behind {
                standby.servers[primary].again();
            }
        }
        Blow::OneBehind => {
            let chosen = replicas[usize::try_from(dice.below(2)).unwrap()];
            standby.prefer(Some(chosen));
            // The sentinels hear of it with their next look, every ten seconds while nothing is wrong.
            pause(dice, 10_500, 11_000);
            cuts.between(&ip, &standby.servers[chosen].ip, Way::Both);
            pause(dice, 500, 2_000);
            board.blow();
            standby.servers[primary].kill();
            succession(standby, partition, primary);
            cuts.heal();
            standby.servers[primary].again();
            standby.prefer(None);
        }
        Blow::Asked => {
            board.blow();
            standby.fail_over(replicas[0], None);
            succession(standby, partition, primary);
        }
        Blow::Off(way) => {
            board.blow();
            cuts.off(&ip, way);
            succession(standby, partition, primary);
            pause(dice, 0, 1_500);
        }
        Blow::Unheard(way) => {
            board.blow();
            cuts.between(CLIENTS, &ip, way);
            pause(dice, 1_000, 4_000);
        }
        Blow::Unfollowed(way) => {
            board.blow();
            for replica in &replicas {
                cuts.between(&ip, &standby.servers[*replica].ip, way);
            }
            pause(dice, 1_000, 3_000);
        }
        Blow::Flapping => {
            board.blow();
            for _ in 0..dice.between(4, 8) {
                cuts.off(&ip, WAYS[usize::try_from(dice.below(3)).unwrap()]);
                pause(dice, 50, 500);
                cuts.heal();
                pause(dice, 50, 500);
            }
        }
        Blow::Moved => {
            board.blow();
            let other = (0..standby.servers.len())
                .find(|n| *n != primary && !standby.partitions_of(*n).is_empty())
                .unwrap();
            migrate(standby, partition, primary, other);
            migrate(standby, partition, other, primary);
        }
    }
    cuts.heal();
}

/// Waits until another than `before` is primary.
fn succession(standby: &Standby, partition: Partition, before: usize) {
    let begun = Instant::now();
    loop {
        if standby.primary_of(partition).is_some_and(|now| now != before) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nobody takes over from {}:\n{}",
            standby.servers[before].ip,
            standby.servers[before].log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Moves the slot of a partition, a few keys at a time, as `redis-cli --cluster reshard` does.
fn migrate(standby: &Standby, partition: Partition, from: usize, to: usize) {
    let slot = standby.slot(partition);
    let (source, target) = (&standby.servers[from], &standby.servers[to]);
    let (from_id, to_id) = (standby.id(from), standby.id(to));
    let done = |said: String| assert_eq!(said, "OK", "moving slot {slot}");
    done(target.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]));
    done(source.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]));
    let port = PORT.to_string();
    loop {
        let keys = source.ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "20"]);
        let keys: Vec<&str> = keys.lines().filter(|key| !key.is_empty()).collect();
        if keys.is_empty() {
            break;
        }
        let mut words = vec!["MIGRATE", &target.ip, &port, "", "0", "5000", "KEYS"];
        words.extend(&keys);
        let said = source.ask(&words);
        assert!(said == "OK" || said == "NOKEY", "moving keys of {slot}: {said}");
        std::thread::sleep(Duration::from_millis(5));
    }
    done(target.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]));
    done(source.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]));
}
