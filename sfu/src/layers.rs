//! Which layer each visible slot gets: what its tile can show and the link can carry.

use crate::slot::Target;
use crate::track::{MAX_ENCODINGS, Track};
use protocol::{SlotReason, Source};
use std::time::Instant;

/// A step is taken up only where this much of the link stays free after it, so that a rate that wavers
/// does not make the picture waver. Less flaps, more leaves the link unused.
const HEADROOM: f64 = 1.1;
/// By how much more than its rate is now a layer may soon cost, where the link is asked whether it carries that. Less
/// asks anew with each wavering of the encoder, more loads links for what nobody sends.
const SURGE: f64 = 1.15;
/// A layer is enough for a tile when it has this share of its pixels in each direction.
const ENOUGH: f64 = 0.85;

/// One step of a track's quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// Encoding of the track.
    pub encoding: usize,
    /// Highest spatial layer taken of it.
    pub spatial: u8,
    /// Highest temporal layer taken of it.
    pub temporal: u8,
    /// What it costs, in bits per second.
    pub bitrate: u64,
    /// Width and height; 0 where not known.
    pub size: (u16, u16),
    /// Whether its packets come now, or would if somebody took them.
    pub is_available: bool,
}

/// A track's steps, from the cheapest to the best.
pub fn ladder(track: &Track, now: Instant) -> Vec<Rung> {
    let mut order: Vec<usize> = (0..track.encodings.len().min(MAX_ENCODINGS)).collect();
    let sized = track.encodings.iter().all(|encoding| encoding.size.is_some());
    if sized {
        order.sort_by_key(|&at| track.encodings[at].size.map(|(w, h)| u32::from(w) * u32::from(h)));
    }
    let count = order.len();
    let mut rungs: Vec<Rung> = Vec::new();
    for (rank, at) in order.into_iter().enumerate() {
        let encoding = &track.encodings[at];
        let spatial = encoding.nested.highest(&encoding.meter);
        let highest = crate::codec::Layer { spatial, ..encoding.meter.highest() };
        let is_available = count == 1 || encoding.is_available(now);
        let mut step = |spatial: u8, temporal: u8| {
            let layer = crate::codec::Layer { spatial, temporal };
            let known = if temporal == highest.temporal {
                encoding.nested.rate(spatial, &encoding.meter)
            } else {
                encoding.meter.rate(layer)
            };
            let is_measured = encoding.is_active && encoding.meter.is_live(now);
            let assumed = if is_measured { known } else { encoding.last_rate.max(known) };
            let bitrate = if assumed > 0 { assumed } else { guessed_rate(rank, count) };
            let size = encoding.size_of(spatial);
            let (spatial, temporal) = (
                if spatial == highest.spatial { u8::MAX } else { spatial },
                if temporal == highest.temporal { u8::MAX } else { temporal },
            );
            rungs.push(Rung { encoding: at, spatial, temporal, bitrate, size, is_available });
        };
        // Fewer frames are the last resort for faces, and the only one for screens, whose pixels are text.
        if rank == 0 {
            for temporal in 0..highest.temporal {
                step(0, temporal);
            }
        }
        for spatial in 0..=highest.spatial {
            step(spatial, highest.temporal);
        }
    }
    rungs
}

/// Before anything was measured.
fn guessed_rate(rank: usize, count: usize) -> u64 {
    const RATES: [u64; 3] = [150_000, 500_000, 1_500_000];
    RATES[(rank + RATES.len()).saturating_sub(count).min(RATES.len() - 1)]
}

/// One slot that would show something, in the order of importance.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Steps of its track, from the cheapest.
    pub ladder: &'a [Rung],
    /// Pixels of its tile; 0 where the client has not said.
    pub tile: (u16, u16),
    /// Pixels that a picture may have in each direction; 0 for any.
    pub largest: (u16, u16),
    /// Served to the full before others get more than their first step: screens, pins, who speaks.
    pub is_first: bool,
    /// Step that it has now.
    pub current: Option<usize>,
}

/// What a slot gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Index into its ladder; none when it shows nothing.
    pub rung: Option<usize>,
    /// Why not more.
    pub reason: SlotReason,
}

