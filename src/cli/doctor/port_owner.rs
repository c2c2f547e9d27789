//! Who listens on a port of this machine, where the system tells: Linux, and there of all processes that
//! this user may look into.

#[cfg(target_os = "linux")]
use std::fs;

/// The process that listens on `port`, in words.
#[cfg(target_os = "linux")]
pub fn of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: Vec<Socket> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, port))
        .collect();
    let holder = sockets.iter().find_map(|socket| process_with(socket.inode));
    if let Some((pid, name)) = holder {
        return Some(format!("process {pid} ({name})"));
    }
    let user = sockets.first()?.user;
    let name = uzers::get_user_by_uid(user);
    let name = name.map_or(user.to_string(), |user| user.name().to_string_lossy().into_owned());
    Some(format!("a program of the user {name}"))
}

/// Elsewhere nobody is asked.
#[cfg(not(target_os = "linux"))]
pub fn of(_: u16) -> Option<String> {
    None
}

/// A socket that listens.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    user: u32,
    inode: u64,
}

/// The sockets of a table (proc_pid_net(5)) that listen on `port`.
#[cfg(target_os = "linux")]
fn listening(table: &str, port: u16) -> Vec<Socket> {
    const LISTENS: &str = "0A";
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
        let is_it =
            u16::from_str_radix(local_port, 16) == Ok(port) && fields.get(3) == Some(&LISTENS);
        let socket =
            Socket { user: fields.get(7)?.parse().ok()?, inode: fields.get(9)?.parse().ok()? };
        is_it.then_some(socket)
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(target_os = "linux")]
fn process_with(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
        let mut targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
        targets.any(|target| target.to_string_lossy() == wanted)
    };
    let pids = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.into_iter().find(|pid| holds(pid))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some((pid, name.trim().to_owned()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::of;

    #[test]
    fn the_process_that_listens_is_named_by_its_id() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = TcpListener::bind(address) else { continue };
            let port = socket.local_addr().unwrap().port();
            let named = of(port).unwrap();
            assert!(named.contains(&format!("process {} (", std::process::id())), "{named}");
            drop(socket);
            assert_eq!(of(port), None);
        }
    }
}
