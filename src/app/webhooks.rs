//! `eventcenter webhooks`: prints the webhook configurations and the ValidatingAdmissionPolicies.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;

use super::config::{NamespacedName, Webhooks};
use crate::webhook::manifest::{self, Address, Wanted};

pub(super) fn webhooks(arguments: &Webhooks) -> ExitCode {
    match write(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "eventcenter: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &Webhooks) -> anyhow::Result<()> {
    let address = match &arguments.url {
        Some(url) => {
            let origin = url.trim_end_matches('/');
            let host = origin.strip_prefix("https://");
            if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@'])) {
                anyhow::bail!(
                    "--url {url}: a webhook has scheme, host and port only, because its replicas write the path. Write \
                     https://HOST:PORT"
                );
            }
            Address::Url(origin.to_owned())
        }
        None => {
            let NamespacedName { namespace, name } = arguments.service.clone();
            Address::Service { namespace, name }
        }
    };
    let certificate =
        arguments.cert_manager.as_ref().map(|place| format!("{}/{}", place.namespace, place.name));
    let wanted = Wanted { name: arguments.name.clone(), address, certificate };
    let mut documents = manifest::configurations(&wanted);
    if !arguments.no_policies {
        documents.extend(manifest::policies());
    }
    for document in documents {
        let text = serde_yaml::to_string(&document).context("writing YAML")?;
        std::io::stdout().write_all(format!("---\n{text}").as_bytes()).context("printing")?;
    }
    Ok(())
}
