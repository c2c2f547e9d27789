//! A user's shell in an empty home, on a network of its own where the system has that.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a block may take.
const LIMIT: Duration = Duration::from_secs(60);
/// What the pages use.
const PORTS: [u16; 3] = [8787, 8788, 3000];
/// The user's browser, who allows every app.
const BROWSER: &str = include_str!("../first-steps/browser");

/// curl as it is on a terminal, where it shows no progress. An answer that is an error fails it, so that a
/// page cannot show one without saying so (`exit status: 22`).
const CURL: &str = r#"#!/bin/bash
PATH=${PATH#*:}
if [[ " $* " == *" -f"* ]]; then
    exec curl --no-progress-meter "$@"
fi
exec 3>&1
said=$(curl --no-progress-meter --fail-with-body "$@" 2>&1 >&3)
status=$?
grep -v '^curl: (22)' <<<"$said" >&2
exit $status
"#;

/// The pages name ports, so two of them cannot be read at once on one network.
#[derive(Clone, Copy)]
pub enum Network {
    /// One for each shell, with nothing but loopback. It takes root: in a user namespace of one's own, files
    /// of root's seem to be a stranger's.
    Own,
    /// The machine's: the ports have to be free.
    Machine,
}

impl Network {
    pub fn find() -> Self {
        let works = Self::Own.command("true").status().is_ok_and(|status| status.success());
        if works { Self::Own } else { Self::Machine }
    }

    /// The right to use the ports of the machine, where there is no other network.
    fn take_ports(self) -> Option<MutexGuard<'static, ()>> {
        static TAKEN: Mutex<()> = Mutex::new(());
        let Self::Machine = self else { return None };
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        for port in PORTS {
            TcpListener::bind(("127.0.0.1", port)).unwrap_or_else(|error| {
                panic!("port {port} has to be free where `unshare --net` is not allowed: {error}")
            });
        }
        Some(taken)
    }

    /// A shell that begins with `line`.
    fn command(self, line: &str) -> Command {
        let Self::Own = self else {
            let mut command = Command::new("bash");
            command.args(["--noprofile", "--norc", "-c", line]);
            return command;
        };
        let mut command = Command::new("unshare");
        let line = format!("PATH=$PATH:/usr/sbin:/sbin ip link set lo up && {{ {line}; }}");
        command.args(["--net", "bash", "--noprofile", "--norc", "-c", &line]);
        command
    }
}

pub struct Shell {
    folder: TempDir,
    process: Child,
    input: ChildStdin,
    ran: usize,
    background: Vec<Background>,
    _ports: Option<MutexGuard<'static, ()>>,
}

/// A program that runs on.
pub struct Background {
    pub command: String,
    group: u32,
    output: PathBuf,
}

/// How a block ended.
pub struct Ran {
    /// 0, or the status of the first command that failed.
    pub status: i32,
    pub output: String,
}

