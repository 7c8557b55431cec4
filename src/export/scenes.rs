//! What is seen when: the table of contents of a recording cut into scenes, each with pictures that stay where they
//! are. Pure.

use super::View;
use super::layout::{self, Rect};
use recorder::contents::{Contents, FileSource, What};
use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds of one picture of the export. Scenes begin and end with one.
pub const FRAME_MS: u64 = 40;
/// Scenes that are shorter are taken into the one before.
const SHORTEST_MS: u64 = 400;
/// Who takes the stage must have spoken for as long.
const SPEAKER_MS: u64 = 1_000;
/// People in a grid; of more, those with a picture and then those who came first.
const MAX_CELLS: usize = 25;

/// A piece of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// From, on the recording's clock.
    pub from_ms: u64,
    /// To.
    pub to_ms: u64,
    /// What is seen; of none an empty frame.
    pub cells: Vec<Cell>,
}

/// One person, or one screen, in a scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Where.
    pub rect: Rect,
    /// Number of the file with the picture; of none the name alone is seen.
    pub file: Option<usize>,
    /// Name.
    pub name: String,
}

/// How long the recording is: as it says, or to the end of its last file.
pub fn duration_ms(contents: &Contents) -> u64 {
    let ends = contents.files.iter().map(|file| file.offset_ms + file.duration_ms.unwrap_or(0));
    ends.chain(contents.duration_ms).max().unwrap_or(0)
}

/// The scenes of a recording, from its beginning to its end without a hole.
pub fn scenes(contents: &Contents, view: View, frame: (u32, u32)) -> Vec<Scene> {
    let end = snap(duration_ms(contents));
    let mut story = Story::new(contents);
    let mut times: BTreeSet<u64> = story.times().map(snap).filter(|at| *at < end).collect();
    times.insert(0);
    let mut scenes: Vec<Scene> = Vec::new();
    for from_ms in times {
        let cells = story.cells(from_ms, view, frame);
        match scenes.last_mut() {
            Some(last) if last.cells == cells => {}
            // Too short to be looked at: the new one begins where it began.
            Some(last) if from_ms - last.from_ms < SHORTEST_MS => last.cells = cells,
            _ => scenes.push(Scene { from_ms, to_ms: end, cells }),
        }
    }
    for k in 1..scenes.len() {
        scenes[k - 1].to_ms = scenes[k].from_ms;
    }
    scenes.retain(|scene| scene.from_ms < scene.to_ms);
    scenes
}

fn snap(at_ms: u64) -> u64 {
    at_ms.div_ceil(FRAME_MS) * FRAME_MS
}

/// A recording as one walks through it.
struct Story<'a> {
    contents: &'a Contents,
    /// When each speaker takes the stage.
    speakers: BTreeMap<u64, &'a str>,
    /// Moments up to here are in what follows.
    next: usize,
    /// Who is there, in the order of coming.
    present: Vec<(&'a str, &'a str)>,
    /// Whose camera, or screen, is off.
    muted: BTreeSet<(&'a str, FileSource)>,
}

impl<'a> Story<'a> {
    fn new(contents: &'a Contents) -> Self {
        Self {
            contents,
            speakers: speakers(contents),
            next: 0,
            present: Vec::new(),
            muted: BTreeSet::new(),
        }
    }

    /// When something may change.
    fn times(&self) -> impl Iterator<Item = u64> {
        let files = self.contents.files.iter();
        let files =
            files.flat_map(|file| [file.offset_ms, file.offset_ms + file.duration_ms.unwrap_or(0)]);
        let moments = self.contents.moments.iter().map(|moment| moment.at_ms);
        let speakers = self.speakers.keys().copied().collect::<Vec<_>>();
        files.chain(moments).chain(speakers).collect::<Vec<_>>().into_iter()
    }

