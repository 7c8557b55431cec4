//! Faults that tests cause in media threads, to see what they cost the others. A binary that is built for people, without
//! debug assertions, has none of it: this is empty there.

use sfu::PlaneId;

/// What threads are made to do wherever it strikes.
#[cfg(any(test, debug_assertions))]
pub type Cause = std::sync::Arc<dyn Fn(PlaneId) + Send + Sync>;

/// The faults of a server; most have none.
#[derive(Clone, Default)]
pub struct Faults {
    #[cfg(any(test, debug_assertions))]
    cause: Option<Cause>,
}

impl Faults {
    /// Those that a test asks for, which has named a folder in the environment of the server that it started: a file
    /// `panic-0` there makes the first thread panic once, `still-0` makes it stand still while the file is there.
    pub fn of_environment() -> Self {
        #[cfg(any(test, debug_assertions))]
        if let Some(folder) = std::env::var_os("VECHE_TEST_FAULTS") {
            return Self::of(by_files(folder.into()));
        }
        Self::default()
    }

    /// This one.
    #[cfg(any(test, debug_assertions))]
    pub fn of(cause: Cause) -> Self {
        Self { cause: Some(cause) }
    }

    /// Whatever is wrong with a thread happens now.
    #[inline]
    pub fn strike(&self, plane: PlaneId) {
        #[cfg(any(test, debug_assertions))]
        if let Some(cause) = &self.cause {
            cause(plane);
        }
        #[cfg(not(any(test, debug_assertions)))]
        let _ = plane;
    }
}

#[cfg(any(test, debug_assertions))]
fn by_files(folder: std::path::PathBuf) -> Cause {
    std::sync::Arc::new(move |plane| {
        let panics = folder.join(format!("panic-{}", plane.0));
        if panics.exists() && std::fs::remove_file(&panics).is_ok() {
            panic!("a test has told this thread to");
        }
        let still = folder.join(format!("still-{}", plane.0));
        while still.exists() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    })
}
