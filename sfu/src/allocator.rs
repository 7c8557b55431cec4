//! Who is heard and seen in which slot: pure decisions, computed anew each time and compared with
//! what is.

use crate::key::TrackKey;
use protocol::media::ViewTile;
use protocol::{Kind, ParticipantId, Source};

/// A track that could be bound, in the room's order of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Track in the room.
    pub track: TrackKey,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// What it shows.
    pub source: Source,
    /// Place of its participant among those who speak now, 0 for the loudest.
    pub speaking: Option<usize>,
    /// Its owner has muted it, or turned it off.
    pub is_muted: bool,
}

/// Every track of a room that may be forwarded at all, ranked once for all subscribers.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    audio: Vec<Candidate>,
    video: Vec<Candidate>,
}

impl Ranking {
    /// Ranks: whoever speaks first (loudest first), then the others in their order, muted ones last.
    /// Video that its owner has turned off is not shown at all.
    pub fn new(candidates: impl IntoIterator<Item = Candidate>) -> Self {
        let mut ranking = Self::default();
        for candidate in candidates {
            match candidate.source.kind() {
                Kind::Audio => ranking.audio.push(candidate),
                Kind::Video if candidate.is_muted => {}
                Kind::Video => ranking.video.push(candidate),
            }
        }
        let by_speech = |c: &Candidate| (c.is_muted, c.speaking.unwrap_or(usize::MAX));
        ranking.audio.sort_by_key(by_speech);
        ranking.video.sort_by_key(by_speech);
        ranking
    }
}

/// One subscriber's wishes.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Whose own tracks are left out.
    pub own: ParticipantId,
    /// Only this participant is wanted (WHEP `?participant=`).
    pub follow: Option<ParticipantId>,
    /// Tiles shown, in order; the server chooses when there are none given.
    pub tiles: Option<&'a [ViewTile]>,
    /// Participants at volume 0.
    pub silenced: &'a [ParticipantId],
}

impl Wishes<'_> {
    fn allow(&self, candidate: &Candidate) -> bool {
        candidate.participant != self.own
            && self.follow.is_none_or(|followed| followed == candidate.participant)
    }
}

/// Tracks to hear, at most `slots`: everybody while there is room; else those who speak, then those
/// bound already (a voice that pauses keeps its slot), then the rest.
pub fn wanted_audio(
    ranking: &Ranking,
    wishes: &Wishes<'_>,
    slots: usize,
    is_bound: impl Fn(TrackKey) -> bool,
) -> Vec<TrackKey> {
    let allowed = || {
        ranking
            .audio
            .iter()
            .filter(|c| wishes.allow(c) && !wishes.silenced.contains(&c.participant))
    };
    let speaking = allowed().filter(|c| c.speaking.is_some() && !c.is_muted);
    let bound = allowed().filter(|c| is_bound(c.track) && !c.is_muted);
    first_distinct(speaking.chain(bound).chain(allowed()), slots)
}

/// Tracks to see, at most `slots`: what the subscriber shows, in its order; or, where it does not say,
/// screens, then speakers, then those shown already, then the rest. With a single slot the speaker
/// comes before screens.
pub fn wanted_video(
    ranking: &Ranking,
    wishes: &Wishes<'_>,
    slots: usize,
    is_bound: impl Fn(TrackKey) -> bool,
) -> Vec<TrackKey> {
    let allowed = || ranking.video.iter().filter(|c| wishes.allow(c));
    if let Some(tiles) = wishes.tiles {
        let mut tiles: Vec<&ViewTile> = tiles.iter().collect();
        tiles.sort_by_key(|tile| (!tile.pinned, tile.source != Source::Screen));
        let shown = tiles.into_iter().filter_map(|tile| {
            allowed().find(|c| c.participant == tile.participant_id && c.source == tile.source)
        });
        return first_distinct(shown, slots);
    }
    let screens = allowed().filter(|c| c.source == Source::Screen && slots > 1);
    let speaking = allowed().filter(|c| c.speaking.is_some());
    let bound = allowed().filter(|c| is_bound(c.track));
    first_distinct(screens.chain(speaking).chain(bound).chain(allowed()), slots)
}

/// Puts the wanted tracks into slots: who is in one stays in it, the others take the slot they prefer
/// (that of their own microphone or camera, for lip-sync) or a free one, the longest unused first: on a
/// receiver's screen its last picture is the furthest gone.
pub fn place<T: Ord>(
    current: &[Option<TrackKey>],
    wanted: &[TrackKey],
    preferred: impl Fn(TrackKey) -> Option<usize>,
    last_used: impl Fn(usize) -> T,
) -> Vec<Option<TrackKey>> {
    let mut placed: Vec<Option<TrackKey>> =
        current.iter().map(|bound| bound.filter(|track| wanted.contains(track))).collect();
    let mut homeless: Vec<TrackKey> =
        wanted.iter().copied().filter(|track| !placed.contains(&Some(*track))).collect();
    homeless.retain(|&track| match preferred(track).and_then(|slot| placed.get_mut(slot)) {
        Some(slot) if slot.is_none() => {
            *slot = Some(track);
            false
        }
        _ => true,
    });
    let mut free: Vec<usize> = (0..placed.len()).filter(|&slot| placed[slot].is_none()).collect();
    free.sort_by_key(|&slot| last_used(slot));
    for (slot, track) in free.into_iter().zip(homeless) {
        placed[slot] = Some(track);
    }
    placed
}

