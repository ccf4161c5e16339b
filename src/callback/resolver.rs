//! Resolving hosts to addresses that the tenant's policy allows.

use std::net::{IpAddr, SocketAddr};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver as DnsResolver, TokioResolver};

use super::error::{CallbackError, SetupError};
use crate::domain::callback::{Endpoint, EndpointHost, HostPolicy};

/// Lookups in progress with one DNS server over one connection; further ones wait.
const MAX_LOOKUPS: usize = 256;

/// An address that a policy allows. Only these are connected to.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckedAddress(SocketAddr);

impl CheckedAddress {
    pub(super) fn get(self) -> SocketAddr {
        self.0
    }
}

/// Resolves names.
pub(super) struct Resolver(TokioResolver);

impl Resolver {
    /// With these DNS servers, or with those of the system if there are none.
    pub(super) fn new(nameservers: &[SocketAddr]) -> Result<Self, SetupError> {
        let builder = match nameservers {
            [] => DnsResolver::builder_tokio().map_err(SetupError::Resolver)?,
            servers => {
                let servers = servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_parts(None, Vec::new(), servers);
                DnsResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let mut builder = builder;
        let options: &mut ResolverOpts = builder.options_mut();
        options.max_active_requests = MAX_LOOKUPS;
        Ok(Self(builder.build().map_err(SetupError::Resolver)?))
    }

    /// The addresses of an endpoint's host.
    ///
    /// # Errors
    /// The name has no address, or the policy refuses any of them: a name that also has a forbidden address is an attempt to
    /// reach it.
    pub(super) async fn resolve(
        &self,
        endpoint: &Endpoint,
        policy: &HostPolicy,
    ) -> Result<Vec<CheckedAddress>, CallbackError> {
        let addresses: Vec<IpAddr> = match &endpoint.host {
            EndpointHost::Address(address) => vec![*address],
            EndpointHost::Name(name) => match self.lookup(name).await {
                Ok(addresses) => addresses,
                Err(error) if error.is_no_records_found() => Vec::new(),
                Err(error) => {
                    return Err(CallbackError::Resolve { endpoint: endpoint.clone(), source: error.into() });
                }
            },
        };
        if addresses.is_empty() {
            return Err(CallbackError::NoAddress { endpoint: endpoint.clone() });
        }
        let check = |address: IpAddr| match policy.check_address(endpoint, address) {
            Ok(()) => Ok(CheckedAddress(SocketAddr::new(address.to_canonical(), endpoint.port))),
            Err(refusal) => Err(CallbackError::Refused(refusal)),
        };
        addresses.into_iter().map(check).collect()
    }

    /// Looks up a name as it is, without search domains: they would lead to the operator's own namespace first.
    async fn lookup(&self, name: &str) -> Result<Vec<IpAddr>, NetError> {
        let mut name = Name::from_utf8(name)?;
        name.set_fqdn(true);
        Ok(self.0.lookup_ip(name).await?.iter().collect())
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}
