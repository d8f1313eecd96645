// SPDX-License-Identifier: Apache-2.0
#include "lanes.hpp"

namespace rvs {

void OpenLane::deliver(const Segment *segments, std::uint32_t count, std::uint32_t total,
                       const Notes &notes, bool avx2)
{
    const std::uint32_t reason = put(segments, count, total, notes, avx2);
    if (reason == no_drop) [[likely]] {
        ++frames;
        ++progress->held;
        bytes += total;
    } else {
        ++drops[reason];
    }
}

std::uint32_t OpenLane::put(const Segment *segments, std::uint32_t count, std::uint32_t total,
                            const Notes &notes, bool avx2)
{
    // All buffers must be there before a byte is written. Each entry is read once.
    std::uint32_t units[lane_batch];
    std::uint32_t need = 0;
    for (std::uint32_t room = 0; room < total; room += lane->buf_len) {
        if (need == lane_batch)
            return RVIF_DROP_RX_TOO_BIG;
        const std::uint32_t posted = guest::load32(lane->posted_entry(pos + need));
        if ((posted & RVIF_PHASE) != lane->phase(pos + need))
            return RVIF_DROP_NO_BUFFER;
        units[need] = posted & RVIF_POSTED_MASK;
        if (units[need] > lane->last_unit)
            return RVIF_DROP_RX_BAD_BUFFER;
        ++need;
    }
    if (held + need > lane_batch)
        publish();

    std::uint32_t buffer = 0;
    std::uint32_t used = 0; // bytes of that buffer
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint8_t *data = segments[i].data;
        std::uint32_t len = segments[i].len;
        while (len != 0) {
            if (used == lane->buf_len) {
                ++buffer;
                used = 0;
            }
            const std::uint32_t room = lane->buf_len - used;
            const std::uint32_t n = len < room ? len : room;
            // buffer < need: room for all of the frame was counted above.
            // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
            copy_bytes(pointer(lane->buffer(units[buffer])) + used, data, n, avx2);
            used += n;
            data += n;
            len -= n;
        }
    }

    if ((notes.comp & (RVIF_COMP_VLAN | RVIF_COMP_TSO)) != 0)
        guest::store32(lane->meta_entry(pos), notes.meta);
    for (std::uint32_t i = 0; i < need; ++i) {
        const bool last = i + 1 == need;
        values[held++] = (last ? used : RVIF_COMP_MORE | lane->buf_len) | lane->phase(pos + i) |
                         (i == 0 ? notes.comp : 0);
    }
    pos += need;
    return no_drop;
}

} // namespace rvs
