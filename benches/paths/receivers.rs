//! The people who receive, all by one way, on a thread of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use testkit::link::Local;
use testkit::relay::TurnServer;
use testkit::{Api, Error, Person, Subscriber};

/// How often those who have nothing to read do what is due.
const TICK: Duration = Duration::from_millis(2);
/// Receiver reports of browsers; sockets are read as often.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How media reaches its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Datagrams, straight.
    Udp,
    /// A stream, straight.
    Tcp,
    /// The TURN server in the process.
    Own {
        /// Reached by a stream.
        by_stream: bool,
    },
    /// coturn, reached by datagrams.
    Coturn,
}

impl Way {
    /// In the order of the table.
    pub const ALL: [Way; 5] = [
        Way::Udp,
        Way::Tcp,
        Way::Own { by_stream: false },
        Way::Own { by_stream: true },
        Way::Coturn,
    ];

    /// As the table says it.
    pub fn name(self) -> &'static str {
        match self {
            Way::Udp => "UDP",
            Way::Tcp => "TCP (ICE-TCP)",
            Way::Own { by_stream: false } => "TURN in the process, UDP",
            Way::Own { by_stream: true } => "TURN in the process, TCP",
            Way::Coturn => "coturn, UDP",
        }
    }

    /// The TURN server of this way, as a person is told it.
    fn relay(self, person: &Person) -> Result<Option<TurnServer>, Error> {
        let (ends, by_stream) = match self {
            Way::Udp | Way::Tcp => return Ok(None),
            Way::Own { by_stream: false } => ("?transport=udp", false),
            Way::Own { by_stream: true } => ("?transport=tcp", true),
            Way::Coturn => ("", false),
        };
        let servers = person.api.ice_servers(&person.token, &person.slug)?;
        let found = servers.ice_servers.iter().find_map(|server| {
            let address = server.urls.iter().find_map(|url| {
                url.strip_prefix("turn:")?.strip_suffix(ends)?.parse::<SocketAddr>().ok()
            })?;
            let (username, password) = (server.username.clone()?, server.credential.clone()?);
            Some(TurnServer { address, by_stream, username, password })
        });
        found.map(Some).ok_or_else(|| Error::Answer(format!("no server for {self:?}")))
    }
}

#[derive(Default)]
struct Shared {
    packets: AtomicU64,
    reached: AtomicU64,
    is_over: AtomicBool,
}

/// Everybody who receives.
pub struct Receivers {
    shared: Arc<Shared>,
    count: usize,
    thread: JoinHandle<Result<(), Error>>,
}

impl Receivers {
    /// So many people enter and subscribe: presences of one guest, as accounts run into the limits of an address.
    pub fn join(
        api: Api,
        room: &protocol::room::Room,
        way: Way,
        count: usize,
    ) -> Result<Self, Error> {
        let mut people = vec![Person::guest(api, "Viewer", room)?];
        let token = people[0].token.clone();
        while people.len() < count {
            people.push(Person::enter(api, token.clone(), &room.slug, None)?);
        }
        let relay = way.relay(&people[0])?;
        let mut subscribers = Vec::new();
        for person in &mut people {
            let mut subscriber = person.answer(&Local::generate(), 1, 1)?;
            match &relay {
                Some(relay) => subscriber.link.use_relay(relay)?,
                None if way == Way::Tcp => subscriber.link.use_tcp()?,
                None => {}
            }
            subscriber.link.connect()?;
            subscribers.push(subscriber);
            person.socket.drain()?;
        }
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = std::thread::Builder::new()
            .name("receivers".into())
            .spawn(move || receive(people, subscribers, &own))?;
        Ok(Self { shared, count, thread })
    }

    /// Packets that have arrived.
    pub fn arrived(&self) -> u64 {
        self.shared.packets.load(Ordering::Relaxed)
    }

    /// Whether media has reached everybody.
    pub fn all_have_some(&self) -> bool {
        self.shared.reached.load(Ordering::Relaxed) >= self.count as u64
    }

    /// Everybody leaves.
    pub fn stop(self) -> Result<(), Error> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the receivers' thread does not panic")
    }
}

fn receive(
    mut people: Vec<Person>,
    mut subscribers: Vec<Subscriber>,
    shared: &Shared,
) -> Result<(), Error> {
    let mut is_reached = vec![false; subscribers.len()];
    let mut next_report = Instant::now();
    while !shared.is_over.load(Ordering::Relaxed) {
        let mut packets = 0;
        for (subscriber, is_reached) in subscribers.iter_mut().zip(&mut is_reached) {
            subscriber.drive()?;
            let arrived = subscriber.drain().into_iter().filter(|p| !p.is_retransmission).count();
            *is_reached |= arrived > 0;
            packets += arrived as u64;
        }
        shared.packets.fetch_add(packets, Ordering::Relaxed);
        let reached = is_reached.iter().filter(|reached| **reached).count();
        shared.reached.store(reached as u64, Ordering::Relaxed);
        if Instant::now() >= next_report {
            next_report += REPORT_EVERY;
            for (person, subscriber) in people.iter_mut().zip(&mut subscribers) {
                subscriber.report(&[])?;
                person.socket.drain()?;
            }
        }
        std::thread::sleep(TICK);
    }
    subscribers.iter_mut().try_for_each(|subscriber| subscriber.link.close())
}
