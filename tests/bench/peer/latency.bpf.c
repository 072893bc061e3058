/* The entry/return latency pair of tcp_sendmsg by hand, as the practical limit our compiler is measured against.
 * It keeps what probe-scripts/bench_latency.hp keeps: a start time by thread, and by command name a power-of-two
 * histogram and a summary (count, 128-bit sum and squares, extremes, 64 parts a power of two).
 *
 * -DFENTRY takes fentry/fexit, else kprobe/kretprobe.
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

typedef unsigned long long u64;
typedef long long s64;
typedef unsigned int u32;

#define HIST_BUCKETS 65
#define SUMMARY_BUCKETS (1 + ((64 - 6) << 6))
#define SIGN (1ULL << 63)

struct comm { char name[16]; };
struct hist { u64 buckets[HIST_BUCKETS]; };
struct summary {
	u64 n, sum, sum_high, min, max, squares, squares_high;
	u32 buckets[SUMMARY_BUCKETS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, u64);
} start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 128);
	__type(key, struct comm);
	__type(value, struct hist);
} hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 128);
	__type(key, struct comm);
	__type(value, struct summary);
} summaries SEC(".maps");

static const struct hist no_hist;
static const struct summary no_summary;

static __always_inline u32 log2_of(u64 n)
{
	u32 shift, log = (n > 0xffffffff) << 5;
	n >>= log;
	shift = (n > 0xffff) << 4; n >>= shift; log |= shift;
	shift = (n > 0xff) << 3; n >>= shift; log |= shift;
	shift = (n > 0xf) << 2; n >>= shift; log |= shift;
	shift = (n > 0x3) << 1; n >>= shift; log |= shift;
	return log | (n >> 1);
}

static __always_inline void on_entry(void)
{
	u64 tid = (u32)bpf_get_current_pid_tgid();
	u64 now = bpf_ktime_get_boot_ns();

	bpf_map_update_elem(&start, &tid, &now, BPF_ANY);
}

static __always_inline void on_return(void)
{
	u64 tid = (u32)bpf_get_current_pid_tgid();
	u64 *then = bpf_map_lookup_elem(&start, &tid);
	struct comm comm = {};
	struct hist *hist;
	struct summary *summary;
	u64 us, bucket;
	u32 log;

	if (!then)
		return;
	us = (bpf_ktime_get_boot_ns() - *then) / 1000;
	bpf_get_current_comm(&comm, sizeof(comm));
	log = log2_of(us);

	hist = bpf_map_lookup_elem(&hists, &comm);
	if (!hist) {
		bpf_map_update_elem(&hists, &comm, &no_hist, BPF_NOEXIST);
		hist = bpf_map_lookup_elem(&hists, &comm);
	}
	if (hist) {
		bucket = us ? log + 2 : 1;
		if (bucket < HIST_BUCKETS)
			hist->buckets[bucket]++;
	}

	summary = bpf_map_lookup_elem(&summaries, &comm);
	if (!summary) {
		bpf_map_update_elem(&summaries, &comm, &no_summary, BPF_NOEXIST);
		summary = bpf_map_lookup_elem(&summaries, &comm);
	}
	if (summary) {
		u64 biased = us ^ SIGN, square;

		summary->n++;
		summary->sum += us;
		if (summary->sum < us)
			summary->sum_high++;
		if (summary->max < biased)
			summary->max = biased;
		if (summary->min < ~biased)
			summary->min = ~biased;
		/* Latencies in microseconds are below 2^32 here, so the square fits. */
		square = us * us;
		summary->squares += square;
		if (summary->squares < square)
			summary->squares_high++;
		bucket = us;
		if (us >> 6)
			bucket = ((u64)(log - 5) << 6) + ((us >> (log - 6)) & 63);
		bucket++;
		if (bucket < SUMMARY_BUCKETS && summary->buckets[bucket] != 0xffffffff)
			summary->buckets[bucket]++;
	}
	bpf_map_delete_elem(&start, &tid);
}

#ifdef FENTRY
SEC("fentry/tcp_sendmsg")
int entry(void *ctx) { on_entry(); return 0; }
SEC("fexit/tcp_sendmsg")
int leave(void *ctx) { on_return(); return 0; }
#else
SEC("kprobe/tcp_sendmsg")
int entry(void *ctx) { on_entry(); return 0; }
SEC("kretprobe/tcp_sendmsg")
int leave(void *ctx) { on_return(); return 0; }
#endif

char LICENSE[] SEC("license") = "GPL";
