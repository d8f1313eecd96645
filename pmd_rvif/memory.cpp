// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <algorithm>
#include <rte_memory.h>
#include <utility>

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

std::vector<Block> joined(std::vector<Block> blocks, std::size_t most)
{
    while (blocks.size() > most) {
        const Block last = std::move(blocks.back());
        blocks.pop_back();
        blocks.back().insert(blocks.back().end(), last.begin(), last.end());
    }
    return blocks;
}

AddressMap::Runs::Runs(const std::vector<Piece> &pieces)
    : run{std::make_unique<Run[]>(pieces.size())}, count{pieces.size()}
{
    for (std::size_t i = 0; i < count; ++i) {
        run[i].va = pieces[i].va;
        run[i].addr = pieces[i].addr;
        run[i].length = pieces[i].length;
    }
}

void AddressMap::publish(const std::vector<Piece> &pieces)
{
    kept_.push_back(std::make_unique<Runs>(pieces));
    now_.store(kept_.back().get(), std::memory_order_release);
}

void AddressMap::assign(std::span<const Placed> all)
{
    std::vector<Piece> pieces;
    for (const auto &[block, region] : all) {
        std::uint64_t offset = 0;
        for (const Segment &segment : block) {
            pieces.push_back({.va = reinterpret_cast<std::uintptr_t>(segment.va),
                              .length = segment.length,
                              .addr = RVIF_ADDR(static_cast<std::uint64_t>(region), offset)});
            offset += segment.length;
        }
    }
    std::ranges::sort(pieces, {}, &Piece::va);
    std::vector<Piece> runs;
    for (const Piece &piece : pieces) {
        if (!runs.empty() && runs.back().va + runs.back().length == piece.va &&
            runs.back().addr + runs.back().length == piece.addr) {
            runs.back().length += piece.length;
        } else {
            runs.push_back(piece);
        }
    }
    now_.store(nullptr, std::memory_order_relaxed);
    kept_.clear();
    publish(runs);
}

bool AddressMap::forget(std::uintptr_t va, std::uint64_t length)
{
    const Runs *const now = now_.load(std::memory_order_relaxed);
    if (now == nullptr) {
        return false;
    }
    const std::uintptr_t end = va + length;
    bool ours = false;
    std::vector<Piece> left;
    for (const Run &run : std::span{now->run.get(), now->count}) {
        const std::uintptr_t run_end = run.va + run.length;
        if (run_end <= va || end <= run.va) {
            left.push_back({.va = run.va, .length = run.length, .addr = run.addr});
            continue;
        }
        ours = true;
        if (run.va < va) {
            left.push_back({.va = run.va, .length = va - run.va, .addr = run.addr});
        }
        if (end < run_end) {
            left.push_back({.va = end, .length = run_end - end, .addr = run.at(end)});
        }
    }
    if (!ours) {
        return false;
    }
    publish(left);
    // Whoever holds one of these looks again.
    for (std::size_t i = 0; i + 1 < kept_.size(); ++i) {
        for (Run &run : std::span{kept_[i]->run.get(), kept_[i]->count}) {
            if (run.va < end && va < run.va + run.length) {
                run.length = 0;
            }
        }
    }
    return true;
}

const AddressMap::Run *AddressMap::search(std::uintptr_t at, std::uint64_t bytes) const noexcept
{
    const Runs *const now = now_.load(std::memory_order_acquire);
    if (now == nullptr) {
        return nullptr;
    }
    const Run *const begin = now->run.get();
    const Run *const behind = std::upper_bound(
        begin, begin + now->count, at, [](std::uintptr_t a, const Run &run) { return a < run.va; });
    return behind != begin && behind[-1].holds(at, bytes) ? behind - 1 : nullptr;
}

} // namespace rvif
