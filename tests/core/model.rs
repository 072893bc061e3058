//! Models that the server holds: their arithmetic against another, their
//! state over a restart, and the command that serves them.

use hetsync_core::Payload;
use hetsync_core::server::{Descent, Model, Optimizer};

use crate::cli::{Served, run, text};
use crate::v1_fuzz::Random;

/// The definitions, element by element in f64.
fn reference(optimizer: Optimizer, start: f64, gradients: &[f64]) -> f64 {
    let (mut p, mut m, mut v) = (start, 0.0, 0.0);
    for (step, g) in (1..).zip(gradients) {
        match optimizer {
            Optimizer::Sgd { rate } => p -= f64::from(rate) * g,
            Optimizer::Momentum { rate, decay } => {
                v = f64::from(decay) * v + g;
                p -= f64::from(rate) * v;
            }
            Optimizer::Adam {
                rate,
                first_decay,
                second_decay,
                epsilon,
            } => {
                let (a, b) = (f64::from(first_decay), f64::from(second_decay));
                m = a * m + (1.0 - a) * g;
                v = b * v + (1.0 - b) * g * g;
                let unbiased = (m / (1.0 - a.powi(step)), v / (1.0 - b.powi(step)));
                p -= f64::from(rate) * unbiased.0 / (unbiased.1.sqrt() + f64::from(epsilon));
            }
        }
    }
    p
}

const RULES: [&str; 4] = [
    "sgd(0.125)",
    "momentum(0.05, 0.9)",
    "adam(0.01)",
    "adam(0.1, 0.5, 0.75, 0.001)",
];

fn float(random: &mut Random) -> f32 {
    (random.next() >> 40) as f32 / (1 << 20) as f32 - 8.0
}

#[test]
fn each_rule_is_its_definition() {
    let mut random = Random(7);
    for rule in RULES {
        let optimizer: Optimizer = rule.parse().expect("a rule");
        let start: Vec<f32> = (0..50).map(|_| float(&mut random)).collect();
        let steps: Vec<Vec<f32>> = (0..40)
            .map(|_| (0..50).map(|_| float(&mut random)).collect())
            .collect();
        let mut model = Descent::with(start.clone(), optimizer);
        for step in &steps {
            // As a sum over four workers.
            let sum: Vec<f32> = step.iter().map(|g| g * 4.0).collect();
            model.step(&Payload::from_floats(&sum), 4.0);
        }
        for at in 0..start.len() {
            let gradients: Vec<f64> = steps.iter().map(|step| f64::from(step[at])).collect();
            let expected = reference(optimizer, f64::from(start[at]), &gradients);
            let found = f64::from(model.parameters()[at]);
            assert!(
                (found - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                "{rule}: {found} is not {expected}"
            );
        }
    }
}

/// Saved in the middle and restored, a model takes the same steps to the bit.
#[test]
fn the_state_of_a_rule_survives_to_the_bit() {
    for rule in RULES {
        let optimizer: Optimizer = rule.parse().expect("a rule");
        let mut random = Random(11);
        let mut model = Descent::with(vec![0.5; 9], optimizer);
        let mut restored = Descent::with(vec![0.0; 9], optimizer);
        for step in 0..20 {
            let gradient: Vec<f32> = (0..9).map(|_| float(&mut random)).collect();
            let gradient = Payload::from_floats(&gradient);
            if step == 10 {
                restored.restore(&model.save()).expect("it takes it");
            }
            model.step(&gradient, 3.0);
            restored.step(&gradient, 3.0);
        }
        let bits = |model: &Descent| {
            model
                .parameters()
                .iter()
                .map(|p| p.to_bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&model), bits(&restored), "{rule}");
        // What was saved of another is refused.
        let mut longer = Descent::with(vec![0.0; 10], optimizer);
        assert!(longer.restore(&model.save()).is_err());
        let mut parts = model.save();
        parts.pop();
        assert!(restored.restore(&parts).is_err());
    }
}

/// Wild gradients do not make what is finite infinite, nor stop it for ever.
#[test]
fn a_wild_gradient_leaves_a_model_finite() {
    for rule in RULES {
        let mut model = Descent::with(vec![1.0; 2], rule.parse().expect("a rule"));
        for gradient in [f32::MAX, f32::MIN, f32::MAX, f32::MIN_POSITIVE, 0.0] {
            model.step(&Payload::from_floats(&[gradient; 2]), 1.0);
            assert!(model.parameters().iter().all(|p| p.is_finite()), "{rule}");
            for part in model.save().iter().filter(|part| part.name != "steps") {
                let payload = Payload::from_bytes(part.content.to_bytes()).expect("floats");
                assert_eq!(payload.first_non_finite(), None, "{rule}: {}", part.name);
            }
        }
    }
}

#[test]
fn the_command_serves_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let initial = folder.path().join("initial");
    let floats: Vec<u8> = [1.5_f32, -2.5, 4.0]
        .iter()
        .flat_map(|f| f.to_le_bytes())
        .collect();
    std::fs::write(&initial, &floats).expect("a file");
    let initial = initial.display().to_string();
    let server = Served::start(&["-w", "1", "--model", "adam(0.1)", "--initial", &initial]);
    let identity = hetsync_core::member::Identity {
        job: Default::default(),
        worker: "w".parse().expect("a name"),
        token: None,
    };
    let address = server.address.parse().expect("an address");
    let mut client = hetsync_core::net::MemberClient::new(address, identity);
    let answer = smol::block_on(client.connect()).expect("an answer");
    assert_eq!(
        answer.model.expect("the model").to_floats(),
        [1.5, -2.5, 4.0]
    );
    drop(client);
    server.stop();

    std::fs::write(&initial, &floats[..11]).expect("a file");
    for (args, wanted) in [
        (&["--model", "sgd(0.1)"][..], "--floats"),
        (
            &["--model", "sgd(0.1)", "--initial", &initial],
            "whole number of floats",
        ),
        (&["--model", "sgd(-1)", "--floats", "3"], "a rate above 0"),
        (&["--initial", &initial], "--model"),
    ] {
        let output = run(&[&["serve", "--listen", "127.0.0.1:0"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.contains(wanted), "{args:?} said {said}");
    }
}
