use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use super::{ANSWER, Facility, HEADER, SockDiag, probe, question, read};

fn pair(address: IpAddr) -> Option<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((address, 0)).ok()?;
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    Some((client, listener.accept().unwrap().0))
}

fn owner(diag: &SockDiag, accepted: &TcpStream) -> Option<u32> {
    diag.owner(accepted.peer_addr().unwrap(), accepted.local_addr().unwrap()).unwrap()
}

#[test]
fn this_machine_can_tell_and_knows_us_in_both_families() {
    let own = rustix::process::geteuid().as_raw();
    let diag = SockDiag::open().unwrap();
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let Some((client, accepted)) = pair(address) else { continue };
        assert!(matches!(probe(address), Ok(Facility::Present)));
        assert_eq!(owner(&diag, &accepted), Some(own));
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(owner(&diag, &accepted), Some(own), "it still waits for its answer");
    }
}

#[test]
fn a_socket_that_its_owner_has_closed_is_nobodys() {
    let diag = SockDiag::open().unwrap();
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)] {
        let Some((client, accepted)) = pair(address) else { continue };
        drop(client);
        assert_eq!(owner(&diag, &accepted), None);
    }
}

#[test]
fn a_client_may_reach_an_ipv4_address_through_an_ipv6_socket() {
    use socket2::{Domain, Socket, Type};

    let Ok(client) = Socket::new(Domain::IPV6, Type::STREAM, None) else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mapped = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
    client.connect(&mapped.into()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(owner(&SockDiag::open().unwrap(), &accepted), Some(own));
}

#[test]
fn a_listener_on_the_clients_address_is_not_its_socket() {
    let bystander = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let (client, proxy) = (bystander.local_addr().unwrap(), proxy.local_addr().unwrap());
    assert_eq!(SockDiag::open().unwrap().owner(client, proxy).unwrap(), None);
}

/// An answer of the kernel about an established socket of user 1000.
fn answer(client: SocketAddr, proxy: SocketAddr) -> Vec<u8> {
    let question = question(1, client, proxy);
    let mut message = question[..HEADER].to_vec();
    message.extend([question[HEADER], 1, 0, 0]);
    message.extend(&question[HEADER + 8..]);
    message.resize(HEADER + ANSWER, 0);
    message[HEADER + 64..HEADER + 68].copy_from_slice(&1000u32.to_ne_bytes());
    message[HEADER + 68..].copy_from_slice(&77u32.to_ne_bytes());
    message
}

#[test]
fn only_a_whole_answer_about_a_live_socket_with_these_addresses_counts() {
    let client: SocketAddr = "127.0.0.1:5000".parse().unwrap();
    let proxy: SocketAddr = "127.0.0.1:8787".parse().unwrap();
    let good = answer(client, proxy);
    assert_eq!(read(&good, client, proxy).unwrap(), Some(1000));
    assert_eq!(read(&good, proxy, client).unwrap(), None);
    for state in [0, 2, 3, 6, 7, 10, 12, 13, 255] {
        let mut other = good.clone();
        other[HEADER + 1] = state;
        assert_eq!(read(&other, client, proxy).unwrap(), None, "{state}");
    }
    let mut closed = good.clone();
    closed[HEADER + 68..].fill(0);
    assert_eq!(read(&closed, client, proxy).unwrap(), None);
    for length in 0..good.len() {
        assert!(read(&good[..length], client, proxy).is_err(), "{length}");
    }
    let mut failed = good;
    failed[4..6].copy_from_slice(&2u16.to_ne_bytes());
    failed[HEADER..HEADER + 4].copy_from_slice(&(-1i32).to_ne_bytes());
    assert!(read(&failed, client, proxy).is_err());
}

/// Prints what one lookup costs: `cargo test --release cost_of_a_lookup -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr)]
fn cost_of_a_lookup() {
    let diag = SockDiag::open().unwrap();
    let (_client, accepted) = pair(Ipv4Addr::LOCALHOST.into()).unwrap();
    let began = Instant::now();
    for _ in 0..100_000 {
        assert!(owner(&diag, &accepted).is_some());
    }
    eprintln!("{:?} a lookup", began.elapsed() / 100_000);
}
