//! `printf` against known vectors and against the C library itself.

use hetsync_probe::report::printf::render;
use hetsync_probe::report::value::Scalar;
use hetsync_probe::sema::hir::{Conversion, ConversionKind, Format, Piece, TextUse, Type};
#[cfg(feature = "kernel")]
use proptest::prelude::*;

fn one(conversion: Conversion, arg: Scalar) -> String {
    let format = Format {
        pieces: vec![Piece::Conversion(conversion)],
        args: vec![Type::INT],
        use_as: TextUse::Print,
    };
    String::from_utf8(render(&format, &[arg])).unwrap()
}

fn plain(kind: ConversionKind) -> Conversion {
    Conversion {
        kind,
        bits: 64,
        ..Conversion::default()
    }
}

#[test]
fn known_vectors() {
    use ConversionKind::*;
    let int = Scalar::Signed;
    let text = |s: &str| Scalar::Text(s.into());
    let wide = |kind, width| Conversion {
        width: Some(width),
        ..plain(kind)
    };
    let left = |kind, width| Conversion {
        left: true,
        ..wide(kind, width)
    };
    let cases = [
        (plain(Signed), int(-3), "-3"),
        (plain(Unsigned), int(-1), "18446744073709551615"),
        (plain(LowerHex), int(255), "ff"),
        (plain(UpperHex), int(255), "FF"),
        (plain(Octal), int(8), "10"),
        (plain(Pointer), int(4096), "0x1000"),
        (plain(Pointer), int(0), "(nil)"),
        (plain(Char), int(65), "A"),
        (wide(Signed, 5), int(3), "    3"),
        (left(Signed, 5), int(3), "3    "),
        (
            Conversion {
                zero: true,
                ..wide(Signed, 5)
            },
            int(-3),
            "-0003",
        ),
        (
            Conversion {
                plus: true,
                ..plain(Signed)
            },
            int(5),
            "+5",
        ),
        (
            Conversion {
                space: true,
                ..plain(Signed)
            },
            int(5),
            " 5",
        ),
        (
            Conversion {
                alternate: true,
                ..plain(LowerHex)
            },
            int(255),
            "0xff",
        ),
        (
            Conversion {
                alternate: true,
                ..plain(LowerHex)
            },
            int(0),
            "0",
        ),
        (
            Conversion {
                bits: 8,
                ..plain(Signed)
            },
            int(300),
            "44",
        ),
        (
            Conversion {
                bits: 8,
                ..plain(Signed)
            },
            int(200),
            "-56",
        ),
        (
            Conversion {
                bits: 16,
                ..plain(LowerHex)
            },
            int(65537),
            "1",
        ),
        (wide(Str, 10), text("abc"), "       abc"),
        (left(Str, 10), text("abc"), "abc       "),
        (
            Conversion {
                precision: Some(2),
                ..plain(Str)
            },
            text("abc"),
            "ab",
        ),
        (
            Conversion {
                precision: Some(2),
                ..left(Str, 4)
            },
            text("abc"),
            "ab  ",
        ),
        (plain(Str), int(7), "7"),
        (plain(Signed), text("x"), "x"),
    ];
    for (conversion, arg, expected) in cases {
        assert_eq!(one(conversion.clone(), arg), expected, "{conversion:?}");
    }
}

#[test]
fn text_stands_between_conversions_and_missing_arguments_print_nothing() {
    let conversion = || Piece::Conversion(plain(ConversionKind::Signed));
    let pieces = vec![
        Piece::Text("a ".into()),
        conversion(),
        Piece::Text(" % ".into()),
        conversion(),
        Piece::Text("\n".into()),
    ];
    let format = Format {
        pieces,
        args: vec![Type::INT; 2],
        use_as: TextUse::Print,
    };
    assert_eq!(
        render(&format, &[Scalar::Signed(1), Scalar::Unsigned(2)]),
        b"a 1 % 2\n"
    );
    assert_eq!(render(&format, &[Scalar::Signed(1)]), b"a 1 % \n");
}

#[test]
fn bytes_that_are_not_utf8_pass_through() {
    let format = Format {
        pieces: vec![Piece::Conversion(plain(ConversionKind::Str))],
        args: vec![Type::Name],
        use_as: TextUse::Print,
    };
    assert_eq!(
        render(&format, &[Scalar::Text(vec![0xff, b'a'])]),
        [0xff, b'a']
    );
}

/// The C library's `snprintf` of one integer.
#[cfg(feature = "kernel")]
fn c_printf(conversion: &Conversion, n: i64) -> String {
    use ConversionKind::*;
    let mut format = String::from("%");
    for (on, flag) in [
        (conversion.left, '-'),
        (conversion.zero, '0'),
        (conversion.plus, '+'),
        (conversion.space, ' '),
        (conversion.alternate, '#'),
    ] {
        if on {
            format.push(flag);
        }
    }
    format.extend(conversion.width.map(|width| width.to_string()));
    format.extend(
        conversion
            .precision
            .map(|precision| format!(".{precision}")),
    );
    format.push_str(match conversion.bits {
        8 => "hh",
        16 => "h",
        32 => "",
        _ => "ll",
    });
    format.push(match conversion.kind {
        Signed => 'd',
        Unsigned => 'u',
        LowerHex => 'x',
        UpperHex => 'X',
        _ => 'o',
    });
    let format = std::ffi::CString::new(format).unwrap();
    let mut buffer = vec![0u8; 512];
    // SAFETY: the buffer's length is given, the format is NUL-terminated and has one conversion, of the argument's width.
    let length = unsafe {
        let (to, format) = (buffer.as_mut_ptr().cast(), format.as_ptr());
        if conversion.bits == 64 {
            libc::snprintf(to, 512, format, n)
        } else {
            libc::snprintf(to, 512, format, n as i32)
        }
    };
    buffer.truncate(usize::try_from(length).unwrap());
    String::from_utf8(buffer).unwrap()
}

#[cfg(feature = "kernel")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn integers_are_written_as_c_writes_them(
        flags in any::<[bool; 5]>(), width in prop::option::of(0u16..30), precision in prop::option::of(0u16..30),
        kind in prop::sample::select(vec![
            ConversionKind::Signed, ConversionKind::Unsigned, ConversionKind::LowerHex, ConversionKind::UpperHex, ConversionKind::Octal,
        ]),
        bits in prop::sample::select(vec![8u8, 16, 32, 64]), n in any::<i64>(), shift in 0u32..64,
    ) {
        let [left, zero, plus, space, alternate] = flags;
        // C leaves `#` with d, i and u undefined.
        let alternate = alternate && !matches!(kind, ConversionKind::Signed | ConversionKind::Unsigned);
        let conversion = Conversion { left, zero, plus, space, alternate, width, precision, kind, bits };
        let n = n >> shift;
        prop_assert_eq!(one(conversion.clone(), Scalar::Signed(n)), c_printf(&conversion, n), "{:?}", conversion);
    }
}
