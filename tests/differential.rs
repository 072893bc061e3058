//! Random well-typed scripts, every opinion on what they do:
//!
//! 1. the meaning of the checked script (`interp::script`);
//! 2. the compiled code in our eBPF machine (`interp::ebpf`), which also stops at what the verifier would refuse;
//! 3. the compiled code in the running kernel, where bpf(2) is allowed;
//! 4. the compiled code in rbpf, where it has what the code needs.
//!
//! They must leave the same maps, events and losses, byte for byte. `HETSYNC_CASES` sets how many programs are tried,
//! `PROPTEST_RNG_SEED` which. `guests.rs` asks the kernels of the test guests too; `make torture` asks them about many more.
//! There the emulated processor makes our own machines slow, and they say what they say here: `HETSYNC_OPINIONS=kernel` leaves
//! them out.

#[path = "differential/choices.rs"]
mod choices;
#[path = "differential/generate/mod.rs"]
mod generate;
#[cfg(feature = "kernel")]
#[path = "differential/guests.rs"]
mod guests;
#[cfg(feature = "kernel")]
#[path = "differential/kernel.rs"]
mod kernel;
#[path = "differential/opinions.rs"]
mod opinions;
#[path = "differential/third.rs"]
mod third;

use generate::{By, Case, Compiling, Each, Flavour};
use hetsync_probe::codegen::regalloc::Pool;
use hetsync_probe::codegen::{self, Options};
use hetsync_probe::diagnostic::Diagnostic;
use hetsync_probe::image::Image;
use hetsync_probe::interp::{Contents, Firing};
use hetsync_probe::sema::hir::StmtKind;
use opinions::{Scene, difference};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestError, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

/// Most bytes a program is made of.
const BYTES: usize = 1200;

fn config(cases: u32) -> Config {
    let saved = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/proptest-regressions/differential.txt"
    );
    Config {
        cases: std::env::var("HETSYNC_CASES").map_or(cases, |n| {
            n.parse().expect("HETSYNC_CASES is a number of cases")
        }),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(saved))),
        max_shrink_iters: 30_000,
        max_shrink_time: 30_000,
        ..Config::default()
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..BYTES)
}

/// What happened over all cases.
#[derive(Default)]
struct Account {
    compiled: Cell<u32>,
    /// Programs with a map that has a front.
    fronts: Cell<u32>,
    /// Programs that go over a map's entries.
    each: Cell<u32>,
    /// Programs with maps that share a value.
    groups: Cell<u32>,
    kernel: Cell<u32>,
    rbpf: Cell<u32>,
    events: Cell<usize>,
    losses: Cell<u64>,
    refused: RefCell<BTreeMap<String, u32>>,
    /// Programs with loops through which the kernel found too many paths.
    too_long: Cell<u32>,
}

fn count(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

/// The compiler's answer; a broken invariant inside it is an error with its first line.
fn compiled(case: &Case, scene: &Scene) -> Result<Result<Image, Vec<Diagnostic>>, String> {
    // The panic is reported with the case, not once for every step of shrinking.
    static QUIET: Once = Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let Compiling {
        registers,
        atomic_fetch,
        functions,
    } = case.compiling;
    let mut pool = Pool::default();
    for (register, allowed) in pool.allowed.iter_mut().enumerate() {
        // Helpers take and return the first six; of the others only so many.
        *allowed = register < 6.max(registers);
    }
    let lower = |probe: usize, point: usize| {
        let probe = &case.program.probes[probe];
        match functions {
            By::Kprobe => None,
            By::Trampoline => opinions::traced(&probe.points[point].kind),
            By::KprobeMulti => opinions::together(probe, point),
        }
    };
    let fronts = hetsync_probe::plan::fronts::fronts(&case.program);
    let mut groups = hetsync_probe::plan::groups::groups(&case.program);
    // What is in a map before is put into the map itself.
    groups.retain(|group| case.start.iter().all(|(map, ..)| !group.contains(map)));
    let options = Options {
        lower: &lower,
        groups: &groups,
        fronts: &fronts,
        gate: !matches!(functions, By::Kprobe),
        atomic_fetch: atomic_fetch && scene.atomic_fetch,
        ring_bytes: case.ring_bytes,
        pool,
        ..Options::plain()
    };
    let compile = || codegen::compile(&case.program, &options);
    catch_unwind(AssertUnwindSafe(compile)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        let text = text.unwrap_or_default();
        text.lines().next().unwrap_or_default().to_string()
    })
}

