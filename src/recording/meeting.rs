//! One recording: what comes of its room, in files and in its table of contents.

use super::disk::{Folder, GrowingFile};
use super::moments::People;
use super::recovery;
use protocol::recording::{RecordEnd, RecordingFile};
use protocol::{ParticipantId, RecordingId, RoomId, ServerMessage, Source, TrackId, UserId};
use recorder::contents::{
    Contents, FileEntry, FileSource, GapEntry, GapReason, Range, RoomName, State, TrackEntry,
};
use recorder::names::{Fields, Template};
use recorder::source::Gap;
use recorder::{Container, Media, Output, RtpPacket, VideoCodec};
use sfu::TappedPacket;
use signaling::recorder::Beginning;
use signaling::records::CONTENTS;
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// How often a table of contents is written that has changed. What a crash costs of it; more often is work.
const CONTENTS_EVERY: Duration = Duration::from_secs(5);
/// A large one is written so much less often than it takes.
const CONTENTS_SHARE: u32 = 50;
/// Packets of somebody who has left may still be in the queue.
const LEFT_FOR: Duration = Duration::from_millis(500);
/// How often a keyframe is asked for again.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// Files of one recording: a program that changes its codec with every picture gets no more.
const MAX_FILES: usize = 5_000;
/// Gaps in the table of contents.
const MAX_GAPS: usize = 10_000;
/// A gap that is found so long after the queue was full came of that: packets are waited for a second.
const SLOW_FOR: Duration = Duration::from_secs(3);

/// A recording that runs.
pub struct Meeting {
    /// Its id.
    pub id: RecordingId,
    /// Its room.
    pub room: RoomId,
    zero: Instant,
    folder: Folder,
    template: Template,
    date: String,
    contents: Contents,
    people: People,
    publishes: BTreeMap<ParticipantId, Vec<Source>>,
    parts: BTreeMap<(ParticipantId, FileSource), Part>,
    tracks: BTreeMap<TrackId, (ParticipantId, FileSource)>,
    slow_until: Duration,
    next_contents: Instant,
    is_changed: bool,
    /// It takes nothing any more, because of that.
    closed: Option<RecordEnd>,
}

/// What one person's camera or screen becomes.
struct Part {
    source: recorder::Source,
    file: Option<(GrowingFile, usize)>,
    picture: Option<TrackId>,
    asked_at: Option<Duration>,
    left_at: Option<Duration>,
}

impl Meeting {
    /// Begins: a folder with a table of contents in it.
    pub fn begin(
        beginning: &Beginning,
        path: std::path::PathBuf,
        template: Template,
    ) -> io::Result<Self> {
        let room = RoomName {
            id: beginning.room.to_string(),
            slug: beginning.slug.clone(),
            name: beginning.name.clone(),
        };
        let mut contents =
            Contents::begin(beginning.recording.to_string(), room, beginning.began_ms);
        contents.events = Some(Range { first: beginning.seq, last: beginning.seq });
        let people = {
            let Beginning { people, speakers, hands_up, .. } = beginning;
            People::begin(people, speakers, hands_up, &mut contents)
        };
        let publishes = beginning
            .people
            .iter()
            .map(|person| (person.id, person.tracks.iter().map(|track| track.source).collect()));
        let mut meeting = Self {
            id: beginning.recording,
            room: beginning.room,
            zero: beginning.at,
            folder: Folder::make(path)?,
            template,
            date: date_of(beginning.began_ms),
            contents,
            people,
            publishes: publishes.collect(),
            parts: BTreeMap::new(),
            tracks: BTreeMap::new(),
            slow_until: Duration::ZERO,
            next_contents: beginning.at,
            is_changed: true,
            closed: None,
        };
        meeting.save()?;
        Ok(meeting)
    }

    /// Whether it takes nothing any more.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Takes a packet.
    pub fn packet(&mut self, packet: &TappedPacket) -> io::Result<()> {
        let Some(codec) = codec_of(packet.codec).filter(|_| self.closed.is_none()) else {
            return Ok(());
        };
        let key = (packet.participant, file_source(packet.source));
        self.tracks.entry(packet.track).or_insert(key);
        let began_at = self.contents.began_at_ms.div_euclid(1_000);
        let (sound, picture) = self.expected(key);
        let part = self.parts.entry(key).or_insert_with(|| {
            let mut source = recorder::Source::new(began_at);
            source.expect(sound, picture);
            Part { source, file: None, picture: None, asked_at: None, left_at: None }
        });
        if codec != recorder::Codec::Opus {
            part.picture = Some(packet.track);
        }
        let now = packet.at.saturating_duration_since(self.zero);
        part.source.packet(
            now,
            RtpPacket {
                stream: packet.stream,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                marker: packet.marker,
                codec,
                payload: &packet.payload,
            },
        );
        self.write(key)
    }

