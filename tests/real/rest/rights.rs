//! The role `api` alone, as an account that has the rights of `eventcenter-api` in `dev/operator-rbac.yaml` and no others.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use xtask::kubectl::NAMESPACE;
use xtask::test_environment::TestEnvironment;

use super::http;
use super::server::{SIGNED, apply, fill, kubectl, start_as, token, users};
use super::tls::{get as get_over_tls, issue_certificate, replace_secret_data};
use crate::support::unique;

/// The roles, and the Secret that they are for.
const NAME: &str = "eventcenter-api";

const GROUP: &str = "rbac.authorization.k8s.io";

/// Creates a ServiceAccount in the operator's namespace with these Roles and ClusterRoles. Returns its name and its kubeconfig.
fn account(folder: &Path, rules: &[(&str, &str)]) -> (String, PathBuf) {
    let name = format!("api-{}", unique());
    let subjects = json!([{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]);
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": NAMESPACE}}),
    ];
    objects.extend(rules.iter().map(|(kind, role)| {
        let reference = json!({"apiGroup": GROUP, "kind": kind, "name": role});
        let (bound, metadata) = match *kind {
            "Role" => ("RoleBinding", json!({"name": name, "namespace": NAMESPACE})),
            _ => ("ClusterRoleBinding", json!({"name": name})),
        };
        json!({"apiVersion": format!("{GROUP}/v1"), "kind": bound, "metadata": metadata, "roleRef": reference, "subjects": subjects})
    }));
    apply(&objects);
    let environment = TestEnvironment::get().expect("the environment");
    let kubeconfig = std::fs::read(&environment.operator_kubeconfig).expect("the operator's kubeconfig");
    let mut kubeconfig: Value = serde_json::from_slice(&kubeconfig).expect("JSON");
    kubeconfig["users"][0]["user"] = json!({"token": token(NAMESPACE, &name)});
    let file = folder.join(format!("{name}.kubeconfig"));
    std::fs::write(&file, kubeconfig.to_string()).expect("the file is written");
    (name, file)
}

#[test]
fn the_documented_rights_are_enough_and_each_is_needed() {
    let users = users();
    let data = fill(users);
    let folder = data.folder.path();
    let issued = issue_certificate();
    replace_secret_data(NAME, &[("tls.crt", &issued.certificate), ("tls.key", &issued.key)]);
    let headers = |token: &str| [("Authorization", format!("Bearer {token}"))];
    let get = |port: u16, token: &str, path: &str| {
        let headers = headers(token);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        get_over_tls(port, &issued.authority, path, &headers).expect("the certificate is trusted")
    };

    // With all rights every request succeeds.
    let (name, kubeconfig) = account(folder, &[("ClusterRole", NAME), ("Role", NAME)]);
    let (operator, port) = start_as(&kubeconfig, folder, &["--api-tls-secret", NAME], true);
    let logs = "/api/audit/logs?limit=1";
    assert_eq!(get(port, &users.shopper, logs).data()["items"].as_array().map(Vec::len), Some(1));
    let of_bank = format!("/api/audit/logs?tenant={}", users.bank);
    assert_eq!(get(port, &users.auditor, &of_bank).status, 200);
    assert_eq!(get(port, &users.shopper, &of_bank).status, 403);
    assert_eq!(get(port, "garbage", logs).status, 401);
    let signed = get(port, &users.reader, "/api/audit/checkpoints").data();
    assert!(signed["keys"].as_array().is_some_and(|keys| !keys.is_empty()), "{signed}");
    assert_eq!(signed["items"].as_array().map(Vec::len), Some(SIGNED.len()), "{signed}");
    let record = get(port, &users.reader, &format!("/api/audit/logs/{}", data.shop[0])).data();
    assert!(record["proof"]["checkpoint"].is_string(), "{record}");
    let exported = get(port, &users.shopper, "/api/audit/logs/export").text();
    assert!(exported.trim_end().lines().last().is_some_and(|line| line.starts_with("{\"end\"")));
    assert_eq!(get(port, &users.shopper, "/readyz").status, 200);
    let log = operator.output().expect("its log");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert!(operator.stop().expect("the operator stops").success());

    // The roles grant no other rights.
    let user = format!("system:serviceaccount:{NAMESPACE}:{name}");
    let may = |verb: &str, resource: &str| {
        let arguments = ["auth", "can-i", verb, resource, "-n", NAMESPACE, "--as", &user];
        // kubectl fails if the answer is no.
        kubectl().run(&arguments).is_ok()
    };
    assert!(may("get", "secret/eventcenter-api"));
    for (verb, resource) in [
        ("get", "secret/eventcenter-seal-audit"),
        ("list", "secrets"),
        ("get", "configmap/other"),
        ("patch", "configmap/eventcenter-seals"),
        ("get", "eventtopics.eventcenter.io"),
        ("create", "serviceaccounts"),
    ] {
        assert!(!may(verb, resource), "{verb} {resource}");
    }

    // Without the Role neither the certificate nor the keys for checkpoints can be read, and without the ClusterRole no user can be
    // authenticated. The log reports both.
    let (_, kubeconfig) = account(folder, &[("ClusterRole", NAME)]);
    let (operator, port) = start_as(&kubeconfig, folder, &[], true);
    let plain = |token: &str, path: &str| {
        let headers = headers(token);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        http::send(port, "GET", path, &headers)
    };
    assert_eq!(plain(&users.shopper, logs).status, 200);
    assert_eq!(plain(&users.shopper, "/api/audit/checkpoints").outcome().2, "AuditUnavailable");
    assert!(operator.output().expect("its log").contains("cannot get resource \"configmaps\""));
    let (_, kubeconfig) = account(folder, &[("Role", NAME)]);
    drop(operator);
    let (operator, port) = start_as(&kubeconfig, folder, &["--api-tls-secret", NAME], true);
    assert_eq!(get(port, &users.shopper, logs).outcome().2, "AuditUnavailable");
    assert!(operator.output().expect("its log").contains("cannot create resource \"tokenreviews\""));
}
