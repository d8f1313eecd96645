// SPDX-License-Identifier: Apache-2.0
//
// Guests that do what the fuzzer says, and what a correct switch may then do. For each call: which
// bytes it may touch (Bed watches), what it may answer, that every frame it consumed is in exactly
// one counter, that every copy has one outcome and every receiver finds in its lanes just what the
// counters say, and, where nobody asked for a change, that it is the frames that were sent, in
// their order.
#ifndef TESTS_FUZZ_RVS_GUESTS_HPP
#define TESTS_FUZZ_RVS_GUESTS_HPP

#include "bed.hpp"
#include "input.hpp"

#include <vector>

namespace rvs::fuzz {

inline constexpr std::uint32_t most_ports = 6;
inline constexpr std::uint32_t depth = 64;
inline constexpr std::uint32_t buf_len = 512;

// Offsets in region 0.
inline constexpr std::uint64_t tx_setup_at = 0x0;
inline constexpr std::uint64_t rx_setup_at = 0x100;
inline constexpr std::uint64_t descs_at = 0x1000;
inline constexpr std::uint64_t lanes_at = 0x4000;
inline constexpr std::uint64_t buffers_at = 0x28000;
inline constexpr std::uint64_t lane_stride = RVIF_LANE_STRIDE(depth);
static_assert(lanes_at + RVIF_MAX_SOURCES * lane_stride <= buffers_at);
inline constexpr std::uint32_t buffers = (region_len[0] - buffers_at) / buf_len;

// Region 1: frames that are there from the start, and room for others.
inline constexpr std::uint64_t frame_stride = 0x400;
inline constexpr std::uint32_t frames = 12;
inline constexpr std::uint64_t scratch_at = frames * frame_stride;

// Of the lane entry that is the i-th from the start.
inline std::uint32_t phase(std::uint32_t i, std::uint32_t lane_depth)
{
    return (i & lane_depth) == 0 ? RVIF_PHASE : 0;
}

inline constexpr rvif_rx_setup usual_rx{RVIF_ADDR(0ull, lanes_at), depth, buf_len, 0, 0};

class Guests {
  public:
    explicit Guests(std::uint32_t ports) : bed{ports}, ports_{ports}
    {
        bed.on_race(
            [](void *self, const Bed::Race &race) { static_cast<Guests *>(self)->raced(race); },
            this);
    }

    // The state that each execution starts from is the one now.
    void keep();
    void begin();
    // To be called at an execution's end, with the size of its input.
    void finish(std::size_t input);

    // ------------------------------------------------------------------------ the manager
    void open(std::uint32_t p, const PortOptions &options = {});
    void close(std::uint32_t p);
    void add_region(std::uint32_t p, std::uint32_t r);
    void remove_region(std::uint32_t p, std::uint32_t r);
    // Held down, or let go.
    void link(std::uint32_t p, bool up);
    [[nodiscard]] bool is_open(std::uint32_t p) const { return now_.port[p].open; }

    // ------------------------------------------------------------------------- guests' calls
    void set_up_tx(std::uint32_t p, std::uint32_t queue, rvif_addr_t descs);
    void set_up_rx(std::uint32_t p, std::uint32_t queue, const rvif_rx_setup &setup);
    void start(std::uint32_t p);
    void stop(std::uint32_t p);
    void transmit(std::uint32_t p, std::uint64_t queue, std::uint64_t count);
    // Any other operation, with any arguments.
    void ask(std::uint32_t p, std::uint64_t op, std::uint64_t a1, std::uint64_t a2);

    // Opens, registers, sets up and starts.
    void join(std::uint32_t p, const PortOptions &options = {}, const rvif_rx_setup &rx = usual_rx);
    // As a guest has them: posted buffers in the first lanes, frames, descriptors that name them.
    void furnish(std::uint32_t p);
    // That of the furnished buffers.
    static std::uint32_t usual_unit(std::uint32_t i);
    // No port knows VLANs, none is mirrored: frames arrive as they were sent.
    void compare_contents() { contents_ = true; }

    // -------------------------------------------------------------------- guests' memory
    void desc(std::uint32_t p, std::uint32_t i, const rvif_tx_desc &d);
    void post(std::uint32_t p, std::uint32_t source, std::uint32_t i, std::uint32_t entry);
    void poke(std::uint32_t p, std::uint32_t region, std::uint64_t offset, const void *from,
              std::size_t len);
    void race(const Bed::Race &race) { bed.race(race); }