/// Shares `budget` bits per second among slots, the most important first. Everybody gets the cheapest
/// step before anybody but the first gets a better one, so that a slow link costs pixels before people.
pub fn choose(budget: u64, wishes: &[Wish<'_>]) -> Vec<Choice> {
    let tops: Vec<Option<usize>> = wishes.iter().map(top).collect();
    let mut chosen: Vec<Option<usize>> = vec![None; wishes.len()];
    let mut spent = 0u64;
    for (at, wish) in wishes.iter().enumerate() {
        let Some(cheapest) = (0..wish.ladder.len()).find(|&r| wish.ladder[r].is_available) else {
            continue;
        };
        let bitrate = wish.ladder[cheapest].bitrate;
        // The first gets something while there is any link at all; what is lost of it shows how much.
        let fits = fits(budget, spent, bitrate, wish.current.is_some());
        if fits || (at == 0 && bitrate <= budget.saturating_mul(2)) {
            chosen[at] = Some(cheapest);
            spent += bitrate;
        }
    }
    let (first, others): (Vec<usize>, Vec<usize>) =
        (0..wishes.len()).partition(|&at| wishes[at].is_first);
    for at in first {
        while raise(budget, &mut spent, &wishes[at], tops[at], &mut chosen[at]) {}
    }
    loop {
        let mut has_raised = false;
        for &at in &others {
            has_raised |= raise(budget, &mut spent, &wishes[at], tops[at], &mut chosen[at]);
        }
        if !has_raised {
            break;
        }
    }
    let choices = wishes.iter().zip(chosen).zip(tops);
    choices.map(|((wish, rung), top)| Choice { rung, reason: reason(wish, rung, top) }).collect()
}

/// What slots cost at what they got; those that got nothing go on with their cheapest for a while.
pub fn planned(wishes: &[Wish<'_>], choices: &[Choice]) -> u64 {
    let rungs = wishes.iter().zip(choices);
    rungs.filter_map(|(wish, got)| Some(wish.ladder.get(got.rung.unwrap_or(0))?.bitrate)).sum()
}

/// What the link has to carry for all slots to get their best, and to keep it.
pub fn wanted(wishes: &[Wish<'_>]) -> u64 {
    let best = wishes.iter().filter_map(|wish| {
        let top = top(wish)?;
        Some(wish.ladder[..=top].iter().map(|rung| rung.bitrate).max().unwrap_or(0))
    });
    (best.sum::<u64>() as f64 * HEADROOM * SURGE) as u64
}

/// What a slot aims at when it gets that step.
pub fn target(ladder: &[Rung], rung: usize) -> Target {
    let mut ranks = [None; MAX_ENCODINGS];
    for (rank, below) in ladder[..=rung].iter().enumerate() {
        ranks[below.encoding] = Some(rank as u8);
    }
    let Rung { encoding, spatial, temporal, .. } = ladder[rung];
    Target { encoding, spatial, temporal, ranks }
}

/// A layer as clients are told of it; nothing for a track that has only one.
pub fn public(
    track: &Track,
    (encoding, spatial, temporal): (usize, u8, u8),
) -> Option<protocol::media::Layer> {
    if track.ladder.len() < 2 {
        return None;
    }
    let flowing = track.encodings.get(encoding)?;
    let highest = flowing.meter.highest();
    // Of the sizes that flow: a larger one may be on its way.
    let size = Some(flowing.size_of(spatial.min(highest.spatial))).filter(|size| size.0 > 0);
    let sizes = flowing.nested.highest(&flowing.meter);
    Some(protocol::media::Layer {
        rid: flowing.rid.clone(),
        spatial: (sizes > 0).then(|| spatial.min(highest.spatial)),
        temporal: (highest.temporal > 0).then(|| temporal.min(highest.temporal)),
        width: size.map(|size| size.0),
        height: size.map(|size| size.1),
    })
}

/// The first step that fills the tile, or the best there is that is not too large; the smallest where all are.
pub fn top(wish: &Wish<'_>) -> Option<usize> {
    let Wish { ladder, tile: (width, height), largest, .. } = *wish;
    let fits = |size: u16, most: u16| most == 0 || size <= most;
    let is_allowed = |rung: &Rung| fits(rung.size.0, largest.0) && fits(rung.size.1, largest.1);
    let mut available = (0..ladder.len()).filter(|&at| ladder[at].is_available);
    let first = available.next()?;
    let last = available.rfind(|&at| is_allowed(&ladder[at])).unwrap_or(first);
    if width == 0 || height == 0 {
        return Some(last);
    }
    let is_enough = |rung: &Rung| {
        let (has_width, has_height) = (f64::from(rung.size.0), f64::from(rung.size.1));
        // Pictures are fitted into their tiles or cover them: one direction decides.
        rung.temporal == u8::MAX
            && (has_width >= f64::from(width) * ENOUGH || has_height >= f64::from(height) * ENOUGH)
    };
    (0..=last).find(|&at| ladder[at].is_available && is_enough(&ladder[at])).or(Some(last))
}

fn fits(budget: u64, spent: u64, bitrate: u64, is_held: bool) -> bool {
    let headroom = if is_held { 1.0 } else { HEADROOM };
    (spent + bitrate) as f64 * headroom <= budget as f64
}

fn raise(
    budget: u64,
    spent: &mut u64,
    wish: &Wish<'_>,
    top: Option<usize>,
    chosen: &mut Option<usize>,
) -> bool {
    let (Some(at), Some(top)) = (*chosen, top) else { return false };
    let Some(next) = (at + 1..=top).find(|&next| wish.ladder[next].is_available) else {
        return false;
    };
    let (has, costs) = (wish.ladder[at].bitrate, wish.ladder[next].bitrate);
    let without = *spent - has;
    let is_held = wish.current.is_some_and(|current| next <= current);
    if !fits(budget, without, costs, is_held) {
        return false;
    }
    *spent = without + costs;
    *chosen = Some(next);
    true
}

fn reason(wish: &Wish<'_>, rung: Option<usize>, top: Option<usize>) -> SlotReason {
    let (Some(rung), Some(top)) = (rung, top) else {
        return if top.is_some() { SlotReason::Bandwidth } else { SlotReason::Publisher };
    };
    if rung < top {
        return SlotReason::Bandwidth;
    }
    let rest = &wish.ladder[rung + 1..];
    if rest.iter().any(|better| better.is_available) {
        SlotReason::Viewport
    } else if rest.is_empty() {
        SlotReason::Best
    } else {
        SlotReason::Publisher
    }
}

/// Whether a source is shown before others whatever the order.
pub fn is_first(source: Source, is_pinned: bool, place: usize) -> bool {
    source == Source::Screen || is_pinned || place == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rung(encoding: usize, bitrate: u64, height: u16) -> Rung {
        Rung {
            encoding,
            spatial: u8::MAX,
            temporal: u8::MAX,
            bitrate,
            size: (height * 16 / 9, height),
            is_available: true,
        }
    }

    fn camera() -> Vec<Rung> {
        vec![rung(0, 150_000, 180), rung(1, 500_000, 360), rung(2, 1_500_000, 720)]
    }

    fn wish(ladder: &[Rung], tile: (u16, u16)) -> Wish<'_> {
        Wish { ladder, tile, largest: (0, 0), is_first: false, current: None }
    }

    fn rungs(choices: &[Choice]) -> Vec<Option<usize>> {
        choices.iter().map(|choice| choice.rung).collect()
    }

    #[test]
    fn a_tile_gets_what_fills_it() {
        let camera = camera();
        let tiles = [(0, 0), (320, 180), (640, 360), (1280, 720), (3840, 2160)];
        let wishes: Vec<Wish<'_>> = tiles.iter().map(|tile| wish(&camera, *tile)).collect();
        let choices = choose(u64::MAX / 4, &wishes);
        assert_eq!(rungs(&choices), [Some(2), Some(0), Some(1), Some(2), Some(2)]);
        let reasons: Vec<SlotReason> = choices.iter().map(|choice| choice.reason).collect();
        use SlotReason::{Best, Viewport};
        assert_eq!(reasons, [Best, Viewport, Viewport, Best, Best]);
        let best = (3 * 1_500_000 + 150_000 + 500_000) as f64;
        assert_eq!(wanted(&wishes), (best * HEADROOM * SURGE) as u64);
    }

    #[test]
    fn a_slow_link_costs_pixels_before_people() {
        let camera = camera();
        let wishes = [wish(&camera, (0, 0)); 4];
        assert_eq!(rungs(&choose(1_100_000, &wishes)), [Some(1), Some(0), Some(0), Some(0)]);
        assert_eq!(rungs(&choose(400_000, &wishes)), [Some(0), Some(0), None, None]);
        assert_eq!(choose(400_000, &wishes)[3].reason, SlotReason::Bandwidth);
        assert_eq!(rungs(&choose(80_000, &wishes)), [Some(0), None, None, None]);
        assert_eq!(rungs(&choose(50_000, &wishes)), [None; 4]);
    }

    #[test]
    fn who_comes_first_is_served_to_the_full() {
        let camera = camera();
        let mut wishes = [wish(&camera, (0, 0)); 3];
        wishes[1].is_first = true;
        assert_eq!(rungs(&choose(2_100_000, &wishes)), [Some(0), Some(2), Some(0)]);
    }

    #[test]
    fn a_step_that_just_fits_is_kept_but_not_taken() {
        let camera = camera();
        let mut wishes = [wish(&camera, (0, 0))];
        assert_eq!(rungs(&choose(1_550_000, &wishes)), [Some(1)]);
        wishes[0].current = Some(2);
        assert_eq!(rungs(&choose(1_550_000, &wishes)), [Some(2)]);
        assert_eq!(rungs(&choose(1_450_000, &wishes)), [Some(1)]);
    }

    #[test]
    fn what_the_publisher_does_not_send_is_not_waited_for() {
        let mut camera = camera();
        camera[2].is_available = false;
        let choices = choose(9_000_000, &[wish(&camera, (0, 0))]);
        assert_eq!(choices, [Choice { rung: Some(1), reason: SlotReason::Publisher }]);
        for rung in &mut camera {
            rung.is_available = false;
        }
        let choices = choose(9_000_000, &[wish(&camera, (0, 0))]);
        assert_eq!(choices, [Choice { rung: None, reason: SlotReason::Publisher }]);
    }

    #[test]
    fn who_wants_no_large_picture_gets_none() {
        let camera = camera();
        for (largest, rung) in [
            ((0, 0), 2),
            ((0, 720), 2),
            ((1_000, 0), 1),
            ((640, 360), 1),
            ((0, 359), 0),
            ((9, 9), 0),
        ] {
            let wishes = [Wish { largest, ..wish(&camera, (0, 0)) }];
            assert_eq!(rungs(&choose(u64::MAX / 4, &wishes)), [Some(rung)], "{largest:?}");
        }
        let wishes = [Wish { largest: (640, 360), ..wish(&camera, (320, 180)) }];
        assert_eq!(rungs(&choose(u64::MAX / 4, &wishes)), [Some(0)]);
    }

    #[test]
    fn a_target_takes_everything_below_it_until_it_is_here() {
        let target = target(&camera(), 1);
        assert_eq!((target.encoding, target.ranks), (1, [Some(0), Some(1), None, None]));
    }

    proptest! {
        #[test]
        fn the_budget_is_kept_more_never_shows_less_and_what_is_wanted_shows_all(
            budget in 0u64..10_000_000,
            more in 0u64..5_000_000,
            tiles in prop::collection::vec((0u16..2000, 0u16..1200, any::<bool>()), 0..12),
        ) {
            let camera = camera();
            let wishes: Vec<Wish<'_>> = tiles
                .iter()
                .map(|&(width, height, is_first)| Wish { is_first, ..wish(&camera, (width, height)) })
                .collect();
            let spent = |choices: &[Choice]| -> u64 {
                choices.iter().filter_map(|choice| Some(camera[choice.rung?].bitrate)).sum()
            };
            let best = choose(wanted(&wishes), &wishes);
            let tops = wishes.iter().map(top);
            prop_assert_eq!(rungs(&best), tops.collect::<Vec<_>>(), "what is wanted is enough");
            let poor = choose(budget, &wishes);
            let rich = choose(budget + more, &wishes);
            // The first may be given its cheapest step beyond the budget.
            prop_assert!(spent(&poor) <= budget.max(150_000));
            let shown = |choices: &[Choice]| choices.iter().filter(|c| c.rung.is_some()).count();
            prop_assert!(shown(&rich) >= shown(&poor));
        }
    }
}
