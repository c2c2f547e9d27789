//! The service manager of the platform: where its files are, and what it is asked to do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::Failure;
use super::plan::Plan;
use super::{MARKER, launchd, systemd};

/// The manager of this user's services.
pub struct Manager {
    kind: Kind,
    home: PathBuf,
    /// Where units lie, below.
    config_home: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Systemd,
    Launchd,
}

/// What is installed, and what the manager says of it.
pub struct State {
    pub installed: bool,
    pub enabled: bool,
    /// The process that runs.
    pub running: Option<u32>,
    /// What the service, or the manager, says of its state.
    pub says: Option<String>,
    /// Of the program that has written the file; `None` where another has.
    pub version: Option<String>,
    /// Why the manager cannot be asked.
    pub reachable: Result<(), String>,
    /// Whether it runs in a user namespace.
    pub user_namespace: bool,
    command: Vec<String>,
}

impl State {
    /// The program that the service runs.
    pub fn binary(&self) -> Option<&str> {
        self.command.first().map(String::as_str)
    }

    /// The configuration file that the service names.
    pub fn config(&self) -> Option<&Path> {
        let at = self.command.iter().position(|word| word == "--config")?;
        self.command.get(at + 1).map(Path::new)
    }
}

impl Manager {
    /// The one of this platform.
    pub fn of_platform() -> Result<Self, Failure> {
        let kind = match () {
            () if cfg!(target_os = "macos") => Kind::Launchd,
            () if cfg!(unix) => Kind::Systemd,
            () => {
                return Err(Failure::failed(
                    "`service` knows systemd and launchd, and this system has neither: have its own manager run `hubspot-proxy serve`",
                ));
            }
        };
        let base = directories::BaseDirs::new();
        let base = base.ok_or_else(|| Failure::failed("there is no home folder: set HOME"))?;
        let (home, config_home) = (base.home_dir().to_owned(), base.config_dir().to_owned());
        Ok(Self { kind, home, config_home })
    }

    /// The files of a service, each with its text.
    pub fn files(&self, plan: &Plan) -> Vec<(PathBuf, String)> {
        let texts = match self.kind {
            Kind::Systemd => vec![systemd::service(plan), systemd::socket(plan)],
            Kind::Launchd => vec![launchd::agent(plan, &launchd::logs(&self.home))],
        };
        self.paths().into_iter().zip(texts).collect()
    }

