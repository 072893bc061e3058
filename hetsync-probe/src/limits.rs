//! Every cap on what a script may ask for. Each has an error that names it.

/// Largest script, in bytes.
pub const SOURCE_BYTES: usize = 1 << 20;
/// Deepest nesting of expressions and blocks.
pub const NESTING: usize = 64;
/// Greatest height of one expression's tree: operators in a chain count, not only brackets.
pub const EXPRESSION_HEIGHT: u16 = 192;
/// Most replacements of macros by the preprocessor in one script.
pub const EXPANSIONS: usize = 65_536;
/// Most bytes the preprocessor looks at while it replaces macros: nested uses are looked at once for each level.
pub const EXPANSION_WORK: usize = 2 << 20;
/// Greatest height of the bodies of macros used inside one another.
pub const MACRO_HEIGHT: u16 = 96;
/// Most mistakes reported of one script.
pub const DIAGNOSTICS: usize = 50;
/// Most probes (after wildcards are expanded, attach points) in a script.
pub const ATTACH_POINTS: usize = 1024;
/// Most steps from map to map that a type may take against the order of the text.
pub const TYPE_ROUNDS: usize = 16;
/// Most maps in a script.
pub const MAPS: usize = 256;
/// Most times that `unroll` repeats its body.
pub const UNROLL: u32 = 100;
/// Most loops over maps inside one another: each takes its part of the stack.
pub const EACH_DEPTH: usize = 5;
/// Most `$` variables in one probe body.
pub const LOCALS: usize = 256;
/// Most arguments of one `printf`.
pub const PRINTF_ARGS: usize = 32;
/// Largest key of a map, in bytes, all parts together: what kernels before 5.13 take.
pub const KEY_BYTES: usize = 512;
/// Capacity of a string in a key, the closing NUL included.
pub const KEY_STRING_BYTES: usize = 256;
/// Capacity of a string value in bytes, the closing NUL included.
pub const STRING_BYTES: usize = 1024;
/// Most buckets of one `lhist`, the two open ends not counted.
pub const LHIST_BUCKETS: u64 = 1000;
/// Keys a map holds unless the script or the command line says otherwise.
pub const DEFAULT_MAX_KEYS: u32 = 4096;
/// Most keys a map can be made to hold.
pub const MAX_KEYS: u32 = 1 << 24;
/// Most pages of 4096 bytes of the events' ring buffer.
pub const RING_PAGES: u32 = 1 << 14;
/// Most instructions in one program (the kernel's own verifier limit is on
/// instructions *visited*; this bounds what we hand it).
pub const INSTRUCTIONS: usize = 65_536;
/// Bytes of stack a program may use, by the kernel (`MAX_BPF_STACK`, include/linux/filter.h).
pub const STACK_BYTES: usize = 512;
