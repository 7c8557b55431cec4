//! The first start and the ones after it.

use crate::program::{Place, Program};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn guest(program: &Program) -> String {
    let body = json!({"display_name": "Anna"});
    let answer = program.post("/api/v1/auth/guest", None, &body).json();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn rooms_status(program: &Program, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    program.send("GET", "/api/v1/rooms", &[("Authorization", &bearer)], "").status
}

#[test]
fn the_first_start_says_where_to_meet() {
    let program = Place::new(&[("APP_NAME", "Town")]).serve();
    let banner = &program.banner;
    assert!(banner.starts_with("Town is ready"), "{banner}");
    assert!(banner.contains(&format!("http://{}", program.address)), "{banner}");
    let media = banner.lines().find(|line| line.contains("Media (UDP)")).unwrap();
    assert!(media.contains("127.0.0.1:"), "loopback is told where people come by it: {media}");
    assert!(program.setup_token().is_some_and(|token| token.len() > 40), "{banner}");
    assert_eq!(program.get("/health").status, 200);
    assert_eq!(program.get("/ready").status, 200);
}

#[test]
fn addresses_are_written_to_the_ready_file() {
    let place = Place::new(&[("MEDIA_ADDRESSES", "192.0.2.1, 2001:db8::1")]);
    let file = place.path("ready.json");
    let program = place.serve_with(&["serve", "--ready-file", file.to_str().unwrap()]);
    let ready: serde_json::Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(ready["url"], format!("http://{}", program.address));
    let media: Vec<&str> =
        ready["media_addresses"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    assert_eq!(media.len(), 2);
    assert!(
        media[0].starts_with("192.0.2.1:") && media[1].starts_with("[2001:db8::1]:"),
        "{media:?}"
    );
}

#[test]
fn what_is_kept_is_for_the_owner_alone_and_lasts() {
    let place = Place::new(&[]);
    let first = place.serve();
    let token = guest(&first);
    assert_eq!(mode(&place.path("data")), 0o700);
    for entry in fs::read_dir(place.path("data")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let secrets = fs::read(place.path("data/secrets.toml")).unwrap();
    first.stop();

    fs::set_permissions(place.path("data/secrets.toml"), fs::Permissions::from_mode(0o644))
        .unwrap();
    let second = place.serve();
    assert_eq!(fs::read(place.path("data/secrets.toml")).unwrap(), secrets);
    assert_eq!(rooms_status(&second, &token), 200, "tokens outlive a restart");
    assert_eq!(mode(&place.path("data/secrets.toml")), 0o600);
    assert!(second.stop().contains("others could read the secrets"));
}

#[test]
fn a_token_of_another_deployment_is_worth_nothing() {
    let token = guest(&Place::new(&[]).serve());
    assert_eq!(rooms_status(&Place::new(&[]).serve(), &token), 401);
}

#[test]
fn the_setup_link_makes_one_admin_also_where_registration_is_closed() {
    let place = Place::new(&[("APP_ENV", "production")]);
    let program = place.serve();
    let token = program.setup_token().expect("there is no admin yet");
    let account = |name: &str, setup_token: &str| {
        let body = json!({"email": format!("{name}@example.org"), "username": name,
            "password": "correct horse battery", "setup_token": setup_token});
        program.post("/api/v1/auth/register", None, &body)
    };
    assert_eq!(account("mallory", "wrong").status, 403);
    let made = account("admin", &token);
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["user"]["role"], "admin");
    assert_ne!(account("second", &token).status, 201, "the link works once");
    program.stop();
    assert_eq!(place.serve().setup_token(), None, "there is an admin now");
}

#[test]
fn the_health_command_tells_a_running_server_from_none() {
    let place = Place::new(&[]);
    let program = place.serve();
    let port = program.address.port().to_string();
    assert!(place.run(&["health", "--port", &port]).status.success());
    program.stop();
    let line = place.fails(&["health", "--port", &port]);
    assert!(line.contains("no server answers"), "{line}");
}
