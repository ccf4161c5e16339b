//! The hosts that a tenant may call.

use core::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use eventcenter_sdk::{Reason, TenantName};
use url::Url;

use super::address::canonical;
use super::{AddressClass, Endpoint, EndpointHost, HostPattern, classify};
use crate::domain::refusal::Refusal;

/// The field of a Tenant that lists the hosts.
const FIELD: &str = "spec.callbacks.hosts";

/// The hosts that a tenant may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    tenant: TenantName,
    /// `None`: all public hosts.
    listed: Option<Arc<[HostPattern]>>,
}

impl HostPolicy {
    /// The policy of a tenant, from `spec.callbacks.hosts`. Without entries it allows all public hosts.
    ///
    /// # Errors
    /// `InvalidResource` for an entry that is none.
    pub fn of(tenant: &TenantName, hosts: &[String]) -> Result<Self, Refusal> {
        let parse = |(index, text): (usize, &String)| {
            text.parse().map_err(|error: super::InvalidHostPattern| {
                Refusal::at(Reason::InvalidResource, format!("{FIELD}[{index}]"), error.to_string())
            })
        };
        let listed: Arc<[HostPattern]> = hosts.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { tenant: tenant.clone(), listed: (!listed.is_empty()).then_some(listed) })
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// Checks a URL, as far as that is possible without resolving its name. `field` is the path of the field with the URL.
    ///
    /// # Errors
    /// `InvalidResource` if the URL cannot be called, `HostNotAllowed` if the tenant may not call its host. The message contains
    /// neither path nor query of the URL, which may be secrets.
    pub fn check_url(&self, field: &str, url: &Url) -> Result<Endpoint, Refusal> {
        let endpoint = Endpoint::of(field, url)?;
        self.check_host(&endpoint).map_err(|detail| Refusal::at(Reason::HostNotAllowed, field, detail))?;
        Ok(endpoint)
    }

    /// Checks an address of the endpoint's host before it is connected to.
    ///
    /// # Errors
    /// `HostNotAllowed` if the tenant may not call the address.
    pub fn check_address(&self, endpoint: &Endpoint, address: IpAddr) -> Result<(), Refusal> {
        self.check_resolved(endpoint, address).map_err(|detail| Refusal::new(Reason::HostNotAllowed, detail))
    }

    fn check_host(&self, endpoint: &Endpoint) -> Result<(), String> {
        let name = match &endpoint.host {
            EndpointHost::Address(address) => return self.check_resolved(endpoint, *address),
            EndpointHost::Name(name) => name,
        };
        // RFC 6761: these names have loopback addresses, whatever a server answers.
        if name == "localhost" || name.ends_with(".localhost") {
            return self.check_resolved(endpoint, Ipv4Addr::LOCALHOST.into());
        }
        let Some(listed) = &self.listed else { return Ok(()) };
        // Where addresses are listed, the name may resolve to one of them.
        if listed.iter().any(|pattern| {
            pattern.matches_name(name, endpoint.port) || pattern.lists_addresses(endpoint.port)
        }) {
            return Ok(());
        }
        Err(format!("tenant {} may not call {endpoint}: {}", self.tenant, self.remedy(name)))
    }

    fn check_resolved(&self, endpoint: &Endpoint, address: IpAddr) -> Result<(), String> {
        let address = canonical(address);
        let class = classify(address);
        let name = match &endpoint.host {
            EndpointHost::Name(name) => Some(name),
            EndpointHost::Address(_) => None,
        };
        let by_name = match &self.listed {
            None if class == AddressClass::Public => return Ok(()),
            None => false,
            Some(listed) => {
                if listed.iter().any(|pattern| pattern.matches_address(address, endpoint.port)) {
                    return Ok(());
                }
                name.is_some_and(|name| {
                    listed.iter().any(|pattern| pattern.matches_name(name, endpoint.port))
                })
            }
        };
        let may_be_listed_by_name = matches!(class, AddressClass::Public | AddressClass::Private);
        if by_name && may_be_listed_by_name {
            return Ok(());
        }
        let entry = match name {
            Some(name) if may_be_listed_by_name => name.clone(),
            _ => address.to_string(),
        };
        let subject = match name {
            Some(name) => format!("{name} resolves to {address}, {class}"),
            None => format!("{address} is {class}"),
        };
        let tenant = &self.tenant;
        let rule = match self.listed.as_deref() {
            None => format!("tenant {tenant}, which lists no hosts, may call public addresses only"),
            Some(_) if by_name => "a listed name allows public and private addresses only".to_owned(),
            Some(listed) => match listed.iter().find(|pattern| pattern.contains(address, endpoint.port)) {
                Some(wide) => {
                    format!(
                        "{wide} does not list it, because that network also has addresses of another kind"
                    )
                }
                None => format!("tenant {tenant} does not list it for port {}", endpoint.port),
            },
        };
        Err(format!("{subject}, and {rule}: {}", self.remedy(&entry)))
    }

    /// What to do to call a host that is not allowed.
    fn remedy(&self, entry: &str) -> String {
        let rest = match self.listed {
            Some(_) => "",
            None => ", which then must list all hosts that the tenant calls",
        };
        format!(
            "use another host, or ask the platform's administrator to add {entry} to {FIELD} of Tenant {}{rest}",
            self.tenant
        )
    }
}
