#!/usr/bin/env bash
# Follows the quick start of README.md word for word, on three machines made of network and mount namespaces: the one of
# management, a VPN server, a user. Each has its own /usr/local/bin, /opt, /var/lib/vpnmanager, /etc/hosts and an empty
# environment, so that nothing works only because it lies about on this machine. Needs root and /dev/net/tun.
#
#   make quick-start                             follows it and cleans up
#   services/testbed/quick_start.sh --keep       leaves the machines up at the end, and says how to enter them
#
# Changed in the commands: packages are installed by `make prerequisites`, the dev profile is built, and files go from machine
# to machine by cp where the text says scp.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

readme=$PWD/README.md
tools=$PWD/target/tools
id=qs$$
work=$(mktemp -d /var/tmp/vpnmanager-quick-start.XXXXXX)
chmod 755 "$work"
declare -A address=([management.example.org]=198.18.77.1 [vpn1.example.org]=198.18.77.11 [user]=198.18.77.101)
declare -A short=([management.example.org]=m [vpn1.example.org]=v [user]=u)
declare -A holder

say() { printf '%s\n' "$*"; }
die() {
    say "FAILED: $*" >&2
    for log in "$work"/*.log; do
        say "--- ${log##*/}" >&2
        tail -n 15 "$log" >&2
    done
    exit 1
}

clean() {
    local status=$?
    for machine in "${!holder[@]}"; do
        # Everything in the machine's network namespace was started by this script.
        ip netns pids "$id-${short[$machine]}" 2>/dev/null | xargs -r kill -TERM 2>/dev/null || true
    done
    sleep 1
    for machine in "${!holder[@]}"; do
        ip netns pids "$id-${short[$machine]}" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "$id-${short[$machine]}" 2>/dev/null || true
    done
    ip netns del "$id-b" 2>/dev/null || true
    if [ "$status" -eq 1 ]; then say "Logs are in $work" >&2; else rm -rf "$work"; fi
    exit "$status"
}

# The commands of a step, as the README has them.
step() {
    awk -v want="### $1. " '
        /^### / { inside = index($0, want) == 1; next }
        /^## / { inside = 0 }
        /^```/ { fenced = inside && /^```sh/; next }
        fenced { print }
    ' "$readme"
}

machine() {
    local name=$1 net=$id-${short[$1]} root=$work/$1
    mkdir -p "$root"/{bin,opt,lib,run,postgresql,home}
    chmod 755 "$root"
    {
        echo "127.0.0.1 localhost"
        echo "::1 localhost"
        for other in "${!address[@]}"; do echo "${address[$other]} $other"; done
    } >"$root/hosts"
    ip netns add "$net"
    ip link add "${id}${short[$name]}" netns "$id-b" type veth peer name eth0 netns "$net"
    ip -n "$id-b" link set "${id}${short[$name]}" master br0 up
    ip -n "$net" addr add "${address[$name]}/24" dev eth0
    ip -n "$net" link set eth0 up
    ip -n "$net" link set lo up
    ip netns exec "$net" unshare --mount --propagation private bash -c '
        mount --bind "$0/bin" /usr/local/bin && mount --bind "$0/opt" /opt && mount --bind "$0/hosts" /etc/hosts
        mount --bind "$0/lib" /var/lib && mount --bind "$0/run" /run
        exec sleep infinity' "$root" >/dev/null 2>&1 &
    holder[$name]=$!
}

# On a machine: a shell as a person has it after logging in as root, in an empty folder.
on() {
    local name=$1
    shift
    nsenter --target "${holder[$name]}" --net --mount --wd="$work/$name/home" \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$work/$name/home" bash -euo pipefail "$@"
}

# A step whose last command stays in front.
stays() {
    local name=$1 log=$work/$2.log
    on "$name" -s <<<"$3" >"$log" 2>&1 &
    says "$log" "$4"
}

says() {
    for _ in $(seq 150); do
        ! grep -q -- "$2" "$1" 2>/dev/null || return 0
        sleep 0.2
    done
    die "no \"$2\" in ${1##*/}"
}

