//! A room's line to the media plane: in order, and without waiting when the plane is busy.

use crate::settings::MediaPlane;
use sfu::Command;
use std::collections::VecDeque;
use std::sync::Arc;

/// Commands on their way. While one waits, all later ones wait behind it.
pub(super) struct MediaLine {
    plane: Arc<dyn MediaPlane>,
    waiting: VecDeque<Command>,
}

impl MediaLine {
    pub(super) fn new(plane: Arc<dyn MediaPlane>) -> Self {
        Self { plane, waiting: VecDeque::new() }
    }

    pub(super) fn send(&mut self, command: Command) {
        if self.waiting.is_empty() && self.plane.send(command.clone()).is_ok() {
            return;
        }
        // Who asked for something that is dropped here hears so when its answer does not come. What ends
        // things must arrive, and there is no more of it than there are transports and people.
        if self.waiting.len() >= MAX_WAITING && is_request(&command) {
            metrics::counter!("veche_media_commands_dropped_total").increment(1);
            tracing::warn!("the media plane does not take commands; one is dropped");
            return;
        }
        self.waiting.push_back(command);
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tries again what waits.
    pub(super) fn retry(&mut self) {
        while let Some(command) = self.waiting.pop_front() {
            if self.plane.send(command.clone()).is_err() {
                self.waiting.push_front(command);
                return;
            }
        }
    }
}

/// Commands of one room waiting for a busy media plane, each with an SDP at most.
const MAX_WAITING: usize = 1_024;

fn is_request(command: &Command) -> bool {
    match command {
        Command::Publish { .. }
        | Command::Subscribe { .. }
        | Command::Answer { .. }
        | Command::Watch { .. }
        | Command::Report { .. }
        | Command::SetView { .. }
        | Command::SetLargest { .. } => true,
        Command::SetMedia { .. }
        | Command::SetAway { .. }
        | Command::Close { .. }
        | Command::Leave { .. }
        | Command::SendAway { .. }
        | Command::SetSaving { .. }
        | Command::CloseRoom { .. }
        | Command::SetPlanes { .. }
        | Command::LosePlane { .. }
        | Command::Tap { .. }
        | Command::TapLost { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::MediaBusy;
    use protocol::{ParticipantId, RoomId};
    use sfu::PeerId;
    use std::sync::Mutex;
    use uuid::Uuid;

    /// Takes commands while it has room.
    #[derive(Default)]
    struct Plane(Mutex<(usize, Vec<Command>)>);

    impl MediaPlane for Plane {
        fn send(&self, command: Command) -> Result<(), MediaBusy> {
            let (places, taken) = &mut *self.0.lock().unwrap();
            *places = places.checked_sub(1).ok_or(MediaBusy)?;
            taken.push(command);
            Ok(())
        }
    }

    impl Plane {
        fn make_room(&self, places: usize) {
            self.0.lock().unwrap().0 = places;
        }

        fn taken(&self) -> Vec<u64> {
            let commands = std::mem::take(&mut self.0.lock().unwrap().1);
            let peer = |command: Command| match command {
                Command::Close { peer } | Command::Answer { peer, .. } => peer.0,
                other => panic!("{other:?}"),
            };
            commands.into_iter().map(peer).collect()
        }
    }

    fn close(peer: u64) -> Command {
        Command::Close { peer: PeerId(peer) }
    }

    #[test]
    fn commands_keep_their_order_over_a_busy_time() {
        let plane = Arc::new(Plane::default());
        let mut line = MediaLine::new(Arc::clone(&plane) as Arc<dyn MediaPlane>);
        plane.make_room(1);
        line.send(close(1));
        line.send(close(2));
        plane.make_room(1);
        line.send(close(3));
        assert_eq!(plane.taken(), [1]);
        assert!(line.is_waiting());
        line.retry();
        assert_eq!(plane.taken(), [2]);
        plane.make_room(9);
        line.retry();
        line.send(close(4));
        assert_eq!(plane.taken(), [3, 4]);
        assert!(!line.is_waiting());
    }

    #[test]
    fn a_full_line_drops_requests_and_keeps_what_ends_things() {
        let plane = Arc::new(Plane::default());
        let mut line = MediaLine::new(Arc::clone(&plane) as Arc<dyn MediaPlane>);
        for _ in 0..MAX_WAITING * 2 {
            line.send(Command::Answer { peer: PeerId(1), answer: String::new() });
        }
        let (room, participant) = (RoomId(Uuid::nil()), ParticipantId(Uuid::nil()));
        line.send(Command::Leave { room, participant });
        assert_eq!(line.waiting.len(), MAX_WAITING + 1);
        assert!(matches!(line.waiting.back(), Some(Command::Leave { .. })));
    }
}
