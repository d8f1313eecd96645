// SPDX-License-Identifier: Apache-2.0
//
// Runs: frames one after the other to one lane, as they are. Of one segment and one buffer, and
// nobody asks anything of them, so that all a frame needs stays in registers.
#ifndef RVS_RUNS_HPP
#define RVS_RUNS_HPP

#include "lanes.hpp"
#include "prefetch.hpp"
#include "sending.hpp"

namespace rvs {

class Runs : protected Sending {
  protected:
    explicit Runs(const Sending &sending) : Sending{sending} {}

    // The frame whose descriptor this is, looked at: last_, last_length_ and last_from_ are in
    // bounds and stay what they are. (follow() reads and checks all of it again.) False: it is no
    // such frame.
    bool look_at(Address desc)
    {
        const TxDesc d = read_tx_desc(desc);
        if (!d.plain() || d.len() <= Header::size)
            return false;
        remember_region(d.addr);
        const std::uint64_t offset = d.addr - region_tag_;
        if (offset > region_len_ || d.len() > region_len_ - offset)
            return false;
        last_from_ = pointer(region_base_ + offset);
        last_ = read_header(last_from_);
        last_length_ = d.len();
        return true;
    }

    // Frames from i on, as long as they go to this lane as they are: returns the first that does
    // not. The first one's addresses are last_'s. Exact: the two bytes behind the addresses and the
    // next two count, too, since a tag may be there.
    template <bool Exact>
    std::uint32_t follow(OpenLane &open, Address descs, std::uint32_t i, std::uint32_t count)
    {
        const Lane &lane = *open.lane;
        // A frame that begins in the last `longest` bytes of the region is left to others.
        constexpr std::uint32_t shortest = Header::size + 1;
        const std::uint64_t longest = lane.buf_len < RVIF_MAX_FRAME ? lane.buf_len : RVIF_MAX_FRAME;
        if (region_len_ < longest)
            return i;
        const std::uint64_t last_start = region_len_ - longest;
        const std::uint64_t longest_word = longest - shortest;
        const std::uint64_t tag = region_tag_;
        const std::uint64_t base = region_base_;
        std::uint64_t low = last_.low;
        std::uint64_t high = last_.high;
        const std::uint32_t last_unit = lane.last_unit;
        const Address buffers = lane.buffers;
        const std::uint32_t mask = lane.depth - 1;
        const bool avx2 = avx2_;
        const std::uint32_t ahead_by = frames_ahead(last_length_);

        while (i < count && copied_ < call_bytes) {
            if (open.held == lane_batch) {
                open.progress->at = i;
                open.publish();
            }
            const std::uint32_t pos = open.pos;
            const std::uint32_t ahead = pos + ahead_by;
            // So far no index wraps, and there is room in `values`.
            std::uint32_t n = lane.depth - (pos & mask);
            n = n < lane.depth - (ahead & mask) ? n : lane.depth - (ahead & mask);
            n = n < lane_batch - open.held ? n : lane_batch - open.held;
            n = n < count - i ? n : count - i;
            const std::uint32_t phase = lane.phase(pos);
            const std::uint32_t phase_ahead = lane.phase(ahead);
            const Address entry = lane.posted_entry(pos);
            const Address entry_ahead = lane.posted_entry(ahead);
            std::uint64_t *const values = open.values + open.held;
            Address desc = descs + sizeof(rvif_tx_desc) * i;
            std::uint64_t bytes = 0;
            bool missed = false; // there is no buffer for frame k
            std::uint64_t k = 0;
            for (; k != n; ++k, desc += sizeof(rvif_tx_desc)) {
                const TxDesc d = read_tx_desc(desc);
                if (d.word - shortest > longest_word) // asks for something, or has another size
                    break;
                const std::uint64_t offset = d.addr - tag;
                if (offset > last_start) // another region, too
                    break;
                const std::uint8_t *from = pointer(base + offset);
                const std::uint64_t now_low = read_8(from);
                const std::uint64_t now_high = read_8(from + 8);
                if (now_low != low || (Exact ? now_high != high
                                             : static_cast<std::uint32_t>(now_high) !=
                                                   static_cast<std::uint32_t>(high))) [[unlikely]] {
                    if (!same_lane(open.port, now_low, now_high))
                        break;
                    low = now_low;
                    high = now_high;
                }
                // Not posted: the phase bit stays, and no unit is so large.
                const std::uint32_t unit = guest::load32(entry + 4 * k) ^ phase;
                if (unit > last_unit) [[unlikely]] {
                    miss(open, unit, d.word);
                    missed = true;
                    break;
                }
                std::uint8_t *to = pointer(buffers + std::uint64_t{unit} * RVIF_BUF_UNIT);
                prefetch(entry_ahead + 4 * k, phase_ahead, last_unit, buffers, d.word);
                store_8(to, now_low);
                store_8(to + 8, now_high);
                copy_bytes(to + Header::size, from + Header::size, d.word - Header::size, avx2);
                values[k] = d.word | phase;
                bytes += d.word;
            }
            const auto done = static_cast<std::uint32_t>(k);
            open.pos = pos + done;
            open.held += done;
            open.frames += done;
            open.progress->held += done;
            open.bytes += bytes;
            tally_.frames += done;
            tally_.copies += done;
            tally_.bytes += bytes;
            copied_ += bytes;
            i += done;
            if (done == n)
                continue;
            if (!missed)
                break;
            ++i;
        }
        last_ = Header{low, high};
        return i;
    }

    Header last_{0, 0};
    std::uint32_t last_length_ = 0;
    const std::uint8_t *last_from_ = nullptr;
    bool receiver_knows_vlans_ = false; // the run's

    // Asks for the lines of a buffer that will be filled soon. A hint; it stays inside the region
    // as a fill would.
    [[gnu::always_inline]] static void prefetch(Address entry, std::uint32_t phase,
                                                std::uint32_t last_unit, Address buffers,
                                                std::uint64_t len)
    {
        const std::uint32_t unit = guest::load32(entry) ^ phase;
        if (unit > last_unit)
            return;
        prefetch_buffer(pointer(buffers + std::uint64_t{unit} * RVIF_BUF_UNIT), len);
    }

  private:
    // unit: what is posted, its phase taken out.
    [[gnu::noinline]] void miss(OpenLane &open, std::uint32_t unit, std::uint64_t length)
    {
        ++open.drops[no_buffer_reason(unit)];
        ++tally_.frames;
        ++tally_.copies;
        tally_.bytes += length;
        copied_ += length;
    }

    // A run has met other addresses. True: these frames, too, go to its lane as they are. By value:
    // the header stays in registers.
    [[gnu::noinline]] bool same_lane(std::uint32_t port, std::uint64_t low, std::uint64_t high)
    {
        const Header header{low, high};
        const std::uint64_t destination = header.destination();
        if (policy_ != 0 || receiver_knows_vlans_ || (destination & mac_group_bit) != 0)
            return false;
        const Fdb fdb = core_.fdb();
        const std::uint64_t source = header.source();
        if (source != learned_ && !fdb.fresh(source, self_, stamp_) &&
            (source == 0 || (source & mac_group_bit) != 0 || meet(source, 0) != no_drop))
            return false;
        return fdb.lookup(destination) == port;
    }
};

} // namespace rvs

#endif // RVS_RUNS_HPP
