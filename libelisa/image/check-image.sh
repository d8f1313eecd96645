#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check-image.sh FILE [indirect] [forbidden] [avx2]: is FILE fit for a sub context? Words that follow
# allow what they name. Deletes FILE if not, so that the next build tries again.
set -u -o pipefail

file=$1
shift
allowed=" $* "
failures=0

complain() {
	echo "$(basename "$file"): $1" >&2
	[ -n "${2:-}" ] && sed 's/^/    /' <<<"$2" | head -5 >&2
	failures=1
}

undefined=$(nm -u "$file") && [ -n "$undefined" ] && complain "undefined symbols" "$undefined"

relocations=$(readelf -rW "$file" | grep -E 'R_X86_64_') && complain "relocations are left" "$relocations"

code=$(objdump -d --no-show-raw-insn "$file") || complain "objdump cannot read it"

# No indirect branches: nothing for a poisoned predictor to steer (returns are paired with calls).
if [[ $allowed != *" indirect "* ]]; then
	found=$(grep -E '\s(notrack\s+)?(call|jmp)q?\s+\*' <<<"$code") && complain "indirect branches (virtual functions, function pointers, switch tables?)" "$found"
fi

# What would end the call, what only the stubs may do, what loads a descriptor, and what changes the caller's
# floating-point modes, which nobody restores.
if [[ $allowed != *" forbidden "* ]]; then
	pattern='\s(vmfunc|vmcall|syscall|sysenter|sysret.?|iretq?|int|int3|into|hlt|cpuid|in|out|ins.|outs.|rdmsr|wrmsr|xsetbv|wrfsbase|wrgsbase|rdpmc|monitor|mwait|invlpg|cli|sti|lret.?|ljmp.?|lcall.?|l[defgs]s|lgdt|lidt|lldt|ltr|ldmxcsr|vldmxcsr|fldcw|fldenv|frstor|fxrstor(64)?|xrstors?(64)?)(\s|$)|\smov\s+\S+,%[d-gs]s$'
	found=$(grep -E "$pattern" <<<"$code" | grep -vE '^\S+ <') && complain "instructions that a sub context forbids" "$found"
fi

# AVX state: the image must run on any vCPU, unless its caller says what it has (avx2), and the sub
# stub scrubs no more than YMM registers.
wide='%(ymm|zmm)'
[[ $allowed == *" avx2 "* ]] && wide='%(zmm|[xy]mm(1[6-9]|2[0-9]|3[01])|k[0-7]\b)'
found=$(grep -E "$wide" <<<"$code") && complain "AVX instructions" "$found"

if [ "$failures" -ne 0 ]; then
	rm -f "$file"
	exit 1
fi
