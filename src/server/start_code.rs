//! The program's code in memory: what only the start has used need not stay there.
//!
//! Reading flags, files and certificates runs through much of the program once. The kernel maps code
//! where it runs, with what lies around it, and counts it as this process's memory from then on. On
//! Linux that was 5 of 9 MiB before the first request, of which 3 are given back here.

use std::ops::Range;

/// Takes the program's code out of the process's memory. What runs from now on comes back as it runs,
/// from the system's cache of the file, at the price of a few dozen page faults.
#[allow(unsafe_code)]
pub fn release() {
    use rustix::mm::{Advice, madvise};
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let Some(code) = code_around(release as *const () as usize, &maps) else { return };
    // SAFETY: The range holds the function that runs here, so nothing else is mapped in its place
    // as long as this call lasts. The mapping is one of a file, private, executable and never
    // writable: the linker refuses relocations in code, so each page is what the file says, and is
    // read from there again when it is next used. Whoever writes to a running program's file is
    // refused by the kernel.
    // An error leaves everything as it was.
    let _ = unsafe { madvise(code.start as *mut _, code.len(), Advice::LinuxDontNeed) };
}

/// The part of `maps` (proc_pid_maps(5)) that holds `address`, if it is code mapped from a file.
fn code_around(address: usize, maps: &str) -> Option<Range<usize>> {
    maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let (permissions, inode) = (fields.next()?, fields.nth(2)?);
        (range.contains(&address) && permissions == "r-xp" && inode != "0").then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::code_around;

    const MAPS: &str = "\
5000-7000 r--p 00000000 fe:00 77                         /bin/a program
7000-9000 r-xp 00002000 fe:00 77                         /bin/a program
9000-a000 rw-p 00004000 fe:00 77                         /bin/a program
a000-b000 rwxp 00005000 fe:00 77                         /bin/a program
b000-c000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn only_code_that_is_as_the_file_has_it_is_released() {
        let cases = [
            (0x6fff, None),
            (0x7000, Some(0x7000..0x9000)),
            (0x8fff, Some(0x7000..0x9000)),
            (0x9000, None),
            (0xa000, None),
            (0xb000, None),
            (0xc000, None),
        ];
        for (address, expected) in cases {
            assert_eq!(code_around(address, MAPS), expected, "{address:x}");
        }
    }
}
