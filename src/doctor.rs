//! `veche doctor`: looks at everything that a meeting needs and says in plain words what is wrong and what to do. On the
//! server it looks at the server; with `--url` it comes from outside, as a guest does, and tries every path.
//!
//! It changes nothing but what it takes away again, and tells no secret.

mod addresses;
mod certificate;
mod database;
mod disk;
mod outside;
mod ports;
mod relay;
mod report;
mod system;

use crate::config::{Config, Options};
use crate::tls::Tls;
use clap::ValueEnum;
use report::{Finding, Report};
use std::process::ExitCode;

/// What is asked.
pub struct Question {
    /// Settings of the server here.
    pub options: Options,
    /// A running server, seen from outside; or the link of a room in it.
    pub url: Option<String>,
    /// Of what to speak.
    pub language: Language,
    /// A report for programs, and to be shared.
    pub json: bool,
    /// PEM file of an authority that the system does not know.
    pub authority: Option<std::path::PathBuf>,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Russian.
    Ru,
}

/// Examines, prints, and fails where something is wrong.
///
/// # Errors
/// The examination itself cannot be made.
pub fn run(question: Question) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let findings = runtime.block_on(async {
        match &question.url {
            Some(url) => outside::examine(url, question.authority.as_deref()).await,
            None => here(&question).await,
        }
    });
    runtime.shutdown_background();
    let report = Report::new(question.url.clone(), findings);
    let text = match question.json {
        true => report.as_json(question.language),
        false => report.as_table(question.language),
    };
    print!("{text}");
    Ok(if report.is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The server side.
async fn here(question: &Question) -> Vec<Finding> {
    let config = match Config::load(&question.options) {
        Ok(config) => config,
        Err(error) => {
            // Nothing else can be looked at without settings.
            let error = format!("{error:#}");
            return vec![
                Finding::bad("settings")
                    .says(
                        format!("The settings cannot be used: {error}"),
                        format!("Настройки нельзя использовать: {error}"),
                    )
                    .advises(
                        "Correct the line that is named; `veche config` shows where each value comes from."
                            .into(),
                        "Исправьте названную строку; `veche config` показывает, откуда взято каждое значение."
                            .into(),
                    ),
            ];
        }
    };
    let mut findings = system::settings(&config);
    let is_running = ports::is_running(&config).await;
    findings.extend(ports::examine(&config, is_running));
    // People are asked to trust a certificate of our own: there is nothing to find out about it.
    if let Some(url) =
        config.public_url.as_deref().filter(|_| is_running && config.tls != Tls::SelfSigned)
    {
        findings.extend(outside::own_front(url).await);
    }
    findings.extend(addresses::examine(&config).await);
    findings.push(system::buffers());
    findings.push(system::files(&config));
    findings.extend(system::clock(&config));
    findings.extend(disk::examine(&config));
    findings.push(database::examine(&config).await);
    findings.extend(certificate::examine(&config));
    findings.extend(relay::examine(&config).await);
    findings
}
