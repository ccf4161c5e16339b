//! How often somebody may ask.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// How many are counted apart. All others together are one: nobody fills the memory with names.
const APART: usize = 10_000;

/// Whom requests are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Asker {
    /// Somebody whom Kubernetes knows, by name.
    User(String),
    /// Whoever is behind an address, as long as nobody knows who that is.
    Address(Neighbourhood),
    /// Everybody for whom there is no room.
    Others,
}

/// An address of IPv4, or the 64 bits of one of IPv6 that a network is given: the others are its own to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Neighbourhood(u128);

impl From<IpAddr> for Neighbourhood {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(u32::from(address).into()),
            IpAddr::V6(address) => Self(u128::from(address) & !u128::from(u64::MAX)),
        }
    }
}

type Askers<C> = RateLimiter<Asker, DefaultKeyedStateStore<Asker>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts requests of many.
#[derive(Debug)]
pub(super) struct Limit<C: Clock = DefaultClock> {
    askers: Askers<C>,
    clock: C,
}

impl Limit {
    /// So many in a second, and as many at once.
    pub(super) fn per_second(most: NonZeroU32) -> Self {
        Self::with(Quota::per_second(most), DefaultClock::default())
    }

    /// So many in a minute, and as many at once.
    pub(super) fn per_minute(most: NonZeroU32) -> Self {
        Self::with(Quota::per_minute(most), DefaultClock::default())
    }
}

impl<C: Clock + Clone> Limit<C> {
    fn with(quota: Quota, clock: C) -> Self {
        let askers = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
        Self { askers, clock }
    }

    /// Counts a request. The error is how long to wait before the next one.
    pub(super) fn count(&self, asker: &Asker) -> Result<(), Duration> {
        let mut full = self.askers.len() >= APART;
        if full {
            // Whoever has not asked for a while is as one who never has.
            self.askers.retain_recent();
            full = self.askers.len() >= APART;
        }
        let asker = if full { &Asker::Others } else { asker };
        self.askers.check_key(asker).map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limit(most: u32) -> (Limit<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (Limit::with(Quota::per_second(NonZeroU32::new(most).unwrap()), clock.clone()), clock)
    }

    fn user(number: usize) -> Asker {
        Asker::User(format!("user-{number}"))
    }

    #[test]
    fn each_asker_is_counted_apart() {
        let (limit, clock) = limit(2);
        for asker in [user(1), user(2), Asker::Address("192.0.2.1".parse::<IpAddr>().unwrap().into())] {
            assert_eq!((limit.count(&asker), limit.count(&asker)), (Ok(()), Ok(())));
            assert_eq!(limit.count(&asker), Err(Duration::from_millis(500)));
        }
        clock.advance(Duration::from_millis(500));
        assert_eq!(limit.count(&user(1)), Ok(()));
        assert!(limit.count(&user(1)).is_err());
    }

    #[test]
    fn names_do_not_fill_the_memory() {
        let (limit, clock) = limit(5);
        let refused = (0..APART + 1_000).filter(|number| limit.count(&user(*number)).is_err()).count();
        assert_eq!(refused, 1_000 - 5, "those for whom there is no room share what one has");
        assert!(limit.askers.len() <= APART + 1);
        clock.advance(Duration::from_secs(10));
        assert_eq!(limit.count(&user(1_000_000)), Ok(()));
        assert!(limit.askers.len() <= 2, "whoever is quiet is forgotten");
    }

    #[test]
    fn a_network_of_ipv6_is_one() {
        let of = |text: &str| Neighbourhood::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:1:3::3"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }
}
