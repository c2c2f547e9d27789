//! A disk that is full when a token has to be refreshed: requests go on, and nothing is lost once there
//! is room again.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::processes::{Home, Proxy, Sandbox, Shim, Told};

/// Seconds after which a token is over.
const LIFE: i64 = 31 * 60;

/// A small disk; it goes with this.
pub struct Disk(PathBuf);

impl Disk {
    /// `None` where this is not root, or cannot mount.
    pub fn mount(at: PathBuf, megabytes: usize) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let options = format!("size={megabytes}m,mode=700");
        let mount = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(&at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Leaves not a byte free.
    pub fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).unwrap();
        for size in [1 << 16, 512, 1] {
            while filler.write_all(&vec![1; size]).is_ok() {}
        }
    }

    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_degrades_the_account_and_costs_nothing_once_there_is_room() {
    let (shim, home) = (Shim::build(), Home::new());
    let Some(disk) = Disk::mount(home.state_folder(), 1) else {
        assert!(std::env::var_os("CI").is_none(), "cannot mount a small disk");
        eprintln!("skipped: only root can mount a small disk");
        return;
    };
    let sandbox = Sandbox::start("strict", Some((&shim, &home)));
    let start = || Proxy::start(&home, &sandbox, Some((&shim, Told::default()))).unwrap();
    let mut proxy = start();
    assert_eq!(proxy.get().0, 200);
    disk.fill();
    home.set_clock(LIFE);
    let (status, answer) = proxy.get();
    assert_eq!(status, 200, "{answer}\n{}", home.last_output());
    let (_, ready) = proxy.ready();
    assert!(ready.contains("\"degraded\":true"), "{ready}");
    assert!(home.last_output().contains("could not be written to the store"));
    disk.make_room();
    let deadline = Instant::now() + Duration::from_secs(10);
    while proxy.ready().1.contains("degraded") {
        assert!(Instant::now() < deadline, "it stays degraded: {}", home.last_output());
        thread::sleep(Duration::from_millis(100));
    }
    // Under strict rotation a lost refresh token would show now.
    drop(proxy);
    let mut proxy = start();
    assert_eq!(proxy.get().0, 200);
    home.set_clock(2 * LIFE);
    assert_eq!(proxy.get().0, 200);
    assert_eq!(sandbox.tokens_issued(), 3);
    drop(proxy);
}
