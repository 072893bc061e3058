//! Scripts that between them use the whole language of this slice.

/// A name for each script, and its text.
pub(crate) const SCRIPTS: &[(&str, &str)] = &[
    ("count", "kprobe:f { @ = count(); }"),
    ("count_by_comm", "kprobe:f { @[comm] = count(); }"),
    (
        "count_by_many",
        "kprobe:f { @[pid, comm, arg0, tid, \"x\"] = count(); }",
    ),
    (
        "sums",
        "kprobe:f { @s[cpu] = sum(arg0); @a = avg(arg1); @m = min(arg2); @x[tid] = max(arg3); @t = stats(arg4); }",
    ),
    (
        "signed_extremes",
        "kprobe:f { @a = min((int64)arg0); @b[pid] = max((int64)arg0); }",
    ),
    (
        "hist",
        "kprobe:f { @ = hist(arg0); @k[comm] = hist(arg1, 3); }",
    ),
    (
        "lhist",
        "kprobe:f { @ = lhist(arg0, 0, 1000, 10); @k[pid] = lhist(arg1, 100, 5000, 7); }",
    ),
    (
        "summary",
        "kprobe:f { @ = summary(arg0); @k[comm] = summary(arg1); }",
    ),
    (
        "latency",
        "kprobe:tcp_sendmsg { @start[tid] = nsecs; }\nkretprobe:tcp_sendmsg /@start[tid]/ {\n    $us = (nsecs - @start[tid]) / 1000;\n    @h[comm] = hist($us);\n    @s[comm] = summary($us);\n    delete(@start[tid]);\n}",
    ),
    (
        "scalars",
        "kprobe:f { @x = arg0; @y[pid] = @x + 1; @x = @y[pid] * 2; @z = @y[7]; delete(@y[3]); }",
    ),
    (
        "increments",
        "kprobe:f { @n++; ++@k[pid]; $a = @n++; $b = --@k[tid]; @out[$a, $b] = count(); $c = $a++ + ++$b; @c[$c] = count(); @n--; }",
    ),
    (
        "increment_by_key",
        "kprobe:f { @k[arg0 % 4]++; @k[arg1 % 4]--; }",
    ),
    (
        "strings",
        "kprobe:f { $s = \"abc\"; @s = $s; @t[comm] = comm; @u[@t[comm]] = count(); if (comm == \"nginx\") { @hit[\"yes\"] = count(); } if (@s != \"a rather longer string than that\") { @other = count(); } }",
    ),
    (
        "string_choice",
        "kprobe:f { $s = arg0 > 5 ? \"big\" : comm; @[$s] = count(); @last = $s; printf(\"%s %s\\n\", $s, @last); }",
    ),
    (
        "names",
        "kprobe:f, kprobe:g { @[func] = count(); @p[probe] = count(); if (func == \"g\") { @g = count(); } @last = func; if (@last == \"f\") { @f = count(); } }",
    ),
    (
        "printf",
        "kprobe:f { printf(\"%d %s %x %u\\n\", pid, comm, arg0, nsecs); printf(\"hello\\n\"); printf(\"%d\", @x++); print(@x); print(5); clear(@x); zero(@y); @y = count(); }",
    ),
    (
        "conditions",
        "kprobe:f /pid == 7 || (arg0 > 3 && !(arg1 < 5)) || comm == \"a\"/ { if (arg0 < 3) { @a = count(); } else if ((int64)arg1 < -4) { @b = count(); } else { @c = count(); } $x = arg0 == 4 && arg1 != 3; @d[$x ? 1 : 0] = count(); $y = arg0 || arg1; @d[$y ? 10 : 20] = count(); }",
    ),
    (
        "arithmetic",
        "kprobe:f { $a = (int64)arg0; $b = (int64)arg1; @r[0] = $a / $b; @r[1] = $a % $b; @r[2] = $a / 8; @r[3] = $a % 8; @r[4] = $a / -10; @r[5] = $a % 10; @r[6] = $a << $b; @r[7] = $a >> $b; @r[8] = -$a; @r[9] = ~$a; @r[10] = $a * 12; @r[11] = $a & $b | $a ^ $b; @r[12] = !$a ? 1 : 0; @r[13] = $a / 1; @r[14] = $a - 5 + 5; @r[15] = $a / 1000; }",
    ),
    (
        "unsigned",
        "kprobe:f { @r[0] = arg0 / arg1; @r[1] = arg0 % arg1; @r[2] = arg0 / 8; @r[3] = arg0 % 8; @r[4] = arg0 / 10; @r[5] = arg0 % 10; @r[6] = arg0 >> arg1; @r[7] = arg0 > arg1 ? 1 : 0; @r[8] = arg0 <= arg1 ? 1 : 0; @r[9] = arg0 * arg1; @r[10] = arg0 / 0x100000001; @r[11] = arg0 & 0xffffffff; @r[12] = arg0 & 0xff00000000; @r[13] = arg0 > 0xff00000000 ? 1 : 0; }",
    ),
    (
        "exit",
        "kprobe:f { @n = count(); if (arg0 > 5) { exit(); } @m = count(); }",
    ),
    ("exit_code", "kprobe:f /arg1/ { exit(arg0); @n = count(); }"),
    (
        "elapsed",
        "kprobe:f { @[elapsed] = count(); @a = sum(elapsed); }",
    ),
    ("last_args", "kprobe:f { @[arg4, arg5] = count(); }"),
    (
        "locals",
        "kprobe:f { $a = 0; if (arg0 > 1) { $a = arg0; } else { if (arg1) { $a = 5; } } $b = $a + 1; if ($b > 3) { $a = $b; } @[$a, $b] = count(); }",
    ),
    (
        "tuples_and_widths",
        "kprobe:f { $t = (pid, comm, (uint8)arg0, (arg1 > 3, \"abc\")); @t[$t.1, $t.3] = $t; $u = @t[comm, (true, \"abc\")]; \
         @same = $u == $t; @narrow[(int16)arg2] = (int8)arg1; let $b : uint8 = 7; $b += arg0; @b = $b; @neg = -(uint8)arg0; \
         $array = (uint8[8])arg0; @third = $array[2]; @back = (uint64)$array; @k[$array] = count(); $t = (1, \"longer text\", (uint8)2, $t.3); \
         @last = $t; printf(\"%d %s\\n\", $t.0, $t.1); print($t); @short = arg0 ?: arg1; }",
    ),
    (
        "memory",
        "struct in { uint8 a; int16 b; uint32 low : 5; uint32 mid : 20; char text[7]; uint8 raw[6]; struct in *next; }; \
         kprobe:f { $p = (struct in *)(0xffff888000100000 + arg0 % 70); @a = $p.a; @b[$p->b] = $p.mid; @low = $p.low; @t[$p.text] = count(); \
         @r = *$p; @copy = @r.text; @m = @r.mid; @raw = @r.raw; @e = $p.raw[arg1 % 6]; @far = $p.next.next.b; \
         @at = &$p.text; @p[$p] = $p + 1; @eq = *$p == *($p + 1); @c = $p.text[1]; @task = curtask; if ($p.next) { @n++; } }",
    ),
    (
        "names_among_symbols",
        "kprobe:f, kprobe:g { @last[tid] = arg0 % 2 == 0 ? 1 : 2; @name[tid] = func; @name[7] = ksym(arg0); @n[@name[tid]] = count(); @k[ksym(arg1), 1] = 1; @k[func, 2] = 3; }",
    ),
    (
        "integer_as_address",
        "kprobe:f { $at = 0xffff888000100000 + arg0 % 70; @a = *$at; @b[*($at + 8)] = sizeof(*arg1); @none = *arg1; $x = (int32)arg2; @c = **$x; }",
    ),
    (
        "begin_end",
        "begin { printf(\"start %d\\n\", pid); @x = 1; } end { @x = 2; } interval:s:1 { print(@x); @n[cpu] = count(); }",
    ),
    (
        "retval",
        "kretprobe:f { @[retval] = count(); @h = hist(retval); @s = sum((int64)retval); }",
    ),
    (
        "pressure",
        "kprobe:f { $a=arg0; $b=arg1; $c=arg2; $d=arg3; $e=arg4; $f=arg5; $g=$a*$b; $h=$c*$d; $i=$e*$f; $j=$a+$f; $k=$b+$e; $l=nsecs; @m[$a,$b,$c,$d,$e,$f] = count(); @n[$g,$h,$i,$j,$k,$l] = sum($a+$b+$c+$d+$e+$f+$g+$h+$i+$j+$k+$l); @o = sum($l ^ $k ^ $j ^ $i ^ $h ^ $g ^ $f ^ $e ^ $d ^ $c ^ $b ^ $a); }",
    ),
    (
        "big_frame",
        "kprobe:f { $a = \"0123456789012345678901234567890123456789012345678901234567890\"; $b = $a; $c = $b; $d = $c; $e = $d; @x[$a,$b] = count(); @y[$c,$d,$e] = count(); @z[$a, $b, $c] = sum(arg0); $f = $a; $g = $b; if (arg0) { $a = comm; $g = $a; } @w[$f,$g,$a,$b] = count(); printf(\"%s %s %s %s\", $a, $b, $c, $g); }",
    ),
    // Low bits known to be 0: on paths that cannot happen the verifier makes of that and a range a number beyond both,
    // and refused the counter it would have named.
    (
        "far_buckets",
        "kprobe:f { $x = (int64)(arg0 << 56); @h = hist($x); @k[1] = hist($x, 3); @s[pid] = summary($x); @s[tid] = summary($x + 192); @l = lhist($x, 0, 1000000, 1000); @m = lhist((int64)(arg1 << 40), -700, 32000, 33); }",
    ),
    (
        "counted_loops",
        "kprobe:f { $i = 0; while ($i < 100) { @a[$i % 7] = sum($i); $i++; } for $j : 0..10 { for $k : $j..10 { @b = sum($k); } } unroll (3) { @c++; } }",
    ),
    (
        "loops_of_unknown_length",
        "kprobe:f { $n = arg0; while ($n != 0) { if ($n & 1) { @odd++; } $n = $n >> 1; } for $i : arg1..arg2 { @sum = sum($i); } }",
    ),
    (
        "loops_left",
        "kprobe:f { $i = 0; while (1) { $i++; if ($i % 3 == 0) { continue; } if ($i > 40) { break; } @[$i] = count(); if (arg0 == $i) { return; } } @end = count(); }",
    ),
    (
        "loops_of_many_ways",
        "kprobe:f { $n = arg0; $s = \"\"; while ($n > 3) { $s = $n & 1 ? \"odd\" : comm; @h[$s] = hist($n); $n = $n & 2 ? $n / 2 : $n - 1; if ($n == arg1 || $n == arg2 && arg3) { @x[$n, $s]++; printf(\"%d %s\", $n, $s); } @y[pid] = $n; } }",
    ),
    (
        "each_entry",
        "kprobe:f { @m[arg0 % 5] = arg1; $sum = 0; $most = 0; for ($kv : @m) { $sum += $kv.1; if ($kv.1 > $most) { $most = $kv.1; @at = $kv.0; } @n[$kv.0, $sum]++; } @r[$sum] = $most; @len = len(@m); }",
    ),
    (
        "each_left",
        "kprobe:f { @m[arg0 % 7, comm] = arg1; @k[pid] = comm; $n = 0; for ($kv : @m) { if ($kv.0.1 == \"a\") { continue; } if ($kv.0.0 == 5) { break; } $n++; for ($in : @k) { $n += $in.0; if ($n > 60) { return; } if (arg2 == $n) { exit($n); } printf(\"%s %s %d\\n\", $in.1, $kv.0.1, $n); } } @n[$n] = count(); }",
    ),
    (
        "each_changes",
        "kprobe:f { @m[arg0 % 4] = comm; $last = \"\"; for ($kv : @m) { @m[$kv.0] = \"changed\"; if ($kv.1 == $last) { delete(@m, $kv.0); @d[$kv.1]++; } $last = $kv.1; let $t = ($kv.0, $last); @t = $t; $i = 0; while ($i < 3) { $i++; @s[$last] = sum($i); } } @last = $last; @[func, len(@m)] = count(); }",
    ),
    (
        "each_unreached",
        "kprobe:f { @m[arg0 % 5] = 1; if (pid == 0) { return; @x = len(@m); } for ($kv : @m) { continue; for ($in : @m) { @n = $in.0; } } @l = len(@m); }",
    ),
    (
        "loops_in_loops",
        "kprobe:f { $a = arg0; while ($a) { $b = $a; while ($b) { @ = count(); $b = $b >> 3; $c = $b; while ($c) { @s[$c & 7] = sum($a ^ $c); $c = $c >> 5; } } $a = $a >> 2; let $z; if ($a & 4) { $z = $a; } @z[$z & 3] = count(); } }",
    ),
];
