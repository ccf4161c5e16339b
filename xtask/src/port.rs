//! Free ports on loopback.
//!
//! They are taken from below the range the kernel gives to outgoing connections: a server that is stopped and started
//! again on the same port must find it free, and a client that keeps trying a closed port inside that range can end up
//! connected to itself.

use std::{
    collections::{HashSet, hash_map::RandomState},
    fs,
    hash::{BuildHasher, Hasher},
    net::TcpListener,
    ops::Range,
    sync::{Mutex, OnceLock},
};

use anyhow::{Result, bail};

const LOWEST: u16 = 15_000;

/// A port on which no process listens and that this function has not returned before.
pub fn free() -> Result<u16> {
    static RETURNED: OnceLock<Mutex<HashSet<u16>>> = OnceLock::new();
    let range = usable(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default());
    let returned = RETURNED.get_or_init(Mutex::default);
    for _ in 0..2_000 {
        let port = range.start + u16::try_from(random() % u64::from(range.end - range.start))?;
        let fresh = returned.lock().is_ok_and(|mut returned| returned.insert(port));
        if fresh && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}", range.start, range.end)
}

/// The ports below the kernel's own range; if there are too few, all unprivileged ones.
fn usable(kernel: &str) -> Range<u16> {
    let first = kernel.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(32_768);
    if first >= LOWEST + 1_000 { LOWEST..first } else { LOWEST..65_000 }
}

fn random() -> u64 {
    // Every RandomState has another seed, from the operating system.
    RandomState::new().build_hasher().finish()
}

/// Whether an error means that another process took the port after [`free`] had returned it.
pub fn is_taken(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("address already in use") || text.contains("bindexception") || text.contains("eaddrinuse")
}

/// Retries with other ports while the error is a taken port.
pub fn retry_if_taken<T>(mut start: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..4 {
        match start() {
            Err(error) if is_taken(&error) => {}
            other => return other,
        }
    }
    start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_different_and_outside_the_kernels_range() {
        let ports: HashSet<u16> = (0..50).map(|_| free().expect("there are free ports")).collect();
        assert_eq!(ports.len(), 50);
        for port in ports {
            TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        }
    }

    #[test]
    fn the_usable_range_ends_where_the_kernels_begins() {
        assert_eq!(usable("32768\t60999\n"), LOWEST..32_768);
        assert_eq!(usable("1024 65535"), LOWEST..65_000);
        assert_eq!(usable(""), LOWEST..32_768);
    }

    #[test]
    fn only_a_taken_port_is_retried() {
        let mut tries = 0;
        let result: Result<()> = retry_if_taken(|| {
            tries += 1;
            bail!("java.net.BindException: Address already in use")
        });
        assert!(result.is_err());
        assert_eq!(tries, 5);
        tries = 0;
        let result: Result<()> = retry_if_taken(|| {
            tries += 1;
            bail!("out of memory")
        });
        assert!(result.is_err());
        assert_eq!(tries, 1);
    }
}
