//! The pod template of a container target: what Kubernetes accepts, and what a tenant may ask for.

use std::collections::BTreeSet;

use eventcenter_sdk::Reason;
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec, Volume};
use serde_json::Value;

use super::reference::{Reference, references_of};
use super::tenant_rules::TaskRules;
use crate::domain::Refusal;

/// Parses a pod template strictly: a misspelt field is refused instead of ignored.
///
/// # Errors
/// The value is no pod template, or has a field that Kubernetes 1.33 does not have.
pub fn parse_template(field: &str, template: &Value) -> Result<PodTemplateSpec, Refusal> {
    let invalid = |detail: String| Refusal::at(Reason::InvalidResource, field, detail);
    let parsed: PodTemplateSpec = serde_json::from_value(template.clone())
        .map_err(|error| invalid(format!("is no pod template: {error}; write it as in a Kubernetes Job")))?;
    let printed = serde_json::to_value(&parsed)
        .map_err(|error| invalid(format!("cannot be written as JSON: {error}")))?;
    match unknown_field(template, &printed) {
        Some(path) => Err(Refusal::at(
            Reason::InvalidResource,
            format!("{field}{path}"),
            "is no field of a pod template: correct or remove it",
        )),
        None => Ok(parsed),
    }
}

/// The path of the first field that is in the declared value and not in the one that was parsed from it.
fn unknown_field(declared: &Value, parsed: &Value) -> Option<String> {
    match (declared, parsed) {
        (Value::Object(declared), Value::Object(parsed)) => declared.iter().find_map(|(key, value)| {
            let is_empty = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            };
            match parsed.get(key) {
                _ if is_empty => None,
                None => Some(format!(".{key}")),
                Some(parsed) => unknown_field(value, parsed).map(|path| format!(".{key}{path}")),
            }
        }),
        (Value::Array(declared), Value::Array(parsed)) => {
            declared.iter().zip(parsed).enumerate().find_map(|(index, (declared, parsed))| {
                unknown_field(declared, parsed).map(|path| format!("[{index}]{path}"))
            })
        }
        _ => None,
    }
}

/// Checks a pod template by the rules for every tenant and those of this one.
///
/// # Errors
/// The first field that breaks a rule.
pub fn check_template(field: &str, template: &PodTemplateSpec, rules: &TaskRules) -> Result<(), Refusal> {
    let field = format!("{field}.spec");
    let invalid = |path: &str, detail: &str| {
        Err(Refusal::at(Reason::InvalidResource, format!("{field}.{path}"), detail.to_owned()))
    };
    let forbidden =
        |path: &str, detail: String| Err(Refusal::at(Reason::Forbidden, format!("{field}.{path}"), detail));
    let Some(spec) = &template.spec else { return invalid("containers", "is missing: declare a container") };
    if spec.containers.is_empty() {
        return invalid("containers", "is empty: declare a container");
    }
    if !matches!(spec.restart_policy.as_deref(), None | Some("Never" | "OnFailure")) {
        return invalid("restartPolicy", "the pods of a task end: write Never or OnFailure");
    }
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        return invalid("ephemeralContainers", "a template cannot have any: remove them");
    }
    for (path, is_set) in
        [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)]
    {
        if is_set == Some(true) {
            return forbidden(path, "a task has no access to its host: remove it".into());
        }
    }
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        if volume.host_path.is_some() {
            return forbidden(
                &format!("volumes[{index}].hostPath"),
                "a task has no access to its host: use another kind of volume".into(),
            );
        }
    }
    let account = spec.service_account_name.as_deref().or(spec.service_account.as_deref());
    if let Some(account) = account.filter(|account| !rules.allows_service_account_of_pod(account)) {
        return forbidden(
            "serviceAccountName",
            format!(
                "tenant {} does not list the ServiceAccount {account}: remove it, or ask the platform's administrator \
                 to add it to spec.tasks.serviceAccounts of the Tenant",
                rules.tenant
            ),
        );
    }
    for (path, container) in containers(spec) {
        check_container(&format!("{field}.{path}"), container, rules)?;
    }
    Ok(())
}

