//! The server's markers for tracing, as a profiler finds them in the program.

/// Provider, name and arguments of each note for tracing in an ELF file. It
/// looks for the notes themselves, which are as they are wherever they lie.
fn markers(file: &[u8]) -> Vec<(String, String, String)> {
    // Its type, 3, and its owner.
    let head = b"\x03\0\0\0stapsdt\0";
    let mut found = Vec::new();
    let starts = file.windows(head.len()).enumerate();
    for (at, _) in starts.filter(|(_, bytes)| bytes == head) {
        // Three addresses, three strings.
        let strings = &file[at + head.len() + 24..];
        let mut strings = strings
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let mut next = || strings.next().expect("a string");
        found.push((next(), next(), next()));
    }
    found
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn the_program_has_markers_with_three_numbers_each() {
    let file = std::fs::read(env!("CARGO_BIN_EXE_hetsync")).expect("the program");
    let markers = markers(&file);
    let names: std::collections::BTreeSet<&str> =
        markers.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["gradient", "reply", "round_close", "round_open"]
    );
    for (provider, name, arguments) in &markers {
        assert_eq!(provider, "hetsync");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        assert_eq!(arguments.len(), 3, "{name}: {arguments:?}");
        assert!(
            arguments.iter().all(|of| of.starts_with("8@")),
            "{name}: {arguments:?}"
        );
    }
}
