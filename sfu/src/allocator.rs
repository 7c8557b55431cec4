//! Who is heard and seen in which slot: pure decisions, computed anew each time and compared with
//! what is.

use crate::format::Codec;
use crate::key::TrackKey;
use protocol::media::ViewTile;
use protocol::{Kind, ParticipantId, Source};
use std::borrow::Cow;

/// A track that could be bound, in the room's order of joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Track in the room.
    pub track: TrackKey,
    /// What it was when it was ranked: slots bind what it is.
    pub generation: u32,
    /// What it carries.
    pub codec: Codec,
    /// Who publishes it.
    pub participant: ParticipantId,
    /// What it shows.
    pub source: Source,
    /// Place of its participant among those who speak now, 0 for the loudest.
    pub speaking: Option<usize>,
    /// Its owner has muted it, or turned it off.
    pub is_muted: bool,
}

/// Every track of a room that may be forwarded at all, ranked once for all subscribers. What one of them asks of it costs
/// as much as it has slots and tiles, however many tracks there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    audio: Vec<Candidate>,
    video: Vec<Candidate>,
    /// Places of screens among the video.
    screens: Vec<usize>,
    /// Whose place is where in its list, ordered.
    people: Vec<(ParticipantId, Source, usize)>,
    /// Places by track.
    places: Vec<Option<(Kind, usize)>>,
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
        for (kind, list) in [(Kind::Audio, &ranking.audio), (Kind::Video, &ranking.video)] {
            for (place, candidate) in list.iter().enumerate() {
                let track = usize::from(candidate.track);
                ranking.places.resize(ranking.places.len().max(track + 1), None);
                ranking.places[track] = Some((kind, place));
                ranking.people.push((candidate.participant, candidate.source, place));
                if candidate.source == Source::Screen {
                    ranking.screens.push(place);
                }
            }
        }
        ranking.people.sort_unstable();
        ranking
    }

    fn list(&self, kind: Kind) -> &[Candidate] {
        match kind {
            Kind::Audio => &self.audio,
            Kind::Video => &self.video,
        }
    }

    /// These tracks, in the order of the ranking.
    fn ranked(&self, kind: Kind, tracks: &[TrackKey]) -> Vec<&Candidate> {
        let place = |track: &TrackKey| *self.places.get(usize::from(*track))?;
        let places = tracks.iter().filter_map(place).filter(|(known, _)| *known == kind);
        let mut places: Vec<usize> = places.map(|(_, place)| place).collect();
        places.sort_unstable();
        places.into_iter().filter_map(|place| self.list(kind).get(place)).collect()
    }

    /// One track of one participant.
    fn find(&self, participant: ParticipantId, source: Source) -> Option<&Candidate> {
        let at = self.people.partition_point(|&(p, s, _)| (p, s) < (participant, source));
        let &(p, s, place) = self.people.get(at)?;
        self.list(source.kind()).get(place).filter(|_| (p, s) == (participant, source))
    }

    /// Everybody, or the one whom a subscriber follows.
    fn pool(&self, kind: Kind, follow: Option<ParticipantId>) -> Cow<'_, [Candidate]> {
        let Some(followed) = follow else { return Cow::Borrowed(self.list(kind)) };
        let from = self.people.partition_point(|(person, ..)| *person < followed);
        let theirs = self.people[from..].iter().take_while(|(person, ..)| *person == followed);
        let of_kind = theirs.filter(|(_, source, _)| source.kind() == kind);
        let mut places: Vec<usize> = of_kind.map(|(.., place)| *place).collect();
        places.sort_unstable();
        Cow::Owned(places.into_iter().map(|place| self.list(kind)[place]).collect())
    }
}

/// Those of a ranked list who speak and are not muted.
fn speaking(list: &[Candidate]) -> &[Candidate] {
    &list[..list.partition_point(|c| !c.is_muted && c.speaking.is_some())]
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
    bound: &[TrackKey],
) -> Vec<TrackKey> {
    let all = ranking.pool(Kind::Audio, wishes.follow);
    let bound = ranking.ranked(Kind::Audio, bound).into_iter().filter(|c| !c.is_muted);
    let ranked = speaking(&all).iter().chain(bound).chain(all.iter());
    let allowed = ranked.filter(|c| wishes.allow(c) && !wishes.silenced.contains(&c.participant));
    first_distinct(allowed, slots)
}

