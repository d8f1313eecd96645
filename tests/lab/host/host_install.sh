#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# On the emulated host: `elisa host install` fails at each of its steps, and each time the stock kvm_intel is back and
# nothing is left behind.
#   host_install.sh prepare      lay out /lib/modules as the kernel's package does
#   host_install.sh failures     every failure
#   host_install.sh refused TEXT NAME...   `elisa host NAME...` fails, says TEXT, and changes nothing
#   host_install.sh is-stock | is-patched
set -eu

release=$(uname -r)
own=/lib/modules/$release
updates=$own/updates/dkms
boot=/etc/modules-load.d/elisa.conf

elisa_host() { PYTHONPATH=/payload/kvm-patch/host python3 -S -B -m elisahost "$@"; }
# The tiny kernels are not Debian's; what they are like beside that is.
install_from() { elisa_host install --prebuilt "$1" --despite kernel; }
fail() { echo "host_install: $*"; exit 1; }

prepare() {
	mkdir -p "$own/kernel/arch/x86/kvm"
	cp /payload/modules/stock/*.ko "$own/kernel/arch/x86/kvm/"
	touch "$own/modules.builtin" "$own/modules.order"
	depmod "$release"
}

is_stock() {
	[ -d /sys/module/kvm_intel ] || fail "$1: kvm_intel is not loaded"
	[ ! -e /sys/module/kvm_intel/version ] || fail "$1: kvm_intel is not the stock one"
	[ ! -d /sys/module/elisa ] || fail "$1: elisa is still loaded"
	[ -z "$(ls "$updates" 2>/dev/null)" ] || fail "$1: files are left in $updates"
	[ ! -e $boot ] || fail "$1: $boot is left"
	elisa_host status | grep -q '^kvm_intel *stock$' || fail "$1: status does not say so"
}

is_patched() {
	[ "$(cut -c 1-6 /sys/module/kvm_intel/version)" = elisa- ] || fail "kvm_intel is not the patched one"
	[ -c /dev/elisa ] && [ -e $boot ] || fail "no /dev/elisa, or nothing at boot"
	[ "$(stat -c %a:%u:%g /dev/elisa)" = 600:0:0 ] || fail "/dev/elisa is not root's alone"
	elisa_host status | grep -q '^kvm_intel *patched$' || fail "status does not say so"
}

# seed TIMES STATUS COMMAND...: the next TIMES times, this command does nothing and ends with that status.
seed() {
	rm -rf /tmp/seed
	mkdir /tmp/seed
	echo "$1" >/tmp/seed/times
	seeded_status=$2
	shift 2
	cat >"/tmp/seed/$1" <<-E
		#!/bin/sh
		left=\$(cat /tmp/seed/times)
		if [ "$1 \$*" = "$*" ] && [ "\$left" -gt 0 ]; then
			echo \$((left - 1)) >/tmp/seed/times
			echo "seeded failure"
			exit $seeded_status
		fi
		exec /bin/$1 "\$@"
	E
	chmod +x "/tmp/seed/$1"
}

# fails NAME TEXT FOLDER: an installation that must fail for this reason and leave the stock module.
fails() {
	if output=$(PATH=/tmp/seed:$PATH install_from "$3" 2>&1); then fail "$1: installed all the same: $output"; fi
	echo "$output" | grep -q "$2" || fail "$1: said something else: $output"
	echo "$output" | grep -q 'the stock kvm_intel is back' || fail "$1: does not say that the stock module is back: $output"
	is_stock "$1"
	rm -rf /tmp/seed
	echo "host_install: $1: the stock module is back"
}

failures() {
	good=/payload/modules/elisa
	mkdir -p /tmp/none /tmp/other /tmp/broken
	fails "no modules" "there is no" /tmp/none
	sed 's/vermagic=6/vermagic=5/' $good/kvm-intel.ko >/tmp/other/kvm-intel.ko
	cp $good/elisa.ko /tmp/other
	fails "modules of another kernel" "was built for 5" /tmp/other
	seed 1 1 depmod "$release"
	fails "depmod fails" "indexing the kernel" $good
	seed 1000 1 rmmod kvm_intel
	fails "kvm_intel cannot be unloaded" "unloading kvm_intel" $good
	seed 1 1 modprobe kvm_intel
	fails "the patched kvm_intel cannot be loaded" "loading kvm_intel" $good
	cp $good/*.ko /tmp/broken
	dd if=/dev/zero of=/tmp/broken/kvm-intel.ko bs=1 count=64 conv=notrunc 2>/dev/null
	fails "kvm-intel.ko is damaged" "." /tmp/broken
	cp $good/kvm-intel.ko /tmp/broken
	head -c 20000 $good/elisa.ko >/tmp/broken/elisa.ko
	fails "elisa.ko is damaged" "." /tmp/broken
	seed 1 0 modprobe elisa
	fails "elisa makes no device" "no /dev/elisa" $good
	rm -rf /etc/modules-load.d
	touch /etc/modules-load.d
	fails "nothing can be written for the next boot" "failed" $good
	rm /etc/modules-load.d
}

verb=$1
shift
case $verb in
prepare) prepare ;;
failures) failures ;;
refused)
	text=$1
	shift
	before=$(cat /sys/module/kvm_intel/version 2>/dev/null || true)
	if output=$(elisa_host "$@" 2>&1); then fail "was not refused: $output"; fi
	echo "$output"
	echo "$output" | grep -q "$text" || fail "said something else"
	[ "$before" = "$(cat /sys/module/kvm_intel/version 2>/dev/null || true)" ] || fail "was refused, but changed kvm_intel"
	;;
install) install_from /payload/modules/elisa ;;
is-stock) is_stock now ;;
is-patched) is_patched ;;
*) elisa_host "$verb" "$@" ;;
esac
