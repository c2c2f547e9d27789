//! What a service manager does for the proxy and hears of it: sockets that it opens, and when it is told
//! of readiness, reloads and the end.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;
use crate::home::{Home, Ran};
use crate::proxy::TOKEN;
use crate::upstream::{OK, Upstream};
use crate::waiting::PATIENCE;

/// Starts what follows as systemd does: with descriptor 3 open, and variables that name this process.
const ACTIVATE: &str = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";

/// A proxy that is handed `socket`; it is killed when this is dropped.
struct Service(Child);

impl Service {
    fn kill(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(home: &Home, socket: TcpListener, listen: &str) -> Command {
    let binary = home.command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", ACTIVATE]).arg(binary.get_program());
    command.args(["serve", "--listen", listen]).current_dir(home.path()).env_clear();
    let environment = binary.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(environment).env("HUBSPOT_ACCESS_TOKEN", TOKEN);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The manager's ear.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).expect("a message to the manager");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn a_connection_made_before_the_start_is_served_and_the_manager_told_of_each_change() {
    let (upstream, home) = (Upstream::answering(OK), Home::new());
    let (socket, address) = socket();
    let mut early = Client::connect(address.port());
    early.send("GET /early HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let notify = home.path().join("notify");
    let manager = Manager::at(&notify);
    let mut command = serve(&home, socket, &address.to_string());
    command.env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url()).env("NOTIFY_SOCKET", &notify);
    let mut service = Service(command.spawn().unwrap());

    assert_eq!(manager.next(), "READY=1\nSTATUS=Serving, 1 account ready\n");
    assert_eq!(early.answer_to("GET").status(), 200);
    assert_eq!(upstream.only_request().target(), "/early");

    service.kill(Signal::HUP);
    assert!(manager.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(manager.next(), "READY=1\nSTATUS=Serving, 1 account ready\n");

    service.kill(Signal::TERM);
    assert!(manager.next().starts_with("STOPPING=1\n"));
    assert!(service.0.wait().unwrap().success());
}

#[test]
fn ready_names_an_account_that_needs_a_login() {
    let home = Home::new();
    let (socket, address) = socket();
    let notify = home.path().join("notify");
    let manager = Manager::at(&notify);
    let mut command = serve(&home, socket, &address.to_string());
    command.env_remove("HUBSPOT_ACCESS_TOKEN").env("NOTIFY_SOCKET", &notify);
    command.env("HUBSPOT_CLIENT_ID", "a-client").env("HUBSPOT_CLIENT_SECRET", "its-secret");
    let _service = Service(command.spawn().unwrap());
    assert_eq!(manager.next(), "READY=1\nSTATUS=Degraded, default: needs-login\n");
}

#[test]
fn a_socket_that_the_configuration_does_not_name_is_refused() {
    let home = Home::new();
    let (socket, address) = socket();
    let ran: Ran = serve(&home, socket, "127.0.0.1:0").output().unwrap().into();
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains(&address.to_string()), "{ran:?}");
}

#[test]
fn a_program_that_prints_a_secret_gets_neither_socket_nor_manager() {
    let (upstream, home) = (Upstream::answering(OK), Home::new());
    let (socket, address) = socket();
    let notify = home.path().join("notify");
    let manager = Manager::at(&notify);
    let seen = home.path().join("seen");
    let script = "env >seen; ls -l /proc/self/fd >>seen; echo pat-na1-from-a-program";
    let file = format!(
        "[accounts.a]\ntype = \"access_token\"\ntoken = {{ command = [\"sh\", \"-c\", {script:?}] }}\n"
    );
    let path = home.path().join("proxy.toml");
    std::fs::write(&path, file).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();
    let mut command = serve(&home, socket, &address.to_string());
    command.env_remove("HUBSPOT_ACCESS_TOKEN").env("PATH", "/usr/bin:/bin");
    command.env("HUBSPOT_PROXY_UPSTREAM__URL", upstream.url()).env("NOTIFY_SOCKET", &notify);
    let service = Service(command.spawn().unwrap());
    assert!(manager.next().starts_with("READY=1\n"));
    let seen = std::fs::read_to_string(seen).unwrap();
    for word in ["NOTIFY_SOCKET", "LISTEN_", "socket:"] {
        assert!(!seen.contains(word), "{word}: {seen}");
    }
    drop(service);
}
