use super::*;

fn settle(argv: &[&str], environment: &[(&str, &str)], toml: &str) -> Result<Settings, Vec<Fault>> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("hetsync.toml");
    std::fs::write(&path, toml).expect("a file");
    let path = path.display().to_string();
    let mut all = vec!["hetsync", "serve", "--config", &path];
    all.extend(argv);
    let all: Vec<OsString> = all.into_iter().map(OsString::from).collect();
    let environment = environment
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    let shorten = |fault: Fault| match fault.place {
        Place::File { line, column, .. } => Fault {
            place: Place::File {
                path: "F".into(),
                line,
                column,
            },
            ..fault
        },
        _ => fault,
    };
    resolve(&all, environment).map_err(|faults| faults.into_iter().map(shorten).collect())
}

fn faults(argv: &[&str], environment: &[(&str, &str)], toml: &str) -> Vec<String> {
    match settle(argv, environment, toml) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(Fault::to_string).collect(),
    }
}

#[test]
fn flags_go_before_variables_and_variables_before_the_file() {
    let toml = "workers = 3\nmax-connections = 30\nidle = '3m'\nquiet = true";
    let variables = [("HETSYNC_WORKERS", "5"), ("HETSYNC_MAX_CONNECTIONS", "50")];
    let settings = settle(&["--workers", "7", "-v"], &variables, toml).unwrap_or_else(|_| panic!());
    let general = &settings.general;
    assert_eq!((general.workers, general.max_connections), (7, 50));
    assert_eq!(general.idle, hetsync_core::Span::from_secs(180));
    assert!(
        general.verbose && !general.quiet,
        "the command line settles both"
    );
}

#[test]
fn a_job_has_rules_of_its_own() {
    let toml =
        "workers = 3\ndeadline = '1s'\n[job.a]\nworkers = 9\naggregate = 'mean'\n[job.\"b/c\"]";
    let settings = settle(&[], &[("HETSYNC_JOB", "d, e")], toml).unwrap_or_else(|_| panic!());
    let told = settings
        .jobs
        .iter()
        .map(|(name, args)| (name.to_string(), args.workers));
    let told: Vec<_> = told.collect();
    let expected = [("a", 9), ("b/c", 3), ("d", 3), ("e", 3)];
    assert_eq!(
        told,
        expected.map(|(name, workers)| (name.to_owned(), workers))
    );
    let (_, a) = &settings.jobs[0];
    assert_eq!(a.aggregate.to_string(), "mean");
    assert_eq!(a.deadline, Some(hetsync_core::Span::from_secs(1)));
    // Named on the command line, they are all.
    let settings = settle(&["-j", "a"], &[], toml).unwrap_or_else(|_| panic!());
    assert_eq!(settings.jobs.len(), 1);
    assert_eq!(settings.jobs[0].1.workers, 9);
}

#[test]
fn every_fault_is_told_with_its_place() {
    let toml = "workers = 0\nmax_payload = '1G'\nwait-for = \"all\"\nquiet = 1\n\
        policy = 'quorum(3/4'\nfloats = [1]\njob = 3.5\nlisten = 1979-05-27\nsomething = 1\nconfig = 'x'";
    let told = faults(
        &[],
        &[("HETSYNC_IDLE", "soon"), ("HETSYNC_QUIET", "maybe")],
        toml,
    );
    let wanted = [
        "HETSYNC_IDLE: invalid value 'soon' for '--idle <TIME>'",
        "HETSYNC_QUIET: expected true or false, not \"maybe\"",
        "F:1:1: invalid value '0' for '--workers <N>': must be at least 1",
        "F:2:1: no setting is called `max_payload`; did you mean `max-payload`?",
        "F:3:1: invalid value 'all' for '--wait-for <WHOM>' [possible values: in-step, connected]",
        "F:4:1: `quiet` is true or false",
        "F:5:1: invalid value 'quorum(3/4' for '--policy <RULE>': in `quorum(3/4` at character 11",
        "F:6:1: `floats` is one number or text, not a list",
        "F:8:1: `listen` is a number or a text, not a date",
        "F:9:1: no setting is called `something`",
        "F:10:1: `config` has no place in a file",
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.starts_with(wanted), "{told} is not {wanted}");
    }
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let told = faults(
        &[],
        &[],
        "workers = 4\nlate = drop\nfloats = 10 10\nidle = '1m'",
    );
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("F:2:8: this is no TOML: "), "{told:#?}");
    assert!(told[1].starts_with("F:3:"), "{told:#?}");
    let told = faults(&[], &[], "workers = 4\nworkers = 5\n");
    assert!(told[0].starts_with("F:2:1: this is no TOML: "), "{told:#?}");
}

#[test]
fn settings_that_do_not_go_together_are_told_where_they_were_set() {
    let toml = "[job.a]\naggregate = 'krum(3)'\nworkers = 4\n[job.b]\nlisten = '127.0.0.1:1'";
    let told = faults(&[], &[], toml);
    assert!(
        told[0].starts_with("F:5:1: `listen` is the whole server's"),
        "{told:#?}"
    );
    let told = faults(&[], &[], toml.split("[job.b]").next().unwrap_or(""));
    assert!(
        told[0].starts_with("F:2:1: --aggregate 'krum(3)' needs 9"),
        "{told:#?}"
    );
    assert_eq!(told.len(), 1);
    let told = faults(&["--workers=9"], &[("HETSYNC_MAX_CONNECTIONS", "8")], "");
    assert!(
        told[0].starts_with("command line: --workers 9 can never"),
        "{told:#?}"
    );
    let told = faults(
        &[],
        &[("HETSYNC_LISTEN", "0.0.0.0:1")],
        "token-file = '/nonexistent/x'",
    );
    assert!(
        told[0].starts_with("F:1:1: cannot read /nonexistent/x"),
        "{told:#?}"
    );
}

#[test]
fn what_others_call_so_is_left_alone() {
    let variables = [
        ("HETSYNC_PORT", "tcp://10.0.0.1:9999"),
        ("HETSYNC_SERVICE_HOST", "x"),
    ];
    assert_eq!(faults(&[], &variables, ""), Vec::<String>::new());
}

/// Whatever is shown can be taken as a file, and says the same.
#[test]
fn what_is_shown_reads_back() {
    let toml = "workers = 3\nlate = 'decay(0.5)'\ninsecure-listen = true\n[job.a]\nworkers = 9\n[job.\"b/c\"]";
    let settings = settle(&["--floats", "12"], &[], toml).unwrap_or_else(|_| panic!());
    let shown = show(&settings);
    assert!(shown.contains("floats = 12"), "{shown}");
    let again = settle(&[], &[], &shown).unwrap_or_else(|faults| panic!("{faults:?}\n{shown}"));
    let general = |settings: &Settings| {
        let debug = format!("{:?}", settings.general);
        debug.split_once("listen").map(|(_, rest)| rest.to_owned())
    };
    assert_eq!(general(&again), general(&settings));
    assert_eq!(again.jobs.len(), 2);
    assert_eq!(again.jobs[0].1.workers, 9);
}
