//! The dashboard for Grafana in `docs/`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::admin::{metrics, start};

/// The metrics of Redis are there even if it is not.
const FLAGS: &[&str] =
    if cfg!(feature = "redis") { &["--redis", "redis://127.0.0.1:1"] } else { &[] };

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../docs/grafana.json")).unwrap()
}

/// The queries of all panels, and those that fill the variables.
fn queries(dashboard: &Value) -> Vec<&str> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let variables = variables.filter_map(|variable| variable["query"]["query"].as_str());
    targets.map(|target| target["expr"].as_str().unwrap()).chain(variables).collect()
}

/// The names in a query that are those of metrics.
fn names(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("townhall_") || word.starts_with("process_"))
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let (_program, _, admin) = start(FLAGS);
    let body = metrics(&admin);
    let lines = body.lines().filter(|line| !line.starts_with('#'));
    let printed: BTreeSet<_> = lines.map(|line| line.split(['{', ' ']).next().unwrap()).collect();
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    let used: BTreeSet<_> = queries.iter().flat_map(|query| names(query)).collect();
    assert!(used.len() > 30, "{used:?}");
    let has_redis = cfg!(feature = "redis");
    let exists = |name: &&&str| has_redis || !name.starts_with("townhall_redis_");
    let missing: Vec<_> = used.difference(&printed).filter(exists).collect();
    assert!(missing.is_empty(), "/metrics does not print {missing:?}");
    let causes =
        queries.iter().filter_map(|query| query.split_once("cause=~\"")?.1.split('"').next());
    for cause in causes.flat_map(|causes| causes.split('|')) {
        assert!(body.contains(&format!("{{cause=\"{cause}\"}}")), "there is no cause {cause}");
    }
}

#[test]
fn every_panel_asks_the_source_that_the_user_chooses() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|variable| {
        variable["name"] == "datasource"
            && variable["type"] == "datasource"
            && variable["query"] == "prometheus"
    }));
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{} is not unique", panel["id"]);
        let targets = panel["targets"].as_array().into_iter().flatten();
        let sources = targets.clone().map(|target| &target["datasource"]["uid"]);
        assert!(sources.into_iter().all(|uid| uid == "${datasource}"), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let selected = query.matches("{instance=~\"$instance\"").count();
            assert_eq!(names(query).count(), selected, "{query}");
        }
    }
}
