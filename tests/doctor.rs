use crate::harness::World;

#[test]
fn exit_status_says_what_the_report_says() {
    let report = World::new().run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let ready = json["ready"].as_bool().unwrap();
    assert_eq!(report.status, Some(if ready { 0 } else { 3 }));
    for check in json["checks"].as_array().unwrap() {
        match check["status"].as_str().unwrap() {
            "available" => assert_ne!(check["detail"], "", "{check}"),
            "missing" => assert_ne!(check["remedy"], "", "{check}"),
            other => panic!("unknown status {other}"),
        }
    }
}

#[test]
fn ready_host_is_told_in_one_line() {
    let report = World::new().run(&["doctor"]);
    assert_eq!(report.stderr, "");
    match report.status {
        Some(0) => {
            assert_eq!(report.stdout.lines().count(), 1);
            assert!(report.stdout.starts_with("ready: "), "{}", report.stdout);
        }
        Some(3) => assert!(report.stdout.contains("\nnot ready: "), "{}", report.stdout),
        other => panic!("exit status {other:?}"),
    }
}
