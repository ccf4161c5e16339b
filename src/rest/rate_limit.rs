//! Rate limits per client.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;

/// Maximum number of clients with a limit of their own. Further clients share one limit, which bounds the memory.
const MAX_CLIENTS: usize = 10_000;

/// The client whose requests are limited.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// An authenticated user.
    User(String),
    /// A client that is not authenticated, by its network.
    Address(Network),
    /// Clients without an address, and those beyond [`MAX_CLIENTS`].
    Other,
}

/// An IPv4 address, or the first 64 bits of an IPv6 address: a client chooses the others itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(u128);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into()),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

type Clients<C> =
    governor::RateLimiter<Client, DefaultKeyedStateStore<Client>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Limits the rate of requests of each client.
#[derive(Debug)]
pub(super) struct RateLimiter<C: Clock = DefaultClock> {
    clients: Clients<C>,
    clock: C,
}

impl RateLimiter {
    /// Allows `rate` requests per second, and bursts of that many.
    pub(super) fn per_second(rate: NonZeroU32) -> Self {
        Self::with(Quota::per_second(rate), DefaultClock::default())
    }

    /// Allows `rate` requests per minute, and bursts of that many.
    pub(super) fn per_minute(rate: NonZeroU32) -> Self {
        Self::with(Quota::per_minute(rate), DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimiter<C> {
    fn with(quota: Quota, clock: C) -> Self {
        let clients = governor::RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
        Self { clients, clock }
    }

    /// Counts a request. The error is the time until the next one is allowed.
    pub(super) fn check(&self, client: &Client) -> Result<(), Duration> {
        let mut is_full = self.clients.len() >= MAX_CLIENTS;
        if is_full {
            // Drops clients whose limit is fully replenished, which does not change what they may send.
            self.clients.retain_recent();
            is_full = self.clients.len() >= MAX_CLIENTS;
        }
        let client = if is_full { &Client::Other } else { client };
        self.clients.check_key(client).map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(rate: u32) -> (RateLimiter<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (RateLimiter::with(Quota::per_second(NonZeroU32::new(rate).unwrap()), clock.clone()), clock)
    }

    fn user(number: usize) -> Client {
        Client::User(format!("user-{number}"))
    }

    #[test]
    fn each_client_has_its_own_limit() {
        let (limit, clock) = limit(2);
        for client in [user(1), user(2), Client::Address("192.0.2.1".parse::<IpAddr>().unwrap().into())] {
            assert_eq!((limit.check(&client), limit.check(&client)), (Ok(()), Ok(())));
            assert_eq!(limit.check(&client), Err(Duration::from_millis(500)));
        }
        clock.advance(Duration::from_millis(500));
        assert_eq!(limit.check(&user(1)), Ok(()));
        assert!(limit.check(&user(1)).is_err());
    }

    #[test]
    fn the_number_of_clients_is_bounded() {
        let (limit, clock) = limit(5);
        let refused = (0..MAX_CLIENTS + 1_000).filter(|number| limit.check(&user(*number)).is_err()).count();
        assert_eq!(refused, 1_000 - 5, "clients beyond the maximum share one limit");
        assert!(limit.clients.len() <= MAX_CLIENTS + 1);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.check(&user(1_000_000)), Ok(()));
        assert!(limit.clients.len() <= 2, "idle clients are dropped");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }
}
