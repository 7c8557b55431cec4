//! How many files this process may have open; to the system sockets are files too.

/// What the system allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Files at a time, now.
    pub now: u64,
    /// How far this process itself may raise that.
    pub most: u64,
}

/// What is allowed now; none where the system does not say.
pub fn limit() -> Option<Limit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the struct that is ours.
    let is_known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    is_known.then_some(Limit { now: limit.rlim_cur, most: limit.rlim_max })
}

/// Raises it to `wanted`, or as far as this process may; never lowers it. What is allowed then.
pub fn raise(wanted: u64) -> Option<Limit> {
    let known = limit()?;
    let now = wanted.min(known.most);
    if now <= known.now {
        return Some(known);
    }
    let raised = libc::rlimit { rlim_cur: now, rlim_max: known.most };
    // SAFETY: the kernel reads the struct that is ours.
    let is_raised = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0;
    Some(if is_raised { Limit { now, ..known } } else { known })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_and_never_lowered() {
        let before = limit().expect("every system that this runs on says");
        assert_eq!(raise(0), Some(before));
        let most = raise(u64::MAX).expect("as before");
        assert!(most.now >= before.now && most.now <= most.most, "{before:?}, then {most:?}");
        assert_eq!(limit(), Some(most));
        assert_eq!(raise(before.now), Some(most));
    }
}
