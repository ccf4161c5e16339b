//! The commands for approvals, as far as they work without a cluster.

use super::{Folder, topic};

#[test]
fn decisions_need_a_resource_and_a_cluster() {
    let folder = Folder::with(&[(
        "two.yaml",
        &format!("{}---\n{}", topic("{}"), topic("{}").replace("orders", "users")),
    )]);
    for command in ["diff", "approve", "reject", "withdraw", "approvals"] {
        let (code, _, err) = folder.run(command, "");
        assert!(code == 2 && err.contains("<KIND NAME>"), "{command}: {err}");
    }
    for (command, code, named) in [
        ("diff EventTopic", 2, "write KIND NAME or KIND/NAME, such as EventTopic orders"),
        ("approve secret/orders", 2, "secret is not a kind with approvals: use EventTopic"),
        ("approve etopic/orders --hash abc", 2, "a hash has 64 hexadecimal digits"),
        ("approve etopic/orders --action Destroy", 2, "--action <ACTION>"),
        ("approve etopic/orders --wait soon", 2, "write a number and its unit"),
        ("pending -A -n shop", 2, "cannot be used with"),
        ("pending -o xml", 2, "--output <FORMAT>"),
        ("pending --as-group leads", 2, "--as <USER>"),
        ("pending --kubeconfig nowhere", 2, "no configuration to reach Kubernetes"),
        ("diff -f nowhere.yaml", 2, "reading nowhere.yaml: No such file"),
        ("diff -f two.yaml", 2, "several manifests match: name one resource"),
        ("diff etopic/gone -f two.yaml", 2, "two.yaml: there is no EventTopic gone in it"),
        ("diff etopic/users -f two.yaml -n x", 2, "metadata.namespace is shop, but --namespace is x"),
    ] {
        let (found, out, err) = folder.run(command, "");
        assert_eq!((found, out.as_str()), (code, ""), "{command}: {err}");
        assert!(err.contains(named), "{command}: {err}");
    }
}

#[test]
fn help_tells_examples_and_exit_codes() {
    for command in ["pending", "diff", "approve", "reject", "withdraw", "approvals"] {
        let (code, out, _) = Folder::with(&[]).run(&format!("{command} --help"), "");
        assert!(
            code == 0 && out.contains(&format!("  eventctl {command} ")) && out.contains("Exit codes"),
            "{out}"
        );
    }
}
