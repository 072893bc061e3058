//! Tensors in other forms than f32: on the wire, through a server, and over
//! the rounds.

use hetsync_core::aggregate::Mean;
use hetsync_core::member::{Fate, Identity};
use hetsync_core::net::{MemberClient, Server, listen};
use hetsync_core::policy::Strict;
use hetsync_core::server::{Config, ConnId, Descent, Join, Machine, Output, Position};
use hetsync_core::wire::v1::message::{Push, Tensor};
use hetsync_core::wire::v1::{self, Decoder, Dtype, Error, Item, Message, decode, encode_floats};
use hetsync_core::{Coder, Coding, Name, Payload, Time};

use crate::v1_fuzz::Random;
use crate::v1_wire::LIMITS;

const FORMS: [Dtype; 6] = [
    Dtype::F32,
    Dtype::F64,
    Dtype::Bf16,
    Dtype::F16,
    Dtype::Int8,
    Dtype::TopK,
];

fn floats(random: &mut Random, count: usize) -> Vec<f32> {
    let float = |_| (random.next() >> 40) as f32 / (1 << 20) as f32 - 8.0;
    (0..count).map(float).collect()
}

fn frame(dtype: Dtype, elements: usize, bytes: &[u8]) -> Vec<u8> {
    let tensors = vec![Tensor {
        name: String::new(),
        elements: elements as u64,
    }];
    let push = Message::Push(Push {
        round: 1,
        tensors,
        weight: 0.0,
    });
    let mut frame = v1::encode_head(&push, dtype, bytes.len() as u64, v1::crc(bytes));
    frame.extend(bytes);
    frame
}

