#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Unpacks those parts of a Debian kernel's source that build.sh needs, of exactly the version of that kernel.
#
#   source.sh --kernel-dir DIR --out DIR
#
# --kernel-dir  headers package of the kernel (/lib/modules/RELEASE/build)
# --out         where arch/x86/kvm, virt/kvm and Makefile go; made anew
#
# Taken from the linux-source package that is installed, if it is of that version, and from Debian's archive if not.
set -euo pipefail

die() { echo "kvm-patch: $*" >&2; exit 1; }

kernel_dir='' out=''
while (($#)); do
    case $1 in
        --kernel-dir) kernel_dir=$2 ;;
        --out) out=$2 ;;
        *) die "unknown argument '$1'; see the head of $0" ;;
    esac
    shift 2 || die "missing value"
done
[[ -n $out ]] || die "--out is missing"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
id=$kernel_dir/include/generated/package.h
[[ -f $id ]] ||
    die "'$kernel_dir' is not a Debian headers package: supported are Debian's own kernels. Install linux-headers-RELEASE"
version=$(sed -n 's/^#define LINUX_PACKAGE_ID " Debian \(.*\)"$/\1/p' "$id")
[[ -n $version ]] || die "'$id' names no Debian version: supported are Debian's own kernels"
line=$(cut -d. -f1-2 <<<"$version")
[[ -d $here/patches/$line ]] ||
    die "no hook patch for Linux $line: supported are $(cd "$here/patches" && echo *). The stock module stays"
package=linux-source-$line

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
installed=$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null || true)
tarball=/usr/src/$package.tar.xz
if [[ $installed != "$version" || ! -f $tarball ]]; then
    echo "kvm-patch: $package $version is not installed (${installed:-none} is): it is fetched"
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package=$version") ||
        die "the source of this kernel, $package $version, cannot be had: apt-get update, or boot Debian's newest kernel. The stock module stays"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -C "$work" -x "./usr/src/$package.tar.xz"
    tarball=$work/usr/src/$package.tar.xz
fi

rm -rf "$out"
mkdir -p "$out"
tar -C "$out" --strip-components=1 -xJf "$tarball" "$package/Makefile" "$package/arch/x86/kvm" "$package/virt/kvm"
echo "kvm-patch: source of Debian's $version in $out"
