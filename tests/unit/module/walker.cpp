// SPDX-License-Identifier: Apache-2.0
#include "walker.hpp"

#include <optional>

namespace {

constexpr std::uint64_t address_bits = 0x000ffffffffff000;
constexpr std::uint64_t present = 1, page_size = 1 << 7, ept_any = 7, ept_read = 1;

std::uint64_t entry(std::uint64_t table, std::uint64_t address, unsigned shift)
{
    return reinterpret_cast<const volatile std::uint64_t *>(table)[address >> shift & 511];
}

struct EptLeaf {
    std::uint64_t host, prot;
};

/// Four levels; guest-physical addresses that they do not cover are violations.
std::optional<EptLeaf> ept(std::uint64_t eptp, std::uint64_t gpa)
{
    if (gpa >> 48)
        return std::nullopt;
    std::uint64_t table = eptp & address_bits;
    std::uint64_t prot = ept_any;
    for (unsigned shift = 39;; shift -= 9) {
        const std::uint64_t e = entry(table, gpa, shift);
        prot &= e;
        if (!(prot & ept_any))
            return std::nullopt;
        const std::uint64_t within = (std::uint64_t{1} << shift) - 1;
        if (shift == 12 || (shift <= 30 && (e & page_size)))
            return EptLeaf{(e & address_bits & ~within) | (gpa & within & address_bits), prot};
        table = e & address_bits;
    }
}

} // namespace

Walked walk(std::uint64_t eptp, GuestState guest, std::uint64_t address)
{
    std::uint64_t gpa = guest.cr3 & address_bits;
    for (unsigned shift = guest.la57 ? 48 : 39;; shift -= 9) {
        const std::optional<EptLeaf> table = ept(eptp, gpa);
        if (!table || !(table->prot & ept_read))
            return {.end = Walked::End::ept_violation, .gpa = gpa, .host = 0, .prot = 0};
        const std::uint64_t e = entry(table->host, address, shift);
        if (!(e & present) || (shift > 30 && (e & page_size)))
            return {.end = Walked::End::page_fault, .gpa = gpa, .host = 0, .prot = 0};
        gpa = e & address_bits;
        if (shift == 12 || (e & page_size)) {
            gpa |= address & ((std::uint64_t{1} << shift) - 1) & address_bits;
            break;
        }
    }
    const std::optional<EptLeaf> leaf = ept(eptp, gpa);
    if (!leaf)
        return {.end = Walked::End::ept_violation, .gpa = gpa, .host = 0, .prot = 0};
    return {.end = Walked::End::page, .gpa = gpa, .host = leaf->host, .prot = leaf->prot};
}