# What the packages that the text installs bring along: a PostgreSQL of the distribution, which runs and listens on 5432.
postgresql() {
    local bin root=$work/management.example.org
    bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
    [ -n "$bin" ] || die "PostgreSQL is missing: make prerequisites"
    chown postgres: "$root/postgresql"
    on management.example.org -s <<SH >"$work/postgresql.log" 2>&1 || die "PostgreSQL"
install -d -o postgres /run/postgresql
cd "$root/postgresql"
setpriv --reuid postgres --regid postgres --init-groups "$bin/initdb" -D data --auth-local peer --auth-host scram-sha-256
setpriv --reuid postgres --regid postgres --init-groups "$bin/pg_ctl" -D data -w -l log -o '-k /run/postgresql' start
SH
}

[ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] || { say "quick start: SKIPPED, it needs root and /dev/net/tun" >&2; exit 0; }
trap clean EXIT
trap 'exit 130' INT TERM
ip netns add "$id-b"
ip -n "$id-b" link add br0 type bridge
ip -n "$id-b" link set br0 up
for name in "${!address[@]}"; do machine "$name"; done
for _ in $(seq 50); do
    on user -c 'grep -q vpn1.example.org /etc/hosts && [ -z "$(ls /var/lib)" ]' 2>/dev/null && break
    sleep 0.1
done
packages='/^apt-get install /d'

say "1. Build"
built=$(step 1 | sed -E "$packages; s#^make install\$#make install CARGO_PROFILE=dev DESTDIR=$work/built#
    s#^scp /usr/local(/bin/[^ ]+) root@([^ :]+):/usr/local/bin/\$#cp $work/built/usr/local\1 $work/\2/bin/#")
bash -euo pipefail -c "$built" >"$work/build.log" 2>&1 || die "the build"
cp "$work/built/usr/local/bin/"* "$work/management.example.org/bin/"
[ -x "$work/vpn1.example.org/bin/vpnmanager-endnode" ] || die "the agent was not copied"

say "2. PostgreSQL"
postgresql
on management.example.org -s <<<"$(step 2 | sed -E "$packages")" >"$work/database.log" 2>&1 || die "the database"

say "3. The bus"
[ -x "$tools/bin/nats-server" ] || die "nats-server is missing: make prerequisites"
mkdir -p "$work/management.example.org/opt/nats/bin"
cp "$tools/bin/nats-server" "$work/management.example.org/opt/nats/bin/"
stays management.example.org nats "$(step 3 | sed -E "$packages; /^python3 -m pip install /d")" "Server is ready"

say "4. Management"
stays management.example.org management "$(step 4)" "Management is ready"

say "5. A token for the node"
on management.example.org -s <<<"$(step 5)" >"$work/token.log" 2>&1 || die "no token"
token=$(grep -oE 'vpnjoin-[^[:space:]"]+' "$work/token.log" || true)
[ -n "$token" ] || die "no token in the answer"

say "6. The node"
stays vpn1.example.org node "$(step 6 | sed -E "$packages; s#vpnjoin-\.\.\.#$token#")" "Started OpenVPN"

say "7. A user"
alice=$(step 7)
on management.example.org -s <<<"$(sed '/^openvpn /d' <<<"$alice")" >"$work/user.log" 2>&1 || die "the user"
[ -s "$work/management.example.org/home/alice.ovpn" ] || die "alice has no profile"
cp "$work/management.example.org/home/alice.ovpn" "$work/user/home/"
stays user client "$(grep '^openvpn ' <<<"$alice")" "Initialization Sequence Completed"
on user -c 'ping -c 3 -i 0.2 -W 2 10.8.0.1' >"$work/ping.log" 2>&1 || die "no ping through the tunnel"
say "The quick start works: alice pings 10.8.0.1 through the tunnel."

if [ "${1:-}" = --keep ]; then
    for name in "${!holder[@]}"; do
        say "enter $name:  nsenter --target ${holder[$name]} --net --mount --wd=$work/$name/home env -i PATH=\$PATH HOME=. bash"
    done
    say "Interrupt to end."
    while :; do sleep 1; done
fi
