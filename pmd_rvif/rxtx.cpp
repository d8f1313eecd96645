// SPDX-License-Identifier: Apache-2.0
// The data path: mbufs to and from the rings of rvs/rvif.h.
#include "control_call.hpp"
#include "elisa/pinned.hpp"
#include "port.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>
#include <rte_mempool.h>
#include <rte_prefetch.h>
#include <smmintrin.h>

namespace rvif {
namespace {

constexpr std::uint64_t load_acquire(const std::uint64_t &from) noexcept
{
    return __atomic_load_n(&from, __ATOMIC_ACQUIRE);
}

// ---------------------------------------------------------------- receive

// As rte_mempool_get_bulk(), but a batch that is in the cache is taken as it lies there.
bool take_batch(rte_mempool *pool, rte_mbuf **out) noexcept
{
    rte_mempool_cache *cache = rte_mempool_default_cache(pool, rte_lcore_id());
    if (cache != nullptr && cache->len >= refill_batch) [[likely]] {
        cache->len -= refill_batch;
        std::memcpy(out, &cache->objs[cache->len], sizeof(void *) * refill_batch);
        return true;
    }
    return rte_mempool_get_bulk(pool, reinterpret_cast<void **>(out), refill_batch) == 0;
}

// Where the buffers of a batch are, for a pool that lies in one run; eight at a time. A pool's
// mbufs are where it was made, so there is nothing to check.
void units_of(const RxQueue &queue, rte_mbuf *const *mbufs, std::uint32_t phase,
              std::uint32_t (&units)[refill_batch]) noexcept
{
    const __m128i to_offset = _mm_set1_epi64x(
        static_cast<long long>(RVIF_ADDR_OFFSET(queue.run->addr) + queue.data_at - queue.run->va));
    const __m128i phases = _mm_set1_epi32(static_cast<int>(phase));
    constexpr int unit_bits = std::countr_zero(RVIF_BUF_UNIT);
    for (std::uint32_t i = 0; i < refill_batch; i += 4) {
        const auto two = [&](std::uint32_t at) {
            const __m128i addresses =
                _mm_loadu_si128(reinterpret_cast<const __m128i *>(mbufs + at));
            return _mm_castsi128_ps(_mm_srli_epi64(_mm_add_epi64(addresses, to_offset), unit_bits));
        };
        const __m128i four =
            _mm_castps_si128(_mm_shuffle_ps(two(i), two(i + 2), _MM_SHUFFLE(2, 0, 2, 0)));
        _mm_storeu_si128(reinterpret_cast<__m128i *>(&units[i]), _mm_or_si128(four, phases));
    }
}

// The same where a pool lies in several pieces of its region.
bool units_of_pieces(const RxQueue &queue, rte_mbuf *const *mbufs, std::uint32_t phase,
                     std::uint32_t (&units)[refill_batch]) noexcept
{
    for (std::uint32_t i = 0; i < refill_batch; ++i) {
        const std::uintptr_t data = reinterpret_cast<std::uintptr_t>(mbufs[i]) + queue.data_at;
        const AddressMap::Run *run = queue.port->addresses.find(
            reinterpret_cast<const void *>(data), queue.buf_len, nullptr);
        if (run == nullptr || RVIF_ADDR_REGION(run->addr) != queue.region) {
            return false;
        }
        units[i] =
            static_cast<std::uint32_t>(RVIF_ADDR_OFFSET(run->at(data)) / RVIF_BUF_UNIT) | phase;
    }
    return true;
}

// Posts a batch that is in its place in lane.mbufs. An mbuf itself is not touched before it has
// been filled. False: memory that the pool got after the port was started, or that was given back.
bool post_batch(RxQueue &queue, RxLane &lane) noexcept
{
    rte_mbuf *const *const fresh = lane.mbufs + lane.post;
    alignas(16) std::uint32_t units[refill_batch];
    // A run of which a part was given back has no length any more.
    if (queue.run != nullptr && queue.run->length.load(std::memory_order_relaxed) != 0) [[likely]] {
        units_of(queue, fresh, lane.post_phase, units);
    } else if (!units_of_pieces(queue, fresh, lane.post_phase, units)) [[unlikely]] {
        return false;
    }
    // Entries are words: whoever reads one finds the old or the new.
    std::memcpy(lane.posted + lane.post, units, sizeof(units));
    asm volatile("" : : : "memory");
    lane.post += refill_batch;
    if (lane.post == queue.depth) {
        lane.post = 0;
        lane.post_phase ^= RVIF_PHASE;
    }
    lane.vacant -= refill_batch;
    return true;
}

void count_empty_pool(RxQueue &queue) noexcept
{
    queue.no_mbuf += refill_batch;
    ++queue.port->dev->data->rx_mbuf_alloc_failed;
}

void give_back(RxQueue &queue, rte_mbuf **mbufs, std::uint32_t count) noexcept
{
    queue.unregistered += count;
    rte_mempool_put_bulk(queue.pool, reinterpret_cast<void **>(mbufs), count);
}

// Gives the lane's source new buffers, in batches: a lane's depth is a multiple of a batch, so
// none wraps.
void refill(RxQueue &queue, RxLane &lane) noexcept
{
    while (lane.vacant >= refill_batch) {
        rte_mbuf **const fresh = lane.mbufs + lane.post;
        if (!take_batch(queue.pool, fresh)) [[unlikely]] {
            count_empty_pool(queue);
            return;
        }
        if (!post_batch(queue, lane)) [[unlikely]] {
            give_back(queue, fresh, refill_batch);
            return;
        }
    }
}

// The first buffers of a lane, in no order of addresses. A new pool's are neighbours, and a CPU
// that finds a stride in a sender's stores fetches what comes next from the receiver's cache, to be
// read, just when it is about to be written. (Seen: a quarter fewer frames a second.)
void fill_lane(RxQueue &queue, RxLane &lane) noexcept
{
    std::uint32_t count = 0;
    while (count < queue.depth && take_batch(queue.pool, lane.mbufs + count)) {
        count += refill_batch;
    }
    if (count < queue.depth) {
        count_empty_pool(queue);
    }
    std::uint32_t random = 1;
    for (std::uint32_t left = count; left > 1; --left) {
        random =
            random * 1664525 + 1013904223; // Numerical Recipes' generator: the high bits are good
        const auto other = static_cast<std::uint32_t>(std::uint64_t{random} * left >> 32);
        std::swap(lane.mbufs[left - 1], lane.mbufs[other]);
    }
    while (lane.post < count) {
        if (!post_batch(queue, lane)) [[unlikely]] {
            give_back(queue, lane.mbufs + lane.post, count - lane.post);
            return;
        }
        if (lane.post == 0) {
            break;
        }
    }
}

// What an mbuf says when it comes out of a lane, in few stores: one for its first half of fields,
// another two for these. rest: VLAN in bits 16..31, hash in 32..63.
void fill_fields(rte_mbuf *mbuf, std::uint32_t length, std::uint64_t rest) noexcept
{
    static_assert(offsetof(rte_mbuf, pkt_len) == offsetof(rte_mbuf, rx_descriptor_fields1) + 4);
    static_assert(offsetof(rte_mbuf, data_len) == offsetof(rte_mbuf, rx_descriptor_fields1) + 8);
    static_assert(offsetof(rte_mbuf, vlan_tci) == offsetof(rte_mbuf, data_len) + 2);
    static_assert(offsetof(rte_mbuf, hash) == offsetof(rte_mbuf, data_len) + 4);
    const std::uint64_t type_length = RTE_PTYPE_L2_ETHER | std::uint64_t{length} << 32;
    rest |= length;
    std::memcpy(&mbuf->rx_descriptor_fields1, &type_length, 8);
    std::memcpy(&mbuf->data_len, &rest, 8);
}

void fill_in(const RxQueue &queue, rte_mbuf *mbuf, std::uint64_t ol_flags, std::uint32_t length,
             std::uint32_t hash, std::uint16_t vlan) noexcept
{
    static_assert(offsetof(rte_mbuf, ol_flags) == offsetof(rte_mbuf, rearm_data) + 8);
    static_assert(offsetof(rte_mbuf, rearm_data) % 16 == 0);
    _mm_store_si128(
        reinterpret_cast<__m128i *>(&mbuf->rearm_data),
        _mm_set_epi64x(static_cast<long long>(ol_flags), static_cast<long long>(queue.rearm)));
    fill_fields(mbuf, length, std::uint64_t{vlan} << 16 | std::uint64_t{hash} << 32);
}

// What the switch says about a frame, of its first entry.
void take_notes(const RxQueue &queue, rte_mbuf *mbuf, std::uint64_t entry, std::uint32_t meta,
                std::uint32_t length) noexcept
{
    std::uint64_t flags = 0;
    if ((entry & RVIF_COMP_HASH) != 0) {
        flags |= RTE_MBUF_F_RX_RSS_HASH;
    }
    if ((entry & RVIF_COMP_VLAN) != 0) {
        flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
    }
    if ((entry & (RVIF_COMP_L4_NONE | RVIF_COMP_TSO)) != 0) {
        flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
    }
    fill_in(queue, mbuf, flags, length, static_cast<std::uint32_t>(entry >> 32),
            static_cast<std::uint16_t>(meta));
    if ((entry & RVIF_COMP_TSO) != 0) {
        mbuf->ol_flags |= RTE_MBUF_F_RX_LRO;
        mbuf->tso_segsz = static_cast<std::uint16_t>(meta >> 16);
    }
}

// An entry that is not simply a frame: takes it, and returns the frame if one is complete.
rte_mbuf *take_entry(RxQueue &queue, RxLane &lane, std::uint64_t entry) noexcept
{
    const std::uint32_t at = lane.next;
    rte_mbuf *mbuf = lane.mbufs[at];
    if (++lane.next == queue.depth) {
        lane.next = 0;
        lane.next_phase ^= RVIF_PHASE;
    }
    ++lane.vacant;

    std::uint32_t length = entry & RVIF_COMP_LEN_MASK;
    if (length == 0 || length > queue.buf_len) [[unlikely]] {
        ++queue.bad_length;
        lane.spoilt = true;
        length = 0;
    }
    if (lane.head == nullptr) {
        take_notes(queue, mbuf, entry, lane.meta[at], length);
        lane.head = mbuf;
    } else {
        fill_in(queue, mbuf, 0, length, 0, 0);
        lane.tail->next = mbuf;
        ++lane.head->nb_segs;
        lane.head->pkt_len += length;
    }
    lane.tail = mbuf;
    // An endless chain would keep all buffers: cut it.
    if (lane.head->pkt_len > RVIF_MAX_FRAME && !lane.spoilt) {
        ++queue.bad_length;
        lane.spoilt = true;
    }
    if ((entry & RVIF_COMP_MORE) != 0) {
        if (lane.spoilt) {
            rte_pktmbuf_free(lane.head);
            lane.head = nullptr;
        }
        return nullptr;
    }
    rte_mbuf *frame = lane.head;
    lane.head = nullptr;
    const bool super = (frame->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
    if (lane.spoilt) {
        lane.spoilt = false;
    } else if (!queue.scattered && frame->nb_segs > 1) {
        ++queue.not_scattered;
    } else if (frame->pkt_len > queue.max_frame && !super) {
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
    std::uint64_t bytes = 0;
    // More filled than was posted is not believed: hence vacant < depth.
    while (got < count && lane.vacant < queue.depth) {
        // Whole frames in one buffer each, about which nothing else is said: as far as the wrap.
        const std::uint32_t phase = lane.next_phase;
        std::uint32_t n =
            std::min<std::uint32_t>(queue.depth - lane.next, queue.depth - lane.vacant);
        n = std::min<std::uint32_t>(n, count - got);
        const std::uint64_t *const comp = lane.comp + lane.next;
        rte_mbuf *const *const mbufs = lane.mbufs + lane.next;
        const std::uint32_t longest = lane.head == nullptr ? queue.plain_length : 0;
        const __m128i rearm = _mm_set_epi64x(0, static_cast<long long>(queue.rearm));
        rte_mbuf **const out = pkts + got;
        std::size_t i = 0;
        std::uint64_t entry = 0;
        for (; i < n; ++i) {
            entry = load_acquire(comp[i]);
            // Neither another phase nor a flag leaves so little.
            const std::uint32_t length = static_cast<std::uint32_t>(entry) ^ phase;
            if (length - 1 >= longest) {
                break;
            }
            rte_mbuf *mbuf = mbufs[i];
            rte_prefetch0_write(mbufs[i + lane_slack]);
            _mm_store_si128(reinterpret_cast<__m128i *>(&mbuf->rearm_data), rearm);
            fill_fields(mbuf, length, 0);
            out[i] = mbuf;
            bytes += length;
        }
        const auto plain = static_cast<std::uint32_t>(i);
        got = static_cast<std::uint16_t>(got + plain);
        lane.vacant += plain;
        lane.next += plain;
        if (lane.next == queue.depth) {
            lane.next = 0;
            lane.next_phase ^= RVIF_PHASE;
        }
        if (plain == n) {
            continue;
        }
        if ((entry & RVIF_PHASE) != phase) {
            break;
        }
        if (rte_mbuf *frame = take_entry(queue, lane, entry); frame != nullptr) {
            bytes += frame->pkt_len;
            pkts[got++] = frame;
        }
    }
    if (lane.vacant >= refill_batch) {
        refill(queue, lane);
    }
    queue.frames += got;
    queue.bytes += bytes;
    return got;
}

std::uint16_t poll(RxQueue &queue, RxLane &lane, rte_mbuf **pkts, std::uint16_t count) noexcept
{
    if ((static_cast<std::uint32_t>(load_acquire(lane.comp[lane.next])) & RVIF_PHASE) !=
        lane.next_phase) {
        return 0;
    }
    queue.awaited = &lane;
    return drain(queue, lane, pkts, count);
}

} // namespace

void rx_look_for_sources(RxQueue &queue)
{
    rvif_sources found;
    if (!queue.port->sources(queue, found)) {
        return;
    }
    // A source that has gone keeps its place and its buffers: somebody may still be writing into
    // them, and whoever gets that source next goes on where it ended. They come back when the port
    // stops.
    for (std::uint32_t word = 0; word < std::size(found.live); ++word) {
        std::uint64_t fresh = found.live[word] & ~queue.live[word];
        queue.live[word] |= fresh;
        for (; fresh != 0; fresh &= fresh - 1) {
            const auto source = word * 64 + static_cast<std::uint32_t>(std::countr_zero(fresh));
            RxLane &lane = queue.lanes[source];
            queue.order[queue.live_count++] = &lane;
            fill_lane(queue, lane);
        }
    }
}

std::uint16_t rx_burst(void *opaque, rte_mbuf **pkts, std::uint16_t count)
{
    RxQueue &queue = *static_cast<RxQueue *>(opaque);
    if (queue.polls-- == 0) [[unlikely]] {
        queue.polls = source_poll_interval;
        if (queue.stopped) {
            queue.polls = 0;
            return 0;
        }
        rx_look_for_sources(queue);
        // Also brings lanes up to date that found the pool empty.
        for (std::uint32_t i = 0; i < queue.live_count; ++i) {
            refill(queue, *queue.order[i]);
        }
    }
    std::uint16_t got = 0;
    const std::uint32_t looks = std::min(queue.live_count, lanes_per_poll);
    for (std::uint32_t i = 0; i < looks && got < count; ++i) {
        // Each burst begins further on, so that a busy source cannot starve the others.
        if (queue.turn >= queue.live_count) {
            queue.turn = 0;
        }
        got = static_cast<std::uint16_t>(got + poll(queue, *queue.order[queue.turn++], pkts + got,
                                                    static_cast<std::uint16_t>(count - got)));
    }
    if (got == 0 && queue.awaited != nullptr) {
        RxLane &lane = *queue.awaited;
        if (looks < queue.live_count) {
            got = poll(queue, lane, pkts, count);
        }
        // Waiting: the frame is to come over together with its completion, not after it. What is
        // asked for may be no buffer at all; it is a hint.
        rte_prefetch0(reinterpret_cast<const void *>(
            reinterpret_cast<std::uintptr_t>(lane.mbufs[lane.next]) + queue.data_at));
    }
    return got;
}

std::uint32_t rx_filled(const RxQueue &queue, std::uint32_t most) noexcept
{
    std::uint32_t filled = 0;
    for (std::uint32_t l = 0; l < queue.live_count; ++l) {
        const RxLane &lane = *queue.order[l];
        std::uint32_t at = lane.next;
        std::uint32_t phase = lane.next_phase;
        for (std::uint32_t left = queue.depth - lane.vacant; left > 0 && filled < most; --left) {
            if ((static_cast<std::uint32_t>(load_acquire(lane.comp[at])) & RVIF_PHASE) != phase) {
                break;
            }
            ++filled;
            if (++at == queue.depth) {
                at = 0;
                phase ^= RVIF_PHASE;
            }
        }
    }
    return filled;
}

void rx_reset_lanes(RxQueue &queue)
{
    std::byte *lane_memory = reinterpret_cast<std::byte *>(queue.ring.get());
    std::memset(lane_memory, 0, RVIF_LANE_STRIDE(queue.depth) * RVIF_MAX_SOURCES);
    for (std::uint32_t source = 0; source < RVIF_MAX_SOURCES; ++source) {
        std::byte *at = lane_memory + source * RVIF_LANE_STRIDE(queue.depth);
        queue.lanes[source] = RxLane{
            .posted = reinterpret_cast<std::uint32_t *>(at),
            .comp = reinterpret_cast<const std::uint64_t *>(at + RVIF_LANE_COMP(queue.depth)),
            .meta = reinterpret_cast<const std::uint32_t *>(at + RVIF_LANE_META(queue.depth)),
            .mbufs = queue.mbufs.get() + std::size_t{source} * (queue.depth + lane_slack),
            .vacant = queue.depth,
        };
        // For the prefetch of drain().
        for (std::uint32_t i = 0; i < lane_slack; ++i) {
            queue.lanes[source].mbufs[queue.depth + i] = nullptr;
        }
    }
    for (std::uint64_t &word : queue.live) {
        word = 0;
    }
    queue.live_count = 0;
    queue.awaited = nullptr;
    queue.turn = 0;
    queue.polls = 0;
}

void rx_release_buffers(RxQueue &queue)
{
    for (RxLane &lane : queue.lanes) {
        // The queue of posted buffers runs from next to post. Filled or not, to the pool they are
        // as they came.
        for (std::uint32_t held = queue.depth - lane.vacant; held > 0; --held) {
            rte_mempool_put(queue.pool, lane.mbufs[lane.next]);
            if (++lane.next == queue.depth) {
                lane.next = 0;
            }
        }
        lane.vacant = queue.depth;
        rte_pktmbuf_free(lane.head);
        lane.head = nullptr;
        lane.spoilt = false;
    }
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

constexpr std::uint64_t requests =
    RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;
// What the switch cannot do.
constexpr std::uint64_t impossible =
    RTE_MBUF_F_TX_TUNNEL_MASK | RTE_MBUF_F_TX_OUTER_IP_CKSUM | RTE_MBUF_F_TX_OUTER_UDP_CKSUM |
    RTE_MBUF_F_TX_QINQ | RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_MACSEC | RTE_MBUF_F_TX_SEC_OFFLOAD;
// An mbuf without any of these needs nothing but its bytes to be sent.
constexpr std::uint64_t special = requests | impossible;

bool possible(const rte_mbuf &mbuf) noexcept
{
    return (mbuf.ol_flags & impossible) == 0 &&
           (mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK) != RTE_MBUF_F_TX_SCTP_CKSUM &&
           ((mbuf.ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0 || mbuf.tso_segsz >= RVIF_MIN_SEGSZ);
}

// The requests of an mbuf, in its first descriptor.
void ask(rvif_tx_desc &desc, const rte_mbuf &mbuf) noexcept
{
    std::uint32_t flags = 0;
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_VLAN) != 0) {
        flags |= RVIF_TX_VLAN;
        desc.vlan = mbuf.vlan_tci;
    }
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
        flags |= RVIF_TX_IP_CSUM;
    }
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0) {
        flags |= RVIF_TX_L4_CSUM;
    }
    if ((mbuf.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
        flags |= RVIF_TX_TSO;
        desc.segsz = mbuf.tso_segsz;
    }
    desc.flags = static_cast<std::uint16_t>(desc.flags | flags);
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
    desc = {.addr = queue.bounce_addr + bounce_used,
            .len = static_cast<std::uint16_t>(mbuf->pkt_len),
            .flags = 0,
            .vlan = 0,
            .segsz = 0};
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
        // A chain longer than any call has room for goes through the bounce memory, too; others
        // wait.
        const bool no_room = used + count == RVIF_MAX_BURST;
        if (no_room && mbuf->nb_segs <= RVIF_MAX_BURST) {
            return 0;
        }
        if (run == nullptr || seg->data_len == 0 || no_room) {
            count = describe_bounced(queue, queue.descs[used], mbuf, bounce_used) ? 1 : 0;
            break;
        }
        queue.run = run;
        queue.descs[used + count] = {
            .addr = run->at(reinterpret_cast<std::uintptr_t>(data)),
            .len = seg->data_len,
            .flags = static_cast<std::uint16_t>(seg->next != nullptr ? RVIF_TX_MORE : 0u),
            .vlan = 0,
            .segsz = 0};
        ++count;
    }
    if (count != 0) {
        ask(queue.descs[used], *mbuf);
    }
    return count;
}

// Descriptors of frames [0, count) that are each one segment in the run of the last and ask for
// nothing; returns how many of these come first.
std::uint16_t describe_plain(TxQueue &queue, rvif_tx_desc *desc, rte_mbuf *const *pkts,
                             std::uint16_t count, std::uint64_t &bytes) noexcept
{
    const AddressMap::Run *run = queue.run;
    if (run == nullptr) {
        return 0;
    }
    const std::uint64_t length = run->length.load(std::memory_order_relaxed);
    if (length <= RVIF_MAX_FRAME) {
        return 0;
    }
    const std::uint64_t last = length - RVIF_MAX_FRAME; // beyond it a closer look is needed
    const std::uintptr_t va = run->va;
    const rvif_addr_t addr = run->addr;
    // One look at data_off, refcnt, nb_segs, port and ol_flags: one segment, nothing special.
    static_assert(offsetof(rte_mbuf, nb_segs) == offsetof(rte_mbuf, rearm_data) + 4);
    static_assert(offsetof(rte_mbuf, data_off) == offsetof(rte_mbuf, rearm_data));
    const __m128i wanted = _mm_set_epi64x(0, 1ll << 32);
    const __m128i looked_at =
        _mm_set_epi64x(static_cast<long long>(special), static_cast<long long>(0xffffull << 32));
    std::uint64_t sum = 0;
    std::size_t i = 0;
    for (; i < count; ++i, ++desc) {
        const rte_mbuf *mbuf = pkts[i];
        const __m128i head = _mm_load_si128(reinterpret_cast<const __m128i *>(&mbuf->rearm_data));
        if (_mm_testz_si128(_mm_xor_si128(head, wanted), looked_at) == 0) [[unlikely]] {
            break;
        }
        const std::uint64_t len = mbuf->data_len;
        const std::uint64_t offset =
            reinterpret_cast<std::uintptr_t>(mbuf->buf_addr) + mbuf->data_off - va;
        if (len == 0 || (offset >= last && !run->holds(va + offset, len))) [[unlikely]] {
            break;
        }
        const std::uint64_t at = addr + offset;
        std::memcpy(&desc->addr, &at, 8);
        std::memcpy(&desc->len, &len, 8); // and no flags
        sum += len;
    }
    bytes += sum;
    return static_cast<std::uint16_t>(i);
}

// A call that was cut short, by an interrupt for instance: how far it came, as if it had returned.
// As it was if that cannot be had.
CallResult resume(TxQueue &queue, CallResult result) noexcept
{
    constexpr int tries = 16; // this may be cut short, too
    Backend &backend = *queue.port->backend;
    for (int i = 0; i < tries && backend.alive(); ++i) {
        CallResult answer = backend.call(RVIF_OP_RECOVER, queue.index, queue.calls, 0);
        if (is_busy(answer)) {
            if (const auto cpus = elisa::allowed_cpus()) {
                answer = call_from_each(*cpus, backend, RVIF_OP_RECOVER, queue.index, queue.calls);
            }
        }
        if (answer.status == 0) {
            if (answer.value < 0) {
                break;
            }
            ++queue.cut;
            return answer;
        }
    }
    return result;
}

} // namespace