    /// Takes a sender report.
    pub fn report(&mut self, at: Instant, track: TrackId, stream: u32, ntp: u64, timestamp: u32) {
        let part = self.tracks.get(&track).and_then(|key| self.parts.get_mut(key));
        if let Some(part) = part {
            let now = at.saturating_duration_since(self.zero);
            part.source.report(now, stream, ntp, timestamp);
        }
    }

    /// Hears what everybody in the room hears.
    pub fn hear(&mut self, at: Instant, message: &ServerMessage) {
        let now = at.saturating_duration_since(self.zero);
        match message {
            ServerMessage::MemberJoined { participant, .. } => {
                let tracks = participant.tracks.iter().map(|track| track.source).collect();
                self.publishes.insert(participant.id, tracks);
            }
            ServerMessage::TracksChanged { participant_id, tracks } => {
                let sources = tracks.iter().map(|track| track.source).collect();
                self.publishes.insert(*participant_id, sources);
                for which in [FileSource::Camera, FileSource::Screen] {
                    let key = (*participant_id, which);
                    let (sound, picture) = self.expected(key);
                    if let Some(part) = self.parts.get_mut(&key) {
                        part.source.expect(sound, picture);
                    }
                }
                return;
            }
            ServerMessage::MemberLeft { participant_id, .. } => {
                self.publishes.remove(participant_id);
                let parts = self.parts.iter_mut().filter(|((id, _), _)| id == participant_id);
                for (_, part) in parts {
                    part.left_at = Some(now);
                }
            }
            _ => {}
        }
        self.people.hear(millis(now), message, &mut self.contents);
        self.is_changed = true;
    }

    /// The queue was full: gaps that are found now came of that.
    pub fn was_slow(&mut self, now: Instant) {
        self.slow_until = now.saturating_duration_since(self.zero) + SLOW_FOR;
    }

    /// Does what is due by time; tracks whose keyframes are needed.
    pub fn handle_timeout(&mut self, now: Instant) -> io::Result<Vec<TrackId>> {
        if self.closed.is_some() {
            return Ok(Vec::new());
        }
        let at = now.saturating_duration_since(self.zero);
        let mut wanted = Vec::new();
        for key in self.parts.keys().copied().collect::<Vec<_>>() {
            let Some(part) = self.parts.get_mut(&key) else { continue };
            part.source.handle_timeout(at);
            let is_due = part.asked_at.is_none_or(|asked| at >= asked + ASK_EVERY);
            if part.source.needs_keyframe() && is_due && part.left_at.is_none() {
                part.asked_at = Some(at);
                wanted.extend(part.picture);
            }
            let is_over = part.left_at.is_some_and(|left| at >= left + LEFT_FOR);
            if is_over {
                part.source.finish();
            }
            self.write(key)?;
            if is_over {
                self.parts.remove(&key);
                self.tracks.retain(|_, other| *other != key);
            }
        }
        if self.is_changed && now >= self.next_contents {
            self.save()?;
        }
        Ok(wanted)
    }

    /// Bytes of its files.
    pub fn bytes(&self) -> u64 {
        let growing: u64 = self
            .parts
            .values()
            .filter_map(|part| part.file.as_ref())
            .map(|(f, _)| f.length())
            .sum();
        let ended: u64 = self.contents.files.iter().filter_map(|entry| entry.size_bytes).sum();
        growing + ended
    }

    /// Ends every file as it should.
    pub fn close(&mut self, now: Instant, reason: RecordEnd) {
        if self.closed.is_some() {
            return;
        }
        for key in self.parts.keys().copied().collect::<Vec<_>>() {
            if let Some(part) = self.parts.get_mut(&key) {
                part.source.finish();
            }
            if let Err(error) = self.write(key) {
                return self.fail(now, &error);
            }
        }
        self.seal(now, reason);
    }

    /// Ends because of an error: what is whole in its files is kept.
    pub fn fail(&mut self, now: Instant, error: &io::Error) {
        if self.closed.is_none() {
            tracing::error!(%error, recording = %self.id, "a recording cannot be written");
            self.seal(now, reason_of(error));
        }
    }

    /// Notes the room's number of the end: before it is closed, so that a table of contents that says how it ended
    /// says everything.
    pub fn note_end(&mut self, seq: i64) {
        if let Some(events) = &mut self.contents.events {
            events.last = seq;
        }
    }

    /// Tells what there is.
    pub fn finish(mut self) -> Finished {
        if let Err(error) = self.save() {
            tracing::error!(%error, recording = %self.id, "a table of contents cannot be written");
        }
        Finished {
            state: self.contents.state,
            duration_ms: self.contents.duration_ms.unwrap_or(0),
            files: self.contents.files.iter().map(file_of).collect(),
            people: self.people.identities(),
        }
    }

