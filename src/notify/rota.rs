//! Who is on call. A rota hands over every so many days at one local time of its zone, whatever daylight saving
//! does to the hours between; overrides go before it. Reads no clock: the moment is passed in.

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::clock::Time;

/// One rota.
#[derive(Clone, Debug, PartialEq)]
pub struct Rota {
    /// Its zone.
    pub zone: TimeZone,
    /// Who takes turns, in order; never empty.
    pub people: Vec<String>,
    /// When the first person's first turn begins, local time. Its time of day is that of every hand-over.
    pub begins: DateTime,
    /// Days of a turn, 1 or more.
    pub every_days: u32,
    /// Who stands in for whom; of two at once the one written last counts.
    pub overrides: Vec<Override>,
}

/// Somebody stands in.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Who.
    pub person: String,
    /// From this local time on.
    pub from: DateTime,
    /// Up to this local time.
    pub until: DateTime,
}

/// Who is on call at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OnCall {
    /// Who.
    pub person: String,
    /// True when an override says so.
    pub stands_in: bool,
    /// From when: the hand-over, or the beginning of the override.
    pub since: Time,
    /// Until when: the next hand-over, or when an override ends or begins before it.
    pub until: Time,
    /// Who comes next.
    pub next: String,
}

/// Who is on call in one rota, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// The rota.
    pub rota: String,
    /// True for the rota that is meant where none is named.
    pub first: bool,
    /// Its zone.
    pub zone: String,
    /// Who.
    pub person: String,
    /// True when an override says so.
    pub stands_in: bool,
    /// From when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// The same, on the clock of the zone.
    pub until_local: String,
    /// Who comes next.
    pub next: String,
}

/// Who is on call at a moment, by rota.
pub fn duties(rotas: &BTreeMap<String, Rota>, first: Option<&str>, at: Time) -> Vec<Duty> {
    let duty = |(name, rota): (&String, &Rota)| {
        let oncall = rota.at(at)?;
        Some(Duty {
            rota: name.clone(),
            first: first == Some(name.as_str()),
            zone: rota.zone.iana_name().unwrap_or("UTC").to_owned(),
            person: oncall.person,
            stands_in: oncall.stands_in,
            since: oncall.since,
            until: oncall.until,
            until_local: rota.local(oncall.until),
            next: oncall.next,
        })
    };
    rotas.iter().filter_map(duty).collect()
}

/// A moment far outside of what a calendar of this kind can count.
const FAR: &str = "the moment is out of range";

impl Rota {
    /// Who is on call at `now`. `None` where `now` is outside of the calendar (years -9999 to 9999).
    pub fn at(&self, now: Time) -> Option<OnCall> {
        let turn = self.turn_at(now)?;
        let (since, until) = (self.hand_over(turn)?, self.hand_over(turn + 1)?);
        if let Some(over) = self.override_at(now) {
            let (from, to) = (self.instant(over.from)?, self.instant(over.until)?);
            return Some(OnCall {
                person: over.person.clone(),
                stands_in: true,
                since: from,
                until: to,
                next: self.person_at(to)?,
            });
        }
        // An override that ended or begins within the turn cuts it.
        let edges = self.overrides.iter().filter_map(|over| {
            let (from, to) = (self.instant(over.from)?, self.instant(over.until)?);
            Some((from, to))
        });
        let (mut begun, mut ends) = (since, until);
        for (from, to) in edges {
            if to <= now {
                begun = begun.max(to.min(now));
            }
            if from > now {
                ends = ends.min(from);
            }
        }
        let person = self.in_turn(turn)?.to_owned();
        Some(OnCall {
            person,
            stands_in: false,
            since: begun,
            until: ends,
            next: self.person_at(ends)?,
        })
    }

    fn person_at(&self, at: Time) -> Option<String> {
        if let Some(over) = self.override_at(at) {
            return Some(over.person.clone());
        }
        self.in_turn(self.turn_at(at)?).map(str::to_owned)
    }

    fn override_at(&self, at: Time) -> Option<&Override> {
        self.overrides.iter().rev().find(|over| {
            let edges = self.instant(over.from).zip(self.instant(over.until));
            edges.is_some_and(|(from, until)| from <= at && at < until)
        })
    }

    fn in_turn(&self, turn: i64) -> Option<&str> {
        let people = i64::try_from(self.people.len()).ok().filter(|n| *n > 0)?;
        let place = usize::try_from(turn.rem_euclid(people)).ok()?;
        self.people.get(place).map(String::as_str)
    }

    /// The number of the turn at `now`: the last whose hand-over is not after it.
    fn turn_at(&self, now: Time) -> Option<i64> {
        let stamp = Timestamp::from_millisecond(now.0).ok()?;
        let local = stamp.to_zoned_datetime(self.zone.clone()).datetime();
        let days = self.begins.date().until(local.date()).ok()?.get_days();
        let turn = i64::from(days).div_euclid(i64::from(self.every_days.max(1)));
        // The day alone may be one turn off: before the time of day, or where a zone repeats or skips it.
        for turn in [turn + 1, turn, turn - 1] {
            if self.hand_over(turn)? <= now {
                return Some(turn);
            }
        }
        None
    }

    /// When a turn begins. A local time that daylight saving skips is taken as late as the clock jumps to; of one
    /// that comes twice, the first (RFC 5545 §3.3.5).
    fn hand_over(&self, turn: i64) -> Option<Time> {
        let days = turn.checked_mul(i64::from(self.every_days.max(1)))?;
        let span = Span::new().try_days(days).ok()?;
        self.instant(self.begins.checked_add(span).ok()?)
    }

