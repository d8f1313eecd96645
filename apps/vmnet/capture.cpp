// SPDX-License-Identifier: Apache-2.0
#include "capture.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace vmnet {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

constexpr std::uint32_t buffer_bytes = 2048;
constexpr std::size_t head_bytes = 4096; // rvif_rx_setup, rvif_sources
constexpr std::size_t sources_at = 1024;
constexpr std::uint32_t least_share = 16;

template <class T>
T load(const std::byte *from)
{
    return __atomic_load_n(reinterpret_cast<const T *>(from), __ATOMIC_ACQUIRE);
}

std::uint64_t address(const std::byte *at)
{
    return reinterpret_cast<std::uintptr_t>(at);
}

std::size_t lanes_bytes(std::uint32_t depth)
{
    return (RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(depth) + 4095) & ~std::size_t{4095};
}

} // namespace

Capture::Capture(rvs::Switch &rvs_switch, std::span<std::byte> memory)
    : switch_{rvs_switch}, memory_{memory.first(memory.size() & ~std::size_t{4095})}
{
    constexpr std::size_t large = std::size_t{8} << 20;
    depth_ = memory_.size() >= large ? 1024 : 256;
}

Result<void> Capture::start(rvs::PortId watched, rvs::PortId own)
{
    if (memory_.size() < least_memory) {
        return make_error(
            Errc::no_memory,
            "the switch has no memory for captures: set capture_memory in [switch] (MiB) "
            "and start a new switch");
    }
    if (active_) {
        return make_error(Errc::busy, "port " +
                                          std::to_string(static_cast<std::uint32_t>(watched_)) +
                                          " is being captured already: one capture at a time");
    }
    if (used_ && !switch_.grace_over(grace_)) {
        return make_error(Errc::busy, "a sender that is inside the switch still holds the last "
                                      "capture's memory: try again");
    }
    rvs::PortOptions options;
    options.label = "elisactl-capture";
    options.capture = true;
    if (const rvs::Error error = switch_.port_open(own, options); error != rvs::Error::none) {
        return make_error(Errc::refused, "the switch has no port for the capture");
    }
    const auto failed = [&](const char *what) {
        switch_.port_close(own);
        return make_error(Errc::inconsistent, std::string{"the capture's "} + what);
    };
    if (switch_.region_add(own, 0, address(memory_.data()), memory_.size()) != rvs::Error::none) {
        return failed("memory is not taken");
    }
    // The phase bit of the first round is 1: entries from before would be valid.
    std::memset(memory_.data(), 0, head_bytes + lanes_bytes(depth_));
    auto *const setup = reinterpret_cast<rvif_rx_setup *>(memory_.data());
    setup->lanes = RVIF_ADDR(std::uint64_t{0}, head_bytes);
    setup->depth = depth_;
    setup->buf_len = buffer_bytes;
    setup->buf_region = 0;
    // As they are: a sender does no work for a capture that it would not do otherwise.
    setup->flags = RVIF_RXQ_L4_NONE | RVIF_RXQ_TSO;
    if (switch_.call(own, RVIF_OP_RX_SETUP, 0, RVIF_ADDR(std::uint64_t{0}, 0), 0) != 0 ||
        switch_.call(own, RVIF_OP_START, 0, 0, 0) != 0) {
        return failed("queue is not taken");
    }
    lanes_.assign(RVIF_MAX_SOURCES, {});
    spare_.clear();
    const std::size_t buffers_at = head_bytes + lanes_bytes(depth_);
    for (std::size_t at = buffers_at; at + buffer_bytes <= memory_.size(); at += buffer_bytes) {
        spare_.push_back(static_cast<std::uint32_t>(at / RVIF_BUF_UNIT));
    }
    share_ = 0;
    rounds_ = 0;
    watched_ = watched;
    own_ = own;
    active_ = true;
    look_for_sources();
    if (const rvs::Error error = switch_.port_tap(watched, own, true); error != rvs::Error::none) {
        stop();
        return make_error(Errc::no_entry, "port " +
                                              std::to_string(static_cast<std::uint32_t>(watched)) +
                                              " is not open (elisactl port list)");
    }
    return {};
}

void Capture::stop()
{
    if (!active_) {
        return;
    }
    active_ = false;
    static_cast<void>(switch_.port_tap(watched_, own_, false)); // it may be closed
    switch_.port_close(own_);
    switch_.grace_begin(grace_);
    used_ = true;
}

std::byte *Capture::lane_at(std::uint32_t source) const
{
    return memory_.data() + head_bytes + source * RVIF_LANE_STRIDE(depth_);
}

void Capture::post(std::uint32_t source, std::uint32_t unit)
{
    Lane &lane = lanes_[source];
    const std::uint32_t phase = (lane.posted & depth_) == 0 ? RVIF_PHASE : 0;
    auto *const entry =
        reinterpret_cast<std::uint32_t *>(lane_at(source) + 4ull * (lane.posted & (depth_ - 1)));
    lane.units[lane.posted % lane.units.size()] = unit;
    __atomic_store_n(entry, unit | phase, __ATOMIC_RELEASE);
    ++lane.posted;
}