    /// Deletes what was written: its room is gone.
    pub fn discard(self) {
        if let Err(error) = std::fs::remove_dir_all(self.folder.path()) {
            tracing::error!(%error, recording = %self.id, "a recording cannot be deleted");
        }
    }

    /// Closes what is open, mends what could not be ended, and says in the table of contents how it ended.
    fn seal(&mut self, now: Instant, reason: RecordEnd) {
        self.closed = Some(reason);
        self.folder.release();
        for (_, part) in std::mem::take(&mut self.parts) {
            let Some((file, index)) = part.file else { continue };
            drop(file);
            let entry = &mut self.contents.files[index];
            match recovery::mend(&self.folder.path().join(&entry.name)) {
                Ok(mended) => {
                    entry.duration_ms = Some(mended.duration_ms);
                    entry.size_bytes = Some(mended.bytes);
                }
                Err(error) => {
                    tracing::error!(%error, file = entry.name, "a file cannot be mended");
                    entry.duration_ms = Some(0);
                }
            }
        }
        self.tracks.clear();
        self.contents.duration_ms = Some(millis(now.saturating_duration_since(self.zero)));
        self.contents.state = match reason {
            RecordEnd::NoSpace | RecordEnd::Quota => State::OutOfSpace,
            RecordEnd::DiskError => State::Failed,
            RecordEnd::Crashed => State::Recovered,
            RecordEnd::Stopped | RecordEnd::Empty | RecordEnd::ServerStopped => State::Complete,
        };
        if let Err(error) = self.save() {
            tracing::error!(%error, recording = %self.id, "a table of contents cannot be written");
        }
    }

    fn save(&mut self) -> io::Result<()> {
        let started = Instant::now();
        let text = serde_json::to_vec(&self.contents).map_err(io::Error::other)?;
        self.folder.replace(CONTENTS, &text)?;
        self.is_changed = false;
        self.next_contents = started + CONTENTS_EVERY.max(started.elapsed() * CONTENTS_SHARE);
        Ok(())
    }

    /// Which kinds somebody publishes for a file: sound, picture.
    fn expected(&self, (participant, source): (ParticipantId, FileSource)) -> (bool, bool) {
        let has = |wanted: Source| {
            self.publishes.get(&participant).is_some_and(|sources| sources.contains(&wanted))
        };
        match source {
            FileSource::Camera => (has(Source::Microphone), has(Source::Camera)),
            FileSource::Screen => (has(Source::ScreenAudio), has(Source::Screen)),
        }
    }

    fn write(&mut self, key: (ParticipantId, FileSource)) -> io::Result<()> {
        loop {
            let Some(part) = self.parts.get_mut(&key) else { return Ok(()) };
            let Some(output) = part.source.poll_output() else { break };
            match output {
                Output::Begin { tracks, at, bytes } => {
                    if self.contents.files.len() < MAX_FILES {
                        self.begin_file(key, &tracks, at, &bytes)?;
                    }
                }
                Output::Append(bytes) => {
                    if let Some((file, _)) = &mut part.file {
                        file.append(&bytes)?;
                    }
                }
                Output::End { append, patches, duration } => {
                    // Stays here until it is ended: what cannot be is mended afterwards.
                    let Some((file, index)) = &mut part.file else { continue };
                    let length = file.finish(&append, &patches)?;
                    let entry = &mut self.contents.files[*index];
                    entry.duration_ms = Some(millis(duration));
                    entry.size_bytes = Some(length);
                    part.file = None;
                    self.is_changed = true;
                }
            }
        }
        self.note_gaps(key);
        Ok(())
    }

    fn begin_file(
        &mut self,
        key: (ParticipantId, FileSource),
        tracks: &[Media],
        at: Duration,
        header: &[u8],
    ) -> io::Result<()> {
        let (participant, source) = key;
        let person = self.people.person(participant);
        let name = person.map_or("unknown", |person| person.display_name.as_str());
        let is_webm = tracks.iter().all(|media| media.container() == Container::WebM);
        let fields = Fields {
            room: &self.contents.room.slug,
            date: &self.date,
            person: name,
            source: source.as_str(),
            ext: if is_webm { "webm" } else { "mkv" },
        };
        // Names that differ only in case are one on some disks.
        let is_taken = |name: &String| {
            self.folder.has(name)
                || self.contents.files.iter().any(|f| f.name.to_lowercase() == name.to_lowercase())
        };
        let file_name = (0..).map(|nth| self.template.fill(&fields, nth)).find(|n| !is_taken(n));
        let file_name = file_name.expect("there are more numbers than files");
        let file = self.folder.begin(&file_name, header)?;
        let entry = FileEntry {
            name: file_name,
            participant_id: participant.to_string(),
            user_id: person.map(|person| person.user_id.to_string()).unwrap_or_default(),
            display_name: name.to_owned(),
            source,
            tracks: tracks.iter().map(track_entry).collect(),
            offset_ms: millis(at),
            duration_ms: None,
            size_bytes: None,
        };
        self.contents.files.push(entry);
        let index = self.contents.files.len() - 1;
        if let Some(part) = self.parts.get_mut(&key) {
            part.file = Some((file, index));
        }
        // At once: a file that is not listed tells nothing after a crash.
        self.save()
    }