    fn instant(&self, local: DateTime) -> Option<Time> {
        let zoned = self.zone.to_zoned_datetime(local).ok()?;
        Some(Time(zoned.timestamp().as_millisecond()))
    }

    /// A moment as it is on the clock of this rota's zone, for people: `2026-03-29 09:00 CEST`.
    pub fn local(&self, at: Time) -> String {
        match Timestamp::from_millisecond(at.0) {
            Ok(stamp) => stamp
                .to_zoned_datetime(self.zone.clone())
                .strftime("%Y-%m-%d %H:%M %Z")
                .to_string(),
            Err(_) => FAR.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rota(zone: &str, begins: &str, every_days: u32) -> Rota {
        Rota {
            zone: TimeZone::get(zone).unwrap(),
            people: vec!["ana".into(), "ben".into(), "cho".into()],
            begins: begins.parse().unwrap(),
            every_days,
            overrides: vec![],
        }
    }

    fn at(rota: &Rota, moment: &str) -> OnCall {
        rota.at(Time::parse(moment).unwrap()).unwrap()
    }

    #[test]
    fn the_hand_over_stays_at_nine_when_the_clock_changes_in_two_zones() {
        // Europe: summer time began on 2026-03-29 and ended on 2026-10-25. New York: 2026-03-08 and 2026-11-01.
        let berlin = rota("Europe/Berlin", "2026-01-05T09:00", 7);
        let york = rota("America/New_York", "2026-01-05T09:00", 7);
        for (rota, before, hand_over) in [
            (&berlin, "2026-03-23T07:59:59.999Z", "2026-03-23T08:00:00Z"),
            (&berlin, "2026-03-30T06:59:59.999Z", "2026-03-30T07:00:00Z"),
            (&berlin, "2026-10-26T07:59:59.999Z", "2026-10-26T08:00:00Z"),
            (&york, "2026-03-02T13:59:59.999Z", "2026-03-02T14:00:00Z"),
            (&york, "2026-03-09T12:59:59.999Z", "2026-03-09T13:00:00Z"),
            (&york, "2026-11-02T13:59:59.999Z", "2026-11-02T14:00:00Z"),
        ] {
            let (old, new) = (at(rota, before), at(rota, hand_over));
            assert_ne!(old.person, new.person, "{hand_over}");
            assert_eq!(old.until, Time::parse(hand_over).unwrap());
            assert_eq!(old.until, new.since);
            assert_eq!(old.next, new.person);
        }
        // The week in which the clock changes is an hour shorter or longer, and still one turn.
        let week = at(&berlin, "2026-03-25T12:00:00Z");
        assert_eq!(week.until.since_ms(week.since), (7 * 24 - 1) * 3_600_000);
        let week = at(&york, "2026-10-28T12:00:00Z");
        assert_eq!(week.until.since_ms(week.since), (7 * 24 + 1) * 3_600_000);
    }

    #[test]
    fn turns_go_round_in_order_before_and_after_the_first() {
        let rota = rota("UTC", "2026-01-05T09:00", 7);
        for (moment, person) in [
            ("2025-12-29T09:00:00Z", "cho"),
            ("2026-01-05T08:59:59Z", "cho"),
            ("2026-01-05T09:00:00Z", "ana"),
            ("2026-01-12T09:00:00Z", "ben"),
            ("2026-01-19T09:00:00Z", "cho"),
            ("2026-01-26T09:00:00Z", "ana"),
            ("2027-01-04T09:00:00Z", "ben"),
        ] {
            assert_eq!(at(&rota, moment).person, person, "{moment}");
        }
    }

    #[test]
    fn a_hand_over_in_the_hour_that_is_skipped_or_comes_twice_happens_once() {
        let skipped = rota("Europe/Berlin", "2026-03-28T02:30", 1);
        assert_eq!(at(&skipped, "2026-03-29T01:29:59Z").person, "ana");
        assert_eq!(at(&skipped, "2026-03-29T01:30:00Z").person, "ben");
        let twice = rota("Europe/Berlin", "2026-10-24T02:30", 1);
        assert_eq!(at(&twice, "2026-10-25T00:29:59Z").person, "ana");
        assert_eq!(at(&twice, "2026-10-25T00:30:00Z").person, "ben");
        assert_eq!(at(&twice, "2026-10-25T01:30:00Z").person, "ben");
    }

    #[test]
    fn an_override_goes_first_and_cuts_the_turns_around_it() {
        let mut rota = rota("Europe/Berlin", "2026-01-05T09:00", 7);
        rota.overrides = vec![Override {
            person: "zoe".into(),
            from: "2026-01-07T00:00".parse().unwrap(),
            until: "2026-01-08T12:00".parse().unwrap(),
        }];
        let before = at(&rota, "2026-01-06T12:00:00Z");
        assert_eq!((before.person.as_str(), before.next.as_str()), ("ana", "zoe"));
        assert_eq!(before.until, Time::parse("2026-01-06T23:00:00Z").unwrap());
        let during = at(&rota, "2026-01-07T12:00:00Z");
        assert_eq!(
            (during.person.as_str(), during.stands_in, during.next.as_str()),
            ("zoe", true, "ana")
        );
        let after = at(&rota, "2026-01-08T11:00:00Z");
        assert_eq!((after.person.as_str(), after.stands_in), ("ana", false));
        assert_eq!(after.since, Time::parse("2026-01-08T11:00:00Z").unwrap());
        assert_eq!(rota.local(after.since), "2026-01-08 12:00 CET");
    }
}
