// SPDX-License-Identifier: Apache-2.0
// The data path: mbufs to and from the rings of rvs/rvif.h.
#include "port.hpp"

#include <bit>
#include <cstring>
#include <rte_mempool.h>
#include <rte_prefetch.h>

namespace rvif {
namespace {

constexpr std::uint32_t load_acquire(const std::uint32_t &from) noexcept
{
    return __atomic_load_n(&from, __ATOMIC_ACQUIRE);
}

constexpr void store_release(std::uint32_t &to, std::uint32_t value) noexcept
{
    __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}

// ---------------------------------------------------------------- receive

constexpr void advance(std::uint32_t &index, std::uint32_t &phase, std::uint32_t depth) noexcept
{
    if (++index == depth) {
        index = 0;
        phase ^= RVIF_PHASE;
    }
}

// Gives the lane's source new buffers, in batches.
void refill(RxQueue &queue, RxLane &lane) noexcept
{
    while (lane.vacant >= refill_batch) {
        rte_mbuf *fresh[refill_batch];
        if (rte_mempool_get_bulk(queue.pool, reinterpret_cast<void **>(fresh), refill_batch) != 0)
            [[unlikely]] {
            queue.no_mbuf += refill_batch;
            ++queue.port->dev->data->rx_mbuf_alloc_failed;
            return;
        }
        for (std::uint32_t i = 0; i < refill_batch; ++i) {
            const void *data = static_cast<std::byte *>(fresh[i]->buf_addr) + queue.data_off;
            const AddressMap::Run *run = queue.port->addresses.find(data, queue.buf_len, queue.run);
            if (run == nullptr || RVIF_ADDR_REGION(run->addr) != queue.region) [[unlikely]] {
                // Memory that the pool got after the port was started, or that was given back.
                queue.unregistered += refill_batch - i;
                rte_mempool_put_bulk(queue.pool, reinterpret_cast<void **>(fresh + i),
                                     refill_batch - i);
                return;
            }
            queue.run = run;
            // One store sets data_off, refcnt, nb_segs and port.
            std::memcpy(&fresh[i]->rearm_data, &queue.rearm, sizeof(queue.rearm));
            const std::uint64_t offset =
                RVIF_ADDR_OFFSET(run->at(reinterpret_cast<std::uintptr_t>(data)));
            lane.mbufs[lane.post] = fresh[i];
            store_release(lane.posted[lane.post],
                          lane.post_phase | static_cast<std::uint32_t>(offset / RVIF_BUF_UNIT));
            advance(lane.post, lane.post_phase, queue.depth);
            --lane.vacant;
        }
    }
}

// A buffer that belongs to a frame of several. The whole frame when it ends well.
rte_mbuf *chain(RxQueue &queue, RxLane &lane, rte_mbuf *mbuf, std::uint32_t length,
                bool more) noexcept
{
    if (lane.head == nullptr) {
        lane.head = mbuf;
        mbuf->pkt_len = 0;
    } else {
        lane.tail->next = mbuf;
        ++lane.head->nb_segs;
    }
    lane.tail = mbuf;
    mbuf->data_len = static_cast<std::uint16_t>(length);
    lane.head->pkt_len += length;
    // An endless chain would keep all buffers: cut it.
    if (lane.head->pkt_len > RVIF_MAX_FRAME && !lane.spoilt) {
        ++queue.bad_length;
        lane.spoilt = true;
    }
    if (more) {
        if (lane.spoilt) {
            rte_pktmbuf_free(lane.head);
            lane.head = nullptr;
        }
        return nullptr;
    }
    rte_mbuf *frame = lane.head;
    lane.head = nullptr;
    if (lane.spoilt) {
        lane.spoilt = false;
    } else if (!queue.scattered && frame->nb_segs > 1) {
        ++queue.not_scattered;
    } else if (frame->pkt_len > queue.max_frame) {
        ++queue.oversize;
    } else {
        return frame;
    }
    rte_pktmbuf_free(frame);
    return nullptr;
}

std::uint16_t drain(RxQueue &queue, RxLane &lane, rte_mbuf **pkts, std::uint16_t count) noexcept
{
    std::uint16_t got = 0;
    std::uint32_t taken = 0;
    std::uint64_t bytes = 0;
    while (got < count) {
        const std::uint32_t entry = load_acquire(lane.comp[lane.next]);
        if ((entry & RVIF_PHASE) != lane.next_phase) {
            break;
        }
        if (lane.vacant + taken == queue.depth) [[unlikely]] {
            break; // more filled than was posted: not believed
        }
        rte_mbuf *mbuf = lane.mbufs[lane.next];
        advance(lane.next, lane.next_phase, queue.depth);
        rte_prefetch0(lane.mbufs[lane.next]);
        ++taken;

        std::uint32_t length = entry & RVIF_COMP_LEN_MASK;
        const bool more = (entry & RVIF_COMP_MORE) != 0;
        mbuf->ol_flags = 0;
        mbuf->packet_type = RTE_PTYPE_L2_ETHER;
        if (length == 0 || length > queue.buf_len) [[unlikely]] {
            ++queue.bad_length;
            lane.spoilt = true;
            length = 0;
        }
        if (!more && lane.head == nullptr && !lane.spoilt) [[likely]] {
            mbuf->data_len = static_cast<std::uint16_t>(length);
            mbuf->pkt_len = length;
            if (length > queue.max_frame) [[unlikely]] {
                ++queue.oversize;
                rte_pktmbuf_free(mbuf);
                continue;
            }
            bytes += length;
            pkts[got++] = mbuf;
            continue;
        }
        if (rte_mbuf *frame = chain(queue, lane, mbuf, length, more); frame != nullptr) {
            bytes += frame->pkt_len;
            pkts[got++] = frame;
        }
    }
    lane.vacant += taken;
    if (lane.vacant >= refill_batch) {
        refill(queue, lane);
    }
    queue.frames += got;
    queue.bytes += bytes;
    return got;
}

} // namespace

void rx_look_for_sources(RxQueue &queue)
{
    const CallResult result = queue.port->backend->call(RVIF_OP_SOURCES, 0, 0, 0);
    if (result.status != 0 || (result.value < 0 && result.value >= -RVIF_E_BUSY)) {
        return;
    }
    // A source that has gone keeps its place and its buffers: somebody may still be writing into
    // them, and whoever gets that source next goes on where it ended. They come back when the port
    // stops.
    std::uint64_t fresh = static_cast<std::uint64_t>(result.value) & ~queue.live;
    queue.live |= fresh;
    for (; fresh != 0; fresh &= fresh - 1) {
        queue.order[queue.live_count++] = static_cast<std::uint8_t>(std::countr_zero(fresh));
    }
}

std::uint16_t rx_burst(void *opaque, rte_mbuf **pkts, std::uint16_t count)
{
    RxQueue &queue = *static_cast<RxQueue *>(opaque);
    if (queue.polls-- == 0) [[unlikely]] {
        queue.polls = source_poll_interval;
        rx_look_for_sources(queue);
        // Also brings lanes up to date that found the pool empty.
        for (std::uint32_t i = 0; i < queue.live_count; ++i) {
            refill(queue, queue.lanes[queue.order[i]]);
        }
    }
    std::uint16_t got = 0;
    for (std::uint32_t i = 0; i < queue.live_count && got < count; ++i) {
        // Each burst begins one lane further, so that a busy source cannot starve the others.
        if (queue.turn >= queue.live_count) {
            queue.turn = 0;
        }
        RxLane &lane = queue.lanes[queue.order[queue.turn++]];
        got = static_cast<std::uint16_t>(
            got + drain(queue, lane, pkts + got, static_cast<std::uint16_t>(count - got)));
    }
    return got;
}

void rx_reset_lanes(RxQueue &queue)
{
    std::byte *lane_memory = reinterpret_cast<std::byte *>(queue.ring.get());
    std::memset(lane_memory, 0, RVIF_LANE_STRIDE(queue.depth) * RVIF_MAX_SOURCES);
    for (std::uint32_t source = 0; source < RVIF_MAX_SOURCES; ++source) {
        std::byte *at = lane_memory + source * RVIF_LANE_STRIDE(queue.depth);
        queue.lanes[source] = RxLane{
            .posted = reinterpret_cast<std::uint32_t *>(at),
            .comp = reinterpret_cast<const std::uint32_t *>(at + RVIF_LANE_HALF(queue.depth)),
            .mbufs = queue.mbufs.get() + std::size_t{source} * queue.depth,
            .vacant = queue.depth,
        };
    }
    queue.live = 0;
    queue.live_count = 0;
    queue.turn = 0;
    queue.polls = 0;
    queue.run = nullptr;
}

void rx_release_buffers(RxQueue &queue)
{
    for (RxLane &lane : queue.lanes) {
        // The queue of posted buffers runs from next to post.
        for (std::uint32_t held = queue.depth - lane.vacant; held > 0; --held) {
            rte_mempool_put(queue.pool, lane.mbufs[lane.next]);
            advance(lane.next, lane.next_phase, queue.depth);
        }
        lane.vacant = queue.depth;
        rte_pktmbuf_free(lane.head);
        lane.head = nullptr;
        lane.spoilt = false;
    }
    queue.live = 0;
    queue.live_count = 0;
}

// ---------------------------------------------------------------- transmit

namespace {

// Frees what has been sent: frames [0, count).
void release(const TxQueue &queue, rte_mbuf **pkts, std::uint16_t count, bool all_single) noexcept
{
    if (queue.fast_free && all_single && count > 0) {
        // The application promised: one pool, nobody else holds them.
        rte_mempool_put_bulk(pkts[0]->pool, reinterpret_cast<void **>(pkts), count);
    } else {
        rte_pktmbuf_free_bulk(pkts, count);
    }
}

// A frame with segments outside the regions, or empty ones, or more of them than descriptors:
// through the bounce memory, as one segment.
bool describe_bounced(TxQueue &queue, rvif_tx_desc &desc, const rte_mbuf *mbuf,
                      std::uint32_t &bounce_used) noexcept
{
    if (mbuf->pkt_len > bounce_bytes - bounce_used) {
        return false;
    }
    std::byte *at = queue.bounce + bounce_used;
    for (const rte_mbuf *seg = mbuf; seg != nullptr; seg = seg->next) {
        std::memcpy(at, rte_pktmbuf_mtod(seg, const void *), seg->data_len);
        at += seg->data_len;
        ++queue.bounced;
    }
    desc.addr = queue.bounce_addr + bounce_used;
    desc.len = mbuf->pkt_len;
    desc.flags = 0;
    bounce_used += mbuf->pkt_len;
    return true;
}

// Does the chain say the truth about its length? (An application's mistake must not overrun the
// bounce memory.)
bool length_agrees(const rte_mbuf *mbuf) noexcept
{
    std::uint64_t sum = 0;
    for (const rte_mbuf *seg = mbuf; seg != nullptr; seg = seg->next) {
        sum += seg->data_len;
    }
    return sum == mbuf->pkt_len;
}

// Descriptors written, 0: no room left in this call.
std::uint32_t describe_slow(TxQueue &queue, std::uint32_t used, const rte_mbuf *mbuf,
                            std::uint32_t &bounce_used) noexcept
{
    std::uint32_t count = 0;
    for (const rte_mbuf *seg = mbuf; seg != nullptr; seg = seg->next) {
        const void *data = rte_pktmbuf_mtod(seg, const void *);
        const AddressMap::Run *run = queue.port->addresses.find(data, seg->data_len, queue.run);
        if (run == nullptr || seg->data_len == 0) {
            return describe_bounced(queue, queue.descs[used], mbuf, bounce_used) ? 1 : 0;
        }
        if (used + count == RVIF_MAX_BURST) {
            // A chain longer than any call has room for goes through the bounce memory, others
            // wait.
            return mbuf->nb_segs > RVIF_MAX_BURST &&
                           describe_bounced(queue, queue.descs[used], mbuf, bounce_used)
                       ? 1
                       : 0;
        }
        queue.run = run;
        queue.descs[used + count] = {.addr = run->at(reinterpret_cast<std::uintptr_t>(data)),
                                     .len = seg->data_len,
                                     .flags = seg->next != nullptr ? RVIF_TX_MORE : 0u};
        ++count;
    }
    return count;
}

} // namespace

std::uint16_t tx_burst(void *opaque, rte_mbuf **pkts, std::uint16_t count)
{
    TxQueue &queue = *static_cast<TxQueue *>(opaque);
    const AddressMap &addresses = queue.port->addresses;
    std::uint16_t done = 0;
    while (done < count) {
        // As many frames as one call takes.
        std::uint32_t used = 0;
        std::uint32_t bounce_used = 0;
        std::uint16_t frames = 0;
        std::uint64_t bytes = 0;
        bool all_single = true;
        bool unsendable = false;
        while (done + frames < count && used < RVIF_MAX_BURST) {
            const rte_mbuf *mbuf = pkts[done + frames];
            const void *data = rte_pktmbuf_mtod(mbuf, const void *);
            const AddressMap::Run *run = addresses.find(data, mbuf->data_len, queue.run);
            if (mbuf->nb_segs == 1 && run != nullptr && mbuf->data_len != 0) [[likely]] {
                queue.run = run;
                queue.descs[used] = {.addr = run->at(reinterpret_cast<std::uintptr_t>(data)),
                                     .len = mbuf->data_len,
                                     .flags = 0};
                ++used;
            } else {
                if (mbuf->pkt_len == 0 || mbuf->pkt_len > RVIF_MAX_FRAME || !length_agrees(mbuf))
                    [[unlikely]] {
                    unsendable = true;
                    break;
                }
                const std::uint32_t descs = describe_slow(queue, used, mbuf, bounce_used);
                if (descs == 0) {
                    break;
                }
                used += descs;
                all_single = false; // also for memory that is not the pool's own
            }
            bytes += mbuf->pkt_len;
            queue.ends[frames++] = static_cast<std::uint16_t>(used);
        }

        if (used > 0) {
            const CallResult result = queue.port->backend->call(RVIF_OP_TX, queue.index, used, 0);
            if (result.status == 0 && result.value == static_cast<std::int64_t>(used)) [[likely]] {
                queue.frames += frames;
                queue.bytes += bytes;
                release(queue, pkts + done, frames, all_single);
                done = static_cast<std::uint16_t>(done + frames);
            } else if (result.status == 0 && result.value > 0 &&
                       result.value < static_cast<std::int64_t>(used)) {
                // The switch took a part: a bound on the work of one call. Whole frames only.
                std::uint16_t taken = 0;
                while (taken < frames && queue.ends[taken] <= result.value) {
                    queue.bytes += pkts[done + taken]->pkt_len;
                    ++taken;
                }
                queue.frames += taken;
                release(queue, pkts + done, taken, all_single);
                done = static_cast<std::uint16_t>(done + taken);
                if (taken == 0) {
                    return done;
                }
                continue; // unsendable, if it was set, is still ahead
            } else if (result.status == 0 && (result.value == 0 || result.value == -RVIF_E_BUSY)) {
                // Nothing was taken, and the frames stay the application's.
                ++queue.busy;
                return done;
            } else {
                // Cut short, or refused for good (port closed). How many frames were delivered
                // before a crash is unknown: sending them again could double them, so they count as
                // lost, like on a wire.
                (result.status != 0 ? queue.aborted : queue.refused) += frames;
                release(queue, pkts + done, frames, all_single);
                done = static_cast<std::uint16_t>(done + frames);
            }
        }
        if (unsendable) {
            rte_mbuf *mbuf = pkts[done++];
            ++(mbuf->pkt_len == 0 ? queue.empty : queue.bad_length);
            rte_pktmbuf_free(mbuf);
        }
    }
    return done;
}

} // namespace rvif
