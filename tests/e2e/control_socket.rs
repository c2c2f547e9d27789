//! The control socket under attack: by clients that are slow or say too much, and by another user who puts
//! one of their own in its place.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::home::Home;
use crate::proxy::{Proxy, Setup};
use crate::upstream::{OK, Upstream};
use crate::users::{has_stranger, say_skipped};
use crate::waiting::until;

fn connect(home: &Home, proxy: &Proxy) -> UnixStream {
    let folder = home.path().join("hubspot-proxy").join(proxy.port.to_string());
    let stream = UnixStream::connect(folder.join("control.sock")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

#[test]
fn clients_that_send_nothing_or_half_a_head_are_few_and_do_not_stay() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let before = proxy.settled_files();
    let mut silent: Vec<UnixStream> = (0..300).map(|_| connect(&home, &proxy)).collect();
    for stream in silent.iter_mut().step_by(2) {
        // It may be closed by now.
        let _ = stream.write_all(b"GET /_proxy/api/status HTTP/1.1\r\nHost: x");
    }
    until("most are closed", || proxy.open_files() < before + 70);
    until("all are closed", || proxy.open_files() <= before + 1);
    assert_eq!(home.run(&["status"], &[], "").status, 0);
}

#[test]
fn a_request_that_is_too_large_is_not_collected() {
    let (home, upstream) = (Home::new(), Upstream::answering(OK));
    let proxy = Setup::in_front_of(&upstream.url()).in_home(&home).start();
    let before = proxy.peak_memory();
    for head in [
        "GET /_proxy/api/status HTTP/1.1\r\nHost: x\r\nX: ",
        "POST /_proxy/api/status HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
    ] {
        let mut stream = connect(&home, &proxy);
        let part = vec![b'x'; 64 * 1024];
        let mut sent = stream.write_all(head.as_bytes());
        for _ in 0..1500 {
            sent = sent.and_then(|()| stream.write_all(&part));
        }
        assert!(sent.is_err(), "all was taken");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(proxy.peak_memory() < before + 8 * 1024);
    assert_eq!(home.run(&["status"], &[], "").status, 0);
}

#[test]
fn a_socket_at_which_another_user_answers_is_not_believed() {
    if !has_stranger() {
        return say_skipped();
    }
    let home = Home::new();
    let (runtime, folder) = (home.path().join("open"), home.path().join("open/hubspot-proxy/4711"));
    std::fs::create_dir_all(&folder).unwrap();
    for path in [home.path(), &runtime, &runtime.join("hubspot-proxy"), &folder] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let script = r#"
import os, socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); s.listen()
print("ready", flush=True)
while True:
    c, _ = s.accept(); c.recv(4096)
    body = b'{"version":"of a stranger"}'
    c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
"#;
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-I", "-c", script]).arg(folder.join("control.sock")).env_clear();
    command.uid(65534).gid(65534).current_dir("/").stdout(Stdio::piped());
    let mut stranger = command.spawn().unwrap();
    stranger.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    let runtime = runtime.to_str().unwrap();
    let ran = home.run(&["status"], &[("XDG_RUNTIME_DIR", runtime)], "");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(!ran.stdout.contains("stranger"), "{ran:?}");
}
