//! The floors table and the table of exceptions, as `docs/ARCHITECTURE.md` has them.

use std::collections::BTreeMap;

/// Head of the floors table.
const FLOORS: &str = "| Floor | Rooms | What they never contain |";
/// Head of the table of exceptions.
const EXCEPTIONS: &str = "| Room | May use | Why |";

/// Where every room is.
#[derive(Debug, Default)]
pub struct House {
    /// Room to its place.
    pub rooms: BTreeMap<String, Place>,
    /// What a room on a pure floor may use all the same: words of `rules::Impurity`.
    pub exceptions: BTreeMap<String, Vec<String>>,
}

/// Where a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The floor.
    pub floor: u32,
    /// Its place in an ordered row, in which a room may use those before it; `None` in the other rows.
    pub order: Option<usize>,
    /// Announced with `(later)`, not necessarily built.
    pub later: bool,
}

impl Place {
    /// Whether a room here may use a room there.
    pub fn may_use(self, other: Place) -> bool {
        match (self.order, other.order) {
            (Some(own), Some(others)) if self.floor == other.floor => others < own,
            _ => other.floor < self.floor,
        }
    }
}

impl House {
    /// Reads both tables of the page.
    pub fn parse(page: &str) -> Result<House, String> {
        let mut house = House::default();
        for row in rows(page, FLOORS)? {
            let [floor, rooms, _] = row.as_slice() else {
                return Err(format!(
                    "a row of the floors table has {} cells, not 3",
                    row.len()
                ));
            };
            let number: String = floor.chars().take_while(char::is_ascii_digit).collect();
            let number: u32 = number
                .parse()
                .map_err(|_| format!("`{floor}` does not begin with a floor's number"))?;
            let ordered = floor.contains("in order");
            for (at, room) in in_backticks(rooms).enumerate() {
                let later = rooms.contains(&format!("`{room}` (later)"));
                let place = Place {
                    floor: number,
                    order: ordered.then_some(at),
                    later,
                };
                if house.rooms.insert(room.to_owned(), place).is_some() {
                    return Err(format!("`{room}` is on two floors"));
                }
            }
        }
        for row in rows(page, EXCEPTIONS)? {
            let [room, uses, why] = row.as_slice() else {
                return Err(format!("a row of the exceptions has {} cells, not 3", row.len()));
            };
            let Some(room) = in_backticks(room).next() else {
                return Err(format!("`{room}` names no room in back-ticks"));
            };
            if why.is_empty() {
                return Err(format!("the exception of `{room}` gives no reason"));
            }
            if !house.rooms.contains_key(room) {
                return Err(format!("the exception of `{room}`, which is on no floor"));
            }
            let uses = in_backticks(uses).map(str::to_owned).collect();
            house.exceptions.insert(room.to_owned(), uses);
        }
        Ok(house)
    }
}

/// The cells of every row of the table with this head.
fn rows(page: &str, head: &str) -> Result<Vec<Vec<String>>, String> {
    let mut lines = page.lines().skip_while(|line| line.trim() != head);
    if lines.next().is_none() {
        return Err(format!("there is no table with the head `{head}`"));
    }
    let rows: Vec<Vec<String>> = lines
        .skip(1)
        .take_while(|line| line.trim_start().starts_with('|'))
        .map(|line| {
            line.trim()
                .trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    if rows.is_empty() {
        Err(format!("the table `{head}` has no rows"))
    } else {
        Ok(rows)
    }
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
words
| Floor | Rooms | What they never contain |
| --- | --- | --- |
| 9 | `server` `lsp` (later) | x |
| 3 | `journal` | x |
| 0 ground, in order | `clock` `id` | x |

| Room | May use | Why |
| --- | --- | --- |
| `clock` | `clock` | it is one |
";

    #[test]
    fn the_tables_are_read() {
        let house = House::parse(PAGE).unwrap();
        assert_eq!(
            house.rooms["server"],
            Place {
                floor: 9,
                order: None,
                later: false
            }
        );
        assert_eq!(
            house.rooms["lsp"],
            Place {
                floor: 9,
                order: None,
                later: true
            }
        );
        assert_eq!(
            house.rooms["id"],
            Place {
                floor: 0,
                order: Some(1),
                later: false
            }
        );
        assert_eq!(house.exceptions["clock"], ["clock"]);
    }

    #[test]
    fn a_room_uses_lower_floors_and_in_an_ordered_row_those_before_it() {
        let house = House::parse(PAGE).unwrap();
        let may = |room: &str, other: &str| house.rooms[room].may_use(house.rooms[other]);
        assert!(may("server", "journal") && may("journal", "clock") && may("id", "clock"));
        assert!(!may("journal", "server") && !may("server", "lsp") && !may("clock", "id"));
    }

    #[test]
    fn a_page_that_says_nothing_useful_is_refused() {
        for (broken, says) in [
            (PAGE.replace("| Floor |", "| Flor |"), "there is no table"),
            (
                PAGE.replace("| 3 |", "| three |"),
                "does not begin with a floor's number",
            ),
            (PAGE.replace("`journal`", "`server`"), "`server` is on two floors"),
            (PAGE.replace("| it is one |", "| |"), "gives no reason"),
            (
                PAGE.replace("| `clock` | `clock`", "| `cloc` | `clock`"),
                "which is on no floor",
            ),
        ] {
            let error = House::parse(&broken).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
