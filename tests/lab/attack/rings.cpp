// SPDX-License-Identifier: Apache-2.0
// Shared memory against the switch.
//
//   attack-rings flip   a port whose second vCPU flips bytes that the switch reads, one after the
//                       other, while the first calls it: every one of the set-up blocks, of the
//                       descriptors, and of the lanes that a source fills; one in each line of
//                       the lanes that none does
//   attack-rings pair   two ports next door that send each other frames, all of which must arrive
//
// Both ports' frames are broadcasts, so that the pair's calls walk the flipped rings, too.
#include "elisa/guest.hpp"
#include "program.hpp"
#include "rvs/rvif.h"

#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::uint32_t depth = RVIF_MIN_DEPTH;
constexpr std::uint32_t lanes = 8; // that get buffers: at least the sources that there are
constexpr std::uint32_t buffer_len = 2048;
constexpr std::uint32_t frame_len = 128;
constexpr std::uint32_t burst = 32;
constexpr std::uint64_t memory_len = 4 << 20;

// Offsets in the region.
constexpr std::uint64_t tx_setup_at = 0x0;
constexpr std::uint64_t rx_setup_at = 0x100;
constexpr std::uint64_t stats_at = 0x400;
constexpr std::uint64_t sources_at = 0x600;
constexpr std::uint64_t rss_at = 0x700;
constexpr std::uint64_t descs_at = 0x1000;
constexpr std::uint64_t lanes_at = 0x10000;
constexpr std::uint64_t lanes_end = lanes_at + RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(depth);
static_assert(lanes_end <= 0x40000);
constexpr std::uint64_t frames_at = 0x40000;
constexpr std::uint64_t buffers_at = 0x80000;

enum : std::uint16_t { type_flip = 0xb588, type_end = 0xb688, type_pair = 0xb788 }; // as in memory

struct Frame {
    std::array<std::uint8_t, 6> to{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    std::array<std::uint8_t, 6> from{};
    std::uint16_t type = 0;
    std::uint16_t check = 0;
    std::uint64_t number = 0;
    std::uint8_t rest[frame_len - 24]{};
};
static_assert(sizeof(Frame) == frame_len);

Frame frame_of(std::uint8_t port, std::uint16_t type, std::uint64_t number)
{
    Frame f;
    f.from = {0x02, 0, 0, 0, 0, port};
    f.type = type;
    f.number = number;
    for (std::size_t i = 0; i < sizeof(f.rest); ++i) {
        f.rest[i] = static_cast<std::uint8_t>(number * 31 + i + port);
    }
    return f;
}

class Nic {
  public:
    static std::optional<Nic> open(std::uint64_t instance)
    {
        auto attached = elisa::Attachment::attach(RVIF_EXPORT_NAME, {.instance = instance});
        if (!attached) {
            apps::fail("attack-rings", attached.error());
            return std::nullopt;
        }
        auto memory = elisa::HugeMemory::allocate(memory_len);
        if (!memory) {
            apps::fail("attack-rings", memory.error());
            return std::nullopt;
        }
        auto region = attached->register_region(memory->range());
        if (!region) {
            apps::fail("attack-rings", region.error());
            return std::nullopt;
        }
        return Nic{std::move(*attached), std::move(*memory), std::move(*region)};
    }

    [[nodiscard]] elisa::CallResult call(std::uint64_t op, std::uint64_t a1 = 0,
                                         std::uint64_t a2 = 0) const
    {
        return attachment_.call(op, a1, a2);
    }

