//! Where the configuration file is looked for, and what a path in it is relative to.

use std::path::{Path, PathBuf};

/// The name of the file wherever it is looked for.
const FILE_NAME: &str = "proxy.toml";

/// The folders that loading depends on; a test hands in its own.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Relative paths of flags and the environment start here, and `proxy.toml` is looked for here.
    pub current: PathBuf,
    /// The user's configuration folder for this program, where the platform has one.
    pub config: Option<PathBuf>,
    /// The user's folder for what this program keeps, where the platform has one.
    pub state: Option<PathBuf>,
    /// Where a running proxy can be found: the platform's folder for that, if it has one.
    pub runtime: Option<PathBuf>,
    /// What `~/` stands for.
    pub home: Option<PathBuf>,
}

/// A configuration file that is to be read.
pub(super) struct Candidate {
    pub path: PathBuf,
    /// How it is named in messages.
    pub shown: String,
    /// Named by `--config`; then it has to exist, and its owner is the user's own decision.
    pub named: bool,
    /// It is in use: that it has no text, is another user's or is no file is taken for a mishap.
    pub in_use: Option<InUse>,
}

/// What is known of a file that is in use.
#[derive(Clone, Copy, Debug, Default)]
pub struct InUse {
    /// Whose it was when it was first read, where the system tells.
    pub owner: Option<u32>,
}

impl InUse {
    /// Looks at the file.
    pub fn of(path: &Path) -> Self {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self { owner: std::fs::metadata(path).ok().map(|metadata| metadata.uid()) }
        }
        #[cfg(not(unix))]
        {
            let _ = path;
            Self::default()
        }
    }
}

/// What relative paths in one source of settings are relative to.
#[derive(Clone, Copy)]
pub(super) struct Base<'a> {
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
}

impl Folders {
    /// The folders of this process, as its platform has them.
    pub fn of_process() -> Self {
        let project = directories::ProjectDirs::from("", "", "hubspot-proxy");
        let base = directories::BaseDirs::new();
        Self {
            // Without a current folder, relative paths are left for the system to refuse.
            current: std::env::current_dir().unwrap_or_default(),
            config: project.as_ref().map(|dirs| dirs.config_dir().to_owned()),
            runtime: project.as_ref().and_then(|dirs| dirs.runtime_dir()).map(Path::to_owned),
            state: project
                .map(|dirs| dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned()),
            home: base.map(|dirs| dirs.home_dir().to_owned()),
        }
    }

    /// Where a running proxy puts what others find it by: in the first of these that it can.
    pub fn runtime_candidates(&self) -> Vec<PathBuf> {
        let in_state = self.state.as_ref().map(|state| state.join("run"));
        self.runtime.iter().cloned().chain(in_state).collect()
    }

    /// The configuration file that is read, whether or not it can be: the named one, else the first that
    /// is there.
    pub fn config_file(&self, config_flag: Option<&Path>) -> Option<PathBuf> {
        let mut all = self.candidates(config_flag).into_iter();
        let found = all.find(|candidate| candidate.named || candidate.path.exists());
        found.map(|candidate| candidate.path)
    }

    /// The files to try, the first that exists being the one.
    pub(super) fn candidates(&self, config_flag: Option<&Path>) -> Vec<Candidate> {
        if let Some(path) = config_flag {
            let shown = path.display().to_string();
            return vec![Candidate {
                path: self.current.join(path),
                shown,
                named: true,
                in_use: None,
            }];
        }
        let here = Candidate {
            path: self.current.join(FILE_NAME),
            shown: FILE_NAME.to_owned(),
            named: false,
            in_use: None,
        };
        let users = self.config.iter().map(|folder| {
            let path = folder.join(FILE_NAME);
            Candidate { shown: path.display().to_string(), path, named: false, in_use: None }
        });
        std::iter::once(here).chain(users).collect()
    }

    /// The base of paths in flags and in the environment.
    pub(super) fn base(&self) -> Base<'_> {
        Base { folder: &self.current, home: self.home.as_deref() }
    }

    /// The base of paths in the file at `path`.
    pub(super) fn base_of<'a>(&'a self, path: &'a Path) -> Base<'a> {
        Base { folder: path.parent().unwrap_or(&self.current), home: self.home.as_deref() }
    }
}

impl Base<'_> {
    /// `text` as a path: `~/` is the home folder, and a relative path starts at this base.
    pub(super) fn resolve(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(text),
        }
    }
}
