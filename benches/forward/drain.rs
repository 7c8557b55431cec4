//! Reads what arrives on many sockets, as cheaply as one thread can, and hands out each datagram.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Datagrams taken by one system call.
const BATCH: usize = 64;
/// Larger than any datagram of ours.
const SLOT: usize = 2_048;

/// An epoll over sockets that the caller keeps.
pub struct Drain {
    epoll: OwnedFd,
    sockets: Vec<RawFd>,
    buffers: Vec<u8>,
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
        for (index, socket) in sockets.iter().enumerate() {
            let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: index as u64 };
            // SAFETY: the event outlives the call.
            let added = unsafe {
                libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, *socket, &raw mut event)
            };
            if added < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(Self { epoll, sockets, buffers: vec![0; BATCH * SLOT] })
    }

    /// Waits at most so long, then hands out all that has arrived as (index of the socket, datagram).
    pub fn read(
        &mut self,
        longest: Duration,
        mut each: impl FnMut(usize, &mut [u8]),
    ) -> io::Result<()> {
        for index in self.wait(longest)? {
            while self.read_one(index, &mut each)? == BATCH {}
        }
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
                longest.as_millis() as libc::c_int,
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
        Ok(ready[..count as usize].iter().map(|event| event.u64 as usize).collect())
    }

    fn read_one(
        &mut self,
        index: usize,
        each: &mut impl FnMut(usize, &mut [u8]),
    ) -> io::Result<usize> {
        // SAFETY: zeroes are valid for both; the pointers set below live until the call is over.
        let mut parts: [libc::iovec; BATCH] = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut heads: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (slot, (part, head)) in parts.iter_mut().zip(&mut heads).enumerate() {
            part.iov_base = self.buffers[slot * SLOT..].as_mut_ptr().cast();
            part.iov_len = SLOT;
            head.msg_hdr.msg_iov = part;
            head.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: BATCH headers, each with one buffer of SLOT bytes.
        let received = unsafe {
            libc::recvmmsg(
                self.sockets[index],
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
        for (slot, head) in heads[..received as usize].iter().enumerate() {
            each(index, &mut self.buffers[slot * SLOT..][..head.msg_len as usize]);
        }
        Ok(received as usize)
    }
}
