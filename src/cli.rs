//! The command line: what can be asked of the binary, and how a failure is told.

use crate::config::{Config, Options};
use crate::doctor::{Language, Question};
use crate::export::{self, View};
use crate::load::Plan;
use clap::{Args, Parser, Subcommand};
use protocol::RecordingId;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A meeting server: video meetings, chat and the web client in one process.
///
/// Without a subcommand it serves: start it, open the printed address in a browser, and meet.
#[derive(Parser)]
#[command(name = "veche", version, after_help = AFTER_HELP, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Serve meetings until SIGTERM or Ctrl-C (this is the default)
    Serve(ServeArgs),
    /// Print the settings in force and where each comes from, without secrets
    Config(ConfigArgs),
    /// Ask a running server on this machine whether it is well; exit code 0 when it is
    Health(ConfigArgs),
    /// Look at everything that a meeting needs, here or (with --url) from outside, and say what is wrong
    Doctor(DoctorArgs),
    /// Let many people come to a server, send and receive, and print how it went
    #[command(after_help = LOAD_HELP)]
    Load(Box<Plan>),
    /// Make one file of a recording, with ffmpeg: everybody's pictures composed, everybody's sound mixed
    Export(ExportArgs),
    /// Recordings that only the disk or only the database knows: list them, take them in, delete them
    #[command(after_help = RECORDINGS_HELP)]
    Recordings(RecordingsArgs),
    /// Print the version
    Version,
}

#[derive(Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Once serving, write {"url", "media_addresses"} as JSON to this file
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
}

#[derive(Args)]
struct DoctorArgs {
    /// Test a running server from outside: its address, or the link of a room in it
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Language of the report
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
    /// Print a report for programs, to be shared: no secret stands in it
    #[arg(long)]
    json: bool,
    /// PEM file of an authority that vouches for the server's certificate, where browsers' list does not
    #[arg(long, value_name = "PATH", requires = "url")]
    authority: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Args)]
struct ExportArgs {
    /// Id of the recording, or its folder
    recording: String,
    /// File to write: .mp4 or .webm, for sound alone also .m4a, .ogg or .mp3
    output: PathBuf,
    /// How people are shown
    #[arg(long, value_enum, default_value = "grid")]
    view: View,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Args)]
struct RecordingsArgs {
    #[command(subcommand)]
    action: Option<RecordingsAction>,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Clone, Copy, Subcommand)]
pub enum RecordingsAction {
    /// Take a folder into the database, so that it stands in its room's list; `all` for each
    Adopt {
        /// Id of the recording, or `all`
        #[arg(value_parser = one_or_all)]
        recording: Which,
    },
    /// Delete a folder that is not in the database, or what the database has of one that is gone; `all` for each
    Delete {
        /// Id of the recording, or `all`
        #[arg(value_parser = one_or_all)]
        recording: Which,
    },
}

/// One recording, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// That one.
    One(RecordingId),
    /// Each.
    All,
}

fn one_or_all(word: &str) -> Result<Which, String> {
    match word {
        "all" => Ok(Which::All),
        id => id.parse().map(Which::One).map_err(|_| "this is no id of a recording".to_owned()),
    }
}

#[derive(Args)]
struct ConfigArgs {
    /// Settings file [default: ./config.toml if there is one]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Address to listen on: `localhost`, `0.0.0.0`, `::` or one address
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,
    /// TCP port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// HTTPS: `off`, `files`, `self-signed` or `acme`
    #[arg(long, value_name = "KIND")]
    tls: Option<String>,
    /// Folder for the database and the secrets made at first start
    #[arg(long, value_name = "PATH")]
    data_dir: Option<PathBuf>,
}

impl From<ConfigArgs> for Options {
    fn from(args: ConfigArgs) -> Self {
        Self {
            file: args.config,
            host: args.host,
            port: args.port,
            tls: args.tls,
            data_dir: args.data_dir,
        }
    }
}

const RECORDINGS_HELP: &str = "\
After a backup was put back, folders of recordings may lie in RECORDS_DIR that the database knows nothing of, and the
other way round. The server tells its log of them at start. Stop it before you use this; nothing happens by itself.";

const LOAD_HELP: &str = "\
It comes through the doors that everybody uses, so the server's limits hold for it too. They are by address, and a load has one:
start a server that is to be tested with APP_ENV=development. Load only servers that are yours.

