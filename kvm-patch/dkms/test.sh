#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# The DKMS package against a Debian kernel, in DKMS trees of its own: nothing of this machine's is touched (but DKMS makes
# itself a signing key, if it has none).
#
#   test.sh RELEASE HEADERS     e.g. 6.1.0-56-cloud-amd64 /usr/src/linux-headers-6.1.0-56-cloud-amd64
#
# The modules are built, installed and removed; a kernel that the patches do not fit is refused, with nothing installed.
set -euo pipefail

release=$1 headers=$(readlink -f "$2")
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
fail() { echo "dkms test: $*" >&2; exit 1; }
command -v dkms >/dev/null || fail "dkms is missing: apt-get install dkms"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$(sed -n 's/^project(elisa VERSION \([0-9.]*\).*/\1/p' "$top/CMakeLists.txt")
module=elisa-kvm/$version
mkdir -p "$work"/{tree,src,lib/"$release"}
ln -s "$headers" "$work/lib/$release/build"
PYTHONPATH=$top/kvm-patch/host /usr/bin/python3 -B -c '
import sys; from pathlib import Path; from elisahost import build; build.stage(Path(sys.argv[1]))
' "$work/src/elisa-kvm-$version"

in_trees() {
    local verb=$1
    shift
    dkms "$verb" --dkmstree "$work/tree" --sourcetree "$work/src" --installtree "$work/lib" "$@"
}
with_kernel() { in_trees "$1" "$module" -k "$release" --kernelsourcedir "${2:-$headers}" --no-depmod; }
installed() { find "$work/lib/$release/updates" -name '*.ko*' 2>/dev/null | wc -l; }

in_trees add "$module"

# The same kernel, but of a revision whose source does not exist: it must not be built from another one.
cp -r --no-dereference "$headers" "$work/other"
for name in scripts tools; do
    ln -sfn "$(readlink -f "$headers/$name")" "$work/other/$name"
done
sed -i 's/Debian [^"]*/&+nobody1/' "$work/other/include/generated/package.h"
if with_kernel build "$work/other" >"$work/refused.log" 2>&1; then
    fail "a kernel without matching source was built for"
fi
cat "$work/refused.log" "$work/tree/$module/build/make.log" 2>/dev/null >"$work/said" || true
grep -q "cannot be had" "$work/said" || { cat "$work/said"; fail "the refusal does not say why"; }
[[ $(installed) == 0 ]] || fail "something was installed for it"

# A line without a patch is passed over, so that other kernels can be installed.
in_trees build "$module" -k 6.5.0-1-amd64 --kernelsourcedir "$headers" >"$work/line.log" 2>&1 || true
grep -q "BUILD_EXCLUSIVE" "$work/line.log" || { cat "$work/line.log"; fail "a line without a patch was not passed over"; }

with_kernel build || { cat "$work/tree/$module/build/make.log"; fail "build failed"; }
# The kernel has a kvm-intel of its own, without a version, as the stock one: ours must be installed over that without
# being forced (as for a kernel that is installed later), and that must be there again in the end.
built=$(echo "$work/tree/$module/$release"/*/module/elisa.ko*)
stock=$work/lib/$release/kernel/arch/x86/kvm/kvm-intel.ko${built##*.ko} # compressed, as this kernel's are
mkdir -p "$(dirname "$stock")"
cp "$built" "$stock"
stock_was=$(sha256sum <"$stock")
with_kernel install
[[ $(installed) == 2 ]] || fail "not both modules were installed"
for file in $(find "$work/lib/$release/updates" -name '*.ko*'); do
    [[ $(modinfo -F vermagic "$file") == "$release "* ]] || fail "$file is for another kernel"
done
with_kernel remove
[[ $(installed) == 0 ]] || fail "files are left after removal"
[[ $(sha256sum <"$stock") == "$stock_was" ]] || fail "the stock kvm-intel.ko is not what it was"
echo "dkms test: $module for $release: built, installed, removed; refused where it does not fit"
