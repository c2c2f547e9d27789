//! The least that a user-space proxy of this kind costs: epoll, rustls, and next to no parsing.
//!
//! It does the job of the benchmark and no more: keep-alive HTTP/1.1 on both sides, TLS with
//! verified certificates to the upstream, `Authorization` and `Host` set. It checks nothing, keeps
//! no limits and knows no time-outs, so it is a yardstick and not a proxy to use.

mod head;
mod links;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::{env, fs, io, process, thread};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use worker::{Plan, Worker};

const USAGE: &str = "usage: FLOOR_TOKEN=... floor LISTEN_ADDRESS UPSTREAM_ADDRESS CA_FILE THREADS";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [listen, upstream, ca_file, threads] = &arguments[..] else { fail(USAGE) };
    let Ok(token) = env::var("FLOOR_TOKEN") else { fail(USAGE) };
    let (Ok(listen), Ok(upstream), Ok(threads)) =
        (listen.parse(), upstream.parse(), threads.parse::<usize>())
    else {
        fail(USAGE)
    };
    let tls = client_config(ca_file).unwrap_or_else(|error| fail(&format!("{ca_file}: {error}")));
    let plan = Arc::new(Plan { listen, upstream, tls: Arc::new(tls), token });
    let workers: Vec<_> = (0..threads).map(|_| started(&plan)).collect();
    println!("listening on http://{listen}");
    for worker in workers {
        match worker.join() {
            Ok(error) => eprintln!("floor: {error}"),
            Err(_) => eprintln!("floor: a thread panicked"),
        }
    }
    process::exit(1);
}

/// A thread that listens already, and ends only with an error.
fn started(plan: &Arc<Plan>) -> thread::JoinHandle<io::Error> {
    let worker = Worker::new(Arc::clone(plan)).unwrap_or_else(|error| fail(&error.to_string()));
    thread::spawn(move || worker.run())
}

fn client_config(ca_file: &str) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&fs::read(ca_file)?) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn fail(message: &str) -> ! {
    eprintln!("floor: {message}");
    process::exit(2);
}

/// The address family's own socket, with `SO_REUSEPORT`, so that each thread accepts by itself.
fn listener(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, 4096)?;
    Ok(socket.into())
}