Examples:
  veche load http://localhost:8080 --subscribers 50                        one films, fifty watch
  veche load https://meet.example.org/r/weekly#code=… --publishers 10      ten more in that room
  veche load http://localhost:8080 --publishers 3 --speakers 3 --audio-only --subscribers 997 --rate 50";

const AFTER_HELP: &str = "\
Every setting has a line in config.toml and an environment variable of the same name in capitals; the
environment wins over the file, options win over both. `veche config` shows the outcome. Most used:

  HOST, PORT         where to listen (localhost:8080)
  PUBLIC_URL         address people use, where a proxy stands before the server
  DATA_DIR           database and secrets (data)
  DATABASE_URL       postgresql://… instead of the SQLite file in DATA_DIR
  MEDIA_PORT         UDP port for audio and video (8081), to be opened in the firewall
  MEDIA_ADDRESSES    addresses browsers send media to, where they are not this machine's own
  APP_ENV            development or production

Examples:
  veche                                      try it on this machine: http://localhost:8080
  HOST=0.0.0.0 APP_ENV=production veche      serve a network, behind a proxy that speaks HTTPS
  veche --host 0.0.0.0 --tls self-signed     a LAN: cameras open over HTTPS only
  veche --port 9000 --data-dir /srv/veche    another port and folder";

/// Does what the command line asks for. A failure is one line on standard error.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve(args),
        Command::Config(args) => describe(args),
        Command::Health(args) => health(args),
        Command::Export(args) => export(args),
        Command::Doctor(args) => return doctor(args),
        Command::Load(plan) => return load(*plan),
        Command::Recordings(args) => recordings(args),
        Command::Version => {
            println!("veche {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("veche: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args.config.into())?;
    crate::serve::run(config, args.ready_file.as_deref())
}

fn describe(args: ConfigArgs) -> anyhow::Result<()> {
    print!("{}", Config::describe(&args.into())?);
    Ok(())
}

fn health(args: ConfigArgs) -> anyhow::Result<()> {
    crate::health::ask(&Config::load(&args.into())?)
}

fn doctor(args: DoctorArgs) -> ExitCode {
    let DoctorArgs { url, lang, json, authority, config } = args;
    let question = Question { options: config.into(), url, language: lang, json, authority };
    crate::doctor::run(question).unwrap_or_else(|error| {
        eprintln!("veche: {}", one_line(&error));
        ExitCode::FAILURE
    })
}

fn load(plan: Plan) -> ExitCode {
    crate::load::run(plan).unwrap_or_else(|error| {
        eprintln!("veche: {}", one_line(&error));
        ExitCode::FAILURE
    })
}

fn export(args: ExportArgs) -> anyhow::Result<()> {
    let folder = match Path::new(&args.recording) {
        path if path.join("meeting.json").is_file() => path.to_owned(),
        _ => export::find(&Config::load(&args.config.into())?.records_dir, &args.recording)?,
    };
    let is_watched = std::io::stderr().is_terminal();
    let mut told = 0;
    export::export(&folder, &args.output, args.view, |part| {
        let percent = (part * 100.0) as u32;
        // A line of its own now and then where nobody watches, such as in a log.
        if percent > told && (is_watched || percent >= told + 10) {
            told = percent;
            eprint!(
                "{}{percent} %{}",
                if is_watched { "\r" } else { "" },
                if is_watched { "" } else { "\n" }
            );
        }
        Ok(())
    })?;
    println!("{}{}", if is_watched { "\r" } else { "" }, args.output.display());
    Ok(())
}

fn recordings(args: RecordingsArgs) -> anyhow::Result<()> {
    crate::orphans::run(&Config::load(&args.config.into())?, args.action)
}

/// An error with its causes, on one line. Some errors repeat their cause in their own words.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_what_happens_without_a_subcommand() {
        let plain = Cli::try_parse_from(["veche", "--port", "0"]).unwrap();
        assert!(plain.command.is_none());
        assert_eq!(plain.serve.config.port, Some(0));
        let named = Cli::try_parse_from(["veche", "serve", "--port", "0"]).unwrap();
        assert!(matches!(named.command, Some(Command::Serve(args)) if args.config.port == Some(0)));
        assert!(Cli::try_parse_from(["veche", "--prot", "0"]).is_err());
    }

    #[test]
    fn an_error_with_causes_takes_one_line() {
        let error = anyhow::anyhow!("first\nsecond").context("cannot start");
        assert_eq!(one_line(&error), "cannot start: first second");
        let repeated = anyhow::anyhow!("disk full").context("write failed: disk full");
        assert_eq!(one_line(&repeated), "write failed: disk full");
    }
}