    /// What is seen from `at_ms` on; asked in order of time.
    fn cells(&mut self, at_ms: u64, view: View, frame: (u32, u32)) -> Vec<Cell> {
        while let Some(moment) = self.contents.moments.get(self.next).filter(|m| m.at_ms <= at_ms) {
            self.next += 1;
            match &moment.what {
                What::Joined { participant_id, display_name, .. } => {
                    self.present.push((participant_id, display_name));
                }
                What::Left { participant_id } => {
                    self.present.retain(|(id, _)| id != participant_id)
                }
                What::Muted { participant_id, source, .. } => {
                    self.muted
                        .extend(source_of(source).map(|source| (participant_id.as_str(), source)));
                }
                What::Unmuted { participant_id, source } => {
                    if let Some(source) = source_of(source) {
                        self.muted.remove(&(participant_id.as_str(), source));
                    }
                }
                What::Speaking { .. } | What::Hand { .. } => {}
            }
        }
        let picture = |id: &str, source| {
            let is_off = self.muted.contains(&(id, source));
            let mut files = self.contents.files.iter().enumerate().rev();
            let now = files.find(|(_, file)| {
                let end = file.offset_ms + file.duration_ms.unwrap_or(0);
                let is_now = (file.offset_ms..end).contains(&at_ms);
                // As if it had begun with the picture of the export that is on then.
                let is_now = is_now || snap(file.offset_ms) == at_ms && at_ms < end;
                is_now
                    && file.participant_id == id
                    && file.source == source
                    && has_picture(&file.tracks)
            });
            now.filter(|_| !is_off).map(|(index, _)| index)
        };
        let mut people: Vec<(&str, &str, Option<usize>)> = self
            .present
            .iter()
            .map(|(id, name)| (*id, *name, picture(id, FileSource::Camera)))
            .collect();
        // Those who are seen first; otherwise as they came.
        people.sort_by_key(|(_, _, file)| file.is_none());
        let screen = self
            .present
            .iter()
            .rev()
            .find_map(|(id, name)| Some((*name, picture(id, FileSource::Screen)?)));
        let speaker = self.speakers.range(..=at_ms).next_back().map(|(_, id)| *id);
        let cell = |rect, (_, name, file): &(&str, &str, Option<usize>)| Cell {
            rect,
            file: *file,
            name: (*name).to_owned(),
        };
        match (screen, view) {
            (Some((name, file)), _) => {
                // Who speaks is beside the screen, whoever else is.
                people.sort_by_key(|(id, _, _)| Some(*id) != speaker);
                let rects = layout::stage(frame, people.len());
                let large = Cell { rect: rects[0], file: Some(file), name: name.to_owned() };
                std::iter::once(large)
                    .chain(rects[1..].iter().zip(&people).map(|(rect, person)| cell(*rect, person)))
                    .collect()
            }
            (None, View::Speaker) if !people.is_empty() => {
                people.sort_by_key(|(id, _, _)| Some(*id) != speaker);
                let rects = layout::stage(frame, people.len() - 1);
                rects.into_iter().zip(&people).map(|(rect, person)| cell(rect, person)).collect()
            }
            (None, _) => {
                people.truncate(MAX_CELLS);
                // In a grid everybody keeps to the order of coming.
                let order = |id: &str| self.present.iter().position(|(other, _)| *other == id);
                people.sort_by_key(|(id, _, _)| order(id));
                let rects = layout::grid(frame, people.len());
                rects.into_iter().zip(&people).map(|(rect, person)| cell(rect, person)).collect()
            }
        }
    }
}

fn has_picture(tracks: &[recorder::contents::TrackEntry]) -> bool {
    tracks.iter().any(|track| track.codec != "opus")
}

fn source_of(name: &str) -> Option<FileSource> {
    match name {
        "camera" => Some(FileSource::Camera),
        "screen" => Some(FileSource::Screen),
        _ => None,
    }
}

