// SPDX-License-Identifier: Apache-2.0
#include "nop_ops.hpp"

#include "elisa/image_main.h"

namespace nop {
namespace {

nop_state &state()
{
    return *static_cast<nop_state *>(elisa_heap());
}

// The 8 bytes at an offset of a region; nullptr unless they are all in it.
std::uint64_t *place(std::uint64_t client, std::uint64_t index, std::uint64_t offset)
{
    if (client >= NOP_MAX_CLIENTS || index >= NOP_MAX_REGIONS) {
        return nullptr;
    }
    const nop_region &region = state().regions[client][index];
    const std::uint64_t length = __atomic_load_n(&region.length, __ATOMIC_ACQUIRE);
    if (offset % 8 != 0 || length < 8 || offset > length - 8) {
        return nullptr;
    }
    return reinterpret_cast<std::uint64_t *>(region.address + offset);
}

} // namespace

std::int64_t ops(std::uint64_t arg, std::uint64_t op, std::uint64_t a1, std::uint64_t vcpu,
                 std::uint64_t a2, std::uint64_t a3)
{
    switch (op) {
    case NOP_ADD:
        return static_cast<std::int64_t>(
            __atomic_add_fetch(&state().counter, a1, __ATOMIC_RELAXED));
    case NOP_READ:
        return static_cast<std::int64_t>(__atomic_load_n(&state().counter, __ATOMIC_RELAXED));
    case NOP_WHO:
        return static_cast<std::int64_t>(arg << 32 | vcpu);
    case NOP_MIX:
        return static_cast<std::int64_t>(nop_mix(a1, a2, a3));
    case NOP_PEEK: {
        const std::uint64_t *const word = place(arg, a1, a2);
        return word != nullptr ? static_cast<std::int64_t>(__atomic_load_n(word, __ATOMIC_RELAXED))
                               : NOP_E_REGION;
    }
    case NOP_POKE: {
        std::uint64_t *const word = place(arg, a1, a2);
        if (word == nullptr) {
            return NOP_E_REGION;
        }
        __atomic_store_n(word, a3, __ATOMIC_RELAXED);
        return 0;
    }
    case NOP_WHERE: {
        const std::uint64_t *const first = place(arg, a1, 0);
        return first != nullptr ? static_cast<std::int64_t>(reinterpret_cast<std::uint64_t>(first))
                                : NOP_E_REGION;
    }
    case NOP_SPIN:
        for (std::uint64_t i = 0; i < a1; ++i) {
            __asm__ volatile("");
        }
        return 0;
    case NOP_NOTE:
        if (a1 >= NOP_MAX_NOTES) {
            return NOP_E_NOTE;
        }
        __atomic_store_n(&state().notes[a1], a2, __ATOMIC_RELAXED);
        return 0;
    case NOP_NOTED:
        return a1 < NOP_MAX_NOTES ? static_cast<std::int64_t>(
                                        __atomic_load_n(&state().notes[a1], __ATOMIC_RELAXED))
                                  : NOP_E_NOTE;
    default:
        return NOP_E_OP;
    }
}

} // namespace nop