    /// Where they are.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self.kind {
            Kind::Systemd => {
                let folder = systemd::folder(&self.config_home);
                [systemd::SERVICE, systemd::SOCKET].map(|name| folder.join(name)).to_vec()
            }
            Kind::Launchd => {
                vec![launchd::folder(&self.home).join(format!("{}.plist", launchd::LABEL))]
            }
        }
    }

    /// Refuses to replace what another program has written.
    pub fn check_own(&self, files: &[(PathBuf, String)], force: bool) -> Result<(), Failure> {
        let paths: Vec<PathBuf> = files.iter().map(|(path, _)| path.clone()).collect();
        if force { Ok(()) } else { self.check_ours(&paths, "overwritten") }
    }

    /// Refuses to have `paths` changed when one of them is not ours.
    pub fn check_ours(&self, paths: &[PathBuf], changed: &str) -> Result<(), Failure> {
        let foreign = |path: &&PathBuf| {
            std::fs::symlink_metadata(path).is_ok() && version_in(&text_of(path)).is_none()
        };
        match paths.iter().find(foreign) {
            None => Ok(()),
            Some(path) => Err(Failure::failed(format!(
                "{} was not written by hubspot-proxy and is not {changed}: move it away, or use --force",
                path.display()
            ))),
        }
    }

    /// Whether the manager answers; why not.
    pub fn reachable(&self) -> Result<(), String> {
        match self.kind {
            Kind::Systemd => ran(&["systemctl", "--user", "show", "--property=Version"]).map(drop),
            Kind::Launchd => ran(&["launchctl", "print", &self.domain()]).map(drop),
        }
    }

    /// Whether services can have no user namespace. Tried where the manager answers, since settings of
    /// several kinds forbid it.
    pub fn lacks_user_namespaces(&self) -> bool {
        let words = "systemd-run --user --quiet --wait --property=PrivateUsers=yes --property=CapabilityBoundingSet= --property=ProtectSystem=strict true";
        let words: Vec<&str> = words.split(' ').collect();
        self.kind == Kind::Systemd && self.reachable().is_ok() && ran(&words).is_err()
    }

    /// Starts the service, now and at each login.
    pub fn start(&self, is_running: bool) -> Result<(), Failure> {
        match self.kind {
            Kind::Systemd => {
                self.systemctl(&["daemon-reload"])?;
                if is_running {
                    // Sockets do not change under a service that holds them.
                    self.systemctl(&["stop", systemd::SERVICE, systemd::SOCKET])?;
                }
                self.systemctl(&["enable", "--now", systemd::SOCKET, systemd::SERVICE])
            }
            Kind::Launchd => {
                // Of an agent that was not loaded there is nothing to unload.
                let _ = ran(&["launchctl", "bootout", &self.agent()]);
                let path = self.paths().remove(0);
                let path = path.to_string_lossy();
                ran(&["launchctl", "bootstrap", &self.domain(), &path]).map(drop).map_err(|why| {
                    Failure::failed(format!("launchd has not started the agent: {why}"))
                })
            }
        }
    }

    /// Stops and disables the service, as far as it is there.
    pub fn stop(&self) {
        let _ = match self.kind {
            Kind::Systemd => {
                let units = [systemd::SOCKET, systemd::SERVICE];
                ran(&["systemctl", "--user", "disable", "--now", units[0], units[1]])
            }
            Kind::Launchd => ran(&["launchctl", "bootout", &self.agent()]),
        };
    }

    /// After the files are gone.
    pub fn forget(&self) {
        if self.kind == Kind::Systemd {
            let _ = ran(&["systemctl", "--user", "daemon-reload"]);
            let units = [systemd::SOCKET, systemd::SERVICE];
            let _ = ran(&["systemctl", "--user", "reset-failed", units[0], units[1]]);
        }
    }

    /// What a person types to start the service.
    pub fn by_hand(&self) -> String {
        match self.kind {
            Kind::Systemd => format!(
                "systemctl --user daemon-reload && systemctl --user enable --now {} {}",
                systemd::SOCKET,
                systemd::SERVICE
            ),
            Kind::Launchd => {
                let path = self.paths().remove(0);
                format!("launchctl bootstrap {} '{}'", self.domain(), path.display())
            }
        }
    }

    /// What else there is to know.
    pub fn after_start(&self) -> String {
        match self.kind {
            Kind::Systemd => "Its log: journalctl --user -u hubspot-proxy. It ends when you log out, unless you run `loginctl enable-linger`.".to_owned(),
            Kind::Launchd => {
                format!("Its log: {}", launchd::logs(&self.home).join("hubspot-proxy.log").display())
            }
        }
    }

    /// What is installed and how it fares.
    pub fn state(&self) -> State {
        let text = self.paths().first().map(|path| text_of(path)).unwrap_or_default();
        let command = match self.kind {
            Kind::Systemd => systemd::command_in(&text),
            Kind::Launchd => launchd::command_in(&text),
        };
        let mut state = State {
            installed: self.paths().iter().all(|path| path.exists()),
            enabled: false,
            running: None,
            says: None,
            version: version_in(&text),
            reachable: self.reachable(),
            user_namespace: text.lines().any(|line| line == systemd::PRIVATE_USERS),
            command,
        };
        if state.reachable.is_ok() {
            match self.kind {
                Kind::Systemd => ask_systemd(&mut state),
                Kind::Launchd => ask_launchd(&mut state, &self.agent()),
            }
        }
        state
    }

    fn systemctl(&self, words: &[&str]) -> Result<(), Failure> {
        let line = [&["systemctl", "--user"], words].concat();
        ran(&line).map(drop).map_err(|why| {
            Failure::failed(format!(
                "`{}` failed: {why}; see `journalctl --user -u hubspot-proxy -n 20`",
                line.join(" ")
            ))
        })
    }

    fn domain(&self) -> String {
        format!("gui/{}", user_id())
    }

    fn agent(&self) -> String {
        format!("{}/{}", self.domain(), launchd::LABEL)
    }
}

#[cfg(unix)]
fn user_id() -> u32 {
    rustix::process::getuid().as_raw()
}

#[cfg(not(unix))]
fn user_id() -> u32 {
    0
}

/// Writes a file in one step, with the folders above it.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(failed)
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The version that has written a file.
fn version_in(text: &str) -> Option<String> {
    let begin = text.lines().take(3).find_map(|line| line.split_once(MARKER))?.1;
    begin.split(',').next().map(str::to_owned)
}

fn ask_systemd(state: &mut State) {
    let properties = "--property=ActiveState,SubState,MainPID,StatusText,UnitFileState,Result";
    let shown = ran(&["systemctl", "--user", "show", systemd::SERVICE, properties]);
    let shown = shown.unwrap_or_default();
    let value = |name: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once('='));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value).unwrap_or_default()
    };
    state.enabled = value("UnitFileState") == "enabled";
    let is_active = matches!(value("ActiveState"), "active" | "activating" | "reloading");
    state.running = value("MainPID").parse().ok().filter(|pid| is_active && *pid != 0);
    let said = value("StatusText");
    state.says = Some(match said {
        "" => format!("{} ({}), {}", value("ActiveState"), value("SubState"), value("Result")),
        said => said.to_owned(),
    });
}

fn ask_launchd(state: &mut State, agent: &str) {
    let Ok(shown) = ran(&["launchctl", "print", agent]) else { return };
    // An agent in the folder is loaded at each login, and one that is not loaded was disabled.
    state.enabled = true;
    let value = |name: &str| {
        shown.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(" = "))
    };
    state.running = value("pid").and_then(|pid| pid.parse().ok());
    state.says = value("state").map(str::to_owned);
}

/// What a program prints; else its last words.
fn ran(line: &[&str]) -> Result<String, String> {
    let [program, words @ ..] = line else { return Ok(String::new()) };
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or(program).to_owned())
}
