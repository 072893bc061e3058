//! Reads apt's source files, in both of their forms, and derives from them
//! the sources of another release of the same archive.
//!
//! It reads only what it needs: where the archive is, what signs it, and the
//! options that a mirror may need. It does not judge whether apt would accept
//! the file.

/// One archive as a source file names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    /// Fields to carry over verbatim, in deb822 form: `Signed-By` and the
    /// like, continuation lines included.
    fields: Vec<(String, String)>,
}

/// Fields that say how an archive is trusted or reached, not which part of it is
/// wanted.
const CARRIED: [&str; 5] = [
    "Signed-By",
    "Trusted",
    "Check-Valid-Until",
    "Check-Date",
    "Allow-Insecure",
];

/// Debian's releases by codename, and the names that move over them.
const DEBIAN_SUITES: [&str; 15] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldoldstable",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
    "rc-buggy",
];

/// Reads a `.sources` file: stanzas of `Field: value`.
pub(super) fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(stanza(&std::mem::take(&mut fields)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn stanza(fields: &[(String, String)]) -> Vec<Source> {
    let value = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value.as_str())
    };
    let words = |name: &str| value(name).split_whitespace().map(str::to_owned).collect();
    let disabled = ["no", "false", "without", "off", "disable", "0"]
        .iter()
        .any(|no| value("Enabled").eq_ignore_ascii_case(no));
    if disabled || !value("Types").split_whitespace().any(|kind| kind == "deb") {
        return Vec::new();
    }
    let carried: Vec<(String, String)> = fields
        .iter()
        .filter(|(name, _)| CARRIED.iter().any(|carry| name.eq_ignore_ascii_case(carry)))
        .cloned()
        .collect();
    value("URIs")
        .split_whitespace()
        .map(|uri| Source {
            uri: uri.to_owned(),
            suites: words("Suites"),
            components: words("Components"),
            fields: carried.clone(),
        })
        .collect()
}

/// Reads a `.list` file: lines of `deb [option=value] uri suite component...`.
pub(super) fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(list_line).collect()
}

fn list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?;
    // `deb-src` names sources, not packages.
    if !rest.starts_with([' ', '\t', '[']) {
        return None;
    }
    rest = rest.trim_start();
    let mut fields = Vec::new();
    if let Some(inside) = rest.strip_prefix('[') {
        let (options, after) = inside.split_once(']')?;
        for option in options.split_whitespace() {
            let (name, value) = option.split_once('=')?;
            let carry = CARRIED
                .iter()
                .find(|carry| carry.eq_ignore_ascii_case(name));
            if let Some(name) = carry {
                fields.push(((*name).to_owned(), value.replace(',', " ")));
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        fields,
    })
}

/// Which part of a release a source serves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pocket {
    Main,
    Security,
}

impl Source {
    /// A source made from nothing but an address, signed by the keys of
    /// Debian's own keyring package.
    pub(super) fn from_uri(uri: &str) -> Self {
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        Source {
            uri: uri.to_owned(),
            suites: vec!["stable".to_owned()],
            components: vec!["main".to_owned()],
            fields: vec![("Signed-By".to_owned(), keyring.to_owned())],
        }
    }

    fn serves(&self, pocket: Pocket) -> bool {
        self.components.iter().any(|component| component == "main")
            && self.suites.iter().any(|suite| match pocket {
                Pocket::Main => DEBIAN_SUITES.contains(&suite.as_str()),
                Pocket::Security => suite
                    .strip_suffix("-security")
                    .is_some_and(|release| DEBIAN_SUITES.contains(&release)),
            })
    }

    /// How surely this is Debian's own archive: others use its release names
    /// too. A mirror keeps the archive's keys and the last part of its path.
    fn likeness(&self) -> u32 {
        let debian_keys = self
            .fields
            .iter()
            .any(|(name, value)| name == "Signed-By" && value.contains("debian-archive"));
        let debian_path = ["/debian", "/debian-security"]
            .iter()
            .any(|end| self.uri.trim_end_matches('/').ends_with(end));
        2 * u32::from(debian_keys) + u32::from(debian_path)
    }

    fn to_stanza(&self, suites: &str, extra: &str) -> String {
        let mut text = format!(
            "Types: deb\nURIs: {}\nSuites: {suites}\nComponents: main\nTargets: Packages\n{extra}",
            self.uri
        );
        for (name, value) in &self.fields {
            // A value that starts on the next line keeps its form.
            let space = if value.starts_with('\n') { "" } else { " " };
            text.push_str(&format!("{name}:{space}{value}\n"));
        }
        text
    }
}

/// The source file for `suite` of the archive that these sources name: its
/// main part and, if the machine takes those, its security updates, each as
/// one stanza. Empty if no source is Debian's.
pub(super) fn derive(sources: &[Source], suite: &str, frozen: bool) -> Vec<String> {
    let best = |pocket| {
        sources
            .iter()
            .rev() // the first of equals: max_by_key takes the last
            .filter(|source| source.serves(pocket))
            .max_by_key(|source| source.likeness())
    };
    // A release that gets no more updates keeps a date that has passed; its
    // signature is still checked.
    let extra = if frozen {
        "Check-Valid-Until: no\n"
    } else {
        ""
    };
    let Some(main) = best(Pocket::Main) else {
        return Vec::new();
    };
    let mut stanzas = vec![main.to_stanza(suite, extra)];
    if let Some(security) = best(Pocket::Security) {
        stanzas.push(security.to_stanza(&format!("{suite}-security"), extra));
    }
    stanzas
}

