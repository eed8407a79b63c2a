//! Chance that can be repeated: everything a battery draws follows from the seed it prints.

/// A generator (SplitMix64). Equal seeds draw equal numbers.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// One for a part of the battery, which does not depend on how often other parts draw.
    pub fn of(seed: u64, name: &str) -> Dice {
        let drawn = cordon::digest::Digest::of_parts(&[name.as_bytes(), &seed.to_be_bytes()]);
        let (head, _) = drawn.0.split_at(8);
        Dice(u64::from_be_bytes(head.try_into().unwrap()))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Anything below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// Anything from `from` up to and with `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True in `per_mille` of 1,000 cases.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}
