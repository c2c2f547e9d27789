//! An audit log whose disk is full, or does not answer: requests are as quick as ever, and what is lost
//! is on record afterwards.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::full_disk::Disk;
use crate::processes::{Home, Proxy, Sandbox, Shim, Told};

/// Rounds in which the disk is well, and as many in which it is not, by turns: whatever else the machine
/// does meets both alike.
const ROUNDS: usize = 8;
const EACH_ROUND: usize = 60;
/// More than the log keeps in memory for one core.
const TOO_MANY: usize = 10_000;

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self { stream: BufReader::new(stream), host: proxy.address().to_owned() }
    }

    fn ask(&mut self, target: &str, count: usize) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.repeat(count).as_bytes()).unwrap();
    }

    /// The body of the next answer.
    fn answer(&mut self) -> String {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    /// How long each of some requests takes that go all the way.
    fn times(&mut self) -> Vec<Duration> {
        let time = |_| {
            let began = Instant::now();
            self.ask("/crm/v3/objects/contacts/1", 1);
            self.answer();
            began.elapsed()
        };
        (0..EACH_ROUND).map(time).collect()
    }
}

/// Asserts that requests take no longer while the disk is ill.
fn compare(proxy: &Proxy, make_ill: impl Fn(), make_well: impl Fn()) {
    let mut client = Client::of(proxy);
    client.times();
    let (mut well, mut ill) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        well.extend(client.times());
        make_ill();
        // A line later the writer has met it.
        client.times();
        thread::sleep(Duration::from_millis(50));
        ill.extend(client.times());
        make_well();
    }
    well.sort_unstable();
    ill.sort_unstable();
    let at = |times: &[Duration], percent: usize| times[(times.len() - 1) * percent / 100];
    let told = [50, 95, 100].map(|percent| (at(&well, percent), at(&ill, percent)));
    println!("well and ill, median, 95 % and the longest: {told:?}");
    assert!(at(&ill, 50) < at(&well, 50) * 3 / 2 + Duration::from_micros(500), "{told:?}");
    assert!(at(&ill, 95) < at(&well, 95) * 3 + Duration::from_millis(5), "{told:?}");
    assert!(at(&ill, 100) < Duration::from_millis(900), "{told:?}");
}

fn lines(home: &Home) -> Vec<Value> {
    let text = fs::read_to_string(home.audit()).unwrap();
    // Of the last there may be no more than a part.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn lost_so_far(client: &mut Client) -> u64 {
    client.ask("/_proxy/metrics", 1);
    let metrics = client.answer();
    let line =
        metrics.lines().find(|line| line.starts_with("hubspot_proxy_audit_lines_lost_total"));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn asked_too_much(client: &mut Client) {
    for _ in 0..TOO_MANY / 50 {
        client.ask("/_proxy/health", 50);
        (0..50).for_each(|_| drop(client.answer()));
    }
}

/// What was lost is on record, and the log is sound.
fn assert_settled(home: &Home, mut proxy: Proxy, lost: u64) {
    until("the loss is on record", || lines(home).iter().any(|line| line["event"] == "lost"));
    assert!(proxy.terminate());
    let on_record = lines(home).iter().filter_map(|line| line["lost"].as_u64()).sum::<u64>();
    // The look at the counter may have come too early for a line of its own.
    assert!((lost..=lost + 1).contains(&on_record), "{on_record} of {lost}");
    let (is_sound, said) = home.run(&["audit", "verify", "audit/audit.log"]);
    assert!(is_sound && !said.contains("unanchored"), "{said}");
}

#[test]
fn a_disk_that_hangs_slows_no_request_and_what_is_lost_is_counted() {
    let (shim, home) = (Shim::build(), Home::new());
    let sandbox = Sandbox::start("fixed", None);
    let audit = Told { audit: true, ..Told::default() };
    let mut proxy = Proxy::start(&home, &sandbox, Some((&shim, audit))).unwrap();
    let mut hang = home.audit().into_os_string();
    hang.push(".hang");
    let hang = PathBuf::from(hang);
    let (make_ill, make_well) =
        (|| fs::write(&hang, "").unwrap(), || fs::remove_file(&hang).unwrap());
    compare(&proxy, make_ill, make_well);
    let mut client = Client::of(&proxy);
    assert_eq!(lost_so_far(&mut client), 0);

    make_ill();
    let before = lines(&home).len();
    asked_too_much(&mut client);
    let lost = lost_so_far(&mut client);
    assert!((1000..TOO_MANY as u64).contains(&lost), "{lost}");
    // Nothing was written meanwhile but what was on its way.
    assert!(lines(&home).len() < before + 600);
    make_well();
    until("lines come again", || lines(&home).len() > before + 8000);
    assert_settled(&home, proxy, lost);

    // Nor does the end wait for ever.
    proxy = Proxy::start(&home, &sandbox, Some((&shim, audit))).unwrap();
    make_ill();
    Client::of(&proxy).times();
    let began = Instant::now();
    assert!(proxy.terminate());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(home.last_output().contains("could not be written within 5 s"));
}

#[test]
fn a_full_disk_slows_no_request_and_what_is_lost_is_counted() {
    let (shim, home) = (Shim::build(), Home::new());
    let Some(disk) = Disk::mount(home.audit().parent().unwrap().to_owned(), 16) else {
        assert!(std::env::var_os("CI").is_none(), "cannot mount a small disk");
        eprintln!("skipped: only root can mount a small disk");
        return;
    };
    let sandbox = Sandbox::start("fixed", None);
    let audit = Told { audit: true, ..Told::default() };
    let proxy = Proxy::start(&home, &sandbox, Some((&shim, audit))).unwrap();
    compare(&proxy, || disk.fill(), || disk.make_room());
    let mut client = Client::of(&proxy);
    assert_eq!(lost_so_far(&mut client), 0);
    disk.fill();
    asked_too_much(&mut client);
    let lost = lost_so_far(&mut client);
    assert!((1..TOO_MANY as u64).contains(&lost), "{lost}");
    assert!(home.last_output().contains("cannot be written and is tried again"));
    disk.make_room();
    assert_settled(&home, proxy, lost);
    drop(disk);
}
