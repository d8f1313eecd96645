#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Prints a folder with what Debian's packages lack of the DPDK that is installed, taken from exactly that
# version's Debian source package:
#   headers   for drivers (ethdev_driver.h, bus_vdev_driver.h, ...); an rte_eth_dev laid out otherwise than in
#             the installed libraries would crash every application
#   l2fwd     the source of the example of that name, for a test with an application that is not ours
#
# usage: dpdk-source.sh headers|l2fwd     print the folder, fetch it first if it is not cached
# ELISA_CACHE (default ~/.cache/elisa) holds one folder a version of each and may be deleted.
set -euo pipefail

say() { echo "dpdk-source: $*" >&2; }
die() { say "$*"; exit 1; }

part=${1:-}
[[ $part = headers || $part = l2fwd ]] || die "usage: dpdk-source.sh headers|l2fwd"

# Driver headers live in these folders of the source tree.
folders="lib/eal/include lib/ethdev lib/kvargs lib/mempool lib/mbuf lib/net lib/telemetry drivers/bus/vdev"
# What we need from them; the check below fails early if Debian ever moves one.
wanted="ethdev_driver.h ethdev_vdev.h bus_vdev_driver.h dev_driver.h bus_driver.h"

version=$(dpkg-query -W -f '${Version}' libdpdk-dev 2>/dev/null) ||
    die "libdpdk-dev is not installed: apt-get install dpdk libdpdk-dev"
running=$(dpkg-query -W -f '${Version}' librte-ethdev23 2>/dev/null) ||
    die "librte-ethdev23 is not installed: apt-get install dpdk libdpdk-dev (Debian 12's DPDK 22.11)"
[ "$version" = "$running" ] ||
    die "libdpdk-dev is $version but librte-ethdev23 is $running: apt-get install libdpdk-dev=$running"

cache=${ELISA_CACHE:-$HOME/.cache/elisa}
folder_of() { echo "$cache/dpdk-$1/$version"; }
if [ -e "$(folder_of "$part")/.complete" ]; then
    folder_of "$part"
    exit 0
fi

for tool in apt-get dpkg-source; do
    command -v "$tool" >/dev/null || die "$tool is missing: apt-get install apt dpkg-dev"
done

mkdir -p "$cache/dpdk-headers" "$cache/dpdk-l2fwd"
work=$(mktemp -d "$cache/dpdk-headers/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{parts,lists/partial,archives/partial,src}

# apt with its own source list, so that the machine's is left alone. The mirrors are the machine's own; the
# release is the one that libdpdk-dev came from.
. /etc/os-release
codename=${VERSION_CODENAME:-bookworm}
mirror=$( { grep -rhoE '^(deb(-src)?[[:space:]]+(\[[^]]*\][[:space:]]+)?|URIs:[[:space:]]+)https?://[^[:space:]]+' \
              /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null || true; } |
          grep -oE 'https?://[^[:space:]]+' | grep -E '/debian/?$' | head -n 1 || true)
mirror=${mirror:-http://deb.debian.org/debian}
security=$(sed -E 's,/debian/?$,/debian-security,' <<<"$mirror")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keyring" ] || die "$keyring is missing: apt-get install debian-archive-keyring"
for entry in "$mirror $codename" "$mirror $codename-updates" "$security $codename-security"; do
    echo "deb-src [signed-by=$keyring] $entry main"
done >"$work/sources.list"

private=(-o "Dir::Etc::SourceList=$work/sources.list" -o "Dir::Etc::SourceParts=$work/parts"
         -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives"
         -o "APT::Sandbox::User=" -o "Acquire::Languages=none" -o "Acquire::Retries=3")

say "fetching the source of dpdk $version for its driver headers and example (about 17 MB, once)"
apt-get "${private[@]}" -qq update >"$work/log" 2>&1 || { cat "$work/log" >&2; die "apt-get update failed"; }
if ! (cd "$work/src" && apt-get "${private[@]}" -qq source --download-only "dpdk=$version") >"$work/log" 2>&1; then
    cat "$work/log" >&2
    have=$(apt-cache "${private[@]}" showsrc dpdk 2>/dev/null | sed -n 's/^Version: //p' | tr '\n' ' ')
    die "the mirror has no source of dpdk $version (it has: ${have:-none}). Bring the packages up to date:" \
        "apt-get update && apt-get install dpdk dpdk-dev libdpdk-dev"
fi
dpkg-source --no-check -x "$work"/src/dpdk_*.dsc "$work/tree" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "the source package does not unpack"; }

# The tree must be what was asked for: upstream part of the Debian version against DPDK's own VERSION file.
upstream=${version#*:}
upstream=${upstream%-*}
found=$(tr -d '[:space:]' <"$work/tree/VERSION")
[ "$upstream" = "$found" ] || die "asked for DPDK $upstream, the source package holds $found: refusing"

mkdir "$work"/{headers,l2fwd}
for folder in $folders; do
    for header in "$work/tree/$folder"/*.h; do
        name=$(basename "$header")
        # Public headers stay the installed ones: only what libdpdk-dev lacks.
        [ -e "/usr/include/dpdk/$name" ] || cp "$header" "$work/headers/"
    done
done
for header in $wanted; do
    [ -e "$work/headers/$header" ] || die "$header is not in the source of dpdk $version"
done
cp "$work/tree/examples/l2fwd/main.c" "$work/l2fwd/" || die "the example l2fwd is not in the source of dpdk $version"

# One fetch brings both.
for each in headers l2fwd; do
    dest=$(folder_of $each)
    [ ! -e "$dest/.complete" ] || continue
    touch "$work/$each/.complete"
    rm -rf "$dest"
    mv -T "$work/$each" "$dest" 2>/dev/null || [ -e "$dest/.complete" ] || die "cannot write $dest"
done
folder_of "$part"
