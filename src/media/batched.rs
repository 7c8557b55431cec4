//! Batched UDP on Linux: recvmmsg in, sendmmsg with UDP_SEGMENT out.

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use sfu::Transmits;
use socket2::{SockAddr, Socket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

/// Datagrams taken in one call.
const BATCH: usize = 64;
/// Bytes of the largest datagram taken: no path carries more than 1,500, and what is cut fails
/// authentication.
const DATAGRAM: usize = 2_048;
/// Runs handed over in one call.
const SEND_BATCH: usize = 128;
/// How long a full send buffer is waited for before the rest of a batch is dropped.
const SEND_PATIENCE_MS: i32 = 2;
/// Room for one control message with a `u16`.
const CONTROL: usize = 32;

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// The media socket with its reused buffers.
pub struct BatchedSocket {
    socket: Socket,
    is_v6: bool,
    has_segmentation: bool,
    dropped: u64,
    buffers: Box<[[u8; DATAGRAM]]>,
    names: Box<[libc::sockaddr_storage]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    out: Outgoing,
}

struct Outgoing {
    names: Vec<SockAddr>,
    vectors: Vec<libc::iovec>,
    controls: Vec<Control>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the raw pointers in `vectors` and `headers` point into this value's own boxes, are written
// anew before each system call and never read otherwise.
unsafe impl Send for BatchedSocket {}

impl BatchedSocket {
    /// Takes a bound, non-blocking socket.
    pub fn new(socket: Socket) -> Self {
        let is_v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
        // SAFETY: all three are plain C structures for which zeroes are a valid value.
        let (name, vector, header) = unsafe { std::mem::zeroed() };
        Self {
            has_segmentation: offers_segmentation(&socket),
            socket,
            is_v6,
            dropped: 0,
            buffers: vec![[0; DATAGRAM]; BATCH].into(),
            names: vec![name; BATCH].into(),
            vectors: vec![vector; BATCH].into(),
            headers: vec![header; BATCH].into(),
            out: Outgoing {
                names: Vec::with_capacity(SEND_BATCH),
                vectors: Vec::with_capacity(SEND_BATCH),
                controls: Vec::with_capacity(SEND_BATCH),
                headers: Vec::with_capacity(SEND_BATCH),
            },
        }
    }

    /// Asks to be told when there is something to receive.
    pub fn register(&mut self, poll: &Poll, token: Token, interest: Interest) -> io::Result<()> {
        poll.registry().register(&mut SourceFd(&self.socket.as_raw_fd()), token, interest)
    }

    /// Takes one batch of datagrams. True when the batch was full, so that there may be more.
    pub fn receive(&mut self, mut each: impl FnMut(SocketAddr, &mut [u8])) -> bool {
        for i in 0..BATCH {
            self.vectors[i] =
                libc::iovec { iov_base: self.buffers[i].as_mut_ptr().cast(), iov_len: DATAGRAM };
            let header = &mut self.headers[i].msg_hdr;
            header.msg_name = (&raw mut self.names[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[i];
            header.msg_iovlen = 1;
        }
        // SAFETY: the headers point at buffers and names of this value that outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else { return false };
        for i in 0..count {
            let length = (self.headers[i].msg_len as usize).min(DATAGRAM);
            if let Some(from) = address(&self.names[i]) {
                each(from, &mut self.buffers[i][..length]);
            }
        }
        count == BATCH
    }

    /// Sends everything, as few system calls as the kernel allows. What it refuses is dropped and
    /// counted: this is UDP, and waiting would delay everybody else.
    pub fn send(&mut self, transmits: &Transmits) {
        let mut runs = transmits.udp_runs().peekable();
        while runs.peek().is_some() {
            self.out.clear();
            for (to, run) in runs.by_ref().take(SEND_BATCH) {
                if self.has_segmentation || run.segments() == 1 {
                    self.out.push(on_the_socket(self.is_v6, to), run.segment, run.bytes);
                } else {
                    for datagram in run.bytes.chunks(run.segment) {
                        let to = on_the_socket(self.is_v6, to);
                        self.out.push(to, datagram.len(), datagram);
                    }
                }
            }
            self.send_batch();
        }
    }

    fn send_batch(&mut self) {
        self.out.link();
        let mut sent = 0;
        while sent < self.out.headers.len() {
            let rest = &mut self.out.headers[sent..];
            // SAFETY: the headers point at names, vectors and controls of `out`, and those at the slab
            // that the caller holds; all outlive the call.
            let count = unsafe {
                libc::sendmmsg(
                    self.socket.as_raw_fd(),
                    rest.as_mut_ptr(),
                    rest.len() as u32,
                    libc::MSG_DONTWAIT,
                )
            };
            if let Ok(count) = usize::try_from(count) {
                sent += count.max(1);
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS) => {
                    if !self.wait_writable() {
                        self.dropped += (self.out.headers.len() - sent) as u64;
                        return;
                    }
                }
                Some(libc::EIO | libc::EINVAL) if self.out.is_segmented(sent) => {
                    // The device cannot segment. From now on the caller's runs are split; this one is lost.
                    tracing::warn!("the system refuses UDP_SEGMENT; sending datagrams one by one");
                    self.has_segmentation = false;
                    self.dropped += 1;
                    sent += 1;
                }
                // No route, refused by a filter, too large: this run alone.
                _ => {
                    self.dropped += 1;
                    sent += 1;
                }
            }
        }
    }

    fn wait_writable(&self) -> bool {
        let mut fd =
            libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd, which outlives the call.
        unsafe { libc::poll(&raw mut fd, 1, SEND_PATIENCE_MS) == 1 }
    }

    /// Runs dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

impl Outgoing {
    fn clear(&mut self) {
        self.names.clear();
        self.vectors.clear();
        self.controls.clear();
        self.headers.clear();
    }

    fn push(&mut self, to: SocketAddr, segment: usize, bytes: &[u8]) {
        self.names.push(SockAddr::from(to));
        self.vectors
            .push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        let mut control = Control([0; CONTROL]);
        let is_segmented = bytes.len() > segment;
        if is_segmented {
            write_segment_size(&mut control, segment as u16);
        }
        self.controls.push(control);
        // SAFETY: a plain C structure for which zeroes are a valid value.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        // SAFETY: arithmetic on a constant.
        let length = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) };
        header.msg_hdr.msg_controllen = if is_segmented { length as _ } else { 0 };
        self.headers.push(header);
    }

    /// Points the headers at their parts; only now, as the vectors no longer move.
    fn link(&mut self) {
        for (i, header) in self.headers.iter_mut().enumerate() {
            let header = &mut header.msg_hdr;
            header.msg_name = self.names[i].as_ptr().cast_mut().cast();
            header.msg_namelen = self.names[i].len();
            header.msg_iov = &raw mut self.vectors[i];
            header.msg_iovlen = 1;
            if header.msg_controllen > 0 {
                header.msg_control = self.controls[i].0.as_mut_ptr().cast();
            }
        }
    }

    fn is_segmented(&self, index: usize) -> bool {
        self.headers[index].msg_hdr.msg_controllen > 0
    }
}

fn write_segment_size(control: &mut Control, size: u16) {
    let header = control.0.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: `Control` is aligned for a cmsghdr and has room for one with a u16.
    unsafe {
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as _;
        libc::CMSG_DATA(header).cast::<u16>().write_unaligned(size);
    }
}

/// An IPv4 address as a dual-stack socket wants it.
fn on_the_socket(is_v6: bool, to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V4(v4) if is_v6 => SocketAddr::from((v4.ip().to_ipv6_mapped(), v4.port())),
        _ => to,
    }
}

/// The sender's address, IPv4 as IPv4.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is what the kernel wrote.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
            let ip = IpAddr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip, u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is what the kernel wrote.
            let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in6>() };
            let ip = IpAddr::from(name.sin6_addr.s6_addr).to_canonical();
            Some(SocketAddr::new(ip, u16::from_be(name.sin6_port)))
        }
        _ => None,
    }
}

fn offers_segmentation(socket: &Socket) -> bool {
    let mut size: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointers are to locals of the sizes given.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw mut size).cast(),
            &raw mut length,
        )
    };
    result == 0
}

/// Asks for buffers beyond `rmem_max`, which root may have.
pub fn force_buffers(socket: &Socket, bytes: usize) {
    let bytes = bytes as libc::c_int;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // Refused without CAP_NET_ADMIN, which is no fault: the caller looks at what was granted.
        // SAFETY: the pointer is to a local of the size given.
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            );
        }
    }
}
