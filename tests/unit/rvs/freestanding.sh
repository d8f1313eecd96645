#!/bin/sh
# freestanding.sh LIBRARY: fails if the library needs symbols from outside, runs
# code before main, holds writable data, or branches through a register or
# memory.
set -eu
lib=$1
bad=0

undefined=$(nm -C "$lib" | awk '$1 == "U" { sub(/^ *U /, ""); print }' | sort -u |
	grep -vE '^(rvs::|memcpy$|memmove$|memset$|memcmp$)' || true)
if [ -n "$undefined" ]; then
	echo "needs: $undefined"
	bad=1
fi

sections=$(objdump -h "$lib" |
	awk '$2 ~ /^\.(data|bss|tbss|tdata|init_array|ctors)/ && $3 !~ /^0+$/ { print $2, $3 }')
if [ -n "$sections" ]; then
	echo "has: $sections"
	bad=1
fi

indirect=$(objdump -d --no-show-raw-insn "$lib" | grep -E '\b(call|jmp)q? +\*' || true)
if [ -n "$indirect" ]; then
	echo "branches indirectly: $indirect"
	bad=1
fi

# In one function, which is called only for those who said that they have AVX2.
wide=$(objdump -dC --no-show-raw-insn "$lib" |
	awk '/^[0-9a-f]+ </ { name = $0 } /%[yz]mm/ && name !~ /copy_avx2/ { print name; print }' | head -4)
if [ -n "$wide" ]; then
	echo "uses AVX: $wide"
	bad=1
fi
exit $bad
