#!/bin/sh
# Installs what a target of the Makefile needs beyond Rust, if it is missing.
#
#   tests/setup.sh test|demo|bench|dashboard|guest|book
#
# On Debian or Ubuntu as root, or by sudo, it uses apt-get; elsewhere it says
# which packages are needed. It installs nothing that is there already.
set -eu

usage() {
    echo "usage: tests/setup.sh test|demo|bench|dashboard|guest|book" >&2
    exit 2
}
[ $# -eq 1 ] || usage

PATH=$PATH:/usr/sbin:/sbin
missing=

# need PACKAGE PROGRAM: the package is missing if the program is.
need() {
    command -v "$2" >/dev/null 2>&1 || missing="$missing $1"
}

# need_file PACKAGE FILE: the package is missing if the file is.
need_file() {
    [ -e "$2" ] || missing="$missing $1"
}

# What every guest is made of, and what its kernels are fetched with.
guest() {
    need qemu-system-x86 qemu-system-x86_64
    if ! busybox --help >/dev/null 2>&1 || ldd "$(command -v busybox)" >/dev/null 2>&1; then
        missing="$missing busybox-static"
    fi
    need dash dash
    need bash bash
    need iproute2 ip
    need iproute2 tc
    need libc-bin ldd
    need xz-utils xz
    need e2fsprogs mke2fs
    need dpkg dpkg-deb
    need apt apt-get
    # The keys that sign the releases the kernels come from.
    need_file debian-archive-keyring /usr/share/keyrings/debian-archive-keyring.gpg
    # Rust links with the C compiler; the guest's agent links statically.
    need gcc cc
    need_file libc6-dev /usr/include/stdlib.h
}

case $1 in
test)
    guest
    need bsdutils script
    need cpio cpio
    need python3 python3
    need_file procps /bin/kill
    ;;
demo | guest) guest ;;
bench)
    guest
    # The peer that is written in C.
    need clang clang
    need_file libbpf-dev /usr/include/bpf/libbpf.h
    ;;
dashboard)
    need prometheus prometheus
    need python3 python3
    ;;
book) ;;
*) usage ;;
esac

if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is missing; install Rust 1.95 or newer (rustup)" >&2
    exit 1
fi

if [ -n "$missing" ]; then
    packages=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        as_root=sudo
        command -v sudo >/dev/null 2>&1 || as_root=none
    fi
    if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = none ]; then
        echo "setup: make $1 needs these packages (by their Debian names): $packages" >&2
        echo "setup: install them as root, then run make $1 again" >&2
        exit 1
    fi
    echo "setup: installing $packages"
    # A machine that has never updated its lists knows no packages.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update >/dev/null ||
        echo "setup: apt-get update failed; trying with the lists there are" >&2
    # shellcheck disable=SC2086 # several words
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends install $packages
fi

if [ "$1" = book ] && ! command -v mdbook >/dev/null 2>&1 && [ ! -x target/tools/bin/mdbook ]; then
    # Without the parts that serve and watch, which need many more crates.
    cargo install --locked --no-default-features --features search \
        --root target/tools --version 0.5.4 mdbook
fi