/// Tracks to see, at most `slots`: what the subscriber shows, in its order; or, where it does not say,
/// screens, then speakers, then those shown already, then the rest. With a single slot the speaker
/// comes before screens.
pub fn wanted_video(
    ranking: &Ranking,
    wishes: &Wishes<'_>,
    slots: usize,
    bound: &[TrackKey],
) -> Vec<TrackKey> {
    if let Some(tiles) = wishes.tiles {
        let mut tiles: Vec<&ViewTile> = tiles.iter().collect();
        tiles.sort_by_key(|tile| (!tile.pinned, tile.source != Source::Screen));
        let shown = tiles.into_iter().filter(|tile| tile.source.kind() == Kind::Video);
        let shown = shown.filter_map(|tile| ranking.find(tile.participant_id, tile.source));
        return first_distinct(shown.filter(|c| wishes.allow(c)), slots);
    }
    let all = ranking.pool(Kind::Video, wishes.follow);
    let screens = ranking.screens.iter().filter_map(|&place| ranking.video.get(place));
    let screens = screens.filter(|_| slots > 1);
    let bound = ranking.ranked(Kind::Video, bound);
    let ranked = screens.chain(speaking(&all)).chain(bound).chain(all.iter());
    first_distinct(ranked.filter(|c| wishes.allow(c)), slots)
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
            generation: 1,
            codec: Codec::Opus,
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
        assert_eq!(wanted_audio(&ranking, &wishes, 4, &[]), [2]);
    }

    #[test]
    fn a_voice_that_pauses_keeps_its_slot_until_others_speak() {
        let bound = &[1, 2];
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
        assert_eq!(wanted_audio(&ranking, &wishes, 1, &[1, 2]), [2]);
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
        assert_eq!(wanted_video(&ranking, &wishes, 9, &[]), [3, 9, 2]);
        assert_eq!(wanted_video(&ranking, &wishes, 1, &[]), [3]);
    }

    #[test]
    fn a_single_slot_shows_the_speaker_rather_than_a_screen() {
        let screen = Candidate { source: Source::Screen, ..camera(9, None) };
        let ranking = Ranking::new([camera(1, None), camera(2, Some(0)), screen]);
        assert_eq!(wanted_video(&ranking, &wishes(), 1, &[1]), [2]);
        assert_eq!(wanted_video(&ranking, &wishes(), 2, &[1]), [9, 2]);
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

    /// What a subscriber is to hear and see, by going through everybody.
    fn slowly(
        ranking: &Ranking,
        wishes: &Wishes<'_>,
        slots: usize,
        bound: &[TrackKey],
    ) -> [Vec<TrackKey>; 2] {
        let is_bound = |c: &&Candidate| bound.contains(&c.track);
        let heard = |c: &&Candidate| wishes.allow(c) && !wishes.silenced.contains(&c.participant);
        let audio = || ranking.audio.iter().filter(heard);
        let speaking = audio().filter(|c| c.speaking.is_some() && !c.is_muted);
        let kept = audio().filter(is_bound).filter(|c| !c.is_muted);
        let audio = first_distinct(speaking.chain(kept).chain(audio()), slots);
        let video = || ranking.video.iter().filter(|c| wishes.allow(c));
        let video = match wishes.tiles {
            Some(tiles) => {
                let shown = tiles.iter().filter_map(|tile| {
                    let is_of = |c: &&Candidate| {
                        (c.participant, c.source) == (tile.participant_id, tile.source)
                    };
                    video().find(is_of)
                });
                first_distinct(shown, slots)
            }
            None => {
                let screens = video().filter(|c| c.source == Source::Screen && slots > 1);
                let speaking = video().filter(|c| c.speaking.is_some());
                let kept = video().filter(is_bound);
                first_distinct(screens.chain(speaking).chain(kept).chain(video()), slots)
            }
        };
        [audio, video]
    }

    proptest! {
        #[test]
        fn what_is_looked_up_is_what_going_through_everybody_finds(
            tracks in prop::collection::vec((1u128..8, 0usize..4, any::<bool>()), 0..30),
            speaking in prop::collection::vec(1u128..8, 0..4),
            bound in prop::collection::vec(0u16..30, 0..5),
            silenced in prop::collection::vec(1u128..8, 0..3),
            tiles in prop::option::of(prop::collection::vec((1u128..8, any::<bool>()), 0..6)),
            follow in prop::option::of(1u128..8),
            own in 1u128..8,
            slots in 0usize..6,
        ) {
            const SOURCES: [Source; 4] =
                [Source::Microphone, Source::Camera, Source::Screen, Source::ScreenAudio];
            let candidates = tracks.iter().enumerate().map(|(track, &(who, source, is_muted))| {
                let place = speaking.iter().position(|known| *known == who);
                let source = SOURCES[source];
                let participant = person(who);
                Candidate { participant, source, is_muted, ..audio(track as TrackKey, place) }
            });
            let ranking = Ranking::new(candidates);
            let tile = |&(who, is_screen): &(u128, bool)| ViewTile {
                participant_id: person(who),
                source: if is_screen { Source::Screen } else { Source::Camera },
                width: 320,
                height: 180,
                pinned: false,
            };
            let mut tiles = tiles.map(|tiles| tiles.iter().map(tile).collect::<Vec<_>>());
            if let Some(tiles) = &mut tiles {
                tiles.sort_by_key(|tile| tile.source != Source::Screen);
            }
            let silenced: Vec<_> = silenced.into_iter().map(person).collect();
            let wishes = Wishes {
                own: person(own),
                follow: follow.map(person),
                tiles: tiles.as_deref(),
                silenced: &silenced,
            };
            let [heard, seen] = slowly(&ranking, &wishes, slots, &bound);
            prop_assert_eq!(wanted_audio(&ranking, &wishes, slots, &bound), heard);
            prop_assert_eq!(wanted_video(&ranking, &wishes, slots, &bound), seen);
        }

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
