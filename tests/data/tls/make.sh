#!/bin/sh
# Makes the certificates of this folder anew, with openssl 3. They are for tests alone: everybody has the keys.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
authority() { # FILE NAME
    key "$work/$1-key.pem"
    openssl req -x509 -new -key "$work/$1-key.pem" -subj "/CN=$2" -days 36500 -out "$1.pem" \
        -addext keyUsage=critical,keyCertSign
}
# FILE NAMES FROM UNTIL
certificate() {
    openssl req -new -key server-key.pem -subj "/CN=hetsync test" -out "$work/request.pem"
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n' "$2" >"$work/extensions"
    : >"$work/index"
    printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s/index\nnew_certs_dir=%s\nserial=%s/serial\ndefault_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n' \
        "$work" "$work" "$work" >"$work/config"
    echo 01 >"$work/serial"
    openssl ca -batch -notext -config "$work/config" -cert ca.pem -keyfile "$work/ca-key.pem" -in "$work/request.pem" \
        -extfile "$work/extensions" -startdate "$3" -enddate "$4" -out "$1.pem"
}

authority ca "hetsync test authority"
authority other-ca "another test authority"
key server-key.pem
key "$work/other-key.pem"
certificate server "DNS:localhost,IP:127.0.0.1,IP:::1" 20200101000000Z 21200101000000Z
certificate expired "DNS:localhost,IP:127.0.0.1" 20200101000000Z 20210101000000Z
certificate elsewhere "DNS:elsewhere.example" 20200101000000Z 21200101000000Z
cp "$work/other-key.pem" other-key.pem
