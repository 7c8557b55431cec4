//! `veche recordings`: what only the disk or only the database knows.

use crate::program::Place;
use serde_json::{Value, json};
use std::path::Path;

const ID: &str = "0198c0de-0000-7000-8000-0000000000aa";
const LOST: &str = "0198c0de-0000-7000-8000-0000000000bb";

/// A folder as the recorder leaves it.
fn folder(path: &Path, slug: &str, id: &str) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::write(path.join("anna.webm"), vec![0; 2_000_000]).unwrap();
    let contents = json!({
        "version": 1,
        "recording": id,
        "room": {"id": "r", "slug": slug, "name": "Weekly"},
        "state": "complete",
        "began_at_ms": 1_800_000_000_000_i64,
        "duration_ms": 6_000,
        "files": [{
            "name": "anna.webm", "participant_id": ID, "user_id": ID, "display_name": "Anna",
            "source": "camera", "tracks": [{"codec": "opus"}], "offset_ms": 0, "duration_ms": 6_000,
            "size_bytes": 2_000_000,
        }],
        "moments": [{"at_ms": 0, "kind": "joined", "participant_id": ID, "user_id": ID, "display_name": "Anna"}],
        "gaps": [],
    });
    std::fs::write(path.join("meeting.json"), contents.to_string()).unwrap();
}

/// What a run that succeeds says.
fn says(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_backup_did_not_know_is_listed_taken_in_and_deleted() {
    let place = Place::new(&[("RECORDS_DIR", "records")]);
    let server = place.serve();
    let guest = server.post("/api/v1/auth/guest", None, &json!({"display_name": "Anna"})).json();
    let token = guest["access_token"].as_str().unwrap().to_owned();
    let room = server.post("/api/v1/rooms", Some(&token), &json!({"name": "Weekly"})).json();
    let slug = room["slug"].as_str().unwrap().to_owned();
    let refused = place.fails(&["recordings"]);
    assert!(refused.contains("another veche uses"), "{refused}");
    server.stop();
    let known = "The disk and the database know the same recordings.\n";
    assert_eq!(says(&place, &["recordings"]), known);

    let path = place.path("records").join(&slug).join(ID);
    folder(&path, &slug, ID);
    folder(&place.path("records").join("nowhere").join(LOST), "nowhere", LOST);
    let listed = says(&place, &["recordings"]);
    assert!(
        listed.contains(&format!("{ID}  not in the database: {slug}, 2 files, 2.0 MB\n")),
        "{listed}"
    );
    assert!(listed.contains(LOST), "{listed}");
    let taken = place.run(&["recordings", "adopt", "all"]);
    assert_eq!(taken.status.code(), Some(1));
    let (said, failed) =
        (String::from_utf8(taken.stdout).unwrap(), String::from_utf8(taken.stderr).unwrap());
    assert_eq!(said, format!("{ID}  taken into the room {slug}\n"));
    assert!(failed.contains(&format!("{LOST}  there is no room \"nowhere\"")), "{failed}");
    assert_eq!(
        says(&place, &["recordings", "delete", LOST]),
        format!("{LOST}  deleted from the disk\n")
    );
    assert!(!place.path("records/nowhere").exists());
    assert_eq!(says(&place, &["recordings"]), known);
    assert!(place.fails(&["recordings", "delete", ID]).contains("is no recording that only"));

    let server = place.serve();
    let bearer = format!("Bearer {token}");
    let target = format!("/api/v1/rooms/{slug}/recordings");
    let list: Value = server.send("GET", &target, &[("Authorization", &bearer)], "").json();
    let found = &list["recordings"][0];
    assert_eq!((&found["id"], &found["title"]), (&json!(ID), &json!("Weekly")), "{list}");
    assert_eq!((&found["state"], &found["duration_ms"]), (&json!("complete"), &json!(6_000)));
    server.stop();

    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(says(&place, &["recordings"]), format!("{ID}  its folder is gone: {slug}\n"));
    assert!(place.fails(&["recordings", "adopt", ID]).contains("nothing to take in"));
    assert_eq!(
        says(&place, &["recordings", "delete", "all"]),
        format!("{ID}  deleted from the database\n")
    );
    assert_eq!(says(&place, &["recordings"]), known);
}
