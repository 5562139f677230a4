//! The addresses of clients, and the number of connections from each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use ipnet::{IpNet, Ipv6Net};

use crate::config::Config;
use crate::server::capacity::{capacity_to_keep, is_loose};
use crate::server::limits::rate::Arrivals;
use crate::server::time::wheel::Timestamp;

/// The number of connections over the limit that get a response. Further ones are dropped without a
/// response, so that refusing them does not use up what the limit protects.
const ANSWERED_BEYOND: u32 = 16;

/// The number of new connections that a failed TLS handshake counts as. It costs the server a signature, and
/// brings nobody in.
const FAILED_HANDSHAKE: u32 = 10;

/// The number of addresses below which unused ones are not removed.
const MIN_SWEEP: usize = 1024;

/// The address of a client: an IPv4 address, or an IPv6 /64 network, because that is what one subscriber
/// gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(NonZeroU64);

impl AddressKey {
    pub(crate) fn of(address: IpAddr) -> Self {
        let bits = match address.to_canonical() {
            // No IPv6 address that is in use begins like this.
            IpAddr::V4(address) => 0xffff << 32 | u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// The IPv4 address, as a network of its own, or the IPv6 /64 network.
    pub(crate) fn network(self) -> IpNet {
        let bits = self.0.get();
        if bits >> 32 == 0xffff {
            return IpAddr::from(Ipv4Addr::from_bits(bits as u32)).into();
        }
        // No key is 0, so 1 stands for it.
        let bits = if self.0 == NonZeroU64::MIN { 0 } else { bits };
        Ipv6Net::new_assert(Ipv6Addr::from_bits(u128::from(bits) << 64), 64).into()
    }

    /// The key of a peer's address, if the limits per address apply to it.
    pub(crate) fn of_peer(address: IpAddr, config: &Config) -> Option<Self> {
        (!is_trusted_proxy(address, config)).then(|| Self::of(address))
    }
}

/// What happens to a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The connection is served.
    Admitted,
    /// The connection gets a response with the reason for its refusal.
    Refused,
    /// The connection gets no response.
    Dropped,
}

/// Whether a peer at this address is a trusted proxy.
pub(crate) fn is_trusted_proxy(address: IpAddr, config: &Config) -> bool {
    config.trusted_proxies.iter().any(|network| network.contains(&address.to_canonical()))
}

/// The connections of each address that has any, or had any recently.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    clients: HashMap<AddressKey, Connections>,
    /// The number of addresses after the last sweep.
    swept: usize,
}

#[derive(Debug, Default)]
struct Connections {
    connections: u32,
    arrivals: Arrivals,
}

impl Addresses {
    /// Counts one more connection, and decides whether it is served. A refused connection counts too,
    /// until it [leaves](Self::leave).
    pub(crate) fn enter(&mut self, key: AddressKey, now: Timestamp, config: &Config) -> Admission {
        self.sweep(now);
        let from_address = self.clients.entry(key).or_default();
        let max = config.connections.max_per_address;
        if from_address.connections >= max.saturating_add(ANSWERED_BEYOND) {
            return Admission::Dropped;
        }
        from_address.connections += 1;
        let fits = from_address.connections <= max;
        let max_new = config.connections.max_new_per_address_per_second;
        if fits && from_address.arrivals.admit(now, max_new) {
            Admission::Admitted
        } else {
            Admission::Refused
        }
    }

    /// Counts a failed TLS handshake as several new connections.
    pub(crate) fn charge_failed_handshake(
        &mut self,
        key: AddressKey,
        now: Timestamp,
        config: &Config,
    ) {
        if let Some(from_address) = self.clients.get_mut(&key) {
            let max_new = config.connections.max_new_per_address_per_second;
            from_address.arrivals.charge(FAILED_HANDSHAKE, now, max_new);
        }
    }

    /// Stops counting a connection.
    pub(crate) fn leave(&mut self, key: AddressKey) {
        if let Some(from_address) = self.clients.get_mut(&key) {
            from_address.connections -= 1;
        }
    }

    /// Removes unused addresses, if there are twice as many addresses as after the last sweep.
    fn sweep(&mut self, now: Timestamp) {
        if self.clients.len() >= MIN_SWEEP.max(2 * self.swept) {
            self.forget_left(now);
        }
    }

