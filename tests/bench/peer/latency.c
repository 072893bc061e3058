/* Loads one of the latency objects, says how long that took, waits for SIGTERM or SIGINT, prints what was counted.
 *
 *     latency OBJECT.o
 *
 * Prints `attached ns=N` (monotonic nanoseconds since start) once every program is attached, and at the end
 * `count=N programs_bytes=N`.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct comm { char name[16]; };
struct summary {
	unsigned long long n, rest[6];
	unsigned int buckets[1 + ((64 - 6) << 6)];
};

static unsigned long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	unsigned long long begun = now(), count = 0, insns = 0;
	struct bpf_program *program;
	struct bpf_object *object;
	sigset_t signals;
	int signal_number, cpus, fd;
	struct comm key, *previous = NULL;
	struct summary *values;

	if (argc != 2) {
		fprintf(stderr, "usage: latency OBJECT.o\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);

	object = bpf_object__open_file(argv[1], NULL);
	if (!object || bpf_object__load(object)) {
		fprintf(stderr, "latency: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	bpf_object__for_each_program(program, object) {
		if (!bpf_program__attach(program)) {
			fprintf(stderr, "latency: attaching %s: %s\n", bpf_program__name(program), strerror(errno));
			return 1;
		}
		insns += bpf_program__insn_cnt(program);
	}
	printf("attached ns=%llu\n", now() - begun);
	fflush(stdout);
	sigwait(&signals, &signal_number);

	cpus = libbpf_num_possible_cpus();
	values = calloc(cpus, (sizeof(*values) + 7) & ~7UL);
	fd = bpf_object__find_map_fd_by_name(object, "summaries");
	while (!bpf_map_get_next_key(fd, previous, &key)) {
		if (!bpf_map_lookup_elem(fd, &key, values))
			for (int cpu = 0; cpu < cpus; cpu++)
				count += ((struct summary *)((char *)values + cpu * ((sizeof(*values) + 7) & ~7UL)))->n;
		previous = &key;
	}
	printf("count=%llu insns=%llu\n", count, insns);
	return 0;
}