    // Often a good address.
    static rvif_addr_t address(Input &in);
    // A buffer, often a good one, without its phase.
    static std::uint32_t unit(Input &in);
    static rvif_tx_desc descriptor(Input &in);

    Bed bed;

  private:
    static constexpr std::uint32_t sources = 24; // that can be met: of most ports, some queues

    struct RxQueue {
        bool set_up;
        bool live;
        rvif_rx_setup setup;
        std::uint32_t cursor[sources]; // completions seen
    };
    struct TxQueue {
        bool set_up;
        std::uint32_t source;
        rvif_addr_t descs;
        // The last call, for RVIF_OP_RECOVER.
        bool called;
        std::uint64_t number;
        std::uint64_t consumed;
    };
    struct Port {
        bool open;
        bool started;
        bool down;    // held down by the manager
        bool limited; // may send or flood so much and no more: a probe may be too much
        // It may have broken its own lanes: what is in them says nothing any more.
        bool broken;
        bool spreads;             // by a table of its own
        std::uint32_t registered; // bitmap
        RxQueue rx[RVIF_MAX_QUEUES];
        TxQueue tx[RVIF_MAX_QUEUES];
        std::uint64_t frames_offered; // to the switch, by this port, and consumed
    };
    struct Totals {
        std::uint64_t copies, outcomes; // copies: cuts, too
    };
    struct State {
        Port port[most_ports];
        Totals gone; // of ports that have been opened again since
    };
    // What the counters say, of one source's call.
    struct Counts {
        std::uint64_t frames, rejected, copies;     // copies: cuts, too
        std::uint64_t malformed[RVIF_DROP_REASONS]; // of those that were rejected, by reason
        struct To {
            std::uint64_t frames, bytes, dropped;
        } to[most_ports];
    };

    std::int64_t call(std::uint32_t p, std::uint64_t op, std::uint64_t a1 = 0, std::uint64_t a2 = 0,
                      std::uint64_t a3 = 0);
    void read_counts(std::uint32_t p, std::uint32_t queue, Counts &counts) const;
    void malformed(std::uint64_t (&frames)[RVIF_DROP_REASONS]) const;
    [[nodiscard]] std::uint32_t fault(const rvif_tx_desc &d, bool first) const;
    [[nodiscard]] bool registered(std::uint32_t p, rvif_addr_t at, std::uint64_t len) const;
    template <typename Setup>
    std::int64_t set_up(std::uint32_t p, std::uint64_t op, std::uint32_t queue, std::uint64_t at,
                        Setup &setup);
    void allow(std::uint32_t o);
    void allow_queue(std::uint32_t o, RxQueue &rx);
    static bool overlap_lanes(const Port &port, std::uint32_t region, std::uint64_t offset,
                              std::uint64_t len);
    void raced(const Bed::Race &race);
    void look(std::uint32_t o, std::uint64_t frames, std::uint64_t bytes);
    void spoilt(std::uint32_t p, std::uint32_t region, std::uint64_t offset, std::uint64_t len);
    static void count(const PortStats &stats, Totals &totals);
    void check_totals();
    void probe();
    [[nodiscard]] bool can_send(std::uint32_t p) const;
    [[nodiscard]] bool can_receive(std::uint32_t p) const;

    std::uint32_t ports_;
    State now_{};
    State kept_{};
    std::uint64_t number_ = 0;
    bool contents_ = false;
    // By RVIF_BUF_UNIT of a region.
    std::uint64_t marked_[region_len[0] / RVIF_BUF_UNIT]{};
    std::uint64_t marks_ = 0;

    // Of the call that is under way.
    std::uint32_t caller_ = 0;
    std::uint32_t source_ = 0;
    bool raced_ = false;
    // A set-up that is being read, word by word from its first one on: as the switch saw it.
    std::uint8_t *setup_ = nullptr;
    std::uint64_t setup_at_ = 0;
    std::uint64_t setup_len_ = 0;
    bool plain_ = false; // nothing is asked of its frames
    std::vector<rvif_tx_desc> descs_;
};

} // namespace rvs::fuzz

#endif // TESTS_FUZZ_RVS_GUESTS_HPP
