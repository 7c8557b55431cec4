//! The floor: the same packets at the same pace, encrypted and sent by a loop that does nothing else.
//!
//! One buffer and key per receiver, AES-256-GCM as the server negotiates it, all of them in one
//! `sendmmsg`; a burst to one receiver is one message with `UDP_SEGMENT`. Nothing is received, parsed,
//! copied or rewritten: nobody can forward for less.

use crate::{Drain, Pace};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Header of a forwarded packet: 12 bytes, one CSRC, and two extension elements.
const HEADER: usize = 12 + 4 + 4 + 8;
const TAG: usize = 16;

impl Pace {
    fn datagram(&self) -> usize {
        HEADER + self.payload + TAG
    }
}

/// Microseconds of CPU per packet.
pub fn measure(receivers: usize, pace: Pace, time: Duration) -> Result<f64, testkit::Error> {
    with_receivers(receivers, |sockets| Sender::new(sockets, pace)?.run(time))
}

/// The same with half of the receivers on a thread of their own, which the first wakes for each burst: nobody can share a room
/// out between two threads for less.
pub fn measure_shared(receivers: usize, pace: Pace, time: Duration) -> Result<f64, testkit::Error> {
    with_receivers(receivers, |sockets| {
        let (ours, theirs) = sockets.split_at(sockets.len() / 2);
        let (mut ours, mut theirs) = (Sender::new(ours, pace)?, Sender::new(theirs, pace)?);
        let (wake, woken) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || -> io::Result<Cost> {
                theirs.count(|theirs| {
                    for () in &woken {
                        theirs.burst()?;
                    }
                    Ok(())
                })
            });
            let first = ours.count(|ours| {
                ours.paced(time, |ours| {
                    wake.send(()).map_err(io::Error::other)?;
                    ours.burst()
                })
            });
            drop(wake);
            let other = other.join().expect("a sender does not panic")?;
            let first = first?;
            Ok((first.time + other.time).as_secs_f64() * 1e6
                / (first.packets + other.packets) as f64)
        })
    })
}

/// Does something with sockets that are drained meanwhile.
fn with_receivers(
    receivers: usize,
    work: impl FnOnce(&[UdpSocket]) -> io::Result<f64>,
) -> Result<f64, testkit::Error> {
    let sockets: Vec<UdpSocket> = (0..receivers)
        .map(|_| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            socket.set_nonblocking(true)?;
            socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
            Ok(socket)
        })
        .collect::<io::Result<_>>()?;
    let mut drain = Drain::new(sockets.iter().map(AsRawFd::as_raw_fd).collect())?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> io::Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                drain.read(Duration::from_millis(20), |_, _| {})?;
            }
            Ok(())
        });
        let cost = work(&sockets);
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("the reader does not panic")?;
        Ok(cost?)
    })
}

/// What a sender has used and done.
struct Cost {
    time: Duration,
    packets: u64,
}

struct Sender {
    socket: UdpSocket,
    keys: Vec<LessSafeKey>,
    addresses: Vec<libc::sockaddr_in>,
    /// `burst` datagrams for each receiver, one behind the other.
    slab: Vec<u8>,
    pace: Pace,
    sequence: u64,
    sent: u64,
}