    // Queues as they should be, from scratch. False if the switch refuses.
    bool set_up()
    {
        static_cast<void>(call(RVIF_OP_STOP));
        std::memset(data(lanes_at), 0, lanes_end - lanes_at);
        next_.fill(0);
        put<rvif_rss>(rss_at, {.types = RVIF_RSS_TYPES, .reserved = 0, .queue = {}});
        put<rvif_tx_setup>(tx_setup_at, {.descs = address(descs_at), .flags = 0, .reserved = 0});
        put<rvif_rx_setup>(rx_setup_at,
                           {.lanes = address(lanes_at),
                            .depth = depth,
                            .buf_len = buffer_len,
                            .buf_region = static_cast<std::uint32_t>(region_.id().value()),
                            .flags = 0});
        for (std::uint32_t lane = 0; lane < lanes; ++lane) {
            for (std::uint32_t i = 0; i < depth; ++i) {
                post(lane, i);
            }
        }
        const auto source = call(RVIF_OP_TX_SETUP, 0, address(tx_setup_at));
        source_ = static_cast<std::uint32_t>(source.value);
        return source.ok() && source.value >= 0 &&
               call(RVIF_OP_RX_SETUP, 0, address(rx_setup_at)).value == 0 &&
               call(RVIF_OP_START).value == 0;
    }

    // Descriptors for `count` frames, in memory that nobody flips.
    void describe(std::uint32_t count, std::uint8_t port, std::uint16_t type, std::uint64_t number)
    {
        for (std::uint32_t i = 0; i < count; ++i) {
            const std::uint64_t at = frames_at + i * std::uint64_t{buffer_len};
            put(at, frame_of(port, type, number + i));
            put<rvif_tx_desc>(
                descs_at + i * sizeof(rvif_tx_desc),
                {.addr = address(at), .len = frame_len, .flags = 0, .vlan = 0, .segsz = 0});
        }
    }

    // Frames that have come from `source` since the last call, in order; each buffer is posted
    // again.
    template <class Take>
    void receive(std::uint32_t source, Take take)
    {
        if (source >= lanes) {
            return;
        }
        for (std::uint32_t &at = next_[source];; ++at) {
            const auto *const comp = reinterpret_cast<const std::uint64_t *>(
                data(lane_at(source) + RVIF_LANE_COMP(depth)));
            const auto entry =
                static_cast<std::uint32_t>(__atomic_load_n(comp + at % depth, __ATOMIC_ACQUIRE));
            if ((entry & RVIF_PHASE) != phase(at)) {
                return;
            }
            Frame f;
            std::memcpy(&f, data(buffer(source, at)), sizeof(f));
            take(f, entry & RVIF_COMP_LEN_MASK);
            post(source, at + depth);
        }
    }

    [[nodiscard]] std::uint32_t source() const { return source_; }
    [[nodiscard]] std::byte *data(std::uint64_t offset) const { return memory_.data() + offset; }
    [[nodiscard]] rvif_addr_t address(std::uint64_t offset) const
    {
        return RVIF_ADDR(std::uint64_t{region_.id().value()}, offset);
    }
    [[nodiscard]] std::uint64_t aborts() const
    {
        const auto stats = attachment_.stats();
        return stats ? stats->aborts : 1;
    }

  private:
    Nic(elisa::Attachment attachment, elisa::HugeMemory memory, elisa::Region region)
        : attachment_{std::move(attachment)}, memory_{std::move(memory)}, region_{std::move(region)}
    {
    }

    template <class T>
    void put(std::uint64_t offset, const T &value) const
    {
        std::memcpy(data(offset), &value, sizeof(value));
    }
    static std::uint64_t lane_at(std::uint32_t lane)
    {
        return lanes_at + lane * RVIF_LANE_STRIDE(depth);
    }
    static std::uint32_t phase(std::uint32_t at) { return at / depth % 2 == 0 ? RVIF_PHASE : 0; }
    static std::uint64_t buffer(std::uint32_t lane, std::uint32_t at)
    {
        return buffers_at + (lane * std::uint64_t{depth} + at % depth) * buffer_len;
    }
    void post(std::uint32_t lane, std::uint32_t at)
    {
        auto *const posted = reinterpret_cast<std::uint32_t *>(data(lane_at(lane)));
        const auto unit = static_cast<std::uint32_t>(buffer(lane, at) / RVIF_BUF_UNIT);
        __atomic_store_n(posted + at % depth, phase(at) | unit, __ATOMIC_RELEASE);
    }

