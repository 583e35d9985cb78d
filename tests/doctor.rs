use crate::harness::World;

#[test]
fn exit_status_says_what_the_report_says() {
    let report = World::new().run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&report.stdout).unwrap();
    let ready = json["ready"].as_bool().unwrap();
    assert_eq!(report.status, Some(if ready { 0 } else { 3 }));
    let checks = ["checks", "id_mappings"].map(|list| json[list].as_array().unwrap());
    assert_eq!(checks[1][0]["name"], "single");
    assert_eq!(checks[1][1]["name"], "range");
    for check in checks.into_iter().flatten() {
        match check["status"].as_str().unwrap() {
            "available" => assert_ne!(check["detail"], "", "{check}"),
            "missing" => assert_ne!(check["remedy"], "", "{check}"),
            other => panic!("unknown status {other}"),
        }
    }
}

#[test]
fn ready_host_is_told_in_one_line_and_what_hosts_differ_in_in_more() {
    let report = World::new().run(&["doctor"]);
    assert_eq!(report.stderr, "");
    match report.status {
        Some(0) => {
            let mut lines = report.stdout.lines();
            assert!(
                lines.next().unwrap().starts_with("ready: "),
                "{}",
                report.stdout
            );
            assert!(lines.next().unwrap().starts_with("Landlock: ABI "));
            assert_eq!(lines.next(), Some("--userns=single: one id"));
            assert!(lines.next().unwrap().starts_with("--userns=range: "));
        }
        Some(3) => assert!(report.stdout.contains("\nnot ready: "), "{}", report.stdout),
        other => panic!("exit status {other:?}"),
    }
}