impl Sender {
    fn new(receivers: &[UdpSocket], pace: Pace) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket2::SockRef::from(&socket).set_send_buffer_size(4 << 20)?;
        let mut addresses = Vec::new();
        for receiver in receivers {
            let SocketAddr::V4(address) = receiver.local_addr()? else {
                return Err(io::Error::other("bound to an IPv4 address"));
            };
            addresses.push(libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: address.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                sin_zero: [0; 8],
            });
        }
        let keys = (0..receivers.len())
            .map(|index| {
                let key = UnboundKey::new(&AES_256_GCM, &[index as u8; 32]);
                LessSafeKey::new(key.expect("32 bytes are a key of AES-256"))
            })
            .collect();
        let slab = vec![0x5a; receivers.len() * pace.burst * pace.datagram()];
        Ok(Self { socket, keys, addresses, slab, pace, sequence: 0, sent: 0 })
    }

    fn run(&mut self, time: Duration) -> io::Result<f64> {
        let cost = self.count(|sender| sender.paced(time, Self::burst))?;
        Ok(cost.time.as_secs_f64() * 1e6 / cost.packets as f64)
    }

    /// What this thread uses for some work, and what is sent by it, once everything is warm.
    fn count(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<Cost> {
        self.send()?;
        self.sent = 0;
        let before = thread_time();
        work(self)?;
        Ok(Cost { time: thread_time() - before, packets: self.sent })
    }

    fn paced(
        &mut self,
        time: Duration,
        mut burst: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = Instant::now();
        let mut next = start;
        while start.elapsed() < time {
            next += self.pace.every;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            burst(self)?;
        }
        Ok(())
    }

    fn burst(&mut self) -> io::Result<()> {
        self.seal();
        self.send()?;
        self.sent += (self.keys.len() * self.pace.burst) as u64;
        Ok(())
    }

    fn seal(&mut self) {
        for (key, run) in
            self.keys.iter().zip(self.slab.chunks_mut(self.pace.burst * self.pace.datagram()))
        {
            for (at, datagram) in run.chunks_mut(self.pace.datagram()).enumerate() {
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&(self.sequence + at as u64).to_be_bytes());
                let (header, rest) = datagram.split_at_mut(HEADER);
                let (payload, tag) = rest.split_at_mut(self.pace.payload);
                let sealed = key.seal_in_place_separate_tag(
                    Nonce::assume_unique_for_key(nonce),
                    Aad::from(&*header),
                    payload,
                );
                tag.copy_from_slice(sealed.expect("a payload is short enough").as_ref());
            }
        }
        self.sequence += self.pace.burst as u64;
    }

    fn send(&mut self) -> io::Result<()> {
        const CONTROL: usize = 32;
        let count = self.addresses.len();
        let run = self.pace.burst * self.pace.datagram();
        let mut parts: Vec<libc::iovec> = self
            .slab
            .chunks_mut(run)
            .map(|run| libc::iovec { iov_base: run.as_mut_ptr().cast(), iov_len: run.len() })
            .collect();
        let mut controls = vec![[0u64; CONTROL / 8]; count];
        // SAFETY: zeroes are valid; the pointers set below live until the call is over.
        let mut heads: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; count];
        for (index, head) in heads.iter_mut().enumerate() {
            let message = &mut head.msg_hdr;
            message.msg_name = (&raw mut self.addresses[index]).cast();
            message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            message.msg_iov = &raw mut parts[index];
            message.msg_iovlen = 1;
            if self.pace.burst > 1 {
                message.msg_control = controls[index].as_mut_ptr().cast();
                // SAFETY: the control buffer is aligned and large enough for one element of two bytes.
                unsafe {
                    message.msg_controllen = libc::CMSG_SPACE(2) as usize;
                    let control = libc::CMSG_FIRSTHDR(message);
                    (*control).cmsg_level = libc::SOL_UDP;
                    (*control).cmsg_type = libc::UDP_SEGMENT;
                    (*control).cmsg_len = libc::CMSG_LEN(2) as usize;
                    libc::CMSG_DATA(control)
                        .cast::<u16>()
                        .write_unaligned(self.pace.datagram() as u16);
                }
            }
        }
        let mut done = 0;
        while done < count {
            // SAFETY: as many headers as are told, all pointing to what lives.
            let sent = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    heads[done..].as_mut_ptr(),
                    (count - done) as libc::c_uint,
                    0,
                )
            };
            if sent < 0 {
                return Err(io::Error::last_os_error());
            }
            done += sent as usize;
        }
        Ok(())
    }
}

/// Time of this thread on a core.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid timespec that outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