fn check_container(field: &str, container: &Container, rules: &TaskRules) -> Result<(), Refusal> {
    let security = container.security_context.as_ref();
    if security.is_some_and(|security| security.privileged == Some(true)) {
        return Err(Refusal::at(
            Reason::Forbidden,
            format!("{field}.securityContext.privileged"),
            "a task has no access to its host: remove it",
        ));
    }
    let has_host_port =
        container.ports.iter().flatten().any(|port| port.host_port.is_some_and(|port| port != 0));
    if has_host_port {
        return Err(Refusal::at(
            Reason::Forbidden,
            format!("{field}.ports"),
            "a task has no port of its host: remove hostPort",
        ));
    }
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() {
        return Err(Refusal::at(
            Reason::InvalidResource,
            format!("{field}.image"),
            "is missing: name an image",
        ));
    }
    if !rules.allows_image(image) {
        return Err(Refusal::at(
            Reason::Forbidden,
            format!("{field}.image"),
            format!(
                "tenant {} may not use the image {image}: use one that matches {}, or ask the platform's administrator \
                 to add it to spec.tasks.images of the Tenant",
                rules.tenant,
                rules.images.join(", ")
            ),
        ));
    }
    Ok(())
}

/// All containers with their paths within the pod's spec.
fn containers(spec: &PodSpec) -> impl Iterator<Item = (String, &Container)> {
    let init = spec.init_containers.iter().flatten().enumerate();
    let init = init.map(|(index, container)| (format!("initContainers[{index}]"), container));
    let main = spec.containers.iter().enumerate();
    init.chain(main.map(|(index, container)| (format!("containers[{index}]"), container)))
}

/// The texts of a pod that may contain references, with their paths.
fn texts(spec: &PodSpec) -> impl Iterator<Item = (String, &String)> {
    containers(spec).flat_map(|(path, container)| {
        let lists = [("command", &container.command), ("args", &container.args)];
        let words = lists.into_iter().flat_map(|(name, list)| {
            list.iter().flatten().enumerate().map(move |(index, word)| (format!("{name}[{index}]"), word))
        });
        let env =
            container.env.iter().flatten().filter_map(|variable| {
                Some((format!("env[{}].value", variable.name), variable.value.as_ref()?))
            });
        words.chain(env).map(move |(name, text)| (format!("{path}.{name}"), text))
    })
}

/// Replaces the texts of a pod that may contain references.
pub fn replace_texts(spec: &mut PodSpec, replace: impl Fn(&str) -> String) {
    let init = spec.init_containers.iter_mut().flatten();
    for container in init.chain(&mut spec.containers) {
        let words = [&mut container.command, &mut container.args].into_iter().flatten().flatten();
        words.for_each(|word| *word = replace(word));
        let values = container.env.iter_mut().flatten().filter_map(|variable| variable.value.as_mut());
        values.for_each(|value| *value = replace(value));
    }
}

/// The references in a pod template.
///
/// # Errors
/// A reference names a property that does not exist, or one of an event outside of `env`.
pub fn references(field: &str, template: &PodTemplateSpec) -> Result<BTreeSet<Reference>, Refusal> {
    let mut all = BTreeSet::new();
    for (path, text) in template.spec.iter().flat_map(texts) {
        let field = format!("{field}.spec.{path}");
        let references = references_of(&field, text)?;
        let of_event = references.iter().find(|reference| matches!(reference, Reference::Event(_)));
        if let Some(reference) = of_event.filter(|_| !path.contains(".env[")) {
            return Err(Refusal::at(
                Reason::Forbidden,
                field,
                format!(
                    "{reference} is allowed in values of env only, because a shell would execute what others write into an event: \
                     declare a variable with it, and use that"
                ),
            ));
        }
        all.extend(references);
    }
    Ok(all)
}