    elisa::Attachment attachment_;
    elisa::HugeMemory memory_;
    elisa::Region region_;
    std::uint32_t source_ = 0;
    std::array<std::uint32_t, lanes> next_{}; // of each lane: entries seen
};

struct Range {
    std::uint64_t first, last, step;
};

// What the switch reads or writes of a port.
std::vector<Range> targets(const std::bitset<RVIF_MAX_SOURCES> &sources)
{
    std::vector<Range> found{
        {tx_setup_at, tx_setup_at + sizeof(rvif_tx_setup), 1},
        {rx_setup_at, rx_setup_at + sizeof(rvif_rx_setup), 1},
        {rss_at, rss_at + sizeof(rvif_rss), 1},
        {stats_at, stats_at + sizeof(rvif_port_stats), 1},
        {sources_at, sources_at + sizeof(rvif_sources), 1},
        {descs_at, descs_at + burst * sizeof(rvif_tx_desc), 1},
    };
    for (std::uint32_t lane = 0; lane < RVIF_MAX_SOURCES; ++lane) {
        const std::uint64_t at = lanes_at + lane * RVIF_LANE_STRIDE(depth);
        found.push_back({at, at + RVIF_LANE_STRIDE(depth), sources[lane] ? 1u : RVIF_LINE});
    }
    return found;
}

// By the switch's word; at least the pair's two and this port's own, or nothing else flows here.
std::optional<std::bitset<RVIF_MAX_SOURCES>> sources_of(const Nic &nic)
{
    if (nic.call(RVIF_OP_SOURCES, nic.address(sources_at)).value != 0) {
        return std::nullopt;
    }
    rvif_sources told{};
    std::memcpy(&told, nic.data(sources_at), sizeof(told));
    std::bitset<RVIF_MAX_SOURCES> sources;
    for (std::uint32_t source = 0; source < RVIF_MAX_SOURCES; ++source) {
        sources[source] = (told.live[source / 64] >> source % 64 & 1) != 0;
    }
    sources[nic.source()] = true;
    return sources.count() >= 3 && (sources >> lanes).none() ? std::optional{sources}
                                                             : std::nullopt;
}

int flip()
{
    auto nic = Nic::open(0);
    if (!nic || !nic->set_up()) {
        return 1;
    }
    const auto sources = sources_of(*nic);
    if (!sources) {
        std::fprintf(stderr, "attack-rings: the switch does not tell of the pair's sources\n");
        return 1;
    }
    std::atomic<std::uint64_t> target{stats_at};
    std::atomic<bool> over{false};
    std::jthread flipper{[&] {
        for (std::uint32_t random = 1; !over.load(std::memory_order_relaxed);) {
            random = random * 1664525 + 1013904223;
            auto *const byte = reinterpret_cast<volatile std::uint8_t *>(
                nic->data(target.load(std::memory_order_relaxed)));
            *byte = static_cast<std::uint8_t>(*byte ^ (random >> 24));
        }
    }};

    std::uint64_t cases = 0;
    std::uint64_t refused = 0;
    std::uint64_t ordinary = 0;
    std::uint64_t failed = 0;
    std::uint64_t number = 0;
    for (const Range &range : targets(*sources)) {
        for (std::uint64_t at = range.first; at < range.last; at += range.step) {
            target = at;
            bool aborted = false;
            bool error = false;
            const auto counted = [&](const elisa::CallResult &result) {
                aborted |= !result.ok();
                error |= result.value < 0;
            };
            for (int round = 0; round < 3; ++round) {
                nic->describe(burst, 9, type_flip, number++);
                counted(nic->call(RVIF_OP_TX, 0, burst));
            }
            // The set-up blocks are read here only; a port that was left odd is set right.
            if (range.first < descs_at || cases % 8 == 0) {
                counted(nic->call(RVIF_OP_STATS, nic->address(stats_at)));
                counted(nic->call(RVIF_OP_SOURCES, nic->address(sources_at)));
                counted(nic->call(RVIF_OP_RSS, nic->address(rss_at)));
                counted(nic->call(RVIF_OP_STOP));
                counted(nic->call(RVIF_OP_TX_SETUP, 0, nic->address(tx_setup_at)));
                counted(nic->call(RVIF_OP_RX_SETUP, 0, nic->address(rx_setup_at)));
                counted(nic->call(RVIF_OP_START));
                static_cast<void>(nic->set_up());
            }
            ++cases;
            if (aborted) {
                if (++failed < 10) {
                    std::printf("FAILED: the switch was aborted while the byte at %#lx flipped\n",
                                at);
                }
            } else {
                ++(error ? refused : ordinary);
            }
            if (cases % 1024 == 0) {
                std::printf("rings: %lu bytes\n", cases);
                std::fflush(stdout);
            }
        }
    }
    over = true;
    flipper.join();
    // It was only ever its own port: that one works again, and the pair hears that it is over.
    const bool whole = nic->set_up();
    bool sends = true;
    for (int i = 0; i < 20; ++i) { // a lane may be full of what was flipped
        nic->describe(1, 9, type_end, 0);
        const auto sent = nic->call(RVIF_OP_TX, 0, 1);
        sends &= sent.ok() && sent.value == 1;
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
    }
    failed += whole && sends ? 0 : 1;
    apps::print_result({{"class", "shared memory: rings and descriptors of the switch"},
                        {"cases", cases},
                        {"refused", refused},
                        {"ordinary", ordinary},
                        {"self_harm", 0},
                        {"failed", failed}});
    return failed == 0 ? 0 : 1;
}

int pair()
{
    std::array<std::optional<Nic>, 2> nics{Nic::open(0), Nic::open(1)};
    if (!nics[0] || !nics[1] || !nics[0]->set_up() || !nics[1]->set_up()) {
        return 1;
    }
    std::printf("pair: exchanges frames\n");
    std::fflush(stdout);
    std::uint64_t sent = 0;
    std::uint64_t arrived = 0;
    std::uint64_t wrong = 0;
    for (bool over = false; !over;) {
        for (std::size_t from = 0; from < 2; ++from) {
            Nic &sender = *nics[from];
            Nic &receiver = *nics[1 - from];
            const auto port = static_cast<std::uint8_t>(from + 1);
            const std::uint64_t first = sent;
            sender.describe(burst, port, type_pair, first);
            const auto result = sender.call(RVIF_OP_TX, 0, burst);
            wrong += result.ok() && result.value == burst ? 0 : 1;
            sent += burst;
            std::uint64_t next = first;
            receiver.receive(sender.source(), [&](const Frame &f, std::uint32_t length) {
                const Frame expected = frame_of(port, type_pair, next++);
                ++arrived;
                wrong += length == frame_len && std::memcmp(&f, &expected, sizeof(f)) == 0 ? 0 : 1;
            });
        }
        for (std::uint32_t source = 0; source < lanes; ++source) {
            if (source != nics[1]->source()) {
                nics[0]->receive(
                    source, [&](const Frame &f, std::uint32_t) { over |= f.type == type_end; });
            }
        }
        // What the other port hears of the flipping one makes room for more.
        for (std::uint32_t source = 0; source < lanes; ++source) {
            if (source != nics[0]->source()) {
                nics[1]->receive(source, [](const Frame &, std::uint32_t) {});
            }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    const std::uint64_t aborts = nics[0]->aborts() + nics[1]->aborts();
    apps::print_result({{"program", "attack-rings pair"},
                        {"sent", sent},
                        {"arrived", arrived},
                        {"wrong", wrong},
                        {"aborts", aborts}});
    return wrong == 0 && arrived == sent && aborts == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char **argv)
try {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "flip") {
        return flip();
    }
    return what == "pair" ? pair() : 2;
} catch (const std::exception &error) {
    std::fprintf(stderr, "attack-rings: %s\n", error.what());
    return 1;
}
