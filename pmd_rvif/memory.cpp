// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <rte_memory.h>

namespace rvif {
namespace {

struct Walk {
    std::vector<Block> blocks;
    const rte_memseg_list *list = nullptr;
};

int visit(const rte_memseg_list *list, const rte_memseg *seg, void *arg)
{
    if (list->external) {
        return 0; // memory that the application brought: not EAL's to pass on
    }
    auto &walk = *static_cast<Walk *>(arg);
    if (walk.list != list) {
        walk.list = list;
        walk.blocks.emplace_back();
    }
    Segment segment{
        .va = static_cast<std::byte *>(seg->addr), .length = seg->len, .fd = -1, .fd_offset = 0};
    std::size_t offset = 0;
    const int fd = rte_memseg_get_fd_thread_unsafe(seg);
    if (fd >= 0 && rte_memseg_get_fd_offset_thread_unsafe(seg, &offset) == 0) {
        segment.fd = fd;
        segment.fd_offset = offset;
    }
    Block &block = walk.blocks.back();
    if (!block.empty()) {
        Segment &last = block.back();
        const bool adjacent = last.va + last.length == segment.va;
        const bool same_file =
            last.fd == segment.fd &&
            (segment.fd < 0 || last.fd_offset + last.length == segment.fd_offset);
        if (adjacent && same_file) {
            last.length += segment.length;
            return 0;
        }
    }
    block.push_back(segment);
    return 0;
}

} // namespace

std::vector<Block> dpdk_memory()
{
    Walk walk;
    rte_memseg_walk(visit, &walk);
    return std::move(walk.blocks);
}

bool AddressMap::add(const Block &block, int region) noexcept
{
    bool complete = true;
    std::uint64_t offset = 0;
    Run *last = nullptr;
    for (const Segment &segment : block) {
        const auto va = reinterpret_cast<std::uintptr_t>(segment.va);
        if (last != nullptr && last->va + last->length == va) {
            last->length += segment.length;
        } else {
            Run *free = nullptr;
            for (Run &run : runs_) {
                if (run.length == 0) {
                    free = &run;
                    break;
                }
            }
            if (free == nullptr) {
                complete = false;
                last = nullptr;
            } else {
                free->va = va;
                free->addr = RVIF_ADDR(static_cast<std::uint64_t>(region), offset);
                free->length = segment.length;
                last = free;
            }
        }
        offset += segment.length;
    }
    return complete;
}

void AddressMap::remove(int region) noexcept
{
    for (Run &run : runs_) {
        if (run.length != 0 && RVIF_ADDR_REGION(run.addr) == static_cast<std::uint32_t>(region)) {
            run.length = 0;
        }
    }
}

bool AddressMap::forget(std::uintptr_t va, std::uint64_t length) noexcept
{
    bool ours = false;
    for (Run &run : runs_) {
        if (run.va < va + length && va < run.va + run.length) {
            run.length = 0;
            ours = true;
        }
    }
    return ours;
}

const AddressMap::Run *AddressMap::search(std::uintptr_t at, std::uint64_t bytes) const noexcept
{
    for (const Run &run : runs_) {
        if (run.holds(at, bytes)) {
            return &run;
        }
    }
    return nullptr;
}

} // namespace rvif