/// A value as Kubernetes leaves it: `$(NAME)` in `command`, `args` and `env` would be a variable of the container, such as a Secret.
#[must_use]
pub fn escape(value: &str) -> String {
    value.replace('$', "$$")
}

/// The Secrets whose values a pod can print: those of its environment and its volumes.
#[must_use]
pub fn secrets(template: &PodTemplateSpec) -> BTreeSet<&str> {
    let Some(spec) = &template.spec else { return BTreeSet::new() };
    let of_containers = containers(spec).flat_map(|(_, container)| {
        let from =
            container.env_from.iter().flatten().filter_map(|from| Some(&*from.secret_ref.as_ref()?.name));
        let env = container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| Some(&*variable.value_from.as_ref()?.secret_key_ref.as_ref()?.name));
        from.chain(env)
    });
    of_containers.chain(spec.volumes.iter().flatten().flat_map(secrets_of_volume)).collect()
}

fn secrets_of_volume(volume: &Volume) -> impl Iterator<Item = &str> {
    let secret = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_deref());
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    secret.into_iter().chain(projected.filter_map(|source| Some(&*source.secret.as_ref()?.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::testing::rules_of;
    use expect_test::{Expect, expect};

    const RULES: &str = "{images: ['registry.example.com/shop/*', busybox], serviceAccounts: [batch]}";

    fn check(rules: &str, spec: &str, expected: Expect) {
        let template = serde_yaml::from_str(&format!("{{spec: {spec}}}")).expect("YAML");
        let rules = rules_of(rules);
        let result = parse_template("spec.target.container.template", &template)
            .and_then(|template| check_template("spec.target.container.template", &template, &rules));
        expected.assert_eq(&result.map_or_else(|refusal| refusal.to_string(), |()| "allowed".into()));
    }

    #[test]
    fn a_template_within_the_rules_is_allowed() {
        check("{}", "{containers: [{name: a, image: x}]}", expect!["allowed"]);
        check(
            RULES,
            "{serviceAccountName: batch, initContainers: [{name: i, image: busybox}], containers: [{name: a, image: 'registry.example.com/shop/a:1'}]}",
            expect!["allowed"],
        );
        check(
            "{}",
            "{serviceAccountName: default, volumes: [], containers: [{name: a, image: x}]}",
            expect!["allowed"],
        );
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        check(
            "{}",
            "{containers: [{name: a, image: x, comand: [ls]}]}",
            expect![
                "InvalidResource: spec.target.container.template.spec.containers[0].comand: is no field of a pod template: correct or remove it"
            ],
        );
        check(
            "{}",
            "{containers: [{name: a, image: 1}]}",
            expect![
                "InvalidResource: spec.target.container.template: is no pod template: invalid type: integer `1`, expected a string; write it as in a Kubernetes Job"
            ],
        );
        check(
            "{}",
            "{containers: []}",
            expect![
                "InvalidResource: spec.target.container.template.spec.containers: is empty: declare a container"
            ],
        );
    }

    #[test]
    fn access_to_the_host_and_to_unlisted_accounts_and_images_is_refused() {
        let with = |more: &str| format!("{{containers: [{{name: a, image: busybox}}], {more}}}");
        for (more, expected) in [
            (
                "hostNetwork: true",
                expect![
                    "Forbidden: spec.target.container.template.spec.hostNetwork: a task has no access to its host: remove it"
                ],
            ),
            (
                "hostPID: true",
                expect![
                    "Forbidden: spec.target.container.template.spec.hostPID: a task has no access to its host: remove it"
                ],
            ),
            (
                "hostIPC: true",
                expect![
                    "Forbidden: spec.target.container.template.spec.hostIPC: a task has no access to its host: remove it"
                ],
            ),
            (
                "volumes: [{name: v, hostPath: {path: /}}]",
                expect![
                    "Forbidden: spec.target.container.template.spec.volumes[0].hostPath: a task has no access to its host: use another kind of volume"
                ],
            ),
            (
                "serviceAccountName: admin",
                expect![
                    "Forbidden: spec.target.container.template.spec.serviceAccountName: tenant shop does not list the ServiceAccount admin: remove it, or ask the platform's administrator to add it to spec.tasks.serviceAccounts of the Tenant"
                ],
            ),
            (
                "serviceAccount: admin",
                expect![
                    "Forbidden: spec.target.container.template.spec.serviceAccountName: tenant shop does not list the ServiceAccount admin: remove it, or ask the platform's administrator to add it to spec.tasks.serviceAccounts of the Tenant"
                ],
            ),
            (
                "initContainers: [{name: i, image: evil}]",
                expect![
                    "Forbidden: spec.target.container.template.spec.initContainers[0].image: tenant shop may not use the image evil: use one that matches registry.example.com/shop/*, busybox, or ask the platform's administrator to add it to spec.tasks.images of the Tenant"
                ],
            ),
            (
                "initContainers: [{name: i, image: busybox, securityContext: {privileged: true}}]",
                expect![
                    "Forbidden: spec.target.container.template.spec.initContainers[0].securityContext.privileged: a task has no access to its host: remove it"
                ],
            ),
            (
                "initContainers: [{name: i, image: busybox, ports: [{containerPort: 1, hostPort: 1}]}]",
                expect![
                    "Forbidden: spec.target.container.template.spec.initContainers[0].ports: a task has no port of its host: remove hostPort"
                ],
            ),
            (
                "restartPolicy: Always",
                expect![
                    "InvalidResource: spec.target.container.template.spec.restartPolicy: the pods of a task end: write Never or OnFailure"
                ],
            ),
        ] {
            check(RULES, &with(more), expected);
        }
    }

    #[test]
    fn secrets_of_environment_and_volumes_are_listed() {
        let template: PodTemplateSpec = serde_yaml::from_str(
            "{spec: {volumes: [{name: v, secret: {secretName: a}}, {name: p, projected: {sources: [{secret: {name: b}}]}}], containers: [{name: c, image: x, env: [{name: E, valueFrom: {secretKeyRef: {name: d, key: k}}}], envFrom: [{secretRef: {name: e}}]}]}}",
        )
        .expect("a template");
        assert_eq!(secrets(&template).into_iter().collect::<Vec<_>>(), ["a", "b", "d", "e"]);
    }

    #[test]
    fn an_event_is_in_the_environment_only() {
        let print = |container: &str| {
            let template = format!("{{spec: {{containers: [{{name: c, image: x, {container}}}]}}}}");
            let template: PodTemplateSpec = serde_yaml::from_str(&template).expect("a template");
            references("t", &template).map_or_else(|refusal| refusal.to_string(), |all| format!("{all:?}"))
        };
        expect!["{Event(Id)}"].assert_eq(&print("env: [{name: E, value: '$(event.id)'}]"));
        expect!["Forbidden: t.spec.containers[0].args[1]: $(event.id) is allowed in values of env only, because a shell would execute what others write into an event: declare a variable with it, and use that"].assert_eq(&print("args: ['-c', 'echo $(event.id)']"));
        assert_eq!(escape("a$(SECRET)$"), "a$$(SECRET)$$");
    }

    #[test]
    fn references_are_replaced_in_commands_and_environment_only() {
        let mut template: PodTemplateSpec = serde_yaml::from_str(
            "{spec: {containers: [{name: c, image: '$(params.a)', command: ['$(params.a)'], env: [{name: E, value: '$(run.id)'}]}]}}",
        )
        .expect("a template");
        let all = references("t", &template).expect("valid");
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["$(params.a)", "$(run.id)"]);
        let spec = template.spec.as_mut().expect("a spec");
        replace_texts(spec, |text| format!("<{text}>"));
        let container = &spec.containers[0];
        assert_eq!(container.image.as_deref(), Some("$(params.a)"));
        assert_eq!(container.command, Some(vec!["<$(params.a)>".into()]));
    }
}
