#!/bin/sh
# Makes this machine (Debian or Ubuntu) a node of VPN Manager: installs the agent of release @RELEASE@, says who it is and where management
# is, and starts it. Run as root:
#
#   curl -fsS [--cacert ca.pem] https://MANAGEMENT/install.sh | sh -s -- JOIN_TOKEN [--server-id NAME] [--public-host HOST] [--management-url URL]
#
#   --server-id       name of the node; the token must be for it, or for any. Without it the short name of this machine
#   --public-host     what clients dial. Without it the address that management sees
#   --management-url  where management answers. Without it what management says of itself (PUBLIC_URL)
#
# Settings that are there, in /etc/vpnmanager/endnode.env or endnode-config.json, stay, unless an option gives them anew.
#
# Run again on a node, it installs this release of the agent and changes no setting. OpenVPN and its tunnels stay up.
set -eu

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

# A value as systemd reads it from an EnvironmentFile= without quotes: nothing that it would take for something else.
plain() {
    case $2 in
    '' | *[!A-Za-z0-9.:/_~%\[\]-]*) fail "$1 has characters that it cannot have: $2" ;;
    esac
}

enrolled() {
    [ -e /var/lib/vpnmanager/endnode/identity.json ]
}

# setting NAME KEY: what the settings of this machine say, endnode-config.json by KEY, and before it, as for the agent, endnode.env by NAME.
setting() {
    sed -n -e "s/.*\"$2\" *: *\"\([^\"]*\)\".*/\1/p" -e "s/^$1=//p" /etc/vpnmanager/endnode-config.json /etc/vpnmanager/endnode.env 2>/dev/null |
        tail -n 1 | tr -d "\"'"
}

# set_setting NAME KEY VALUE: has endnode.env say so, unless the settings do already.
set_setting() {
    if [ -z "$3" ] || [ "$(setting "$1" "$2")" = "$3" ]; then return; fi
    variables=/etc/vpnmanager/endnode.env
    [ -e "$variables" ] || echo "# These come before /etc/vpnmanager/endnode-config.json." >"$variables"
    { grep -v "^$1=" "$variables" || true; echo "$1=$3"; } >"$variables.new"
    mv "$variables.new" "$variables"
}

read_arguments() {
    token='' server_id='' public_host='' management_url=''
    while [ $# -gt 0 ]; do
        case $1 in
        --server-id | --public-host | --management-url)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in
            --server-id) server_id=$2 ;;
            --public-host) public_host=$2 ;;
            --management-url) management_url=$2 ;;
            esac
            shift 2
            ;;
        vpnjoin-*) token=$1 && shift ;;
        *) fail "\"$1\" is no join token (vpnjoin-...) and no option" ;;
        esac
    done
    [ -n "$management_url" ] || management_url=$(setting MANAGEMENT_URL management_url)
    [ -n "$management_url" ] || management_url='@MANAGEMENT_URL@'
    [ -n "$management_url" ] || fail "where is management? Give --management-url, the address from which you fetched this script"
    plain --management-url "$management_url"
    management_url=${management_url%/}
    if enrolled; then return; fi
    [ -n "$token" ] || fail "a join token is missing: management makes one (POST /api/join-tokens)"
    plain "the join token" "$token"
    [ -n "$server_id" ] || server_id=$(setting SERVER_ID server_id)
    [ -n "$server_id" ] || server_id=$(uname -n | cut -d. -f1)
    plain --server-id "$server_id"
    [ -z "$public_host" ] || plain --public-host "$public_host"
}

check_machine() {
    [ "$(id -u)" = 0 ] || fail "run it as root"
    for program in apt-get curl dpkg sha256sum systemctl; do
        command -v "$program" >/dev/null || fail "$program is missing on this machine"
    done
    [ -d /run/systemd/system ] || fail "systemd does not run here: start the agent in a container as docs/containers.md says"
    architecture=$(dpkg --print-architecture)
    case $architecture in
    # @PACKAGES@
    *) fail "management has no package for $architecture" ;;
    esac
}

install_package() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # apt reads the package as an account of its own.
    chmod 755 "$folder"
    # What comes is known by its digest, whoever sends it, and nothing secret is asked for: no certificate need be checked.
    curl -fsS --insecure --retry 3 -o "$folder/$package" "$management_url/packages/$package" || fail "fetching $management_url/packages/$package failed"
    echo "$sha256  $folder/$package" | sha256sum --check --quiet || fail "what came is not what management has: nothing was installed"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || echo "install.sh: the package lists could not be renewed, going on with those that are there" >&2
    # Settings of an operator are never asked about, and stay. Nothing may read the rest of this script.
    apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$folder/$package" </dev/null
}

configure() {
    umask 077
    printf '%s\n' "$token" >/etc/vpnmanager/join-token
    set_setting SERVER_ID server_id "$server_id"
    set_setting MANAGEMENT_URL management_url "$management_url"
    set_setting PUBLIC_HOST public_host "$public_host"
}

start() {
    systemctl enable --quiet vpnmanager-endnode.service
    systemctl restart vpnmanager-endnode.service || true
    waited=0
    until enrolled; do
        if [ "$waited" -ge 60 ]; then
            journalctl --no-pager --lines 20 --unit vpnmanager-endnode.service >&2 || true
            fail "the node has not enrolled within a minute: the lines above say why. The agent goes on trying"
        fi
        sleep 1
        waited=$((waited + 1))
    done
    echo "This machine is a node of the fleet: $server_id"
}

main() {
    read_arguments "$@"
    check_machine
    if enrolled; then
        install_package
        echo "This machine was a node already: its agent is of release @RELEASE@ now, and no setting was changed"
        return
    fi
    install_package
    configure
    start
}

main "$@"