/// Who is asked beside the meaning of the script.
#[derive(Clone, Copy, PartialEq)]
struct Asked {
    /// Our machine and rbpf.
    machines: bool,
    kernel: bool,
}

/// Asks about a case.
fn compare(
    case: &Case,
    scene: &Scene,
    asked: Asked,
    account: &Account,
) -> Result<(), TestCaseError> {
    let meant = opinions::script(case, scene);
    let fail = |who: &str, what: String| {
        let script = hetsync_probe::sema::dump(&case.program);
        Err(TestCaseError::fail(format!("{who}: {what}\n{script}")))
    };
    let image = match compiled(case, scene) {
        Err(what) => return fail("compiler", what),
        Ok(Ok(image)) => image,
        Ok(Err(mistakes)) => {
            let mut refused = account.refused.borrow_mut();
            *refused
                .entry(format!("{mistakes:?}").chars().take(160).collect())
                .or_default() += 1;
            return Ok(());
        }
    };
    count(&account.compiled);
    if !image.fronts.is_empty() {
        count(&account.fronts);
    }
    if !image.parts.is_empty() {
        count(&account.groups);
    }
    account
        .events
        .set(account.events.get() + meant.events.len());
    account
        .losses
        .set(account.losses.get() + meant.losses.iter().sum::<u64>());
    let fail = |(who, what): (&str, String)| fail(who, what);
    if asked.machines {
        machines(case, &image, scene, &meant, account).or_else(fail)?;
    }
    #[cfg(feature = "kernel")]
    if asked.kernel {
        match kernel::kernel(case, &image, scene) {
            // These loops have limits of their own, however long their bodies are.
            Err(refusal) if gave_up(case, &refusal) => count(&account.too_long),
            Err(refusal) => return fail(("kernel", refusal)),
            Ok(done) => {
                count(&account.kernel);
                if let Some(what) = difference(case, &meant, &done) {
                    return fail(("script against kernel", what));
                }
            }
        }
    }
    Ok(())
}

#[cfg(feature = "kernel")]
fn gave_up(case: &Case, refusal: &str) -> bool {
    !case.program.loops.is_empty() && refusal.contains("the kernel gave up on")
}

/// Asks our machine, and rbpf where it has what the code needs.
fn machines(
    case: &Case,
    image: &Image,
    scene: &Scene,
    meant: &Contents,
    account: &Account,
) -> Result<(), (&'static str, String)> {
    let done = opinions::machine(case, image, scene).map_err(|fault| ("machine", fault))?;
    if let Some(what) = difference(case, meant, &done) {
        return Err(("script against machine", what));
    }
    let Some(done) = third::rbpf(case, image, scene) else {
        return Ok(());
    };
    count(&account.rbpf);
    match difference(case, meant, &done.map_err(|fault| ("rbpf", fault))?) {
        Some(what) => Err(("script against rbpf", what)),
        None => Ok(()),
    }
}

/// Fails the test with the smallest program found.
fn agreed(outcome: Result<(), TestError<Vec<u8>>>) {
    if let Err(error) = outcome {
        match error {
            TestError::Fail(reason, bytes) => println!("{reason}\nbytes: {bytes:?}"),
            TestError::Abort(reason) => println!("{reason}"),
        }
        panic!("the opinions differ");
    }
}

