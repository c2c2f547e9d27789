//! Listening on a Unix socket.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::client::get;
use crate::proxy::{Proxy, Setup, TOKEN};
use crate::upstream::{OK, Upstream};
use crate::waiting::{PATIENCE, until};

/// A folder of our own and the path of a socket in it.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
    let path = folder.path().join("proxy.sock");
    (folder, path)
}

fn start(upstream: &Upstream, path: &Path) -> Proxy {
    let listen = format!("unix:{}", path.display());
    let proxy = Setup::in_front_of(&upstream.url()).arg("--listen").arg(&listen).start();
    until("it says where it listens", || proxy.stdout().contains("Try: "));
    assert!(proxy.stdout().contains(&format!("Listening on {listen}\n")), "{}", proxy.stdout());
    proxy
}

/// Sends `text`, and returns all that comes until the end.
fn exchange(path: &Path, text: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn get_with_host(path: &Path, host: &str) -> String {
    exchange(path, &format!("GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
}

/// A second instance that is to listen on `path` alone.
fn second(path: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hubspot-proxy"))
        .args(["--listen", &format!("unix:{}", path.display())])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("HUBSPOT_ACCESS_TOKEN", "pat-na1-second")
        .output()
        .unwrap()
}

#[test]
fn a_socket_serves_its_owner_beside_tcp_and_nobody_else_can_open_it() {
    let upstream = Upstream::answering(OK);
    let (_folder, path) = place();
    let proxy = start(&upstream, &path);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:8787"] {
        let answer = get_with_host(&path, host);
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    let answer = get_with_host(&path, "evil.example");
    assert!(answer.contains("host-not-allowed"), "{answer}");
    assert_eq!(get(proxy.port, "/a").status(), 200);
    let requests = upstream.requests();
    assert_eq!(requests.len(), 5);
    let bearer = format!("Bearer {TOKEN}");
    assert!(requests.iter().all(|request| request.all("authorization") == [bearer.as_str()]));
}

#[test]
fn a_connection_over_a_socket_is_parked_kept_and_lingers_as_over_tcp() {
    let upstream = Upstream::answering(OK);
    let (_folder, path) = place();
    let _proxy = start(&upstream, &path);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"ok") {
            let mut part = [0; 1024];
            let count = stream.read(&mut part).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&part[..count]);
        }
        // Longer than it takes to be parked.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    // Refused before its body has come: the answer is not lost.
    let head =
        "POST /oauth/v1/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";
    let answer = exchange(&path, head);
    assert!(answer.contains("credential-path-blocked"), "{answer}");
}

#[test]
fn the_file_is_removed_at_the_end_and_what_an_instance_left_is_replaced() {
    let upstream = Upstream::answering(OK);
    let (_folder, path) = place();
    let mut killed = start(&upstream, &path);
    let pid = rustix::process::Pid::from_raw(killed.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    killed.exit_status();
    assert!(path.exists());
    let mut proxy = start(&upstream, &path);
    assert!(get_with_host(&path, "localhost").starts_with("HTTP/1.1 200"));
    proxy.terminate();
    assert_eq!(proxy.exit_status().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_socket_that_somebody_answers_is_in_use_and_another_file_is_left_alone() {
    let (folder, path) = place();
    let _live = UnixListener::bind(&path).unwrap();
    let notes = folder.path().join("notes");
    fs::write(&notes, "kept").unwrap();
    for (path, expected) in [(&path, "is in use by another program"), (&notes, "is not a socket")] {
        let output = second(path);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    assert_eq!(fs::read_to_string(&notes).unwrap(), "kept");
    UnixStream::connect(&path).unwrap();
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let (folder, path) = place();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    let output = second(&path);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("chmod go-w"), "{errors}");
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn another_user_cannot_open_the_socket_and_is_refused_where_the_mode_was_changed() {
    use std::os::unix::process::CommandExt;

    use crate::users::{has_stranger, say_skipped};

    if !has_stranger() {
        return say_skipped();
    }
    let upstream = Upstream::answering(OK);
    let (folder, path) = place();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let _proxy = start(&upstream, &path);
    let script = r#"
import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    print("cannot open")
    sys.exit()
s.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
while part := s.recv(65536):
    sys.stdout.write(part.decode())
"#;
    let run = || {
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-I", "-c", script]).arg(&path).env_clear().current_dir("/");
        let output = command.uid(65534).gid(65534).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(), "cannot open\n");
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    assert!(run().contains("user-not-allowed"));
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_path_is_relative_to_the_folder_of_its_file_and_the_advice_names_it() {
    let upstream = Upstream::answering(OK);
    let (folder, path) = place();
    let config = folder.path().join("proxy.toml");
    let url = upstream.url();
    let text = format!("[server]\nlisten = [\"unix:proxy.sock\"]\n[upstream]\nurl = \"{url}\"\n");
    fs::write(&config, text).unwrap();
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_hubspot-proxy"))
        .arg("--config")
        .arg(&config)
        .current_dir("/")
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("HUBSPOT_ACCESS_TOKEN", TOKEN)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    until("it listens", || UnixStream::connect(&path).is_ok());
    assert!(get_with_host(&path, "localhost").starts_with("HTTP/1.1 200"));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    let expected = format!("Try: curl --unix-socket {} 'http://localhost/crm/", path.display());
    assert!(output.contains(&expected), "{output}");
}
