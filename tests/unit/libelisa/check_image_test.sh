#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# check_image_test.sh CC IMAGE_ROOM: check-image.sh and the linker script refuse what must not be in an image.
set -u

cc=$1
room=$2
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
failures=0

flags=(-O2 -ffreestanding -fPIE -fno-jump-tables -fcf-protection=none -fno-stack-protector
	-fno-asynchronous-unwind-tables -fvisibility=hidden -I"$room/include" -I"$room/../include")
link=(-nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 -Wl,-z,noexecstack
	-Wl,--no-warn-rwx-segments -Wl,-T,"$room/image.ld")

# try NAME WANTED(good|link|WORDS OF THE COMPLAINT) ALLOW...: builds the C text on stdin.
try() {
	local name=$1 wanted=$2 said
	shift 2
	{
		echo '#include "elisa/image_main.h"'
		echo '#define MAIN int64_t elisa_image_main(uint64_t arg, uint64_t a0, uint64_t a1, uint64_t v, uint64_t a2, uint64_t a3)'
		cat
	} >"$place/x.c"
	if ! said=$("$cc" "${flags[@]}" "${link[@]}" "$place/x.c" "$room/runtime.c" -o "$place/x.elf" 2>&1); then
		if [[ $wanted == link:* && $said == *"${wanted#link:}"* ]]; then
			return
		fi
		echo "$name: does not build: $said"
		failures=1
		return
	fi
	if said=$(bash "$room/check-image.sh" "$place/x.elf" "$@" 2>&1); then
		[[ $wanted == good ]] && return
		echo "$name: was let pass, wanted: $wanted"
	else
		[[ $wanted != good && $said == *"$wanted"* ]] && return
		echo "$name: wanted: $wanted; said: $said"
	fi
	failures=1
}

try Good good <<<'MAIN { return (int64_t)(arg + a0 + a1 + v + a2 + a3); }'
try FunctionPointer "indirect branches" <<<'extern int64_t (*volatile f)(void); int64_t (*volatile f)(void); MAIN { return 1 + f(); }'
try FunctionPointerAllowed good indirect <<<'extern int64_t (*volatile f)(void); int64_t (*volatile f)(void); MAIN { return 1 + f(); }'
try Vmfunc "forbids" <<<'MAIN { __asm__ volatile("vmfunc" : : "a"(0), "c"(1)); return 0; }'
try Syscall "forbids" <<<'MAIN { __asm__ volatile("syscall" : : : "rcx", "r11"); return 0; }'
try Interrupt "forbids" <<<'MAIN { __asm__ volatile("int $0x80"); return 0; }'
try PortAccess "forbids" <<<'MAIN { __asm__ volatile("inl %%dx, %%eax" : : "a"(0), "d"(5)); return 0; }'
try Cpuid "forbids" <<<'MAIN { __asm__ volatile("cpuid" : : : "eax", "ebx", "ecx", "edx"); return 0; }'
try Halt "forbids" <<<'MAIN { __asm__ volatile("hlt"); return 0; }'
try SegmentLoad "forbids" <<<'MAIN { __asm__ volatile("mov %%ax, %%gs" : : "a"(0)); return 0; }'
try FarReturn "forbids" <<<'MAIN { __asm__ volatile("lretq"); return 0; }'
try Mxcsr "forbids" <<<'MAIN { unsigned x = 0x1f80; __asm__ volatile("ldmxcsr %0" : : "m"(x)); return 0; }'
try ControlWord "forbids" <<<'MAIN { unsigned short x = 0x37f; __asm__ volatile("fldcw %0" : : "m"(x)); return 0; }'
try Allowed good forbidden <<<'MAIN { __asm__ volatile("hlt"); return 0; }'
try Avx "AVX" <<<'MAIN { __asm__ volatile("vpxor %ymm0, %ymm0, %ymm0"); return 0; }'
try Constructor "link:no static constructors" <<<'static int x; __attribute__((constructor)) static void c(void) { x = 1; } MAIN { return x; }'
try ThreadLocal "link:no thread-local storage" <<<'static __thread int x; MAIN { return x++; }'
try Undefined "link:undefined reference" <<<'extern int nowhere(void); MAIN { return nowhere(); }'
try NoMain "link:elisa_image_main" <<<'int other;'

exit $failures