/// Who takes the stage when: whoever stays the loudest for a moment.
fn speakers(contents: &Contents) -> BTreeMap<u64, &str> {
    let mut loudest: Vec<(u64, &str)> = Vec::new();
    for moment in &contents.moments {
        let What::Speaking { participant_ids } = &moment.what else { continue };
        // Silence takes nobody from the stage.
        let Some(first) = participant_ids.first() else { continue };
        if loudest.last().is_none_or(|(_, last)| last != first) {
            loudest.push((moment.at_ms, first));
        }
    }
    let ends = loudest.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]).collect::<Vec<_>>();
    let stays = loudest.iter().zip(ends).filter(|((at, _), end)| end - at >= SPEAKER_MS);
    stays.map(|(&(at, id), _)| (at, id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use recorder::contents::{FileEntry, Moment, RoomName, TrackEntry};

    const FRAME: (u32, u32) = (1280, 720);

    fn file(id: &str, source: FileSource, offset_ms: u64, duration_ms: u64) -> FileEntry {
        FileEntry {
            name: format!("{id}-{offset_ms}.webm"),
            participant_id: id.to_owned(),
            user_id: id.to_owned(),
            display_name: id.to_uppercase(),
            source,
            tracks: ["opus", "vp8"]
                .map(|codec| TrackEntry { codec: codec.to_owned(), size: None })
                .to_vec(),
            offset_ms,
            duration_ms: Some(duration_ms),
            size_bytes: None,
        }
    }

    fn joined(at_ms: u64, id: &str) -> Moment {
        let what = What::Joined {
            participant_id: id.to_owned(),
            user_id: id.to_owned(),
            display_name: id.to_uppercase(),
        };
        Moment { at_ms, what }
    }

    fn speaking(at_ms: u64, id: &str) -> Moment {
        Moment { at_ms, what: What::Speaking { participant_ids: vec![id.to_owned()] } }
    }

    fn recording(files: Vec<FileEntry>, moments: Vec<Moment>) -> Contents {
        let room = RoomName { id: "r".to_owned(), slug: "r".to_owned(), name: "R".to_owned() };
        Contents { files, moments, ..Contents::begin("1".to_owned(), room, 0) }
    }

    /// From when on which files are seen, and who without a picture.
    fn told(scenes: &[Scene]) -> Vec<(u64, Vec<String>)> {
        let cell = |cell: &Cell| match cell.file {
            Some(file) => file.to_string(),
            None => cell.name.clone(),
        };
        scenes.iter().map(|scene| (scene.from_ms, scene.cells.iter().map(cell).collect())).collect()
    }

    #[test]
    fn people_come_film_and_go() {
        let muted =
            What::Muted { participant_id: "a".to_owned(), source: "camera".to_owned(), by: None };
        let contents = recording(
            vec![
                file("a", FileSource::Camera, 0, 20_000),
                file("b", FileSource::Camera, 5_010, 5_000),
                file("b", FileSource::Screen, 7_000, 2_000),
            ],
            vec![
                joined(0, "a"),
                joined(5_000, "b"),
                Moment { at_ms: 12_000, what: What::Left { participant_id: "b".to_owned() } },
                Moment { at_ms: 15_000, what: muted },
            ],
        );
        let names =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            told(&scenes(&contents, View::Grid, FRAME)),
            [
                (0, names(&["0"])),
                (5_000, names(&["0", "1"])),
                (7_000, names(&["2", "0", "1"])),
                (9_000, names(&["0", "1"])),
                (10_040, names(&["0", "B"])),
                (12_000, names(&["0"])),
                (15_000, names(&["A"])),
            ]
        );
    }

    #[test]
    fn the_stage_goes_to_who_stays_the_loudest() {
        let contents = recording(
            ["a", "b", "c"].map(|id| file(id, FileSource::Camera, 0, 20_000)).to_vec(),
            vec![
                joined(0, "a"),
                joined(0, "b"),
                joined(0, "c"),
                speaking(2_000, "b"),
                // A cough.
                speaking(6_000, "c"),
                speaking(6_300, "b"),
                speaking(9_000, "c"),
            ],
        );
        let large = scenes(&contents, View::Speaker, FRAME)
            .iter()
            .map(|scene| (scene.from_ms, scene.cells[0].file))
            .collect::<Vec<_>>();
        assert_eq!(large, [(0, Some(0)), (2_000, Some(1)), (9_000, Some(2))]);
    }

    proptest! {
        #[test]
        fn scenes_follow_each_other_without_a_hole(
            files in prop::collection::vec((0usize..4, any::<bool>(), 0u64..30_000, 0u64..30_000), 0..12),
            moments in prop::collection::vec((0usize..4, 0u8..4, 0u64..60_000), 0..40),
            is_grid in any::<bool>(),
        ) {
            let ids = ["a", "b", "c", "d"];
            let files: Vec<FileEntry> = files
                .into_iter()
                .map(|(id, is_screen, at, length)| {
                    let source = if is_screen { FileSource::Screen } else { FileSource::Camera };
                    file(ids[id], source, at, length)
                })
                .collect();
            let mut moments: Vec<Moment> = moments
                .into_iter()
                .map(|(id, kind, at)| match kind {
                    0 => joined(at, ids[id]),
                    1 => Moment { at_ms: at, what: What::Left { participant_id: ids[id].to_owned() } },
                    _ => speaking(at, ids[id]),
                })
                .collect();
            moments.sort_by_key(|moment| moment.at_ms);
            let contents = recording(files, moments);
            let end = snap(duration_ms(&contents));
            let scenes = scenes(&contents, if is_grid { View::Grid } else { View::Speaker }, FRAME);
            let mut at = 0;
            for scene in &scenes {
                prop_assert_eq!(scene.from_ms, at);
                prop_assert!(scene.to_ms > at && scene.to_ms % FRAME_MS == 0);
                at = scene.to_ms;
            }
            prop_assert_eq!(at, end);
        }
    }
}
