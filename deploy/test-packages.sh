#!/usr/bin/env bash
# Tries the Debian packages on a machine of their own: a root made by debootstrap, systemd as process 1 in systemd-nspawn, a network of its own,
# PostgreSQL, nats-server, and a real OpenVPN client. Installs, configures, restarts, kills, upgrades, removes and purges. Needs root and
# /dev/net/tun. `make test-packages` builds the packages twice, as revisions 1 and 2, and runs this.
#
#   deploy/test-packages.sh FOLDER        FOLDER/1 and FOLDER/2 have the packages. KEEP=1 leaves the machine's files there
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$(realpath "$1")
tools=$(realpath "${CARGO_TARGET_DIR:-target}")/tools
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" = 0 ] || { echo "test-packages: needs root" >&2; exit 1; }
nats=$(services/testbed/prerequisites.sh --nats-server)

folder=$(mktemp -d /var/tmp/vpnmanager-packages.XXXXXX)
root=$folder/root
leader=

say() { printf '== %s\n' "$*"; }

fail() {
    printf 'test-packages: FAILED: %s\n' "$*" >&2
    [ -z "$leader" ] || inside journalctl --no-pager --lines 60 --unit 'vpnmanager-*' >&2 || true
    exit 1
}

# In the machine, as root. Its standard input is that of the caller.
inside() {
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

shell() { inside bash -euo pipefail -c "$1"; }

# until_true SECONDS WHAT COMMAND...: the command succeeds within so many seconds.
until_true() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$what did not come true"
        sleep 0.2
    done
}

end() {
    local status=$?
    trap - EXIT
    if [ -n "$leader" ]; then
        # Nothing in it is worth an orderly end, which takes minutes where a process does not end. nspawn goes with it.
        kill -KILL "$leader" || true
        wait "$nspawn" 2>/dev/null || true
    fi
    if [ "${KEEP:-}" = 1 ]; then echo "kept: $folder"; else rm -rf --one-file-system "$folder"; fi
    exit "$status"
}
trap end EXIT

# The base is kept beside the tools: it takes half a minute.
make_root() {
    local base=$tools/packages-root-$release.tar
    if [ ! -s "$base" ]; then
        say "Making a machine of $release"
        debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,init-system-helpers,openvpn,nftables,iproute2,iputils-ping,curl,ca-certificates,postgresql,procps,man-db,logrotate \
            "$release" "$root" "$mirror" >"$folder/debootstrap.log" 2>&1 || { tail -n 20 "$folder/debootstrap.log" >&2; fail "debootstrap"; }
        mkdir -p "$tools"
        tar -C "$root" --one-file-system -cf "$base.new" . && mv "$base.new" "$base"
    else
        mkdir -p "$root"
        tar -C "$root" -xf "$base"
    fi
    mkdir -p "$root/packages"
    cp -r "$packages/1" "$packages/2" "$root/packages/"
    install -m 755 "$nats" "$root/usr/local/bin/nats-server"
    # Nothing here is asked of a network.
    rm -f "$root/etc/apt/sources.list"
    echo packages >"$root/etc/hostname"
    printf '127.0.0.1 localhost packages management.example.org\n' >"$root/etc/hosts"
}

boot() {
    systemd-nspawn --quiet --directory "$root" --boot --register=no --keep-unit --private-network --bind=/dev/net/tun --capability=CAP_NET_ADMIN \
        --link-journal=no --console=passive >"$folder/console.log" 2>&1 </dev/null &
    nspawn=$!
    local deadline=$((SECONDS + 30))
    until leader=$(pgrep --parent "$nspawn" --exact systemd); do
        [ "$SECONDS" -lt "$deadline" ] && kill -0 "$nspawn" 2>/dev/null || { tail -n 20 "$folder/console.log" >&2; fail "the machine does not start"; }
        sleep 0.2
    done
    until_true 60 "the machine is up" shell 'case $(systemctl is-system-running) in running | degraded) ;; *) false ;; esac'
    inside ip link set lo up
}

property() { inside systemctl show --property "$2" --value "$1"; }

is_active() { [ "$(inside systemctl is-active "$1" || true)" = active ]; }

