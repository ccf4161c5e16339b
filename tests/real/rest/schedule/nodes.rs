//! The replicas of the operator.

use serde_json::Value;

use super::fixture::{TaskServer, User};
use crate::support::MAX_WAIT;

#[test]
fn replicas_are_listed_with_their_heartbeats() {
    let server = TaskServer::shared();
    let nodes = |user: User| server.get(user, "/api/schedule/nodes");
    let deadline = std::time::Instant::now() + MAX_WAIT;
    loop {
        let data = nodes(User::Auditor).data();
        let items = data["items"].as_array().expect("nodes");
        let of = |role: &str| -> Vec<&Value> { items.iter().filter(|node| node["role"] == role).collect() };
        let (api, controllers, webhook) = (of("api"), of("controllers"), of("webhook"));
        let is_alive = |node: &Value| node["status"] == "Alive" && node["lastHeartbeat"].is_string();
        let is_complete =
            [&api, &controllers, &webhook].iter().all(|role| role.iter().any(|node| is_alive(node)))
                && controllers.iter().any(|node| node["isLeader"] == true);
        if is_complete {
            assert!(api.iter().chain(&webhook).all(|node| node["isLeader"] == false), "{data}");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{data}");
    }
    for user in [User::Developer, User::Outsider] {
        let answer = nodes(user);
        assert_eq!(answer.outcome(), (403, 40301, "Forbidden".into()));
        assert!(answer.text().contains("cannot list resource"), "{}", answer.text());
    }
}
