#!/bin/sh
# Stands in for easy-rsa 3 where it is not installed: makes the same files, by openssl alone. It knows the commands that the tests give.
set -eu
days=825 name=ca
while :; do
    case $1 in
    --days=*) days=${1#*=} ;;
    --req-cn=*) name=${1#*=} ;;
    *) break ;;
    esac
    shift
done
mkdir -p "$EASYRSA_PKI"
cd "$EASYRSA_PKI"
export OPENSSL_CONF="$EASYRSA_PKI/openssl-easyrsa.cnf"

# new_key NAME ARGUMENTS...: a key, and what openssl makes of it.
new_key() {
    key=$1
    shift
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "private/$key.key" "$@"
}

# issue KIND NAME
issue() {
    new_key "$2" -subj "/CN=$2" -out "reqs/$2.req"
    openssl ca -batch -days "$days" -extensions "$1" -in "reqs/$2.req" -out "issued/$2.crt"
}

case $1 in
init-pki)
    mkdir -p private reqs issued certs_by_serial revoked/certs_by_serial revoked/private_by_serial revoked/reqs_by_serial
    : >index.txt
    echo "unique_subject = no" >index.txt.attr
    cat >openssl-easyrsa.cnf <<CNF
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = certs_by_serial
certificate = ca.crt
private_key = private/ca.key
rand_serial = yes
default_md = sha256
default_crl_days = ${EASYRSA_CRL_DAYS:-180}
unique_subject = no
policy = any
[any]
commonName = supplied
[req]
distinguished_name = named
[named]
[authority]
basicConstraints = CA:TRUE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer:always
keyUsage = cRLSign, keyCertSign
[client]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer:always
extendedKeyUsage = clientAuth
keyUsage = digitalSignature
[server]
basicConstraints = CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid,issuer:always
extendedKeyUsage = serverAuth
keyUsage = digitalSignature, keyEncipherment
CNF
    ;;
build-ca) new_key ca -x509 -days 3650 -extensions authority -subj "/CN=$name" -out ca.crt ;;
build-server-full) issue server "$2" ;;
build-client-full) issue client "$2" ;;
revoke)
    serial=$(openssl x509 -in "issued/$2.crt" -noout -serial | cut -d= -f2)
    openssl ca -revoke "issued/$2.crt"
    mv "issued/$2.crt" "revoked/certs_by_serial/$serial.crt"
    mv "private/$2.key" "revoked/private_by_serial/$serial.key"
    mv "reqs/$2.req" "revoked/reqs_by_serial/$serial.req"
    rm -f "certs_by_serial/$serial.pem"
    ;;
gen-crl) openssl ca -gencrl -out crl.pem ;;
*) echo "it does not stand in for: $*" >&2 && exit 1 ;;
esac