api() { inside curl -fsS -H "X-API-Key: $(inside cat /etc/vpnmanager/api-key)" -H 'Content-Type: application/json' "$@"; }

openvpn_pids() { inside pgrep --full '^[^ ]*openvpn --config /var/lib/vpnmanager/endnode/openvpn/' | sort | tr '\n' ' ' || true; }

openvpn_runs() { [ -n "$(openvpn_pids)" ]; }

no_openvpn_runs() { [ -z "$(openvpn_pids)" ]; }

# stays_up WHAT COMMAND...: the same OpenVPN runs after the command, and of the pings through the tunnel meanwhile at most one is lost.
stays_up() {
    local what=$1 before sent got
    shift
    before=$(openvpn_pids)
    [ -n "$before" ] || fail "no OpenVPN runs before: $what"
    inside ip netns exec client ping -D -i 0.05 -W 1 10.8.0.1 >"$folder/ping.log" 2>&1 &
    local ping=$!
    sleep 0.3
    "$@" || fail "$what"
    sleep 1
    inside pkill -INT --exact ping || true
    wait "$ping" || true
    [ "$(openvpn_pids)" = "$before" ] || fail "$what: OpenVPN was $before and is $(openvpn_pids)"
    read -r sent got < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$folder/ping.log") || fail "$what: no ping was sent"
    [ "$sent" -ge 20 ] && [ $((sent - got)) -le 1 ] || fail "$what: $got of $sent pings came back"
    say "$what: OpenVPN is the same, $got of $sent pings came back"
}

install_management() {
    say "Install management, revision 1"
    shell 'dpkg --install /packages/1/vpnmanager-management_*.deb'
    is_active vpnmanager-management && fail "it was started without settings"
    [ "$(inside stat -c '%a %U:%G' /etc/vpnmanager/management-config.json)" = '640 root:vpnmanager' ] || fail "mode of the settings"
    [ "$(inside stat -c '%a %U' /etc/vpnmanager/api-key)" = '600 root' ] || fail "mode of the first key"
    inside man --path vpnmanager-management-bus-init >/dev/null || fail "there is no manual page"
    inside test -s /usr/share/bash-completion/completions/vpnmanager-management || fail "there is no completion"
    inside logrotate --debug /etc/logrotate.d/vpnmanager-management >/dev/null 2>&1 || fail "logrotate"
    shell 'systemd-analyze verify /usr/lib/systemd/system/vpnmanager-*.service /usr/lib/systemd/system/vpnmanager-*.timer' || fail "a unit"
}

install_command_line() {
    say "Install the command line"
    shell 'dpkg --install /packages/1/vpnmanager_*.deb'
    inside man --path vpnmanager-users-create >/dev/null || fail "there is no manual page of the command line"
    inside test -s /usr/share/bash-completion/completions/vpnmanager || fail "there is no completion of the command line"
    shell 'MANAGEMENT_URL=http://127.0.0.1:8080 API_KEY_FILE=/etc/vpnmanager/api-key vpnmanager status' || fail "the command line does not reach management"
    shell 'MANAGEMENT_URL=http://127.0.0.1:8080 API_KEY_FILE=/etc/vpnmanager/api-key vpnmanager users list' || fail "the command line lists no users"
}

set_up_management() {
    say "Set it up as README.Debian says"
    inside systemctl start postgresql
    shell 'pg_lsclusters -h | grep -q . || pg_createcluster --start "$(ls /usr/lib/postgresql | sort -V | tail -n 1)" main >/dev/null'
    until_true 30 "PostgreSQL answers" inside runuser -u postgres -- psql -c 'SELECT 1'
    shell '(umask 077; od -An -N32 -tx1 /dev/urandom | tr -d " \n" >/etc/vpnmanager/db-password)
        runuser -u postgres -- psql -q -c "CREATE USER vpnmanager PASSWORD '"'"'$(cat /etc/vpnmanager/db-password)'"'"'" -c "CREATE DATABASE vpnmanager OWNER vpnmanager"
        runuser -u vpnmanager -- vpnmanager-management bus-init --host management.example.org --max-store 1
        systemctl enable --quiet --now vpnmanager-nats
        echo LISTEN=127.0.0.1:8080 >/etc/vpnmanager/management.env
        systemctl enable --quiet --now vpnmanager-management'
    is_active vpnmanager-management || fail "management does not run"
    inside curl -fsS http://127.0.0.1:8080/health >/dev/null || fail "management is started and does not serve"
    [ "$(property vpnmanager-management StatusText)" = Ready ] || fail "status: $(property vpnmanager-management StatusText)"
    inside test -s /var/log/vpnmanager/management.log || fail "there is no log"
}