    fn forget_left(&mut self, now: Timestamp) {
        self.clients.retain(|_, from_address| {
            from_address.connections > 0 || !from_address.arrivals.are_over(now)
        });
        self.swept = self.clients.len();
    }

    /// Removes unused addresses and gives back their memory, if there are many more than the number of
    /// `clients`.
    pub(crate) fn trim(&mut self, clients: usize, now: Timestamp) {
        if self.are_loose(clients) {
            self.forget_left(now);
            self.clients.shrink_to(capacity_to_keep(self.clients.len()));
        }
    }

    /// Whether the capacity is much larger than the number of `clients`.
    pub(crate) fn are_loose(&self, clients: usize) -> bool {
        is_loose(self.clients.capacity(), clients)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(address: &str) -> AddressKey {
        AddressKey::of(address.parse().unwrap())
    }

    #[test]
    fn one_subscriber_is_one_address() {
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
    }

    #[test]
    fn the_limit_of_one_address_does_not_affect_others() {
        let mut config = Config::default();
        config.connections.max_per_address = 2;
        let now = Timestamp::default();
        let mut addresses = Addresses::default();
        let here = key("192.0.2.1");
        let there = key("192.0.2.2");
        let mut enter = |count| (0..count).map(|_| addresses.enter(here, now, &config)).last();
        assert_eq!(enter(2), Some(Admission::Admitted));
        assert_eq!(enter(ANSWERED_BEYOND), Some(Admission::Refused));
        assert_eq!(enter(1), Some(Admission::Dropped));
        assert_eq!(addresses.enter(there, now, &config), Admission::Admitted);
        (0..=ANSWERED_BEYOND).for_each(|_| addresses.leave(here));
        assert_eq!(addresses.enter(here, now, &config), Admission::Admitted);
    }

    #[test]
    fn failed_handshakes_leave_room_for_fewer_connections() {
        let config = Config::default();
        let here = key("192.0.2.1");
        let mut addresses = Addresses::default();
        let mut handshakes = 0;
        // For a minute, each connection fails its handshake at once.
        for step in 0..60_000 {
            let now = Timestamp::default().after(Duration::from_millis(step));
            if addresses.enter(here, now, &config) == Admission::Admitted {
                addresses.charge_failed_handshake(here, now, &config);
                handshakes += 1;
            }
            addresses.leave(here);
        }
        // A hundred connections without TLS would be admitted each second.
        assert!((500..700).contains(&handshakes), "{handshakes}");
        // Connections that were admitted together fail together.
        let now = Timestamp::default().after(Duration::from_secs(100));
        (0..100).for_each(|_| _ = addresses.enter(here, now, &config));
        (0..100).for_each(|_| addresses.charge_failed_handshake(here, now, &config));
        (0..100).for_each(|_| addresses.leave(here));
        let mut after =
            |seconds| addresses.enter(here, now.after(Duration::from_secs(seconds)), &config);
        assert_eq!([8, 11].map(&mut after), [Admission::Refused, Admission::Admitted]);
    }

    #[test]
    fn unused_addresses_are_removed() {
        let config = Config::default();
        let mut addresses = Addresses::default();
        let stays = key("192.0.2.1");
        addresses.enter(stays, Timestamp::default(), &config);
        for number in 1..MIN_SWEEP as u32 {
            let key = AddressKey::of(IpAddr::from(number.to_be_bytes()));
            addresses.enter(key, Timestamp::default(), &config);
            addresses.leave(key);
        }
        addresses.enter(stays, Timestamp::default().after(Duration::from_secs(2)), &config);
        assert_eq!(addresses.clients.len(), 1);
    }

    #[test]
    fn the_memory_of_unused_addresses_is_given_back() {
        let config = Config::default();
        let mut addresses = Addresses::default();
        for number in 0..1_000_u32 {
            let key = AddressKey::of(IpAddr::from(number.to_be_bytes()));
            addresses.enter(key, Timestamp::default(), &config);
            addresses.leave(key);
        }
        addresses.trim(0, Timestamp::default());
        assert_eq!(addresses.clients.len(), 1_000, "their rates still count");
        addresses.trim(0, Timestamp::default().after(Duration::from_secs(2)));
        assert!(addresses.clients.is_empty() && !addresses.are_loose(0));
    }
}