/// Our own scene, where no kernel takes part.
fn scene() -> Scene {
    Scene {
        firing: Firing {
            cpu: 1,
            args: [1, 2, u64::MAX, 1 << 63, 0, 40, 50, 60, 70, 80],
            retval: -11i64 as u64,
            ..Firing::default()
        },
        cpus: 2,
        atomic_fetch: true,
        for_each: true,
    }
}

fn count_each(case: &Case, account: &Account) {
    let mut goes = false;
    for probe in &case.program.probes {
        probe.each_stmt(&mut |stmt| goes |= matches!(stmt.kind, StmtKind::Each { .. }));
    }
    if goes {
        count(&account.each);
    }
}

/// The kernel's scene, or ours with the reason printed.
fn kernel_scene() -> (Scene, bool) {
    #[cfg(feature = "kernel")]
    let found = kernel::scene();
    #[cfg(not(feature = "kernel"))]
    let found: Result<Scene, &str> = Err("built without the feature `kernel`");
    match found {
        Ok(scene) => (scene, true),
        Err(reason) => {
            println!("the kernel's opinion is left out: {reason}");
            (scene(), false)
        }
    }
}

#[test]
fn all_opinions_agree_on_random_programs() {
    let (scene, with_kernel) = kernel_scene();
    let account = Account::default();
    let config = config(400);
    let cases = config.cases;
    let asked = Asked {
        machines: std::env::var("HETSYNC_OPINIONS").as_deref() != Ok("kernel"),
        kernel: with_kernel,
    };
    let outcome = TestRunner::new(config).run(&bytes(), |bytes| {
        let each = match (asked.kernel, scene.for_each) {
            (true, false) => Each::Never,
            (true, true) => Each::InAnyOrder,
            (false, _) => Each::Any,
        };
        let flavour = Flavour {
            each,
            ..Flavour::default()
        };
        let case = generate::case(&bytes, flavour);
        count_each(&case, &account);
        compare(&case, &scene, asked, &account)
    });
    let compiled = account.compiled.get();
    println!(
        "{compiled} programs compiled, {} with fronts, {} with groups, {} with loops over maps, {} compared with the kernel ({} were too long for it), {} with rbpf; {} events, {} losses; refused: {:#?}",
        account.fronts.get(),
        account.groups.get(),
        account.each.get(),
        account.kernel.get(),
        account.too_long.get(),
        account.rbpf.get(),
        account.events.get(),
        account.losses.get(),
        account.refused.borrow(),
    );
    agreed(outcome);
    assert!(compiled * 10 >= cases * 9, "too many programs are refused");
    assert!(account.fronts.get() * 20 >= cases, "too few fronts");
    assert!(
        account.each.get() * 20 >= cases || !scene.for_each,
        "too few loops over maps"
    );
    assert!(account.too_long.get() * 20 <= cases, "loops are too long");
    assert!(account.events.get() > 0 && account.losses.get() > 0);
    assert!(account.rbpf.get() > 0 || !asked.machines);
    assert!(account.kernel.get() > 0 || asked.machines);
}

/// Compares script and machine (and rbpf) alone.
fn without_kernel(flavour: Flavour) {
    let account = Account::default();
    let asked = Asked {
        machines: true,
        kernel: false,
    };
    let outcome = TestRunner::new(config(250)).run(&bytes(), |bytes| {
        compare(&generate::case(&bytes, flavour), &scene(), asked, &account)
    });
    agreed(outcome);
    assert!(account.compiled.get() > 0 && account.events.get() > 0);
}

#[test]
fn nsecs_and_elapsed_agree_while_the_clock_stands() {
    without_kernel(Flavour {
        clock: true,
        ..Flavour::default()
    });
}

#[test]
fn probes_of_functions_agree_by_kprobe_and_by_fentry() {
    without_kernel(Flavour {
        functions: true,
        clock: true,
        each: Each::Any,
        ..Flavour::default()
    });
}

#[test]
fn reads_of_memory_agree() {
    without_kernel(Flavour {
        functions: true,
        memory: true,
        each: Each::Any,
        ..Flavour::default()
    });
}