    fn note_gaps(&mut self, key: (ParticipantId, FileSource)) {
        let Some(part) = self.parts.get_mut(&key) else { return };
        let gaps = part.source.take_gaps();
        let index = part.file.as_ref().map(|(_, index)| *index);
        let Some(entry) = index.and_then(|index| self.contents.files.get(index)) else { return };
        for Gap { is_sound, at, packets } in gaps {
            if self.contents.gaps.len() >= MAX_GAPS {
                self.contents.is_cut = true;
                return;
            }
            let is_slow = at <= self.slow_until && !self.slow_until.is_zero();
            self.contents.gaps.push(GapEntry {
                file: entry.name.clone(),
                at_ms: millis(at),
                track: if is_sound { "sound" } else { "picture" }.to_owned(),
                packets,
                reason: if is_slow { GapReason::SlowDisk } else { GapReason::Network },
            });
            self.is_changed = true;
        }
    }
}

/// What is left of a recording that has ended.
pub struct Finished {
    /// How it ended.
    pub state: State,
    /// How long it is.
    pub duration_ms: u64,
    /// Its files.
    pub files: Vec<RecordingFile>,
    /// Who was there.
    pub people: Vec<UserId>,
}

/// A file as the control plane knows it.
pub fn file_of(entry: &FileEntry) -> RecordingFile {
    RecordingFile {
        name: entry.name.clone(),
        participant_id: entry.participant_id.parse().ok(),
        user_id: entry.user_id.parse().ok(),
        display_name: entry.display_name.clone(),
        source: entry.source.as_str().to_owned(),
        codecs: entry.tracks.iter().map(|track| track.codec.clone()).collect(),
        offset_ms: entry.offset_ms,
        duration_ms: entry.duration_ms.unwrap_or(0),
        bytes: entry.size_bytes.unwrap_or(0),
    }
}

/// What an error of the disk means for a recording.
pub fn reason_of(error: &io::Error) -> RecordEnd {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            RecordEnd::NoSpace
        }
        _ => RecordEnd::DiskError,
    }
}

fn track_entry(media: &Media) -> TrackEntry {
    match media {
        Media::Opus => TrackEntry { codec: "opus".to_owned(), size: None },
        Media::Video { codec, width, height, .. } => {
            let codec = match codec {
                VideoCodec::Vp8 => "vp8",
                VideoCodec::Vp9 => "vp9",
                VideoCodec::Av1 => "av1",
                VideoCodec::H264 => "h264",
            };
            TrackEntry { codec: codec.to_owned(), size: Some((*width, *height)) }
        }
    }
}

fn file_source(source: Source) -> FileSource {
    match source {
        Source::Microphone | Source::Camera => FileSource::Camera,
        Source::Screen | Source::ScreenAudio => FileSource::Screen,
    }
}

fn codec_of(codec: sfu::format::Codec) -> Option<recorder::Codec> {
    use sfu::format::Codec;
    Some(match codec {
        Codec::Opus => recorder::Codec::Opus,
        Codec::Vp8 => recorder::Codec::Video(VideoCodec::Vp8),
        Codec::Vp9 { .. } => recorder::Codec::Video(VideoCodec::Vp9),
        Codec::Av1 { .. } => recorder::Codec::Video(VideoCodec::Av1),
        Codec::H264 { .. } => recorder::Codec::Video(VideoCodec::H264),
        // The media plane takes it apart before it gets here.
        Codec::Red => return None,
    })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-21_09-30`, in UTC.
fn date_of(since_1970_ms: i64) -> String {
    let minutes = since_1970_ms.div_euclid(60_000);
    let (days, minute) = (minutes.div_euclid(24 * 60), minutes.rem_euclid(24 * 60));
    // Years that begin in March: the day that is not always there comes last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}_{:02}-{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (ms, date) in [
            (0, "1970-01-01_00-00"),
            (951_782_400_000, "2000-02-29_00-00"),
            (1_795_253_459_999, "2026-11-21_09-30"),
            (4_107_542_399_000, "2100-02-28_23-59"),
        ] {
            assert_eq!(date_of(ms), date);
        }
    }
}
