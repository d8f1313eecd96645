// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

#include <csignal>
#include <cstdio>
#include <unistd.h>

namespace rvgen {

Engine::Parsed Engine::parse(const rte_mbuf *mbuf)
{
    Parsed parsed;
    parsed.size = mbuf->pkt_len;
    if (parsed.size < payload_at || parsed.size > max_size) {
        return parsed;
    }
    parsed.bytes = static_cast<const std::byte *>(
        rte_pktmbuf_read(mbuf, 0, static_cast<std::uint32_t>(parsed.size), scratch_.data()));
    if (parsed.bytes == nullptr) {
        return parsed;
    }
    rte_ether_hdr ether;
    std::memcpy(&ether, parsed.bytes, sizeof(ether));
    std::memcpy(&parsed.header, parsed.bytes + header_at, sizeof(Header));
    parsed.ours = ether.ether_type == rte_cpu_to_be_16(ether_type) && parsed.header.magic == magic;
    parsed.good = parsed.ours && parsed.header.size == parsed.size &&
                  parsed.header.crc == frame_crc(parsed.bytes, parsed.size);
    return parsed;
}

rte_mbuf *Engine::compose(rte_mempool *pool, std::size_t size, const rte_ether_addr &to, Kind kind,
                          std::uint8_t flags, std::uint16_t stream, std::uint64_t sequence,
                          const void *payload, std::size_t payload_size)
{
    rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) {
        return nullptr;
    }
    const bool fits = size <= rte_pktmbuf_tailroom(mbuf);
    std::byte *frame = fits ? rte_pktmbuf_mtod(mbuf, std::byte *) : scratch_.data();
    write_headers(frame, size, to, options_.mac, kind, flags, stream, sequence);
    if (payload_size > 0) {
        std::memcpy(frame + payload_at, payload, payload_size);
    }
    fill_payload(frame + payload_at + payload_size, size - payload_at - payload_size, sequence);
    seal(frame, size);
    if (fits) {
        mbuf->data_len = static_cast<std::uint16_t>(size);
        mbuf->pkt_len = static_cast<std::uint32_t>(size);
        return mbuf;
    }
    // A chain of full buffers.
    rte_mbuf *tail = mbuf;
    for (std::size_t at = 0; at < size;) {
        if (at > 0) {
            rte_mbuf *next = rte_pktmbuf_alloc(pool);
            if (next == nullptr) {
                rte_pktmbuf_free(mbuf);
                return nullptr;
            }
            tail->next = next;
            tail = next;
            ++mbuf->nb_segs;
        }
        const std::size_t part = std::min<std::size_t>(rte_pktmbuf_tailroom(tail), size - at);
        std::memcpy(rte_pktmbuf_mtod(tail, std::byte *), frame + at, part);
        tail->data_len = static_cast<std::uint16_t>(part);
        at += part;
    }
    mbuf->pkt_len = static_cast<std::uint32_t>(size);
    return mbuf;
}

void Engine::mark(const char *name)
{
    std::printf("ELISA-MARK %s\n", name);
    std::fflush(stdout);
}

void Engine::finish(const std::string &json)
{
    if (done_) {
        return;
    }
    done_ = true;
    std::printf("ELISA-RESULT %s\n", json.c_str());
    std::fflush(stdout);
    if (!options_.report.empty()) {
        // Appears whole or not at all: somebody may be waiting for it.
        const std::string part = options_.report + ".part";
        std::FILE *file = std::fopen(part.c_str(), "we");
        if (file == nullptr || std::fprintf(file, "%s\n", json.c_str()) < 0 ||
            std::fclose(file) != 0 || std::rename(part.c_str(), options_.report.c_str()) != 0) {
            std::fprintf(stderr, "net_rvgen: cannot write %s\n", options_.report.c_str());
        }
    }
    if (options_.exit) {
        // What a user's Ctrl-C is to it; testpmd then stops and closes its ports and exits with 0.
        ::kill(::getpid(), SIGINT);
    }
}

} // namespace rvgen
