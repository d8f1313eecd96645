// SPDX-License-Identifier: Apache-2.0
#include "kernel_end.hpp"

#include "offload.hpp"

#include <algorithm>
#include <cerrno>

namespace uplink {
namespace {

constexpr std::size_t write_pieces = 512; // of IOV_MAX; far more than a port's longest chain

Drop reason(int error) noexcept
{
    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        return Drop::no_room;
    case EMSGSIZE:
        return Drop::too_long;
    case EIO: // tun: the interface is down
    case ENETDOWN:
    case ENXIO:
        return Drop::link_down;
    default:
        return Drop::refused;
    }
}

} // namespace

KernelEnd::KernelEnd(std::string kind, Interface interface, elisa::UniqueFd fd, rte_mempool &pool,
                     std::size_t frame_room)
    : interface_{std::move(interface)}, kind_{std::move(kind)}, fd_{std::move(fd)}, pool_{pool}
{
    const std::size_t buffer = rte_pktmbuf_data_room_size(&pool) - RTE_PKTMBUF_HEADROOM;
    room_.resize((frame_room + buffer - 1) / buffer);
    space_ = room_.size() * buffer;
    read_pieces_.resize(room_.size() + 1);
    read_pieces_[0] = {.iov_base = &header_, .iov_len = sizeof(header_)};
    write_pieces_.reserve(write_pieces);
    vacant_ = room_.size();
}

KernelEnd::~KernelEnd()
{
    for (std::size_t i = vacant_; i < room_.size(); ++i) {
        rte_pktmbuf_free(room_[i]);
    }
}

bool KernelEnd::fill_room()
{
    if (vacant_ == 0) {
        return true;
    }
    if (rte_pktmbuf_alloc_bulk(&pool_, room_.data(), static_cast<unsigned>(vacant_)) != 0) {
        return false;
    }
    for (std::size_t i = 0; i < vacant_; ++i) {
        read_pieces_[i + 1] = {.iov_base = rte_pktmbuf_mtod(room_[i], void *),
                               .iov_len = rte_pktmbuf_tailroom(room_[i])};
    }
    vacant_ = 0;
    return true;
}

// The first mbufs of the room as a chain of that many bytes.
rte_mbuf *KernelEnd::take(std::size_t length)
{
    rte_mbuf *head = room_[0];
    head->pkt_len = static_cast<std::uint32_t>(length);
    rte_mbuf *last = nullptr;
    while (length > 0) {
        rte_mbuf *piece = room_[vacant_++];
        const std::size_t part = std::min<std::size_t>(length, rte_pktmbuf_tailroom(piece));
        piece->data_len = static_cast<std::uint16_t>(part);
        length -= part;
        if (last != nullptr) {
            last->next = piece;
            ++head->nb_segs;
        }
        last = piece;
    }
    return head;
}

std::uint16_t KernelEnd::receive(std::span<rte_mbuf *> room, Counters &counters)
{
    std::uint16_t got = 0;
    while (got < room.size() && fill_room()) {
        Note note;
        const ssize_t bytes = read(read_pieces_, note);
        if (bytes < 0) {
            break; // nothing more; whatever else it is, link() finds it out
        }
        const auto length = static_cast<std::size_t>(bytes) - sizeof(header_);
        if (static_cast<std::size_t>(bytes) < sizeof(header_) + RTE_ETHER_HDR_LEN) {
            continue;
        }
        counters.received.add(1);
        counters.received_bytes.add(length);
        if (length > space_) {
            counters.drop(Drop::truncated);
            continue;
        }
        if (note.tagged && note.ethertype != RTE_ETHER_TYPE_VLAN) {
            counters.drop(Drop::service_tag);
            continue;
        }
        rte_mbuf *frame = take(length);
        if (note.tagged) {
            frame->ol_flags |= RTE_MBUF_F_TX_VLAN;
            frame->vlan_tci = note.tci;
        }
        if (!request_as_header(*frame, header_)) {
            counters.drop(Drop::bad_offload);
            rte_pktmbuf_free(frame);
            continue;
        }
        room[got++] = frame;
    }
    return got;
}

ssize_t KernelEnd::write(const VnetHeader &header, const rte_mbuf &frame)
{
    write_pieces_.clear();
    write_pieces_.push_back(
        {.iov_base = const_cast<VnetHeader *>(&header), .iov_len = sizeof(header)});
    for (const rte_mbuf *piece = &frame; piece != nullptr; piece = piece->next) {
        write_pieces_.push_back(
            {.iov_base = rte_pktmbuf_mtod(piece, void *), .iov_len = piece->data_len});
    }
    return ::writev(fd_.get(), write_pieces_.data(), static_cast<int>(write_pieces_.size()));
}

void KernelEnd::send(std::span<rte_mbuf *> frames, Counters &counters)
{
    for (rte_mbuf *&frame : frames) {
        VnetHeader header;
        if (!insert_tag(frame) || !header_as_requested(*frame, header) ||
            frame->nb_segs >= write_pieces) {
            counters.drop(Drop::bad_offload);
        } else if (write(header, *frame) < 0) {
            counters.drop(reason(errno));
        } else {
            counters.sent.add(1);
            counters.sent_bytes.add(frame->pkt_len);
        }
    }
    rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
}

} // namespace uplink
