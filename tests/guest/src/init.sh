#!/bin/sh
# The guest's first process: makes the machine usable, starts the agent (or a
# shell), and powers off when that ends. Being a shell that waits, it also
# reaps the processes whose parents are gone.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root USER=root LOGNAME=root TERM=linux

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=620 pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t tracefs tracing /sys/kernel/tracing
mount -t debugfs debug /sys/kernel/debug
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
ln -sf /proc/self/fd/0 /dev/stdin
ln -sf /proc/self/fd/1 /dev/stdout
ln -sf /proc/self/fd/2 /dev/stderr

while read -r module options; do
    insmod "/lib/modules/$(uname -r)/$module.ko" $options
done </lib/modules/load-order

hostname guest
ip link set lo up
ulimit -c 0
ulimit -n 65536

if [ -b /dev/vda ]; then
    mount -t ext4 -o ro /dev/vda /packages
    for folder in proc sys dev run tmp root usr/local; do
        mount --rbind "/$folder" "/packages/$folder"
    done
fi

cd /root
case " $(cat /proc/cmdline) " in
*" hetsync.shell "*)
    # Rows and columns of the terminal outside, as the host passes them.
    stty rows "${rows:-24}" cols "${cols:-80}" </dev/console
    export PS1='guest:\w# '
    setsid cttyhack bash --norc --noprofile
    ;;
*) /usr/libexec/hetsync-guest-agent ;;
esac

# The host's qemu ends at a reboot: it is told not to do one, and this way is
# the shortest.
sync
reboot -f
