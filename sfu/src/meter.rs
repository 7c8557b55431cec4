//! What each layer of an encoding costs, as it arrives.

use crate::codec::Layer;
use std::time::{Duration, Instant};

/// Layers of each kind that are told apart; higher ones count as the highest.
const LAYERS: usize = 4;
/// Shorter follows every keyframe, longer is late when a publisher changes its rate.
const WINDOW: Duration = Duration::from_millis(500);
/// Weight of the newest window.
const NEWEST: f64 = 0.4;
/// An encoding that was silent for this long is not being sent.
const SILENT_AFTER: Duration = Duration::from_millis(1_200);

/// Bits per second of one encoding, by layer.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    bytes: [[u32; LAYERS]; LAYERS],
    rates: [[f32; LAYERS]; LAYERS],
    window: Option<Instant>,
    last: Option<Instant>,
    is_settled: bool,
}

impl Meter {
    /// Counts a packet.
    pub fn add(&mut self, now: Instant, layer: Layer, bytes: usize) {
        let (spatial, temporal) = place(layer);
        let cell = &mut self.bytes[spatial][temporal];
        *cell = cell.saturating_add(bytes as u32);
        self.window.get_or_insert(now);
        self.last = Some(now);
    }

    /// Closes a window that is over. Call it now and then.
    pub fn roll(&mut self, now: Instant) {
        let Some(began) = self.window else { return };
        let elapsed = now.saturating_duration_since(began);
        if elapsed < WINDOW {
            return;
        }
        let weight = if self.is_settled { NEWEST } else { 1.0 };
        for (rates, bytes) in self.rates.iter_mut().zip(&mut self.bytes) {
            for (rate, bytes) in rates.iter_mut().zip(bytes) {
                let newest = f64::from(std::mem::take(bytes)) * 8.0 / elapsed.as_secs_f64();
                *rate = (f64::from(*rate) * (1.0 - weight) + newest * weight) as f32;
            }
        }
        self.is_settled = true;
        self.window = Some(now);
    }

    /// Bits per second of a layer with everything below it; 0 before the first window is over.
    pub fn rate(&self, layer: Layer) -> u64 {
        let (spatial, temporal) = place(layer);
        let below = self.rates[..=spatial].iter().flat_map(|rates| &rates[..=temporal]);
        below.sum::<f32>() as u64
    }

    /// The highest layers that were seen of late.
    pub fn highest(&self) -> Layer {
        let seen = |spatial: usize, temporal: usize| {
            self.rates[spatial][temporal] > 1.0 || self.bytes[spatial][temporal] > 0
        };
        let spatial = (0..LAYERS).rev().find(|&s| (0..LAYERS).any(|t| seen(s, t)));
        let temporal = (0..LAYERS).rev().find(|&t| (0..LAYERS).any(|s| seen(s, t)));
        Layer { spatial: spatial.unwrap_or(0) as u8, temporal: temporal.unwrap_or(0) as u8 }
    }

    /// The stream has no spatial layers above this one any more.
    pub fn forget_above(&mut self, spatial: u8) {
        let above = usize::from(spatial) + 1;
        for spatial in above..LAYERS {
            self.bytes[spatial] = [0; LAYERS];
            self.rates[spatial] = [0.0; LAYERS];
        }
    }

    /// Whether packets come.
    pub fn is_live(&self, now: Instant) -> bool {
        self.last.is_some_and(|at| now.saturating_duration_since(at) < SILENT_AFTER)
    }
}

fn place(layer: Layer) -> (usize, usize) {
    (usize::from(layer.spatial).min(LAYERS - 1), usize::from(layer.temporal).min(LAYERS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_add_up_and_silence_fades() {
        let start = Instant::now();
        let mut meter = Meter::default();
        let layer = |temporal| Layer { spatial: 0, temporal };
        assert!(!meter.is_live(start));
        let mut now = start;
        for n in 0..200u32 {
            now = start + Duration::from_millis(u64::from(n) * 10);
            meter.add(now, layer((n % 2) as u8), 125);
            meter.roll(now);
        }
        // 50 packets of 1,000 bits a second in each layer.
        assert!((47_000..53_000).contains(&meter.rate(layer(0))), "{}", meter.rate(layer(0)));
        assert!((95_000..105_000).contains(&meter.rate(layer(1))));
        assert_eq!(meter.highest(), layer(1));
        assert!(meter.is_live(now + Duration::from_secs(1)));
        for n in 1..20 {
            meter.roll(now + Duration::from_millis(n * 500));
        }
        assert!(meter.rate(layer(1)) < 1_000);
        assert!(!meter.is_live(now + Duration::from_secs(2)));
    }
}