/// Whatever pieces a frame comes in, its tensors are those that were encoded.
#[test]
fn every_form_comes_through_the_decoder() {
    let mut random = Random(3);
    for dtype in FORMS {
        for count in [1, 2, 255, 256, 257, 1000, 5000] {
            let floats = Payload::from_floats(&floats(&mut random, count));
            let bytes = encode_floats(dtype, floats.as_bytes());
            let expected = decode(dtype, &bytes, count).expect("it decodes");
            let mut decoder = Decoder::new(LIMITS);
            let frame = frame(dtype, count, &bytes);
            let mut items = Vec::new();
            for piece in frame.chunks(1 + random.below(3000)) {
                items.extend(decoder.push(piece).expect("in order"));
            }
            let [Item::Head(head), Item::Tensors(payload)] = &items[..] else {
                panic!("{items:?}");
            };
            assert_eq!((head.dtype, head.tensor_bytes), (dtype, bytes.len() as u64));
            assert_eq!(head.float_bytes, 4 * count as u64);
            assert_eq!(*payload, expected);
            let exact = matches!(dtype, Dtype::F32 | Dtype::F64 | Dtype::TopK);
            assert!(!exact || expected == floats, "{dtype:?}");
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_memory_is_set_aside() {
    let refused = |frame: &[u8]| Decoder::new(LIMITS).push(frame).expect_err("it is refused");
    let whole = |dtype, bytes: &[u8]| refused(&frame(dtype, 3, bytes));
    assert!(matches!(
        whole(Dtype::Bf16, &[0; 5]),
        Error::NotElements { .. }
    ));
    assert!(matches!(
        whole(Dtype::Int8, &[0; 3]),
        Error::NotElements { .. }
    ));
    assert!(matches!(
        whole(Dtype::TopK, &[0; 12]),
        Error::NotElements { .. }
    ));
    assert!(matches!(
        whole(Dtype::F16, &[0; 8]),
        Error::Elements {
            described: 3,
            announced: 4
        }
    ));
    // A few bytes that would be more floats than are allowed.
    let many = |dtype, elements| refused(&frame(dtype, elements, &[0; 8]));
    assert!(matches!(
        many(Dtype::TopK, 1 << 30),
        Error::TensorsTooLong { .. }
    ));
    assert!(matches!(
        many(Dtype::TopK, usize::MAX),
        Error::TensorsTooLong { .. }
    ));
    // Bytes of top-k alone do not say how long it is.
    let push = Message::Push(Push {
        round: 1,
        ..Push::default()
    });
    let mut unsaid = v1::encode_head(&push, Dtype::TopK, 8, v1::crc(&[0; 8]));
    unsaid.extend([0; 8]);
    assert!(matches!(
        refused(&unsaid),
        Error::Elements {
            described: 0,
            announced: 0
        }
    ));
    let mut twice = 1_u64.to_le_bytes().to_vec();
    twice.extend(1_u64.to_le_bytes());
    assert!(matches!(
        whole(Dtype::TopK, &twice),
        Error::Index {
            found: 1,
            next: 2,
            limit: 3
        }
    ));
}

fn client(address: std::net::SocketAddr, worker: &str, coding: Coding) -> MemberClient {
    let identity = Identity {
        job: Name::default(),
        worker: worker.parse().expect("a name"),
        token: None,
    };
    MemberClient::new(address, identity).coding(coding)
}

/// Workers of all forms in one job get the same bits, which are those of the
/// model that the server holds.
#[test]
fn replicas_are_equal_whatever_forms_the_workers_speak() {
    const FLOATS: usize = 300;
    const ROUNDS: usize = 12;
    for precision in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Int8] {
        let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
        let server = Server::builder()
            .workers(FORMS.len())
            .policy(Strict)
            .aggregate(Mean)
            .precision(precision)
            .model(Descent::new(vec![1.0; FLOATS], 0.125))
            .build();
        let running = server.start(listener).expect("it starts");
        let address = running.address();
        let workers = FORMS.map(|push| {
            std::thread::spawn(move || {
                let coding = Coding {
                    push,
                    result: precision,
                    share: 0.1,
                };
                let mut client = client(address, push.name(), coding);
                let mut random = Random(push as u64);
                let mut model: Option<Descent> = None;
                for _ in 0..ROUNDS {
                    let gradient = Payload::from_floats(&floats(&mut random, FLOATS));
                    let answer = smol::block_on(client.submit(gradient)).expect("an answer");
                    if let Some(start) = answer.model {
                        model = Some(Descent::new(start.to_floats(), 0.125));
                        assert_eq!(answer.fate, Fate::Dropped, "computed on no model");
                    }
                    for result in answer.results {
                        let divisor = result.about.divisor as f32;
                        model
                            .as_mut()
                            .expect("it was sent")
                            .step(&result.payload, divisor);
                    }
                }
                let model = model.expect("it was sent");
                (model.parameters().to_vec(), client)
            })
        });
        let ended: Vec<_> = workers
            .into_iter()
            .map(|w| w.join().expect("it ends"))
            .collect();
        let mut late = client(address, "late", Coding::default());
        let answer = smol::block_on(late.connect()).expect("an answer");
        let held = answer.model.expect("the model").to_floats();
        for ((parameters, _), form) in ended.iter().zip(FORMS) {
            assert_eq!(*parameters, held, "{form:?} with results in {precision:?}");
        }
        running.stop().expect("it ends");
    }
}

fn machine(precision: Dtype, workers: u64, seed: u64) -> Machine {
    let mut machine = Machine::new(Config {
        workers: workers as usize,
        policy: Box::new(Strict),
        precision,
        seed,
        ..Config::default()
    });
    for id in 0..workers {
        let name: Name = format!("w{id}").parse().expect("a name");
        let join = Join {
            name,
            position: Position::Fresh,
            seen: None,
        };
        machine.handle_join(Time::ZERO, ConnId(id), join);
    }
    machine
}

/// Gradients of one round in this order of arrival, and the result.
fn round(machine: &mut Machine, gradients: &[Vec<f32>], order: &[usize]) -> Vec<f32> {
    let of = Some(machine.round());
    for worker in order {
        let gradient = Payload::from_floats(&gradients[*worker]);
        machine.handle_gradient(Time::ZERO, ConnId(*worker as u64), of, gradient);
    }
    let outputs = std::iter::from_fn(|| machine.poll_output());
    let result = outputs.filter_map(|output| match output {
        Output::Deliver { result, .. } => Some(result.payload().to_floats()),
        _ => None,
    });
    result.last().expect("the round closed")
}

/// The same bits whatever the order of arrival, over rounds with residuals;
/// also where the server was saved and restored in between.
#[test]
fn rounded_results_repeat_whatever_the_order_and_over_a_restart() {
    for precision in [Dtype::Bf16, Dtype::F16, Dtype::Int8] {
        let mut random = Random(5);
        let mut one = machine(precision, 3, 1);
        let mut other = machine(precision, 3, 1);
        for step in 0..20 {
            let gradients: Vec<_> = (0..3).map(|_| floats(&mut random, 40)).collect();
            let expected = round(&mut one, &gradients, &[0, 1, 2]);
            let order = [[2, 0, 1], [1, 2, 0], [2, 1, 0]][step % 3];
            assert_eq!(
                round(&mut other, &gradients, &order),
                expected,
                "{precision:?}"
            );
            if step == 9 {
                let saved = other.checkpoint(Name::default(), Vec::new(), Vec::new());
                let mut restored = Machine::new(Config {
                    workers: 3,
                    policy: Box::new(Strict),
                    precision,
                    seed: 2,
                    ..Config::default()
                });
                restored.restore(saved).expect("it goes on");
                for id in 0..3 {
                    let name: Name = format!("w{id}").parse().expect("a name");
                    let position = Position::Before {
                        next: other.round(),
                        epoch: other.epoch(),
                    };
                    let join = Join {
                        name,
                        position,
                        seen: None,
                    };
                    restored.handle_join(Time::ZERO, ConnId(id), join);
                }
                other = restored;
            }
        }
    }
}

/// What rounding takes away comes back: over the rounds, results add up to
/// what exact ones would, but for one residual.
#[test]
fn nothing_is_lost_for_ever_on_the_way_to_the_workers_or_back() {
    for precision in [Dtype::Bf16, Dtype::F16, Dtype::Int8] {
        let mut machine = machine(precision, 1, 1);
        let mut random = Random(9);
        let (mut exact, mut sent) = (vec![0.0_f64; 30], vec![0.0_f64; 30]);
        for _ in 0..200 {
            let gradient = floats(&mut random, 30);
            let result = round(&mut machine, std::slice::from_ref(&gradient), &[0]);
            exact
                .iter_mut()
                .zip(gradient)
                .for_each(|(sum, g)| *sum += f64::from(g));
            sent.iter_mut()
                .zip(result)
                .for_each(|(sum, r)| *sum += f64::from(r));
        }
        for (exact, sent) in exact.iter().zip(&sent) {
            assert!(
                (exact - sent).abs() < 0.1,
                "{precision:?}: {sent} is not {exact}"
            );
        }
    }
    for push in [Dtype::Bf16, Dtype::F16, Dtype::Int8, Dtype::TopK] {
        let mut coder = Coder::new(Coding {
            push,
            share: 0.2,
            ..Coding::default()
        });
        let mut random = Random(11);
        let mut owed = vec![0.0_f64; 30];
        for _ in 0..200 {
            let gradient = floats(&mut random, 30);
            let bytes = coder.encode(Payload::from_floats(&gradient).as_bytes());
            let sent = decode(push, &bytes, 30).expect("it decodes").to_floats();
            owed.iter_mut()
                .zip(gradient)
                .for_each(|(sum, g)| *sum += f64::from(g));
            owed.iter_mut()
                .zip(sent)
                .for_each(|(sum, s)| *sum -= f64::from(s));
        }
        for (owed, kept) in owed.iter().zip(coder.residual()) {
            assert!(
                (owed - f64::from(*kept)).abs() < 1e-2,
                "{push:?}: {kept} is not {owed}"
            );
        }
    }
}

/// Far out, and all the same, and nothing at all.
#[test]
fn extreme_gradients_stay_finite_in_every_form() {
    for push in FORMS {
        let mut coder = Coder::new(Coding {
            push,
            ..Coding::default()
        });
        for value in [
            0.0,
            f32::MAX,
            f32::MIN,
            f32::MIN_POSITIVE,
            1e-45,
            -0.0,
            f32::MAX,
            f32::MAX,
        ] {
            let gradient = Payload::from_floats(&[value; 300]);
            let bytes = coder.encode(gradient.as_bytes());
            assert!(!bytes.is_empty(), "a push has tensors");
            let decoded = decode(push, &bytes, 300).expect("it decodes");
            assert_eq!(decoded.first_non_finite(), None, "{push:?} of {value}");
            assert!(coder.residual().iter().all(|owed| owed.is_finite()));
        }
        // A NaN is for the server to refuse.
        let bytes = coder.encode(Payload::from_floats(&[f32::NAN; 300]).as_bytes());
        let decoded = decode(push, &bytes, 300).expect("it decodes");
        assert!(decoded.first_non_finite().is_some(), "{push:?}");
    }
    for precision in [Dtype::Bf16, Dtype::F16, Dtype::Int8] {
        let mut machine = machine(precision, 2, 1);
        for value in [f32::MAX, f32::MAX, f32::MIN, 0.0] {
            let result = round(&mut machine, &[vec![value; 3], vec![value; 3]], &[0, 1]);
            assert!(result.iter().all(|r| r.is_finite()), "{precision:?}");
        }
    }
}

/// The bytes that the book shows.
#[test]
fn the_book_shows_the_bytes_of_every_form() {
    let book = include_str!("../../book/src/wire-protocol-1.md");
    let floats = Payload::from_floats(&[1.0, -2.5, 0.0, 100.0]);
    for dtype in &FORMS[1..] {
        let bytes = encode_floats(*dtype, floats.as_bytes());
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = format!("{:<5} {}", dtype.name(), hex.join(" "));
        assert!(book.contains(&line), "the book lacks\n{line}");
    }
}

/// Workers say their weights over the wire; one that makes no sense costs its
/// sender the connection.
#[test]
fn a_worker_says_how_much_its_gradient_counts() {
    use hetsync_core::aggregate::WeightedMean;
    use hetsync_core::net::ClientError;
    let listener = listen(([127, 0, 0, 1], 0).into()).expect("a port");
    let server = Server::builder()
        .workers(2)
        .policy(Strict)
        .aggregate(WeightedMean)
        .build();
    let running = server.start(listener).expect("it starts");
    let address = running.address();
    let submit = move |worker: &'static str, value: f32, weight: f64| {
        std::thread::spawn(move || {
            let mut client = client(address, worker, Coding::default());
            let gradient = Payload::from_floats(&[value]);
            let answer = smol::block_on(client.submit_weighted(gradient, weight));
            answer.map(|answer| answer.results[0].payload.to_floats())
        })
    };
    let both = [submit("a", 1.0, 3.0), submit("b", 5.0, 0.0)];
    for result in both {
        assert_eq!(result.join().expect("it ends").expect("a result"), [2.0]);
    }
    for wrong in [-1.0, f64::NAN, f64::INFINITY, 1e10, 1e-10] {
        let refused = submit("c", 1.0, wrong).join().expect("it ends");
        assert!(
            matches!(refused, Err(ClientError::Denied { .. })),
            "{wrong}: {refused:?}"
        );
    }
    running.stop().expect("it ends");
}