check_hardening() {
    local unit most exposure
    for unit in management:3.0 nats:3.0 backup:3.0 endnode:5.0; do
        most=${unit#*:} unit=vpnmanager-${unit%:*}.service
        exposure=$(inside systemd-analyze security --no-pager "$unit" | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
        awk -v is="$exposure" -v most="$most" 'BEGIN { exit !(is != "" && is < most) }' || fail "$unit: exposure $exposure, not below $most"
        say "$unit: exposure $exposure of 10"
    done
}

# A client beside the machine's own network, at the other end of a cable.
make_client_network() {
    shell 'ip netns add client
        ip link add node type veth peer name eth0 netns client
        ip addr add 10.99.0.1/24 dev node && ip link set node up
        ip netns exec client ip addr add 10.99.0.2/24 dev eth0
        ip netns exec client ip link set eth0 up && ip netns exec client ip link set lo up'
}

install_node() {
    say "A node with one line, on a machine that has a setting already"
    shell 'install -m 644 /packages/1/vpnmanager-endnode_*.deb /var/lib/vpnmanager/packages/'
    local token
    token=$(api http://127.0.0.1:8080/api/join-tokens -d '{"server_id": "node-1"}' | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
    [ -n "$token" ] || fail "there is no token"
    shell 'echo LOG_LEVEL=info >/etc/vpnmanager/endnode.env'
    shell "curl -fsS http://127.0.0.1:8080/install.sh | sh -s -- $token --server-id node-1 --public-host 10.99.0.1 --management-url http://127.0.0.1:8080"
    is_active vpnmanager-endnode || fail "the agent does not run"
    inside grep -qx LOG_LEVEL=info /etc/vpnmanager/endnode.env || fail "a setting was lost"
    until_true 30 "OpenVPN runs" openvpn_runs
    inside curl -fsS --unix-socket /run/vpnmanager/endnode.api.sock http://localhost/api/users >/dev/null || fail "root needs a key at the socket"
    [ "$(inside stat -c '%a %U' /run/vpnmanager/endnode.api.sock)" = '600 root' ] || fail "mode of the socket"
}

# Where management is stands in its settings.
install_again() { shell 'curl -fsS http://127.0.0.1:8080/install.sh | sh >/dev/null 2>&1'; }

# Firewall and forwarding, from within the sandbox.
give_a_network() {
    inside sysctl -q -w net.ipv4.ip_forward=0
    api -X PATCH http://127.0.0.1:8080/api/pools/default -d '{"network": {"routes": ["192.0.2.0/24"]}}' >/dev/null
    until_true 30 "the agent switches forwarding on" shell '[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]'
    until_true 30 "the agent has a table of the firewall" shell 'nft list tables | grep vpnmanager >/dev/null'
    until_true 30 "the node is healthy" shell "curl -fsS -H \"X-API-Key: \$(cat /etc/vpnmanager/api-key)\" http://127.0.0.1:8080/api/endnodes/node-1 | grep '\"healthy\"' >/dev/null"
}

connect_client() {
    api 'http://127.0.0.1:8080/api/users?wait=20s' -d '{"username": "alice"}' >/dev/null
    api http://127.0.0.1:8080/api/users/alice/profile -o /root/alice.ovpn
    shell 'ip netns exec client openvpn --config /root/alice.ovpn --daemon client --log /root/client.log --writepid /root/client.pid'
    until_true 30 "the client reaches the node" inside ip netns exec client ping -c 1 -W 1 10.8.0.1
}

kill_agent() {
    local pid
    pid=$(property vpnmanager-endnode MainPID)
    inside kill -KILL "$pid"
    until_true 30 "another agent runs" shell "[ \$(systemctl show --property MainPID --value vpnmanager-endnode) != $pid ] && systemctl is-active vpnmanager-endnode"
}

# systemd ends a program that stands still, and starts another.
freeze() {
    local unit=$1 pid
    shell "mkdir -p /run/systemd/system/$unit.service.d
        printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' >/run/systemd/system/$unit.service.d/test.conf
        systemctl daemon-reload && systemctl restart $unit"
    pid=$(property "$unit" MainPID)
    inside kill -STOP "$pid"
    until_true 40 "systemd starts $unit anew" shell "[ \$(systemctl show --property MainPID --value $unit) != $pid ] && systemctl is-active $unit"
    shell "journalctl --no-pager --unit $unit | grep 'Watchdog timeout' >/dev/null" || fail "it was not the watchdog"
    shell "rm -r /run/systemd/system/$unit.service.d && systemctl daemon-reload && systemctl restart $unit"
}

upgrade() {
    # A setting of the operator's.
    shell 'sed -i "s/\"level\": \"info\"/\"level\": \"info,vpnmanager_nats=debug\"/" /etc/vpnmanager/management-config.json /etc/vpnmanager/endnode-config.json'
    local management agent
    management=$(property vpnmanager-management MainPID) agent=$(property vpnmanager-endnode MainPID)
    stays_up "upgrade to revision 2" shell 'dpkg --install --force-confold /packages/2/*.deb'
    [ "$(property vpnmanager-management MainPID)" != "$management" ] || fail "management was not restarted"
    [ "$(property vpnmanager-endnode MainPID)" != "$agent" ] || fail "the agent was not restarted"
    is_active vpnmanager-management && is_active vpnmanager-endnode || fail "they do not run after the upgrade"
    shell 'grep -q nats=debug /etc/vpnmanager/management-config.json && grep -q nats=debug /etc/vpnmanager/endnode-config.json' || fail "settings were lost"
    [ "$(inside stat -c '%a %U:%G' /etc/vpnmanager/endnode-config.json)" = '640 root:vpnmanager' ] || fail "mode of the settings"
}

cut_client() {
    api -X DELETE 'http://127.0.0.1:8080/api/users/alice?wait=10s' >/dev/null
    until_true 5 "a removed user is cut" shell '! ip netns exec client ping -c 1 -W 1 10.8.0.1'
    shell 'kill "$(cat /root/client.pid)" || true'
}

remove_and_purge() {
    say "Remove and purge"
    local openvpn
    openvpn=$(openvpn_pids)
    shell 'dpkg --remove vpnmanager-endnode vpnmanager-management'
    [ "$(openvpn_pids)" = "$openvpn" ] || fail "a removal ended OpenVPN"
    shell 'test -s /var/lib/vpnmanager/endnode/identity.json && test -d /var/lib/vpnmanager/pki && test -s /etc/vpnmanager/api-key' || fail "a removal deleted state"
    shell 'dpkg --install /packages/2/*.deb && systemctl start vpnmanager-nats vpnmanager-management vpnmanager-endnode'
    is_active vpnmanager-management && is_active vpnmanager-endnode || fail "they do not run after they were installed again"
    [ "$(openvpn_pids)" = "$openvpn" ] || fail "the next agent did not find OpenVPN"
    shell 'dpkg --purge vpnmanager-endnode vpnmanager-management vpnmanager'
    until_true 15 "a purge ends OpenVPN" no_openvpn_runs
    shell '! ls -d /var/lib/vpnmanager /etc/vpnmanager /opt/vpnmanager /var/log/vpnmanager 2>/dev/null' || fail "a purge left something"
    shell 'runuser -u postgres -- psql -tAc "SELECT 1 FROM pg_database WHERE datname = '"'vpnmanager'"'" | grep -q 1' || fail "a purge deleted the database"
}

make_root
boot
install_management
set_up_management
install_command_line
make_client_network
install_node
check_hardening
connect_client
give_a_network
stays_up "install.sh again on a node" install_again
stays_up "restart of the agent's unit" inside systemctl restart vpnmanager-endnode
stays_up "the agent is killed" kill_agent
stays_up "the agent stands still" freeze vpnmanager-endnode
freeze vpnmanager-management
upgrade
cut_client
remove_and_purge
say "The packages install, configure, upgrade, remove and purge as they should"
