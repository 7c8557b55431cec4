//! Settings that cannot be used stop the start with one line; those that can be are shown.

use crate::program::Place;
use std::net::{TcpListener, UdpSocket};

#[test]
fn a_bad_setting_is_one_line_and_a_failure() {
    for (setting, words) in [
        (("PORT", "http"), "`port` (PORT)"),
        (
            ("MEDIA_THREADS", "65"),
            "`media_threads` (MEDIA_THREADS) must be a whole number from 0 to 64",
        ),
        (("MEDIA_ADDRESSES", "not a name"), "`media_addresses`"),
        (("JWT_ALGORITHM", "none"), "must be HS256"),
        (("DATABASE_URL", "mysql://db/x"), "`database_url`"),
        (("HOST", "192.0.2.77"), "no address 192.0.2.77"),
    ] {
        let line = Place::new(&[setting]).fails(&[]);
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn a_bad_settings_file_is_one_line_and_a_failure() {
    let place = Place::new(&[]);
    for (text, words) in [
        ("prot = 1\n", "config.toml: there is no setting `prot`"),
        ("port = \n", "config.toml: "),
        ("log_level = \"loud\"\n", "`log_level` (config.toml)"),
    ] {
        std::fs::write(place.path("config.toml"), text).unwrap();
        let line = place.fails(&[]);
        assert!(line.contains(words), "{line}");
    }
    let line = place.fails(&["--config", "elsewhere.toml"]);
    assert!(line.contains("cannot read elsewhere.toml"), "{line}");
}

#[test]
fn an_unsafe_signing_key_is_refused_in_production() {
    let line = Place::new(&[("APP_ENV", "production"), ("SECRET_KEY", "hunter2")]).fails(&[]);
    assert!(line.contains("`jwt_secret` (SECRET_KEY)") && !line.contains("hunter2"), "{line}");
}

#[test]
fn a_port_in_use_is_one_line_and_a_failure() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let line = Place::new(&[("PORT", &port)]).fails(&[]);
    assert!(line.contains(&format!("port {port} is in use")), "{line}");
}

#[test]
fn a_media_port_in_use_is_one_line_and_a_failure() {
    let held = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let line = Place::new(&[("MEDIA_PORT", &port)]).fails(&[]);
    assert!(line.contains(&format!("UDP port {port}")), "{line}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_one_line_and_a_failure() {
    // A file where a folder is needed stops root as well.
    let place = Place::new(&[("DATA_DIR", "file/data")]);
    std::fs::write(place.path("file"), "").unwrap();
    let line = place.fails(&[]);
    assert!(line.contains("data folder file/data"), "{line}");
}

#[test]
fn a_data_folder_serves_one_server() {
    let place = Place::new(&[]);
    let _first = place.serve();
    let line = place.fails(&[]);
    assert!(line.contains("another veche uses the data folder"), "{line}");
}

#[test]
fn the_settings_in_force_are_printed_with_their_sources_and_without_secrets() {
    let place = Place::new(&[
        ("JWT_SECRET", "hunter2"),
        ("DATABASE_URL", "postgresql+asyncpg://me:hunter2@db/veche"),
    ]);
    std::fs::write(place.path("config.toml"), "app_name = \"Town\"\nport = 1\n").unwrap();
    let output = place.run(&["config", "--host", "::"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains("hunter2"), "{text}");
    for line in [
        "app_name = \"Town\"  # config.toml\n",
        "port = 0  # PORT\n",
        "host = \"::\"  # command line\n",
        "jwt_secret = \"(set)\"  # JWT_SECRET\n",
        "log_level = \"info\"\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn the_version_is_printed() {
    let output = Place::new(&[]).run(&["version"]);
    let expected = format!("veche {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
