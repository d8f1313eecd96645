// SPDX-License-Identifier: Apache-2.0
// VMFUNC where there is no long mode. Armed vCPUs land in 64-bit code, so no VM survives these.
#include "cases.hpp"

extern "C" const attack::u8 mode_legacy[], mode_legacy_end[], mode_real[], mode_real_end[];

namespace attack {
namespace {

constexpr u64 real_at = 0x9000;

enum class Mode { unpaged, paged_32, paged_pae };

void leave_long_mode(const u8 *code, u64 size, u64 at, u64 index, Mode mode, u64 root)
{
    memcpy(reinterpret_cast<void *>(at), code, size);
    Trial trial{port};
    Frame f = port.at_offset(ELISA_ENTRY_OFF, true);
    f.cs = selector::kernel_code32;
    f.rip = at;
    f.rcx = index;
    f.rbx = mode != Mode::unpaged ? 1 : 0;
    f.rdi = root;
    f.rsi = (cpu::cr4() & ~cr4::pae) | (mode == Mode::paged_32 ? u64{1} << 4 /* PSE */ : cr4::pae);
    port.run(f);
    trial.judge(f, false);
}

u64 root_of_32()
{
    const u64 page = new_page();
    for (u32 i = 0; i < 1024; ++i) {
        reinterpret_cast<u32 *>(page)[i] = i << 22 | 0x87;
    }
    return page;
}

// The upper three point into the window.
u64 root_of_pae(u64 x)
{
    const u64 pdpt = new_page(), pd = new_page();
    const u64 window = 1ull << ((cpu::cpuid(0x8000'0008).a & 0xff) - 1);
    for (u64 i = 0; i < 512; ++i) {
        reinterpret_cast<u64 *>(pd)[i] = i << 21 | 0x87;
    }
    reinterpret_cast<u64 *>(pdpt)[0] = pd | 1;
    for (u64 i = 1; i < 4; ++i) {
        reinterpret_cast<u64 *>(pdpt)[i] = (window + x) | 1;
    }
    return pdpt;
}

} // namespace

void entry_modes(const Scale &scale)
{
    const u64 size = static_cast<u64>(mode_legacy_end - mode_legacy);
    const u64 roots[] = {root_of_32(), root_of_pae(ELISA_GATE_PDPT_X),
                         root_of_pae(ELISA_SUB_PDPT_X), root_of_pae(ELISA_WINDOW_X)};
    // The VMFUNC ends here. 96 * 2 MiB: in PAE mode, the page directory entry whose number is the
    // slot's.
    constexpr u64 slot_like = u64{ELISA_SLOT_PML4} << 21;
    const u64 ends[] = {slot_like + page_size,
                        region_gpa + 0x1000,
                        slot_like,
                        slot_like + 2 * page_size,
                        slot_like + 3 * page_size,
                        slot_like + 3 * page_size + ELISA_ENTRY_OFF};
    for (const u64 index : {port.gate, port.sub}) {
        for (const u64 end : ends) {
            if (!scale.whole && (end != ends[0] || index != port.gate)) {
                continue;
            }
            const auto play = [&](Mode mode, u64 root) {
                if (book.begin_case()) {
                    leave_long_mode(mode_legacy, size, end - size, index, mode, root);
                }
            };
            play(Mode::unpaged, 0);
            play(Mode::paged_32, roots[0]);
            for (u64 i = 1; i < (scale.whole ? 4 : 2); ++i) {
                play(Mode::paged_pae, roots[i]);
            }
        }
        if (book.begin_case()) {
            leave_long_mode(mode_real, static_cast<u64>(mode_real_end - mode_real), real_at, index,
                            Mode::unpaged, 0);
        }
    }
}

} // namespace attack