// Gives buffers to sources that have none yet.
void Capture::look_for_sources()
{
    if (switch_.call(own_, RVIF_OP_SOURCES, RVIF_ADDR(std::uint64_t{0}, sources_at), 0, 0) != 0) {
        return;
    }
    rvif_sources found;
    std::memcpy(&found, memory_.data() + sources_at, sizeof(found));
    std::vector<std::uint32_t> fresh;
    for (std::uint32_t source = 0; source < RVIF_MAX_SOURCES; ++source) {
        if ((found.live[source / 64] >> (source % 64) & 1) != 0 && lanes_[source].units.empty()) {
            fresh.push_back(source);
        }
    }
    if (fresh.empty()) {
        return;
    }
    // Half of them stay for who comes later.
    const auto each = static_cast<std::uint32_t>(spare_.size() / (2 * fresh.size()));
    share_ = std::clamp(each, least_share, depth_);
    for (const std::uint32_t source : fresh) {
        const std::size_t n = std::min<std::size_t>(share_, spare_.size());
        if (n == 0) {
            return;
        }
        lanes_[source].units.resize(n);
        for (std::size_t i = 0; i < n; ++i) {
            post(source, spare_.back());
            spare_.pop_back();
        }
    }
}

std::size_t Capture::drain(const std::function<void(const Frame &)> &each)
{
    if (!active_) {
        return 0;
    }
    if (rounds_++ % 16 == 0) {
        look_for_sources();
    }
    std::size_t total = 0;
    for (std::uint32_t source = 0; source < RVIF_MAX_SOURCES; ++source) {
        if (!lanes_[source].units.empty()) {
            total += drain_lane(source, each);
        }
    }
    return total;
}

std::size_t Capture::drain_lane(std::uint32_t source,
                                const std::function<void(const Frame &)> &each)
{
    Lane &lane = lanes_[source];
    const std::byte *const at = lane_at(source);
    const auto entry = [&](std::uint32_t index) {
        return load<std::uint64_t>(at + RVIF_LANE_COMP(depth_) + 8ull * (index & (depth_ - 1)));
    };
    const rvs::PortId from = switch_.source_port(source);
    std::size_t frames = 0;
    // What had room in the lane when this began, and no more: whoever fills it meanwhile would keep
    // the others' frames waiting, and be ahead of them in the capture.
    while (frames < lane.units.size()) {
        const std::uint64_t first = entry(lane.filled);
        if ((first & RVIF_PHASE) != ((lane.filled & depth_) == 0 ? RVIF_PHASE : 0)) {
            break;
        }
        // A batch becomes visible from its first entry's store on, whole frames only.
        std::uint32_t n = 0;
        std::size_t length = 0;
        bool more = true;
        while (more && n < lane.units.size()) {
            const std::uint64_t word = entry(lane.filled + n);
            length += std::min<std::size_t>(word & RVIF_COMP_LEN_MASK, buffer_bytes);
            more = (word & RVIF_COMP_MORE) != 0;
            ++n;
        }
        std::span<const std::byte> bytes;
        const auto unit_of = [&](std::uint32_t index) {
            return lane.units[index % lane.units.size()];
        };
        const auto buffer = [&](std::uint32_t index) {
            return memory_.data() + std::size_t{unit_of(index)} * RVIF_BUF_UNIT;
        };
        if (n == 1) {
            bytes = {buffer(lane.filled), length};
        } else {
            whole_.clear();
            for (std::uint32_t i = 0; i < n; ++i) {
                const std::size_t part = std::min<std::size_t>(
                    entry(lane.filled + i) & RVIF_COMP_LEN_MASK, buffer_bytes);
                whole_.insert(whole_.end(), buffer(lane.filled + i),
                              buffer(lane.filled + i) + part);
            }
            bytes = whole_;
        }
        each(Frame{bytes, from == watched_, from});
        for (std::uint32_t i = 0; i < n; ++i) {
            const std::uint32_t unit = unit_of(lane.filled);
            ++lane.filled;
            post(source, unit);
        }
        ++frames;
    }
    return frames;
}

std::uint64_t Capture::lost() const
{
    rvs::PortStats stats;
    if (!active_ || !switch_.port_stats(own_, stats)) {
        return 0;
    }
    std::uint64_t lost = 0;
    for (const rvif_drop reason : {RVIF_DROP_NO_BUFFER, RVIF_DROP_NOT_READY, RVIF_DROP_RX_TOO_BIG,
                                   RVIF_DROP_RX_BAD_BUFFER}) {
        lost += stats.frames.drops[reason];
    }
    return lost;
}

} // namespace vmnet