impl Shell {
    pub fn start(network: Network) -> Self {
        let ports = network.take_ports();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["home", "bin", "run", "scratch"] {
            fs::create_dir(at(name)).unwrap();
            private(&at(name));
        }
        let program = env!("CARGO_BIN_EXE_hubspot-proxy");
        std::os::unix::fs::symlink(program, at("bin/hubspot-proxy")).unwrap();
        fs::write(at("bin/xdg-open"), BROWSER).unwrap();
        private(&at("bin/xdg-open"));
        fs::write(at("bin/curl"), CURL).unwrap();
        private(&at("bin/curl"));
        let path = std::env::var("PATH").unwrap();
        let mut process = network
            .command("exec bash --noprofile --norc")
            .current_dir(at("home"))
            .env_clear()
            .env("PATH", format!("{}:{path}", at("bin").display()))
            .env("HOME", at("home"))
            .env("XDG_RUNTIME_DIR", at("run"))
            // A desktop, without which no browser is opened.
            .env("DISPLAY", ":0")
            .env("LC_ALL", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What hangs in it can be ended with it.
            .process_group(0)
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        Self { folder, process, input, ran: 0, background: Vec::new(), _ports: ports }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Runs `text` in the shell itself, so that what it sets stays set.
    pub fn run(&mut self, text: &str, typed: &[String]) -> Result<Ran, String> {
        let files = self.files(text, typed);
        let line = "trap 'failed=${failed:-$?}' ERR; failed=; . F.sh >F.out 2>&1 <F.in; trap - ERR; \
                    echo ${failed:-0} >F.tmp; mv F.tmp F.status";
        self.send(&line.replace('F', files.to_str().unwrap()));
        let status = self.wait_for(&files.with_extension("status"), text)?;
        let output = read(&files.with_extension("out"));
        Ok(Ran { status: status.trim().parse().unwrap(), output })
    }

    /// Runs `text` in a shell of its own on a terminal, on which `typed` is typed.
    pub fn run_on_a_terminal(&mut self, text: &str, typed: &[String]) -> Result<Ran, String> {
        let script = self.folder.path().join("scratch/on-a-terminal.sh");
        fs::write(&script, text).unwrap();
        let line = format!("script -qefc 'bash --norc {}' /dev/null\n", script.display());
        let Ran { status, output } = self.run(&line, typed)?;
        Ok(Ran { status, output: output.replace('\r', "") })
    }

    /// Runs `text` beside the shell, and waits until what it has printed is enough for `is_ready`.
    pub fn leave_running(
        &mut self,
        text: &str,
        is_ready: impl Fn(&str) -> bool,
    ) -> Result<String, String> {
        let files = self.files(text, &[]);
        // The trap makes the shell between wait for the program's end.
        let line = "set -m; ( trap : TERM; . F.sh ) >F.out 2>&1 </dev/null & echo $! >F.tmp; mv F.tmp F.pid; set +m";
        self.send(&line.replace('F', files.to_str().unwrap()));
        let group = self.wait_for(&files.with_extension("pid"), text)?.trim().parse().unwrap();
        let output = files.with_extension("out");
        self.background.push(Background {
            command: text.to_owned(),
            group,
            output: output.clone(),
        });
        let began = Instant::now();
        while !is_ready(&read(&output)) {
            if began.elapsed() > LIMIT || has_ended(group) {
                return Err(format!(
                    "{text}has not come to what the page shows:\n{}",
                    read(&output)
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(read(&output))
    }

    pub fn is_running(&self, command: &str) -> bool {
        self.background.iter().any(|background| background.command == command)
    }

    /// What the programs that run on have printed, to be shown beside a failure.
    pub fn background_output(&self) -> String {
        let told = |one: &Background| format!("--- {}{}", one.command, read(&one.output));
        self.background.iter().map(told).collect()
    }

    /// Ends what runs on and is not `wanted`, as Ctrl-C does.
    pub fn stop_all_but(&mut self, wanted: &[String]) -> Result<(), String> {
        for background in std::mem::take(&mut self.background) {
            if wanted.contains(&background.command) {
                self.background.push(background);
                continue;
            }
            let Background { command, group, .. } = background;
            let ran = self.run(&format!("kill -TERM -- -{group}; wait {group} || true\n"), &[])?;
            if !has_ended(group) {
                return Err(format!("{command}does not stop: {}", ran.output));
            }
        }
        Ok(())
    }

    fn files(&mut self, text: &str, typed: &[String]) -> PathBuf {
        self.ran += 1;
        let files = self.folder.path().join("scratch").join(self.ran.to_string());
        fs::write(files.with_extension("sh"), text).unwrap();
        let typed: String = typed.iter().map(|line| format!("{line}\n")).collect();
        fs::write(files.with_extension("in"), typed).unwrap();
        files
    }

    fn send(&mut self, line: &str) {
        // A shell that has ended is noticed by who waits for it.
        let _ = writeln!(self.input, "{line}");
    }

    fn wait_for(&mut self, file: &Path, text: &str) -> Result<String, String> {
        let began = Instant::now();
        while !file.exists() {
            if began.elapsed() > LIMIT || self.process.try_wait().unwrap().is_some() {
                return Err(format!("{text}does not end:\n{}", read(&file.with_extension("out"))));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(read(file))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let groups = self.background.iter().map(|background| background.group);
        for group in groups.chain([self.process.id()]) {
            let mut signal = Command::new("kill");
            signal.args(["-KILL", "--", &format!("-{group}")]).stderr(Stdio::null());
            let _ = signal.status();
        }
        let _ = self.process.wait();
    }
}

/// Whether no process of the group is left.
fn has_ended(group: u32) -> bool {
    let mut signal = Command::new("kill");
    signal.args(["-0", "--", &format!("-{group}")]).stderr(Stdio::null());
    !signal.status().is_ok_and(|status| status.success())
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
}
