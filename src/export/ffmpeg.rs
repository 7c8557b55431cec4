//! Runs ffmpeg: never through a shell, told how far it is, and ended when nobody wants the outcome any more.

use super::Stop;
use anyhow::{Context, bail};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;

/// Bytes of its complaints that are kept.
const MAX_COMPLAINT: u64 = 16 * 1024;

/// One call of ffmpeg.
#[derive(Debug, Default)]
pub struct Call {
    arguments: Vec<OsString>,
}

impl Call {
    /// Adds arguments.
    pub fn with<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs it to its end; `progress` hears how many milliseconds of the outcome are made, and may stop it.
    ///
    /// # Errors
    /// ffmpeg is not there, failed (its last words say why), or was stopped.
    pub fn run(&self, mut progress: impl FnMut(u64) -> Result<(), Stop>) -> anyhow::Result<()> {
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-nostats", "-progress", "pipe:1", "-y"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(missing)?;
        let mut child = Running(child);
        let complaints = child.0.stderr.take().context("no standard error")?;
        // Read beside, so that neither pipe ever fills up while the other is read.
        let complaints = thread::spawn(move || {
            let mut text = Vec::new();
            let _ = complaints.take(MAX_COMPLAINT).read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let output = child.0.stdout.take().context("no standard output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            // Its name says milliseconds; what it counts are microseconds.
            let made =
                line.strip_prefix("out_time_us=").and_then(|value| value.parse::<u64>().ok());
            progress(made.unwrap_or(0) / 1_000)?;
        }
        let status = child.0.wait().context("cannot wait for ffmpeg")?;
        let complaints = complaints.join().unwrap_or_default();
        if !status.success() {
            bail!("ffmpeg failed ({status}): {}", last_lines(&complaints));
        }
        Ok(())
    }

    /// Runs it and gives what it wrote to its standard output.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn output(&self) -> anyhow::Result<Vec<u8>> {
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-nostats", "-y"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(missing)?;
        if !output.status.success() {
            bail!("ffmpeg failed: {}", last_lines(&String::from_utf8_lossy(&output.stderr)));
        }
        Ok(output.stdout)
    }
}

/// A child that does not outlive who waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn missing(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!(
            "ffmpeg is not installed here (not found in PATH); recordings play without it, exporting needs it"
        ),
        _ => anyhow::Error::new(error).context("cannot start ffmpeg"),
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_complains_of_is_told() {
        let error = Call::default().with(["-i", "/nowhere/at-all.webm", "-f", "null", "-"]);
        let error = error.run(|_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn it_ends_when_it_is_stopped() {
        let forever = ["-re", "-f", "lavfi", "-i", "color=s=16x16", "-f", "null", "-"];
        let error = Call::default().with(forever).run(|_| Err(Stop)).unwrap_err();
        assert!(error.is::<Stop>(), "{error}");
    }
}