/// The text without the hosts of these sources: which mirror a machine uses is
/// its own affair.
pub(super) fn without_hosts(sources: &[Source], text: &str) -> String {
    let mut text = text.to_owned();
    for source in sources {
        let rest = source.uri.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split('/').next().unwrap_or("");
        // Without a user's name and password, too, and with or without a port.
        let bare = host.rsplit('@').next().unwrap_or("");
        let name = bare.split(':').next().unwrap_or("");
        for part in [host, bare, name]
            .into_iter()
            .filter(|part| !part.is_empty())
        {
            text = text.replace(part, "ARCHIVE");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANZAS: &str = "\
# the archive
Types: deb deb-src
URIs: http://archive.example/debian
Suites: bookworm bookworm-updates
Components: main
# a comment in the middle
Signed-By: /keys/debian-archive-keyring.gpg

Types: deb
URIs: http://archive.example/debian-security
Suites: bookworm-security
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://vendor.example/apt
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://archive.example/debian
Suites: bookworm
Components: main
";

    #[test]
    fn deb822_keeps_archives_keys_and_only_enabled_packages() {
        let sources = parse_deb822(STANZAS);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].uri, "http://archive.example/debian");
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(
            sources[0].fields,
            [(
                "Signed-By".to_owned(),
                "/keys/debian-archive-keyring.gpg".to_owned()
            )]
        );
        assert!(sources[1].fields[0].1.starts_with("\n -----BEGIN"));
    }

    #[test]
    fn the_release_is_changed_and_nothing_else() {
        let text = derive(&parse_deb822(STANZAS), "trixie", false).join("\n");
        let expected = "\
Types: deb
URIs: http://archive.example/debian
Suites: trixie
Components: main
Targets: Packages
Signed-By: /keys/debian-archive-keyring.gpg

Types: deb
URIs: http://archive.example/debian-security
Suites: trixie-security
Components: main
Targets: Packages
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
";
        assert_eq!(text, expected);
        // What was written is read back as the same archives.
        let again = parse_deb822(&text);
        assert_eq!(again.len(), 2);
        assert_eq!(again[1].fields, parse_deb822(STANZAS)[1].fields);
    }

    #[test]
    fn one_line_sources_are_read_with_their_options() {
        let text = "\
# comment
deb-src http://archive.example/debian bookworm main
deb [arch=amd64 signed-by=/keys/a.gpg,/keys/b.gpg] http://archive.example/debian bookworm main contrib # end
deb\thttp://archive.example/debian-security bookworm-security main
deb [check-valid-until=no] http://old.example/debian/ bullseye main
deb
deb [broken http://x y z
";
        let sources = parse_list(text);
        assert_eq!(sources.len(), 3);
        assert_eq!(
            sources[0].fields,
            [("Signed-By".to_owned(), "/keys/a.gpg /keys/b.gpg".to_owned())]
        );
        assert_eq!(sources[0].components, ["main", "contrib"]);
        assert_eq!(sources[1].suites, ["bookworm-security"]);
        assert_eq!(sources[2].fields[0].0, "Check-Valid-Until");
        let derived = derive(&sources, "bullseye", true).concat();
        assert!(derived.contains("URIs: http://archive.example/debian\nSuites: bullseye\n"));
        assert!(derived.contains("Check-Valid-Until: no\n"));
        assert!(derived.contains("Suites: bullseye-security\n"));
    }

    #[test]
    fn debians_own_archive_is_preferred_to_others_that_use_its_names() {
        let sources = parse_list(
            "deb http://vendor.example/repo bookworm main\n\
             deb http://mirror.example/pub/debian/ bookworm main\n",
        );
        let text = derive(&sources, "bookworm", false).concat();
        assert!(text.contains("mirror.example"), "{text}");
        assert!(
            !text.contains("security"),
            "no security source was named: {text}"
        );
    }

    #[test]
    fn other_distributions_are_not_taken_for_debian() {
        let sources = parse_list(
            "deb http://archive.example/ubuntu noble main restricted\n\
             deb http://vendor.example/apt stable contrib\n",
        );
        assert_eq!(sources.len(), 2);
        assert!(derive(&sources, "bookworm", false).is_empty());
    }

    #[test]
    fn messages_do_not_name_the_mirror() {
        let sources = parse_list("deb http://me:word@mirror.example:8080/debian bookworm main\n");
        let said =
            "Err:1 http://me:word@mirror.example:8080/debian x\nCould not resolve 'mirror.example'";
        assert_eq!(
            without_hosts(&sources, said),
            "Err:1 http://ARCHIVE/debian x\nCould not resolve 'ARCHIVE'"
        );
    }
}
