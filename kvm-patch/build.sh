#!/usr/bin/env bash
# Builds the hooked kvm-intel.ko and elisa.ko for one kernel.
#
#   build.sh --kernel-dir DIR --source DIR --out DIR [--objects DIR] [--extra DIR]
#
# --kernel-dir  build tree or headers package of the kernel that will load them
# --source      source tree of exactly that kernel (arch/x86/kvm, virt/kvm)
# --out         where kvm-intel.ko and elisa.ko go
# --objects     keep what was compiled there: the next build compiles what changed
# --extra       sources and a Kbuild.append to be added to elisa.ko, for tests
#
# Refuses when the source is not the kernel's, or a patch does not apply exactly:
# a kvm-intel.ko built from another version loads and then corrupts memory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { echo "kvm-patch: $*" >&2; exit 1; }

kernel_dir='' source='' out='' objects='' extra=''
while (($#)); do
    case $1 in
        --kernel-dir) kernel_dir=$2 ;;
        --source) source=$2 ;;
        --out) out=$2 ;;
        --objects) objects=$2 ;;
        --extra) extra=$2 ;;
        *) die "unknown argument '$1'; see the head of $0" ;;
    esac
    shift 2 || die "missing value"
done
[[ -f $kernel_dir/Makefile ]] || die "--kernel-dir: no kernel build tree at '$kernel_dir'"
[[ -d $source/arch/x86/kvm ]] || die "--source: no kernel source at '$source'"
[[ -n $out ]] || die "--out is missing"
mkdir -p "$out"
out=$(cd "$out" && pwd)

want=$(make -s -C "$kernel_dir" kernelversion 2>/dev/null || true)
# Read, not asked of make: a few folders of the source are enough to build from.
have=$(awk '$2 == "=" && /^(VERSION|PATCHLEVEL|SUBLEVEL) / { printf "%s%s", dot, $3; dot = "." }' "$source/Makefile")
[[ -n $want && $want == "$have" ]] ||
    die "the kernel is $want but the source is $have: install the matching linux-source package"
line=${want%.*}
[[ -d $here/patches/$line ]] ||
    die "no hook patch for Linux $line: supported are $(cd "$here/patches" && echo *)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/arch/x86" "$work/virt"
cp -r "$source/arch/x86/kvm" "$work/arch/x86/"
cp -r "$source/virt/kvm" "$work/virt/"
for patch in "$here/patches/$line"/*.patch; do
    patch -d "$work" -p1 --fuzz=0 --forward --quiet <"$patch" ||
        die "$(basename "$patch") does not apply to Linux $have exactly"
done
kvm=$work/arch/x86/kvm
cp "$here"/hooks/elisa_hooks.[ch] "$kvm/vmx/"
mkdir "$kvm/elisa"
cp "$here"/module/*.[chS] "$here/abi/elisa_abi.h" "$kvm/elisa/"
# shellcheck disable=SC2016  # make variables
sed -i 's|^include .*/Makefile.kvm|include $(src)/../../../virt/kvm/Makefile.kvm|' "$kvm/Makefile"
cat "$here/module/Kbuild.append" >>"$kvm/Makefile"
if [[ -n $extra ]]; then
    cp "$extra"/*.[ch] "$kvm/elisa/"
    cat "$extra/Kbuild.append" >>"$kvm/Makefile"
fi

# Only what differs gets a new time stamp.
if [[ -n $objects ]]; then
    while IFS= read -r -d '' file; do
        cmp -s "$work/$file" "$objects/$file" || install -D -m 644 "$work/$file" "$objects/$file"
    done < <(cd "$work" && find . -type f -print0)
    kvm=$(cd "$objects" && pwd)/arch/x86/kvm
fi

make -C "$kernel_dir" M="$kvm" -j"$(nproc)" KBUILD_MODPOST_WARN= modules
for module in kvm-intel elisa; do
    strip --strip-debug -o "$out/$module.ko" "$kvm/$module.ko"
done
echo "kvm-patch: built for Linux $want: $out/kvm-intel.ko $out/elisa.ko"
