//! Whether a server's memory stays flat.

use crate::Failure;

/// How much more than after the warm-up the end may have: a tenth, for what varies with who is
/// there, and a little that a small server may take without a leak.
const SLACK: u64 = 4 << 20;

/// The resident memory after the warm-up and in the end, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub warm: u64,
    pub end: u64,
}

impl Memory {
    /// Compares the first fifth after the warm-up, which is a third of the time, with the last
    /// fifth. Medians pass over what is there for a moment only.
    pub fn of(samples: &[u64]) -> Result<Self, Failure> {
        let third = samples.len() / 3;
        let fifth = samples.len() / 5;
        if fifth == 0 {
            return Err(format!("{} samples of memory are too few", samples.len()).into());
        }
        let warm = median(&samples[third..third + fifth]);
        Ok(Self { warm, end: median(&samples[samples.len() - fifth..]) })
    }

    pub fn check(self) -> Result<(), Failure> {
        if self.end <= self.warm + self.warm / 10 + SLACK {
            return Ok(());
        }
        Err(format!("the server's memory grew: {self}").into())
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [warm, end] = [self.warm, self.end].map(|bytes| bytes as f64 / f64::from(1 << 20));
        write!(formatter, "{warm:.1} MiB after the warm-up, {end:.1} MiB in the end")
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_warm_up_and_a_peak_are_no_leak() {
        let mut samples = vec![20 * MIB; 30];
        samples[..10].fill(MIB);
        samples[27] = 900 * MIB;
        let memory = Memory::of(&samples).unwrap();
        assert_eq!(memory, Memory { warm: 20 * MIB, end: 20 * MIB });
        assert!(memory.check().is_ok());
    }

    #[test]
    fn steady_growth_is_a_leak() {
        let samples: Vec<_> = (0..60).map(|second| (20 + second) * MIB).collect();
        assert!(Memory::of(&samples).unwrap().check().is_err());
    }

    #[test]
    fn too_few_samples_show_nothing() {
        assert!(Memory::of(&[MIB; 4]).is_err());
    }
}
