#!/usr/bin/env bash
# Makes a development CA and a wildcard certificate with the openssl command:
#   certs/make-dev-certs.sh [DOMAIN] [DIRECTORY]
# DOMAIN is zerolaghub.dev unless given, DIRECTORY the one of this script. Writes ca.crt, ca.key, wildcard.crt and
# wildcard.key; an existing CA for the same domain is used again. Trust ca.crt in a browser to test with it: it may
# vouch for DOMAIN and localhost only.
set -euo pipefail

case ${1:-} in
    -h | --help)
        sed -n '2,6s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
esac
domain=${1:-zerolaghub.dev}
directory=${2:-$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)}
label='[a-z0-9]([a-z0-9-]*[a-z0-9])?'
if ! [[ $domain =~ ^$label(\.$label)*$ ]]; then
    echo "not a domain: $domain" >&2
    exit 64
fi

umask 077
mkdir -p "$directory"
cd "$directory"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
subject="/CN=zlh-edge development CA ($domain)"

if ! openssl x509 -in ca.crt -noout -subject -nameopt compat 2>/dev/null | grep -qF "$subject" ||
    ! openssl x509 -in ca.crt -noout -checkend $((397 * 86400)) >/dev/null; then
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "$subject" -out ca.crt \
        -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') \
        -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' \
        -addext 'subjectKeyIdentifier=hash' \
        -addext "nameConstraints=critical,permitted;DNS:$domain,permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,permitted;IP:0:0:0:0:0:0:0:1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
fi

cat > "$work/extensions" <<EOF
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
subjectAltName=DNS:$domain,DNS:*.$domain,DNS:localhost,IP:127.0.0.1,IP:::1
EOF
openssl ecparam -name prime256v1 -genkey -noout -out "$work/key"
openssl req -new -key "$work/key" -subj "/CN=$domain" -config <(printf '[req]\ndistinguished_name=dn\n[dn]\n') \
    -out "$work/request"
openssl x509 -req -in "$work/request" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 16 | sed 's/^./7/')" \
    -sha256 -days 396 -extfile "$work/extensions" -out "$work/certificate" 2>/dev/null
openssl verify -CAfile ca.crt -verify_hostname "any.$domain" "$work/certificate" >/dev/null
mv "$work/key" wildcard.key
mv "$work/certificate" wildcard.crt
chmod 600 ca.key wildcard.key
chmod 644 ca.crt wildcard.crt
echo "$directory: ca.crt, wildcard.crt and wildcard.key for $domain and *.$domain"
