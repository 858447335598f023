//! A sum that does not lose small values: an unevaluated pair of `f64` (about 106 bits).
//!
//! Formula: `TwoSum` (Knuth, TAOCP 2, 4.2.2) and the accurate double-double addition of Dekker, "A Floating-Point
//! Technique for Extending the Available Precision" (1971).

use crate::core::format::bytes::Reader;
use crate::core::format::corrupt::{Corrupt, Within};

/// A compensated sum. The error of [`Sum::value`] stays below 1e-15 relative to the sum of magnitudes, in any order
/// of up to 2^48 additions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    /// Adds one value, of at most [`crate::core::settings::limits::VALUE_ABS`] in magnitude.
    pub fn add(&mut self, value: f64) {
        self.merge(Self { high: value, low: 0.0 });
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        let (high, error) = two_sum(self.high, other.high);
        let (low, low_error) = two_sum(self.low, other.low);
        let (high, error) = quick_two_sum(high, error + low);
        let (high, low) = quick_two_sum(high, error + low_error);
        *self = Self { high, low };
    }

    /// The sum, rounded once.
    #[must_use]
    pub fn value(self) -> f64 {
        self.high + self.low
    }

    /// Appends the encoding: `high` and `low`, 8 bytes each.
    pub fn encode(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.low.to_le_bytes());
    }

    /// Reads an encoded sum.
    ///
    /// # Errors
    /// [`Corrupt`] when bytes are missing or not finite numbers.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        Ok(Self { high: reader.f64().within("high").within("sum")?, low: reader.f64().within("low").within("sum")? })
    }
}

impl From<Sum> for (f64, f64) {
    fn from(sum: Sum) -> Self {
        (sum.high, sum.low)
    }
}

impl From<(f64, f64)> for Sum {
    fn from((high, low): (f64, f64)) -> Self {
        Self { high, low }
    }
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

fn quick_two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_survive_great_ones() {
        let mut sum = Sum::default();
        sum.add(1e300);
        for _ in 0..1_000 {
            sum.add(0.1);
        }
        sum.add(-1e300);
        // 1e300 swallows 0.1 even at 106 bits; what must survive is everything within them.
        let mut near = Sum::default();
        near.add(1e15);
        for _ in 0..1_000 {
            near.add(0.1);
        }
        near.add(-1e15);
        assert!(sum.value().is_finite());
        assert!((near.value() - 100.0).abs() < 1e-9, "{}", near.value());
    }

    #[test]
    fn a_million_additions_in_any_order_agree_to_1e_9() {
        let values: Vec<f64> = (0..1_000_000_u32).map(|i| f64::from(i % 1_009) * 0.1 + 1e-7).collect();
        let exact = values.iter().map(|v| (v * 1e7).round() as i128).sum::<i128>() as f64 / 1e7;
        let (mut forward, mut backward, mut parts) = (Sum::default(), Sum::default(), Sum::default());
        for &v in &values {
            forward.add(v);
        }
        for &v in values.iter().rev() {
            backward.add(v);
        }
        for chunk in values.chunks(977) {
            let mut part = Sum::default();
            for &v in chunk {
                part.add(v);
            }
            parts.merge(part);
        }
        for sum in [forward, backward, parts] {
            assert!(((sum.value() - exact) / exact).abs() < 1e-9, "{} {exact}", sum.value());
        }
        assert_eq!(forward.value().to_bits(), backward.value().to_bits());
        assert_eq!(forward.value().to_bits(), parts.value().to_bits());
    }
}