std::uint16_t tx_prepare(void *, rte_mbuf **pkts, std::uint16_t count)
{
    for (std::uint16_t i = 0; i < count; ++i) {
        if (!possible(*pkts[i]) || pkts[i]->pkt_len > RVIF_MAX_FRAME) {
            rte_errno = pkts[i]->pkt_len > RVIF_MAX_FRAME ? EINVAL : ENOTSUP;
            return i;
        }
    }
    return count;
}

std::uint16_t tx_burst(void *opaque, rte_mbuf **pkts, std::uint16_t count)
{
    TxQueue &queue = *static_cast<TxQueue *>(opaque);
    if (queue.stopped) [[unlikely]] {
        return 0;
    }
    constexpr int most_cuts = 16; // one after the other, without a frame sent
    int cuts = 0;
    std::uint16_t done = 0;
    while (done < count) {
        // As many frames as one call takes. The first `plain` of them have a descriptor each.
        std::uint32_t bounce_used = 0;
        std::uint64_t bytes = 0;
        std::uint16_t frames = describe_plain(
            queue, queue.descs, pkts + done,
            static_cast<std::uint16_t>(std::min<std::uint32_t>(count - done, RVIF_MAX_BURST)),
            bytes);
        const std::uint16_t plain = frames;
        std::uint32_t used = frames;
        bool unsendable = false;
        while (done + frames < count && used < RVIF_MAX_BURST) {
            const rte_mbuf *mbuf = pkts[done + frames];
            if (mbuf->pkt_len == 0 || mbuf->pkt_len > RVIF_MAX_FRAME || !length_agrees(mbuf) ||
                !possible(*mbuf)) [[unlikely]] {
                unsendable = true;
                break;
            }
            const std::uint32_t descs = describe_slow(queue, used, mbuf, bounce_used);
            if (descs == 0) {
                break;
            }
            used += descs;
            bytes += mbuf->pkt_len;
            queue.ends[frames++] = static_cast<std::uint16_t>(used);
        }

        if (used > 0) {
            // Not plain: chains, and memory that is not the pool's own.
            const bool all_single = plain == frames;
            CallResult result =
                queue.port->backend->call(RVIF_OP_TX, queue.index, used, ++queue.calls);
            if (result.status != 0) [[unlikely]] {
                result = resume(queue, result);
                if (result.status == 0 && result.value == 0 && ++cuts < most_cuts) {
                    continue;
                }
            }
            if (result.status == 0 && result.value == static_cast<std::int64_t>(used)) [[likely]] {
                queue.frames += frames;
                queue.bytes += bytes;
                cuts = 0;
                release(queue, pkts + done, frames, all_single);
                done = static_cast<std::uint16_t>(done + frames);
            } else if (result.status == 0 && result.value > 0 &&
                       result.value < static_cast<std::int64_t>(used)) {
                // The switch took a part: a bound on the work of one call. Whole frames only.
                std::uint16_t taken = 0;
                while (taken < frames &&
                       (taken < plain ? taken + 1 : queue.ends[taken]) <= result.value) {
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
            if (mbuf->pkt_len == 0) {
                ++queue.empty;
            } else if (!possible(*mbuf)) {
                ++queue.bad_offload;
            } else {
                ++queue.bad_length;
            }
            rte_pktmbuf_free(mbuf);
        } else if (frames == 0) {
            return done;
        }
    }
    return done;
}

} // namespace rvif
