//! Answers of name servers into endpoints. Pure.
//!
//! SRV weights are shares within a priority, as ours are; 0, "a very small chance" in RFC 2782, is 1 here, and the others
//! are what they are. SRV priorities are ranked: the lowest that occurs is our 0, the next 1, and so on.

use crate::upstream::{Address, EndpointSpec, MAX_PRIORITY, Scheme};
use shoalway_net::resolver::{Answer, Service};
use shoalway_types::{Host, Target};

/// An endpoint for each address.
#[must_use]
pub fn of_answer(answer: &Answer, port: u16, scheme: Scheme) -> Vec<EndpointSpec> {
    let endpoint = |ip| EndpointSpec::new(scheme, Address::Net(Target::new(Host::from(ip), port)));
    answer.iter().map(endpoint).collect()
}

/// The priorities that occur, each once, lowest first.
#[must_use]
pub fn ranks(services: &[Service]) -> Vec<u16> {
    let mut ranks: Vec<u16> = services.iter().map(|service| service.priority).collect();
    ranks.sort_unstable();
    ranks.dedup();
    ranks
}

/// An endpoint for each address of one place of a service; its weight is divided among them, each has at least 1.
#[must_use]
pub fn of_service(service: &Service, ranks: &[u16], answer: &Answer, scheme: Scheme) -> Vec<EndpointSpec> {
    let rank = ranks.iter().position(|priority| *priority == service.priority).unwrap_or_default();
    let priority = u8::try_from(rank).unwrap_or(MAX_PRIORITY).min(MAX_PRIORITY);
    let addresses = u32::try_from(answer.len().max(1)).unwrap_or(1);
    let weight = (u32::from(service.weight) / addresses).max(1);
    let endpoints = of_answer(answer, service.target.port, scheme);
    endpoints.into_iter().map(|spec| EndpointSpec { weight, priority, ..spec }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn service(priority: u16, weight: u16) -> Service {
        Service { priority, weight, target: Target::parse("app.example:8080", None).unwrap() }
    }

    #[test]
    fn every_address_is_an_endpoint() {
        let answer = Answer::new([Ipv4Addr::new(192, 0, 2, 1)], [Ipv6Addr::LOCALHOST]);
        let shown: Vec<_> =
            of_answer(&answer, 80, Scheme::H2c).iter().map(|spec| spec.key.to_string()).collect();
        assert_eq!(shown, ["h2c://[::1]:80", "h2c://192.0.2.1:80"]);
    }

    #[test]
    fn priorities_are_ranked_and_weights_divided() {
        let services = [service(20, 0), service(10, 60), service(65_535, 1), service(10, 5)];
        let ranks = ranks(&services);
        assert_eq!(ranks, [10, 20, 65_535]);
        let two = Answer::new([Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)], []);
        for (service, priority, weight) in
            services.iter().zip([(1, 1), (0, 30), (2, 1), (0, 2)]).map(|(s, (p, w))| (s, p, w))
        {
            let endpoints = of_service(service, &ranks, &two, Scheme::Http);
            assert_eq!(endpoints.len(), 2);
            assert!(endpoints.iter().all(|spec| (spec.priority, spec.weight) == (priority, weight)));
        }
    }

    #[test]
    fn more_priorities_than_we_have_end_in_the_last() {
        let services: Vec<_> = (0..40).map(|priority| service(priority, 1)).collect();
        let one = Answer::new([Ipv4Addr::LOCALHOST], []);
        let last = of_service(&services[39], &ranks(&services), &one, Scheme::Http);
        assert_eq!(last[0].priority, MAX_PRIORITY);
    }
}
