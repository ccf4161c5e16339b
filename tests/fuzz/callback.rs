//! Hosts that tenants list, and URLs that their users declare.

use std::net::IpAddr;

use eventcenter::domain::callback::{
    AddressClass, Endpoint, EndpointHost, HostPattern, HostPolicy, classify, parse_url,
};

use crate::harness::Target;

fn policy(hosts: &[&str]) -> HostPolicy {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    HostPolicy::of(&"shop".parse().unwrap(), &hosts).unwrap()
}

/// An entry is written as it was read. What a list with one entry allows, it lists.
#[test]
fn hosts() {
    let special: [IpAddr; 4] =
        ["127.0.0.1", "169.254.169.254", "::1", "fd00:ec2::254"].map(|address| address.parse().unwrap());
    let url = parse_url("spec.url", "http://other.example").unwrap();
    let other = Endpoint::of("spec.url", &url).unwrap();
    Target::new("host", 16, 4 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input).into_owned();
            let parsed: Result<HostPattern, _> = text.parse();
            (text, parsed)
        },
        |_, (text, parsed)| match parsed {
            Ok(pattern) => {
                assert_eq!(pattern.to_string(), text);
                let policy = policy(&[&text]);
                for address in special {
                    let is_allowed = policy.check_address(&other, address).is_ok();
                    // The entry has to be an address or a network of one class.
                    assert!(
                        !is_allowed || text.parse::<IpAddr>().is_ok() || text.contains(['/', ':']),
                        "{text}"
                    );
                    assert!(!is_allowed || !text.contains("/0"), "{text}");
                }
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.len() < 1_000, "{error}");
                assert!(!error.contains(|char: char| char.is_control()), "{error:?}");
            }
        },
    );
}

/// Without a list no URL leads to an address that is not public, and a URL means the same after it was written.
#[test]
fn urls() {
    let policy = policy(&[]);
    Target::new("url", 64, 16 * 1024).fuzz(
        |input| {
            let text = String::from_utf8_lossy(input);
            let url = parse_url("spec.url", &text);
            url.and_then(|url| Ok((policy.check_url("spec.url", &url)?, url)))
        },
        |_, parsed| match parsed {
            Ok((endpoint, url)) => {
                match &endpoint.host {
                    EndpointHost::Address(address) => {
                        assert_eq!(classify(*address), AddressClass::Public, "{url}")
                    }
                    EndpointHost::Name(name) => {
                        assert!(name.parse::<IpAddr>().is_err() && name != "localhost", "{url}");
                    }
                }
                assert!(["http", "https"].contains(&url.scheme()) && url.username().is_empty(), "{url}");
                // Percent-encoding makes it longer, possibly too long.
                if url.as_str().len() <= 2048 {
                    let again = parse_url("spec.url", url.as_str()).unwrap();
                    assert_eq!(policy.check_url("spec.url", &again).unwrap(), endpoint, "{url}");
                }
            }
            Err(refusal) => {
                let message = refusal.message();
                assert!(message.len() < 1_000 && message.starts_with("spec.url: "), "{message}");
                assert!(!message.contains(|char: char| char.is_control()), "{message:?}");
            }
        },
    );
}
