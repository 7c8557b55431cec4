//! Reads what arrives on many sockets, as cheaply as one thread can, and hands out each datagram with the time when it came.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Datagrams taken by one system call.
const BATCH: usize = 64;
/// Larger than any datagram of ours.
const SLOT: usize = 2_048;

/// Room for one control message with a time.
const CONTROL: usize = 64;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// What is told when somebody wakes the thread that waits.
const WAKE: u64 = u64::MAX;

/// An epoll over sockets that the caller keeps.
pub struct Drain {
    epoll: OwnedFd,
    /// By index; where there is none, it was taken out.
    sockets: Vec<Option<RawFd>>,
    waker: Option<Arc<OwnedFd>>,
    buffers: Vec<u8>,
    controls: Vec<Control>,
}

/// Ends a wait of a [`Drain`] from another thread.
#[derive(Clone)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// The wait that goes on, or the next one, ends at once.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: eight bytes that outlive the call. A counter that is full wakes as well.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl Drain {
    /// Watches those sockets; they must outlive it.
    pub fn new(sockets: Vec<RawFd>) -> io::Result<Self> {
        // SAFETY: no pointers.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if epoll < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        let mut drain = Self {
            epoll,
            sockets: Vec::new(),
            waker: None,
            buffers: vec![0; BATCH * SLOT],
            controls: vec![Control([0; CONTROL]); BATCH],
        };
        for (index, socket) in sockets.into_iter().enumerate() {
            drain.add(index, socket)?;
        }
        Ok(drain)
    }

    /// Watches one more under an index that is free; it must be taken out before it is closed.
    pub fn add(&mut self, index: usize, socket: RawFd) -> io::Result<()> {
        if self.sockets.len() <= index {
            self.sockets.resize(index + 1, None);
        }
        self.watch(socket, index as u64)?;
        self.sockets[index] = Some(socket);
        Ok(())
    }

    /// Takes one out.
    pub fn remove(&mut self, index: usize) {
        let Some(socket) = self.sockets.get_mut(index).and_then(Option::take) else { return };
        // SAFETY: no event is needed to take one out.
        unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                socket,
                std::ptr::null_mut(),
            )
        };
    }

    /// What ends a wait from another thread.
    pub fn waker(&mut self) -> io::Result<Waker> {
        if let Some(waker) = &self.waker {
            return Ok(Waker(waker.clone()));
        }
        // SAFETY: no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, owned by nobody else.
        let waker = Arc::new(unsafe { OwnedFd::from_raw_fd(fd) });
        self.watch(fd, WAKE)?;
        self.waker = Some(waker.clone());
        Ok(Waker(waker))
    }

    fn watch(&self, socket: RawFd, index: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index };
        // SAFETY: the event outlives the call.
        let added = unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket, &raw mut event)
        };
        if added < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Waits at most so long, then hands out all that has arrived as (index of the socket, datagram).
    pub fn read(
        &mut self,
        longest: Duration,
        mut each: impl FnMut(usize, &mut [u8]),
    ) -> io::Result<()> {
        for index in self.wait(longest)? {
            self.read_from(index, |_, datagram| each(index, datagram))?;
        }
        Ok(())
    }

    /// Hands out all that has arrived on one socket, each with the time when it came: that of the system where the socket has
    /// [`note_arrivals`], else that of reading.
    pub fn read_from(
        &mut self,
        index: usize,
        mut each: impl FnMut(Instant, &mut [u8]),
    ) -> io::Result<()> {
        while self.read_one(index, &mut each)? == BATCH {}
        Ok(())
    }

    /// Waits at most so long; the sockets that have something to read.
    pub fn wait(&self, longest: Duration) -> io::Result<Vec<usize>> {
        let mut ready = [libc::epoll_event { events: 0, u64: 0 }; 256];
        // SAFETY: room for as many events as are told.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                ready.as_mut_ptr(),
                ready.len() as libc::c_int,
                longest.as_micros().div_ceil(1_000) as libc::c_int,
            )
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted {
                Ok(Vec::new())
            } else {
                Err(error)
            };
        }
        let mut indices = Vec::with_capacity(count as usize);
        for event in &ready[..count as usize] {
            match (event.u64, &self.waker) {
                (WAKE, Some(waker)) => {
                    let mut count = 0u64;
                    // SAFETY: room for eight bytes; nothing there is no harm.
                    unsafe { libc::read(waker.as_raw_fd(), (&raw mut count).cast(), 8) };
                }
                (index, _) => indices.push(index as usize),
            }
        }
        Ok(indices)
    }

    fn read_one(
        &mut self,
        index: usize,
        each: &mut impl FnMut(Instant, &mut [u8]),
    ) -> io::Result<usize> {
        let Some(socket) = self.sockets.get(index).copied().flatten() else { return Ok(0) };
        // SAFETY: zeroes are valid for both; the pointers set below live until the call is over.
        let mut parts: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (slot, (part, head)) in parts.iter_mut().zip(&mut heads).enumerate() {
            part.iov_base = self.buffers[slot * SLOT..].as_mut_ptr().cast();
            part.iov_len = SLOT;
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
            head.msg_hdr.msg_control = self.controls[slot].0.as_mut_ptr().cast();
            head.msg_hdr.msg_controllen = CONTROL as _;
        }
        // SAFETY: BATCH headers, each with one buffer of SLOT bytes.
        let received = unsafe {
            libc::recvmmsg(
                socket,
                heads.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused => Ok(0),
                _ => Err(error),
            };
        }
        let (now, real) = (Instant::now(), SystemTime::now());
        for (slot, head) in heads[..received as usize].iter().enumerate() {
            let ago = arrival(&head.msg_hdr).and_then(|at| real.duration_since(at).ok());
            let at = now.checked_sub(ago.unwrap_or_default()).unwrap_or(now);
            each(at, &mut self.buffers[slot * SLOT..][..head.msg_len as usize]);
        }
        Ok(received as usize)
    }
}

/// From now on the system notes when each datagram comes to that socket, however late it is read. If nobody had it do that
/// before, it begins within milliseconds; until then the time is that of reading.
pub fn note_arrivals(socket: RawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer is to a local of the size given.
    let set = unsafe {
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// When the system says that a datagram came, in real time.
fn arrival(header: &libc::msghdr) -> Option<SystemTime> {
    // SAFETY: the system has filled the header in, and its control buffer lives.
    let message = unsafe { libc::CMSG_FIRSTHDR(header).as_ref() }?;
    if (message.cmsg_level, message.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: a message of that kind carries a timespec.
    let time: libc::timespec =
        unsafe { libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned() };
    UNIX_EPOCH.checked_add(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_is_read_late_says_when_it_came() {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        note_arrivals(socket.as_raw_fd()).unwrap();
        let mut drain = Drain::new(vec![socket.as_raw_fd()]).unwrap();
        let late = Duration::from_millis(30);
        let mut is_noted = || {
            socket.send_to(b"datagram", socket.local_addr().unwrap()).unwrap();
            let sent = Instant::now();
            std::thread::sleep(late);
            let mut came = Vec::new();
            drain.read_from(0, |at, datagram| came.push((at, datagram.to_vec()))).unwrap();
            let [(at, datagram)] = came.as_slice() else { panic!("one came") };
            assert_eq!(datagram, b"datagram");
            // The two clocks are read one after the other.
            *at <= sent + late / 2
        };
        // The system begins to take notes a moment after the first socket has asked for it.
        assert!((0..100).any(|_| is_noted()));
    }
}
