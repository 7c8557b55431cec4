//! Gauges of what there is, to which each media thread adds its share.

/// What one thread has said of a gauge.
#[derive(Debug, Default)]
pub struct Share(usize);

impl Share {
    /// Says that it is so much now.
    pub fn tell(&mut self, gauge: &metrics::Gauge, now: usize) {
        let before = std::mem::replace(&mut self.0, now);
        if now >= before {
            gauge.increment((now - before) as f64);
        } else {
            gauge.decrement((before - now) as f64);
        }
    }
}