fn first_distinct<'a>(
    candidates: impl Iterator<Item = &'a Candidate>,
    count: usize,
) -> Vec<TrackKey> {
    let mut tracks = Vec::with_capacity(count);
    for candidate in candidates {
        if tracks.len() == count {
            break;
        }
        if !tracks.contains(&candidate.track) {
            tracks.push(candidate.track);
        }
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn person(n: u128) -> ParticipantId {
        ParticipantId(Uuid::from_u128(n))
    }

    fn audio(track: TrackKey, speaking: Option<usize>) -> Candidate {
        Candidate {
            track,
            participant: person(track.into()),
            source: Source::Microphone,
            speaking,
            is_muted: false,
        }
    }

    fn camera(track: TrackKey, speaking: Option<usize>) -> Candidate {
        Candidate { source: Source::Camera, ..audio(track, speaking) }
    }

    const NOBODY: ParticipantId = ParticipantId(Uuid::nil());

    fn wishes() -> Wishes<'static> {
        Wishes { own: NOBODY, follow: None, tiles: None, silenced: &[] }
    }

    #[test]
    fn nobody_hears_themselves() {
        let ranking = Ranking::new([audio(1, None), audio(2, None)]);
        let wishes = Wishes { own: person(1), ..wishes() };
        assert_eq!(wanted_audio(&ranking, &wishes, 4, |_| false), [2]);
    }

    #[test]
    fn a_voice_that_pauses_keeps_its_slot_until_others_speak() {
        let bound = |track| track == 1 || track == 2;
        let silent = Ranking::new((1..=5).map(|t| audio(t, None)));
        assert_eq!(wanted_audio(&silent, &wishes(), 2, bound), [1, 2]);
        let four_speaks = Ranking::new((1..=5).map(|t| audio(t, (t == 4).then_some(0))));
        assert_eq!(wanted_audio(&four_speaks, &wishes(), 2, bound), [4, 1]);
    }

    #[test]
    fn volume_zero_frees_the_slot() {
        let ranking = Ranking::new([audio(1, Some(0)), audio(2, None)]);
        let silenced = [person(1)];
        let wishes = Wishes { silenced: &silenced, ..wishes() };
        assert_eq!(wanted_audio(&ranking, &wishes, 1, |_| true), [2]);
    }

    #[test]
    fn shown_tiles_decide_and_pinned_and_screens_come_first() {
        let screen = Candidate { source: Source::Screen, ..camera(9, None) };
        let ranking = Ranking::new([camera(1, Some(0)), camera(2, None), camera(3, None), screen]);
        let tile = |n: u128, source, pinned| ViewTile {
            participant_id: person(n),
            source,
            width: 320,
            height: 180,
            pinned,
        };
        let tiles = [
            tile(2, Source::Camera, false),
            tile(9, Source::Screen, false),
            tile(3, Source::Camera, true),
        ];
        let wishes = Wishes { tiles: Some(&tiles), ..wishes() };
        assert_eq!(wanted_video(&ranking, &wishes, 9, |_| false), [3, 9, 2]);
        assert_eq!(wanted_video(&ranking, &wishes, 1, |_| false), [3]);
    }

    #[test]
    fn a_single_slot_shows_the_speaker_rather_than_a_screen() {
        let screen = Candidate { source: Source::Screen, ..camera(9, None) };
        let ranking = Ranking::new([camera(1, None), camera(2, Some(0)), screen]);
        assert_eq!(wanted_video(&ranking, &wishes(), 1, |track| track == 1), [2]);
        assert_eq!(wanted_video(&ranking, &wishes(), 2, |track| track == 1), [9, 2]);
    }

    #[test]
    fn a_microphone_takes_the_slot_of_its_own_camera_where_it_is_free() {
        let place = |current: &[Option<TrackKey>], wanted: &[TrackKey], preferred| {
            place(current, wanted, |_| Some(preferred), |_| 0)
        };
        assert_eq!(place(&[None, None, None], &[7], 2), [None, None, Some(7)]);
        assert_eq!(place(&[None, Some(5), None], &[5, 7], 1), [Some(7), Some(5), None]);
    }

    #[test]
    fn the_slot_that_is_longest_unused_is_taken_first() {
        let used = [Some(3), Some(1), None];
        let placed = place(&[None, None, None], &[7, 8], |_| None, |slot| used[slot]);
        assert_eq!(placed, [None, Some(8), Some(7)]);
    }

    proptest! {
        #[test]
        fn placing_twice_changes_nothing_and_moves_nobody(
            current in prop::collection::vec(prop::option::of(0u16..20), 0..10),
            wanted in prop::collection::btree_set(0u16..20, 0..10),
            preferred in prop::option::of(0usize..10),
        ) {
            let mut current = current;
            let mut seen = std::collections::HashSet::new();
            for slot in &mut current {
                if slot.is_some_and(|track| !seen.insert(track)) { *slot = None; }
            }
            let wanted: Vec<_> = wanted.into_iter().take(current.len()).collect();
            let placed = place(&current, &wanted, |_| preferred, |slot| slot);
            prop_assert_eq!(&place(&placed, &wanted, |_| preferred, |slot| slot), &placed);
            for track in &wanted {
                prop_assert_eq!(placed.iter().filter(|slot| **slot == Some(*track)).count(), 1);
            }
            for (before, after) in current.iter().zip(&placed) {
                if let Some(track) = before && wanted.contains(track) {
                    prop_assert_eq!(after, &Some(*track));
                }
            }
        }
    }
}
