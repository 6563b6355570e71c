#!/usr/bin/env bash
# Records the captures beside this script: real programs talking to each other
# over a veth pair between two network namespaces, seen on the client's side.
# Needs root, and Debian's packages (installed when they are missing).
# Usage: record.sh [DIRECTORY]   (default: the directory of this script)
set -euo pipefail

out=$(realpath "${1:-$(dirname "$0")}")
work=$(mktemp -d)
client=tp-corpus-client-$$
server=tp-corpus-server-$$
children=()

client4=192.0.2.10 client6=2001:db8::10 client_mac=02:00:00:00:00:10
server4=192.0.2.80 server6=2001:db8::80 server_mac=02:00:00:00:00:80

cleanup() {
    local status=$?
    for pid in "${children[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
    done
    # Removing the namespaces takes the veth pair and every tunnel with them.
    ip netns del "$client" 2>/dev/null || true
    ip netns del "$server" 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Not for programs in the background: their process must be the program, not a shell around it.
in_client() { ip netns exec "$client" "$@"; }
in_server() { ip netns exec "$server" "$@"; }

install_packages() {
    local packages=(tcpdump wireshark-common nginx-light curl dnsmasq-base bind9-dnsutils
        iperf3 iputils-ping traceroute ethtool iproute2)
    local missing=()
    for package in "${packages[@]}"; do
        dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    apt-get update -q
    # Only the programs are wanted: nothing may start as a service of this machine.
    printf '#!/bin/sh\nexit 101\n' >"$work/policy-rc.d"
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        install -m 755 "$work/policy-rc.d" /usr/sbin/policy-rc.d
        local ours=1
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    [ -z "${ours:-}" ] || rm -f /usr/sbin/policy-rc.d
}

# configure RUN DEVICE MAC IPV4 IPV6
configure() {
    local run=$1 device=$2 mac=$3 ipv4=$4 ipv6=$5
    # No duplicate address detection: the addresses are usable at once.
    "$run" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
    "$run" ip link set lo up
    "$run" ip link set "$device" address "$mac"
    # Without offloads a checksum in the capture is the one that the receiver checks,
    # and a segment is no longer than the link allows.
    "$run" ethtool -K "$device" tx off rx off sg off tso off gso off gro off >/dev/null
    "$run" ip address add "$ipv4/24" dev "$device"
    "$run" ip address add "$ipv6/64" dev "$device" nodad
    "$run" ip link set "$device" up
}

make_network() {
    ip netns add "$client"
    ip netns add "$server"
    ip link add client0 netns "$client" type veth peer name server0 netns "$server"
    configure in_client client0 "$client_mac" "$client4" "$client6"
    configure in_server server0 "$server_mac" "$server4" "$server6"
    # Every closed port answers, however many are tried.
    in_server sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
}

# Both hosts find each other's MAC address anew in each capture.
forget_neighbours() {
    in_client ip neigh flush all
    in_server ip neigh flush all
}

wait_for() {
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "gave up waiting for: $*" >&2
    return 1
}

start_nginx() {
    mkdir -p "$work/www"
    printf '<!doctype html><title>twinpath</title><p>Hello from both worlds.\n' >"$work/www/index.html"
    # Twenty-four kilobytes: more than one window's first flight, still small.
    seq -f 'line %05g of a larger page' 1000 >"$work/www/large.txt"
    cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/nginx.log; worker_processes 1;
events { worker_connections 64; }
http {
    access_log off; types { text/html html; text/plain txt; }
    server { listen 80; listen [::]:80; root $work/www; }
}
CONF
    chmod -R a+rX "$work"
    ip netns exec "$server" nginx -c "$work/nginx.conf" 2>/dev/null &
    children+=($!)
    wait_for in_server curl -sf http://127.0.0.1/
}

start_dnsmasq() {
    ip netns exec "$server" dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file="$work/dnsmasq.pid" \
        --no-resolv --no-hosts --user=root --port=53 --local=/test/ --max-ttl=300 \
        --host-record="www.twinpath.test,$server4,$server6" \
        --cname=web.twinpath.test,www.twinpath.test \
        --mx-host=twinpath.test,mail.twinpath.test,10 \
        --txt-record="twinpath.test,one packet,both worlds" \
        --txt-record="large.twinpath.test,$(printf 'x%.0s' $(seq 250)),$(printf 'y%.0s' $(seq 250)),$(printf 'z%.0s' $(seq 250))" &
    children+=($!)
    wait_for in_server dig +short +timeout=1 +tries=1 @127.0.0.1 www.twinpath.test
}

start_iperf() {
    ip netns exec "$server" iperf3 --server >/dev/null 2>&1 &
    children+=($!)
    wait_for in_server sh -c 'ss -Hltn "sport = :5201" | grep -q .'
}

# record NAME COMMAND...: runs the command while tcpdump writes NAME.raw
record() {
    local name=$1
    shift
    forget_neighbours
    ip netns exec "$client" tcpdump --interface=client0 --snapshot-length=0 --immediate-mode --packet-buffered \
        --time-stamp-precision=nano -Z root -w "$work/$name.raw" 2>"$work/$name.log" &
    local tcpdump=$!
    children+=("$tcpdump")
    wait_for grep -q 'listening on' "$work/$name.log"
    "$@"
    # The last acknowledgements are still under way when the client exits.
    sleep 0.5
    kill "$tcpdump"
    wait "$tcpdump"
    grep -q '^0 packets dropped by kernel' "$work/$name.log"
}

http() {
    local base=$1
    in_client curl -sf --globoff "$base/" >/dev/null
    in_client curl -sfI --globoff "$base/index.html" >/dev/null
    in_client curl -s --globoff "$base/missing" >/dev/null
    in_client curl -sf --globoff "$base/large.txt" >/dev/null
    # Two requests in one connection.
    in_client curl -sf --globoff "$base/" "$base/index.html" >/dev/null
}

dns() {
    local at=$1
    in_client dig +tries=1 "@$at" www.twinpath.test A >/dev/null
    in_client dig +tries=1 "@$at" www.twinpath.test AAAA >/dev/null
    in_client dig +tries=1 "@$at" web.twinpath.test CNAME >/dev/null
    in_client dig +tries=1 "@$at" twinpath.test MX >/dev/null
    in_client dig +tries=1 "@$at" twinpath.test TXT >/dev/null
    in_client dig +tries=1 "@$at" nothing.twinpath.test A >/dev/null
    # Too long for 512 bytes: a truncated answer, then the same question over TCP.
    in_client dig +tries=1 +noedns "@$at" large.twinpath.test TXT >/dev/null
    in_client dig +tries=1 +tcp "@$at" www.twinpath.test A >/dev/null
}

pings() {
    in_client ping -q -c 3 -i 0.2 "$server4" >/dev/null
    in_client ping -q -c 3 -i 0.2 "$server6" >/dev/null
    # Longer than the link's MTU: fragments, both ways.
    in_client ping -q -c 1 -s 4000 "$server4" >/dev/null
    in_client ping -q -c 1 -s 4000 "$server6" >/dev/null
    # With IPv4 options: record route, timestamps.
    in_client ping -q -c 1 -R "$server4" >/dev/null
    in_client ping -q -c 1 -T tsonly "$server4" >/dev/null
    # With a traffic class and a flow label.
    in_client ping -q -c 1 -Q 0xb8 "$server4" >/dev/null
    in_client ping -q -c 1 -Q 0x2e -F 0x12345 "$server6" >/dev/null
}

closed_ports() {
    in_client curl -s --connect-timeout 1 "http://$server4:81/" || true
    in_client curl -s --connect-timeout 1 --globoff "http://[$server6]:81/" || true
    in_client traceroute -n -q 1 -w 1 "$server4" >/dev/null
    in_client traceroute -n -q 1 -w 1 "$server6" >/dev/null
    in_client traceroute -n -q 1 -w 1 -T -p 80 "$server4" >/dev/null
    in_client dig +tries=1 +timeout=1 -p 5353 "@$server4" www.twinpath.test >/dev/null || true
    in_client dig +tries=1 +timeout=1 -p 5353 "@$server6" www.twinpath.test >/dev/null || true
}

throughput() {
    in_client iperf3 --client "$server4" --bytes 40K --length 8K >/dev/null
    in_client iperf3 --client "$server6" --udp --bytes 20K --length 1K --bitrate 10M >/dev/null
}

# overlay RUN DEVICE HOST LOCAL4 REMOTE4 LOCAL6 REMOTE6: VXLAN over IPv4 (198.51.100.HOST,
# 2001:db8:4::HOST) on IANA's port and over IPv6 (203.0.113.HOST, 2001:db8:6::HOST) on Linux' own.
overlay() {
    local run=$1 device=$2 host=$3 local4=$4 remote4=$5 local6=$6 remote6=$7
    "$run" ip link add vxlan4 address "02:00:00:00:04:0$host" type vxlan id 7 \
        local "$local4" remote "$remote4" dstport 4789 dev "$device"
    "$run" ip link add vxlan6 address "02:00:00:00:06:0$host" type vxlan id 8 \
        local "$local6" remote "$remote6" dstport 8472 dev "$device"
    for each in vxlan4 vxlan6; do
        "$run" ethtool -K "$each" tx off rx off sg off tso off gso off gro off >/dev/null
    done
    "$run" ip address add "198.51.100.$host/24" dev vxlan4
    "$run" ip address add "203.0.113.$host/24" dev vxlan6
    "$run" ip address add "2001:db8:4::$host/64" dev vxlan4 nodad
    "$run" ip address add "2001:db8:6::$host/64" dev vxlan6 nodad
    "$run" ip link set vxlan4 up
    "$run" ip link set vxlan6 up
}

# offload RUN DEVICE: from here on the device is left to cut segments and to fill in checksums.
offload() {
    "$1" ethtool -K "$2" tx on rx on sg on tso on gso on >/dev/null
}

joined() {
    in_client curl -sf --globoff "http://$server4/large.txt" >/dev/null
    in_client curl -sf --globoff "http://[$server6]/large.txt" >/dev/null
}

vxlan() {
    for at in 198.51.100.2 203.0.113.2 2001:db8:4::2 2001:db8:6::2; do
        in_client ping -q -c 1 "$at" >/dev/null
        in_client dig +tries=1 "@$at" www.twinpath.test >/dev/null
    done
    for at in 198.51.100.2 203.0.113.2 '[2001:db8:4::2]' '[2001:db8:6::2]'; do
        in_client curl -sf --globoff "http://$at/" >/dev/null
    done
}

keep() { # keep NAME.raw -> FILE
    install -m 644 "$work/$1.raw" "$out/$2"
}

install_packages
mkdir -p "$out/offloaded"
make_network
start_nginx
start_dnsmasq
start_iperf

record http http "http://$server4"
record http6 http "http://[$server6]"
record dns dns "$server4"
record dns6 dns "$server6"
record ping pings
record closed closed_ports
record iperf throughput
overlay in_client client0 1 "$client4" "$server4" "$client6" "$server6"
overlay in_server server0 2 "$server4" "$client4" "$server6" "$client6"
record vxlan vxlan
offload in_client client0
offload in_server server0
record joined joined

keep http http.pcap
editcap -F pcapng "$work/http6.raw" "$out/http6.pcapng"
keep dns dns.pcap
editcap -F pcap "$work/dns6.raw" "$work/dns6.us"
gzip --no-name --best --stdout "$work/dns6.us" >"$out/dns6.pcap.gz"
editcap -F pcapng "$work/ping.raw" "$out/ping.pcapng"
keep closed closed.pcap
gzip --no-name --best --stdout "$work/iperf.raw" >"$out/iperf.pcap.gz"
editcap -F pcapng "$work/vxlan.raw" "$out/vxlan.pcapng"
gzip --no-name --best --stdout "$work/joined.raw" >"$out/offloaded/joined.pcap.gz"
chmod 644 "$out"/*.pcap "$out"/*.pcapng "$out"/*.gz
ls -l "$out"
